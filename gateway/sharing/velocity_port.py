"""Port of the velocity store: counts attempts by key over payment time."""

from collections.abc import Sequence
from typing import Protocol

Counts = tuple[int, int, int]
"""Attempts in the last 10 minutes, 1 hour and 24 hours of payment time, the present one included."""

Touch = tuple[int, Sequence[bytes | None]]
"""(payment time in UTC epoch milliseconds, 16-byte keys by `VelocityKind`; None where there is none)."""


class VelocityStore(Protocol):
    """Counts and reads in one round trip for a whole batch."""

    def touch(self, batch: Sequence[Touch]) -> list[tuple[Counts | None, ...] | None]:
        """Counts each attempt under each of its keys, in order, and returns the counts with it included.

        One item an attempt: counts by key (None where the key is None), or None while the store is warming.
        """
        ...
