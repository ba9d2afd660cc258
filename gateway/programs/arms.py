"""Arms of experiments: a unit's place is a keyed hash, so that it is the same on every worker, for good."""

from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Protocol

from gateway.programs.model import PPM
from gateway.runtime.native import engines


class Arm(IntEnum):
    """Numbers equal `v1.Arm`."""

    TREATMENT = 1
    HOLDOUT = 2
    PENDING = 3
    GLOBAL_HOLDOUT = 4


# Named once: looking up a member of an enum costs as much as the rest of a draw.
TREATMENT: Final = Arm.TREATMENT
HOLDOUT: Final = Arm.HOLDOUT
PENDING: Final = Arm.PENDING
GLOBAL_HOLDOUT: Final = Arm.GLOBAL_HOLDOUT

LINES_CACHED: Final = 4096
"""Lines kept: one a program and issuer with a ramp or holdout of its own, and one for all programs."""


class Experimental(Protocol):
    """What an arm depends on besides the unit: every `ProgramEntry` has it."""

    @property
    def salt(self) -> bytes: ...
    @property
    def ramp_ppm(self) -> int: ...
    @property
    def holdout_ppm(self) -> int: ...


class Line(Protocol):
    """The places [0, 2**64) of a salt, cut in two: below `treated_below`, and from `held_out_from` on."""

    def draw(self, unit_key: bytes) -> Arm:
        """The arm of a unit that is not held out of everything."""
        ...


class TwinLine:
    """`Line` in Python; the salt is taken in once."""

    __slots__ = ("_state", "held_out_from", "treated_below")

    def __init__(self, salt: bytes, treated_below: int, held_out_from: int) -> None:
        self._state = blake2b(digest_size=8, key=salt)
        self.treated_below = treated_below
        self.held_out_from = held_out_from

    def __repr__(self) -> str:
        return "TwinLine(****)"

    def place(self, unit_key: bytes) -> int:
        """64 bits of keyed BLAKE2b (RFC 7693 2.9)."""
        state = self._state.copy()
        state.update(unit_key)
        return int.from_bytes(state.digest(), "big")

    def draw(self, unit_key: bytes) -> Arm:
        unit_place = self.place(unit_key)
        if unit_place >= self.held_out_from:
            return HOLDOUT
        return TREATMENT if unit_place < self.treated_below else PENDING


def cuts(ramp_ppm: int, holdout_ppm: int) -> tuple[int, int]:
    """Where a line is cut. No float decides: shares are whole parts per million of 2**64, rounded up, since
    the first place `u` with u / 2**64 >= share is there."""
    exposed_ppm = PPM - holdout_ppm
    return -(-(exposed_ppm * ramp_ppm << 64) // (PPM * PPM)), -(-(exposed_ppm << 64) // PPM)


@lru_cache(maxsize=LINES_CACHED)
def line_of(salt: bytes, ramp_ppm: int, holdout_ppm: int) -> Line:
    """The line of an experiment, by the engine where it is built (native/src/policy/arms.rs)."""
    treated_below, held_out_from = cuts(ramp_ppm, holdout_ppm)
    if engines is None:
        return TwinLine(salt, treated_below, held_out_from)
    line: Line = engines.Line(salt, treated_below, held_out_from, (TREATMENT, HOLDOUT, PENDING))
    return line


def global_line(global_salt: bytes, global_holdout_ppm: int) -> Line | None:
    """The line of the holdout that all programs share; None where nothing is held out of all."""
    return line_of(global_salt, PPM, global_holdout_ppm) if global_holdout_ppm else None


def draw(entry: Experimental, unit_key: bytes, global_salt: bytes, global_holdout_ppm: int) -> Arm:
    """The arm of a unit under one program.

    `u >= 1 - holdout` is HOLDOUT, `u < ramp * (1 - holdout)` TREATMENT, else PENDING: a ramp that rises only
    turns PENDING into TREATMENT. The global holdout has a salt of its own and wins.
    """
    shared = global_line(global_salt, global_holdout_ppm)
    if shared is not None and shared.draw(unit_key) is HOLDOUT:
        return GLOBAL_HOLDOUT
    return line_of(entry.salt, entry.ramp_ppm, entry.holdout_ppm).draw(unit_key)
