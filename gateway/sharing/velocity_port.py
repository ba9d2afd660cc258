"""Port of the velocity store: attempts by key over payment time, and the different others seen with it."""

from collections.abc import Sequence
from typing import Protocol

from enrichment.payment import Counts as Counts

Touch = tuple[int, Sequence[bytes | None]]
"""(payment time in UTC epoch milliseconds, 16-byte keys by `VelocityKind`; None where there is none)."""


class VelocityStore(Protocol):
    """Counts and reads in one round trip for a whole batch. It is called on the hot loop's thread, which
    measures it: one that is late too often is not asked for a while (gateway/sharing/counting.py). One that
    is elsewhere waits no longer than the budget itself: it raises TimeoutError, and the batch goes on
    without counts."""

    def touch(self, batch: Sequence[Touch]) -> list[tuple[Counts | None, ...] | None]:
        """Counts each attempt under each of its keys, in order, and returns the counts with it included.

        One item an attempt: counts by key (None where the key is None), or None while the store is warming.
        """
        ...
