"""Arms stay where they are, in the shares that were asked for."""

from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.programs import arms
from gateway.programs.arms import Arm, TwinLine, draw
from gateway.programs.model import PPM
from gateway.programs.table import program_salt
from gateway.runtime.native import engines

PARTS = st.integers(0, PPM) | st.sampled_from([0, 1, PPM - 1, PPM])
SALTS = st.binary(min_size=16, max_size=32)
UNITS = st.binary(min_size=16, max_size=16)


@dataclass(frozen=True)
class Experiment:
    salt: bytes
    ramp_ppm: int
    holdout_ppm: int


def units(count: int, name: str) -> list[bytes]:
    return [blake2b(f"{name}{number}".encode(), digest_size=16).digest() for number in range(count)]


@given(SALTS, UNITS, PARTS, PARTS, PARTS)
def test_a_rising_ramp_only_turns_pending_into_treatment(
    salt: bytes, unit: bytes, holdout_ppm: int, one_ramp: int, other_ramp: int
) -> None:
    low, high = sorted((one_ramp, other_ramp))
    before = draw(Experiment(salt, low, holdout_ppm), unit, b"", 0)
    after = draw(Experiment(salt, high, holdout_ppm), unit, b"", 0)
    assert after == before or (before, after) == (Arm.PENDING, Arm.TREATMENT)


@given(SALTS, SALTS, UNITS, PARTS, PARTS, PARTS)
def test_the_global_holdout_does_not_depend_on_a_program(
    salt: bytes, global_salt: bytes, unit: bytes, ramp_ppm: int, holdout_ppm: int, global_ppm: int
) -> None:
    arm = draw(Experiment(salt, ramp_ppm, holdout_ppm), unit, global_salt, global_ppm)
    elsewhere = draw(Experiment(b"another salt 123", PPM, 0), unit, global_salt, global_ppm)
    assert (arm is Arm.GLOBAL_HOLDOUT) == (elsewhere is Arm.GLOBAL_HOLDOUT)
    if arm is not Arm.GLOBAL_HOLDOUT:
        assert arm is draw(Experiment(salt, ramp_ppm, holdout_ppm), unit, b"", 0)


@given(SALTS, UNITS)
def test_the_ends_of_the_scale_are_exact(salt: bytes, unit: bytes) -> None:
    assert draw(Experiment(salt, PPM, 0), unit, b"", 0) is Arm.TREATMENT
    assert draw(Experiment(salt, 0, 0), unit, b"", 0) is Arm.PENDING
    assert draw(Experiment(salt, PPM, PPM), unit, b"", 0) is Arm.HOLDOUT
    assert draw(Experiment(salt, PPM, 0), unit, b"global salt 12345", PPM) is Arm.GLOBAL_HOLDOUT


def test_arms_come_in_the_shares_that_were_asked_for() -> None:
    experiment = Experiment(b"a salt of sixteen", 400_000, 250_000)
    drawn = [draw(experiment, unit, b"global salt 12345", 20_000) for unit in units(20_000, "card")]
    # Within five standard deviations of 20,000 draws.
    expected = {Arm.GLOBAL_HOLDOUT: 0.02, Arm.HOLDOUT: 0.245, Arm.TREATMENT: 0.294, Arm.PENDING: 0.441}
    for arm, share in expected.items():
        assert abs(drawn.count(arm) / 20_000 - share) < 5 * (share * (1 - share) / 20_000) ** 0.5


def test_two_programs_with_one_salt_version_draw_independently() -> None:
    salt = b"one salt version of both"
    one, other = (Experiment(program_salt(salt, name), PPM, 500_000) for name in ("one", "other"))
    both = sum(
        draw(one, unit, b"", 0) is draw(other, unit, b"", 0) is Arm.HOLDOUT for unit in units(20_000, "card")
    )
    assert abs(both / 20_000 - 0.25) < 5 * (0.25 * 0.75 / 20_000) ** 0.5


@pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")
@given(st.binary(min_size=1, max_size=64), st.binary(max_size=300))
def test_the_engine_and_its_twin_give_a_unit_the_same_place(salt: bytes, unit_key: bytes) -> None:
    line = engines.Line(salt, 0, 0, tuple(Arm)[:3])
    assert line.place(unit_key) == TwinLine(salt, 0, 0).place(unit_key)


@pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")
@given(st.binary(min_size=1, max_size=8), PARTS, PARTS)
def test_the_engine_and_its_twin_draw_the_same_arms(salt: bytes, ramp_ppm: int, holdout_ppm: int) -> None:
    twin = TwinLine(salt, *arms.cuts(ramp_ppm, holdout_ppm))
    engine = arms.line_of.__wrapped__(salt, ramp_ppm, holdout_ppm)
    for unit_key in units(50, "card"):
        assert engine.draw(unit_key) is twin.draw(unit_key)


@pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")
@given(st.binary(max_size=20), st.sampled_from([-1, 0, 1]), st.sampled_from([-1, 0, 1]))
def test_both_cut_a_line_at_the_same_place(unit_key: bytes, treated: int, held_out: int) -> None:
    place = TwinLine(b"salt", 0, 0).place(unit_key)
    ends = min(max(place + treated, 0), 2**64), min(max(place + held_out, 0), 2**64)
    engine = engines.Line(b"salt", *ends, (Arm.TREATMENT, Arm.HOLDOUT, Arm.PENDING))
    assert engine.draw(unit_key) is TwinLine(b"salt", *ends).draw(unit_key)


@given(st.integers(0, 2**64 - 1), PARTS, PARTS)
def test_an_arm_is_its_unit_s_place_against_the_shares_as_fractions(
    unit_place: int, ramp_ppm: int, holdout_ppm: int
) -> None:
    treated_below, held_out_from = arms.cuts(ramp_ppm, holdout_ppm)
    part, exposed = Fraction(unit_place, 2**64), 1 - Fraction(holdout_ppm, PPM)
    assert (unit_place >= held_out_from) == (part >= exposed)
    assert (unit_place < treated_below) == (part < exposed * Fraction(ramp_ppm, PPM))
