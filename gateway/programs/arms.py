"""Arms of experiments: a unit's place is a keyed hash, so that it is the same on every worker, for good."""

from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Protocol

from gateway.programs.model import PPM
from gateway.runtime.native import engines

_PPM_SQUARED: Final = PPM * PPM


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

SALTS_CACHED: Final = 1024
"""Hash states kept with a salt taken in: one a program and salt version, and one for all programs."""


class Experimental(Protocol):
    """What an arm depends on besides the unit: every `ProgramEntry` has it."""

    @property
    def salt(self) -> bytes: ...
    @property
    def ramp_ppm(self) -> int: ...
    @property
    def holdout_ppm(self) -> int: ...


class TwinSalt:
    """A salt taken in, in Python."""

    __slots__ = ("_state",)

    def __init__(self, secret: bytes) -> None:
        self._state = blake2b(digest_size=8, key=secret)

    def __repr__(self) -> str:
        return "TwinSalt(****)"

    def place(self, unit_key: bytes) -> int:
        """64 bits of keyed BLAKE2b (RFC 7693 2.9)."""
        state = self._state.copy()
        state.update(unit_key)
        return int.from_bytes(state.digest(), "big")


_salted: Any = lru_cache(maxsize=SALTS_CACHED)(TwinSalt if engines is None else engines.Salt)


def place(salt: bytes, unit_key: bytes) -> int:
    """The unit's place `u` in [0, 1), scaled by 2**64: an integer, so that no rounding decides."""
    found: int = _salted(salt).place(unit_key)
    return found


def held_out_of_all(unit_key: bytes, global_salt: bytes, global_holdout_ppm: int) -> bool:
    """Whether the unit is in the holdout that all programs share: once a payment."""
    return bool(global_holdout_ppm) and place(global_salt, unit_key) * PPM >> 64 >= PPM - global_holdout_ppm


def draw_own(entry: Experimental, unit_key: bytes) -> Arm:
    """The arm of a unit that is not held out of everything."""
    # Shares are whole parts per million, so that `u` times a million (squared, with the ramp) may be floored.
    unit_place = place(entry.salt, unit_key) * _PPM_SQUARED >> 64
    exposed_ppm = PPM - entry.holdout_ppm
    if unit_place >= exposed_ppm * PPM:
        return HOLDOUT
    if unit_place < exposed_ppm * entry.ramp_ppm:
        return TREATMENT
    return PENDING


def draw(entry: Experimental, unit_key: bytes, global_salt: bytes, global_holdout_ppm: int) -> Arm:
    """The arm of a unit under one program.

    `u >= 1 - holdout` is HOLDOUT, `u < ramp * (1 - holdout)` TREATMENT, else PENDING: a ramp that rises only
    turns PENDING into TREATMENT. The global holdout has a salt of its own and wins.
    """
    if held_out_of_all(unit_key, global_salt, global_holdout_ppm):
        return GLOBAL_HOLDOUT
    return draw_own(entry, unit_key)
