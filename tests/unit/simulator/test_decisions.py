from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.decisions import (
    BEHAVIOURS,
    HARD_CODES,
    SOFT_CODES,
    UNENROLLED,
    Nature,
    Truth,
    approves,
    draw_nature,
    is_soft,
    response_code,
)

natures = st.builds(
    Nature,
    approval=st.floats(0, 1, exclude_max=True),
    code=st.floats(0, 1, exclude_max=True),
    fraud=st.booleans(),
    attempt_no=st.integers(1, 3),
    unmatched=st.booleans(),
    late=st.booleans(),
)
behaviours = st.sampled_from([*BEHAVIOURS.values(), UNENROLLED])


@given(behaviours, natures)
def test_data_that_was_not_found_or_came_late_changes_no_decision(behaviour, nature) -> None:
    for missed in (replace(nature, unmatched=True), replace(nature, late=True)):
        assert approves(behaviour, missed, with_data=True) == approves(behaviour, missed, with_data=False)


@given(natures)
def test_an_issuer_that_ignores_the_data_decides_alike_in_both_worlds(nature) -> None:
    for behaviour in (BEHAVIOURS["meridian-cards"], UNENROLLED):
        assert not behaviour.uses_data
        assert approves(behaviour, nature, with_data=True) == approves(behaviour, nature, with_data=False)


@given(natures, st.booleans())
def test_a_response_code_says_what_was_decided(nature, approved) -> None:
    code = response_code(nature, approved=approved)
    assert (code == "00") == approved
    assert approved or code in (*SOFT_CODES, *HARD_CODES)
    assert is_soft(code) == (code in SOFT_CODES)


def truth_of(issuer_id: str, payments: int) -> float:
    behaviour, truth = BEHAVIOURS[issuer_id], Truth()
    for number in range(payments):
        nature = draw_nature(7, f"p-{number}", 1, fraud=number % 25 == 0, behaviour=behaviour)
        truth.add(behaviour, nature, [behaviour.program])
    (row,) = truth.rows()
    assert row["payments"] == payments
    return float(row["truth"])


@pytest.mark.parametrize(
    ("issuer_id", "planted"),
    [
        ("northgate-bank", 0.055),
        ("harbor-federal", 0.02),
        ("meridian-cards", 0.0),
        ("summit-credit-union", -0.031),
    ],
)
def test_the_truth_is_the_effect_that_was_planted(issuer_id: str, planted: float) -> None:
    assert truth_of(issuer_id, 20_000) == pytest.approx(planted, abs=0.005)


def test_no_planted_gain_is_above_six_points() -> None:
    assert max(truth_of(issuer_id, 20_000) for issuer_id in BEHAVIOURS) <= 0.06


def test_a_program_that_is_not_decided_by_has_no_effect() -> None:
    behaviour, truth = BEHAVIOURS["northgate-bank"], Truth()
    for number in range(500):
        nature = draw_nature(1, f"p-{number}", 1, fraud=False, behaviour=behaviour)
        truth.add(behaviour, nature, ["enhanced-data"])
    assert [row["truth"] for row in truth.rows()] == [0.0]
