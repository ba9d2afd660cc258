"""Counting: one trip of a batch to the velocity store, within a budget as providers have it."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from enrichment.payment import Counts
from enrichment.provider import OVER_BUDGET, UNAVAILABLE, WARMING
from gateway.runtime.clock import Clock
from gateway.runtime.native import FAULTS
from gateway.sharing.patience import Patience
from gateway.sharing.velocity_port import Touch, VelocityStore
from gateway.sharing.work import Batch

VELOCITY: Final = "velocity"
"""As the settings, omissions and metrics call it."""

OWED_MAX: Final = 16_384
"""Attempts that wait to be counted while the store is put aside: 5 MB. Beyond, the oldest are not counted."""

OWED_AT_ONCE: Final = 64
"""Of these, how many are counted between two batches: some 100 µs."""

CountsByKind = tuple[Counts | None, ...] | None
"""Of one payment, or None where the store has no answer."""

Omissions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Counting(Patience):
    """The store, and how long a batch may take it. The hot loop's thread alone."""

    store: VelocityStore
    budget_us: int
    clock: Clock
    on_fault: Callable[[str, BaseException], None]
    owed: deque[Touch] = field(default_factory=deque, init=False)
    """Attempts that came while the store was put aside."""
    uncounted: int = field(default=0, init=False)
    """Attempts so far that the store was not asked to count, or failed at: these it may have counted."""
    warming: bool = field(default=False, init=False)
    """Whether it last said so. Who counts the journal again then counts what comes meanwhile, too."""

    def count(self, batch: Batch) -> tuple[Sequence[CountsByKind], Omissions]:
        """Counts by payment, and why there are none. Late is late: the counts are there, and are used."""
        touches = batch.touches
        if not touches:
            return (), ()
        if self.clock.monotonic_ns() < self.aside_until_ns:
            self._owe(touches)
            return _without(batch, self.reason)
        asked = self._ask(touches)
        if isinstance(asked, str):
            batch.tally.faults += 1
            return _without(batch, asked)
        counts, batch.tally.provided_ns[VELOCITY] = asked
        self.warming = counts[0] is None
        return counts, ((VELOCITY, WARMING),) if self.warming else ()

    def count_owed(self) -> None:
        """Counts some of what is owed, once the store is in time again. Between two batches."""
        if self.owed and not self.strikes:
            self._ask([self.owed.popleft() for _ in range(min(len(self.owed), OWED_AT_ONCE))])

    def count_all_owed(self) -> None:
        """However late the store is: at the end of the process."""
        touches = list(self.owed)
        self.owed.clear()
        if touches:
            self._ask(touches)

    def _ask(self, touches: Sequence[Touch]) -> tuple[Sequence[CountsByKind], int] | str:
        """Its answer and the nanoseconds that it took, or why there is none. What it failed at is not asked
        again: it may be counted."""
        began_ns = self.clock.monotonic_ns()
        try:
            counts = self.store.touch(touches)
        except FAULTS as fault:
            self.uncounted += len(touches)
            self.on_fault("fetch", fault)
            reason = OVER_BUDGET if isinstance(fault, TimeoutError) else UNAVAILABLE
            self.strike(reason, self.clock.monotonic_ns())
            return reason
        ended_ns = self.clock.monotonic_ns()
        if ended_ns - began_ns > self.budget_us * 1_000:
            self.strike(OVER_BUDGET, ended_ns)
        else:
            self.strikes = 0
        return counts, ended_ns - began_ns

    def _owe(self, touches: Sequence[Touch]) -> None:
        if self.warming:
            return
        self.owed.extend(touches)
        while len(self.owed) > OWED_MAX:
            self.owed.popleft()
            self.uncounted += 1


def _without(batch: Batch, reason: str) -> tuple[Sequence[CountsByKind], Omissions]:
    omission = VELOCITY, reason
    batch.tally.omitted[omission] = batch.tally.omitted.get(omission, 0) + len(batch.asked)
    return [None] * len(batch.asked), (omission,)
