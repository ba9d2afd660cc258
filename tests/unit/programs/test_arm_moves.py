"""Cards that another policy would move: counted as they would draw, in memory that does not grow."""

import pytest

from gateway.programs.arm_moves import CardSample
from gateway.programs.arms import draw
from gateway.programs.documents import load_policy
from gateway.programs.table import ReleaseTable, compile_table
from gateway.server.policy import read_policy
from tests.unit.programs.test_plan import NORTHGATE, RISK, ROOT, edited

SAMPLE = read_policy(ROOT)
CARDS = 2_000
ISSUER = "northgate-bank"


def table(*edits: tuple[str, str, str]) -> ReleaseTable:
    return compile_table(load_policy(edited(SAMPLE, *edits)))


@pytest.fixture(scope="module")
def sample() -> CardSample:
    return sample_of(CARDS)


def sample_of(cards: int, **limit: int) -> CardSample:
    made = CardSample(**limit)
    for number in range(cards):
        made.add(ISSUER, unit(number))
        made.add(ISSUER, unit(number))  # a card pays more than once
    return made


def unit(number: int) -> bytes:
    return b"unit-%d" % number


def test_cards_are_counted_once(sample: CardSample) -> None:
    assert (sample.cards, sample.each_stands_for) == (CARDS, 1)


def test_the_same_policy_moves_no_card(sample: CardSample) -> None:
    assert sample.moves(table(), table()) == ()


def test_moves_are_what_each_card_draws(sample: CardSample) -> None:
    was, now = table(), table((RISK, "holdout_percent: 50", "holdout_percent: 10"))
    [moved] = [one for one in sample.moves(was, now) if one.program == "risk-score"]
    before = next(one for one in was.issuers[ISSUER].programs if one.program == "risk-score")
    after = next(one for one in now.issuers[ISSUER].programs if one.program == "risk-score")
    expected = sum(
        draw(before, unit(number), was.global_salt, was.global_holdout_ppm)
        is not draw(after, unit(number), now.global_salt, now.global_holdout_ppm)
        for number in range(CARDS)
    )
    assert (moved.issuer_id, moved.cards, moved.changed) == (ISSUER, CARDS, expected)
    assert [(source, target) for source, target, _ in moved.moves] == [("holdout", "treatment")]
    assert 0.3 * CARDS < expected < 0.5 * CARDS


def test_a_ramp_that_rises_only_turns_pending_into_treatment(sample: CardSample) -> None:
    moved = sample.moves(table((RISK, "ramp_percent: 100", "ramp_percent: 10")), table())
    assert [[(source, target) for source, target, _ in one.moves] for one in moved] == [
        [("pending", "treatment")]
    ]


def test_a_changed_salt_draws_anew_and_a_pause_draws_nothing(sample: CardSample) -> None:
    salt = ("experiment.yaml", "c2FtcGxlIHByb2dyYW0gc2FsdCwgbm90IGZvciByZWFs", "s" * 22)
    moved = {one.program: one.changed for one in sample.moves(table(), table(salt))}
    assert moved["risk-score"] > 0.4 * CARDS
    assert sample.moves(table(), table((RISK, "state: active", "state: paused"))) == ()


def test_an_issuer_that_leaves_a_program_has_no_arms_any_more(sample: CardSample) -> None:
    without = compile_table(load_policy({name: text for name, text in SAMPLE.items() if name != NORTHGATE}))
    [moved] = sample.moves(table(), without)
    assert moved.changed == CARDS
    assert {target for _, target, _ in moved.moves} == {"none"}


def test_cards_of_an_issuer_without_payments_are_not_there(sample: CardSample) -> None:
    changed = table((RISK, "holdout_percent: 50", "holdout_percent: 10"))
    assert {one.issuer_id for one in sample.moves(table(), changed)} == {ISSUER}


def test_beyond_its_limit_a_sample_keeps_no_more_and_counts_about_right() -> None:
    cards, limit = 40_000, 2_000
    made = sample_of(cards, max_cards=limit)
    assert made.each_stands_for > 1
    assert made.cards / made.each_stands_for <= limit
    assert abs(made.cards - cards) < 0.15 * cards
    was, now = table(), table((RISK, "holdout_percent: 50", "holdout_percent: 10"))
    [moved] = [one for one in made.moves(was, now) if one.program == "risk-score"]
    exact = next(one for one in sample_of(cards).moves(was, now) if one.program == "risk-score")
    assert abs(moved.changed - exact.changed) < 0.2 * exact.changed


def test_a_representation_shows_no_card(sample: CardSample) -> None:
    assert "unit-" not in repr(sample)
