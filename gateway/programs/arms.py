"""Arms of experiments: a unit's place is a keyed hash, so that it is the same on every worker, for good."""

from enum import IntEnum
from hashlib import blake2b
from typing import Final, Protocol

from gateway.programs.model import PPM

_PPM_SQUARED: Final = PPM * PPM


class Arm(IntEnum):
    """Numbers equal `v1.Arm`."""

    TREATMENT = 1
    HOLDOUT = 2
    PENDING = 3
    GLOBAL_HOLDOUT = 4


class Experimental(Protocol):
    """What an arm depends on besides the unit: every `ProgramEntry` has it."""

    @property
    def salt(self) -> bytes: ...
    @property
    def ramp_ppm(self) -> int: ...
    @property
    def holdout_ppm(self) -> int: ...


def place(salt: bytes, unit_key: bytes) -> int:
    """The unit's place `u` in [0, 1), scaled by 2**64: an integer, so that no rounding decides."""
    return int.from_bytes(blake2b(unit_key, digest_size=8, key=salt).digest(), "big")


def draw(entry: Experimental, unit_key: bytes, global_salt: bytes, global_holdout_ppm: int) -> Arm:
    """The arm of a unit under one program.

    `u >= 1 - holdout` is HOLDOUT, `u < ramp * (1 - holdout)` TREATMENT, else PENDING: a ramp that rises only
    turns PENDING into TREATMENT. The global holdout has a salt of its own and wins.
    """
    # Shares are whole parts per million, so that `u` times a million (squared, with the ramp) may be floored.
    if global_holdout_ppm and place(global_salt, unit_key) * PPM >> 64 >= PPM - global_holdout_ppm:
        return Arm.GLOBAL_HOLDOUT
    unit_place = place(entry.salt, unit_key) * _PPM_SQUARED >> 64
    exposed_ppm = PPM - entry.holdout_ppm
    if unit_place >= exposed_ppm * PPM:
        return Arm.HOLDOUT
    if unit_place < exposed_ppm * entry.ramp_ppm:
        return Arm.TREATMENT
    return Arm.PENDING
