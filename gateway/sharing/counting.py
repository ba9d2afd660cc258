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
"""Attempts that wait to be counted while the store is put aside: 8 MB. Beyond, the oldest are not counted."""

OWED_AT_ONCE: Final = 64
"""Of these, how many go along with a batch: some 60 µs."""

Velocity = tuple[Counts | None, ...] | None
"""Counts by kind, or None where the store has no answer."""

Omissions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Counting(Patience):
    """The store, and how long a batch may take it."""

    store: VelocityStore
    budget_us: int
    clock: Clock
    on_fault: Callable[[str, BaseException], None]
    owed: deque[Touch] = field(default_factory=lambda: deque(maxlen=OWED_MAX), init=False)

    def count(self, batch: Batch) -> tuple[Sequence[Velocity], Omissions]:
        """Counts by payment, and why there are none. Late is late: the counts are there, and are used.

        What is not counted while the store is put aside goes along with later batches, once one of them was
        in time. What the store was asked and failed at may be counted or not, and is not asked again.
        """
        touches = batch.touches
        if not touches:
            return (), ()
        began_ns = self.clock.monotonic_ns()
        if began_ns < self.aside_until_ns:
            self.owed.extend(touches)
            return self._without(batch, self.reason)
        owed = self._take_owed()
        try:
            counts: Sequence[Velocity] = self.store.touch([*owed, *touches] if owed else touches)
        except FAULTS as fault:
            batch.tally.faults += 1
            self.on_fault("fetch", fault)
            reason = OVER_BUDGET if isinstance(fault, TimeoutError) else UNAVAILABLE
            self.strike(reason, self.clock.monotonic_ns())
            return self._without(batch, reason)
        ended_ns = self.clock.monotonic_ns()
        batch.tally.provided_ns[VELOCITY] = ended_ns - began_ns
        if ended_ns - began_ns > self.budget_us * 1_000:
            self.strike(OVER_BUDGET, ended_ns)
        else:
            self.strikes = 0
        if owed:
            counts = counts[len(owed) :]
        if counts[0] is None:
            return self._without(batch, WARMING)
        return counts, ()

    def _take_owed(self) -> list[Touch]:
        if self.strikes:
            return []
        return [self.owed.popleft() for _ in range(min(len(self.owed), OWED_AT_ONCE))]

    def _without(self, batch: Batch, reason: str) -> tuple[Sequence[Velocity], Omissions]:
        omission = VELOCITY, reason
        batch.tally.omitted[omission] = batch.tally.omitted.get(omission, 0) + len(batch.asked)
        return [None] * len(batch.asked), (omission,)
