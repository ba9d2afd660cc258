"""The callers' time, looked at between the stages of a batch: what cannot be done in it is not begun.

Before the arm is drawn a payment is dropped, without a record, as one that is shed. Behind the draw it keeps
its arm and its record, and shares nothing (decision 35).
"""

from collections.abc import Sequence

from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, Clock
from gateway.sharing.items import Tally, degraded_answer, degraded_tail, make_item
from gateway.sharing.queue import ANSWER_MS, Took
from gateway.sharing.work import Batch

OVER_DEADLINE = degraded_tail("over_deadline")


class Budget:
    """Of one batch after the other. `due`: when each item's answer is, in monotonic ns; 0: whenever."""

    __slots__ = ("_begun_ns", "_clock", "_due", "_size", "_tightest_ns", "_took")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: Sequence[int] = ()
        self._tightest_ns = self._size = 0
        self._took = (Took(), Took())
        """From behind the fetch, and from behind the decisions, to the end."""

        self._begun_ns = [0, 0]

    def begin(self, due: Sequence[int], size: int) -> None:
        self._due, self._size = due, size
        self._tightest_ns = min(filter(None, due), default=0)

    def fetch_until_ns(self) -> int:
        """When the batch has to go on to what comes behind the fetch; 0: whenever."""
        if not self._tightest_ns:
            return 0
        # Before now where it is too late already, and never 0, which would be no limit.
        return max(1, self._tightest_ns - int(self._took[0].expected_ns(self._size)) - ANSWER_MS * MS)

    def behind_fetch(self, batch: Batch) -> None:
        """Drops payments whose signals, decisions, seals and record would not be there in time."""
        by_ns = self._look(0)
        if by_ns > self._tightest_ns:
            late = [work for work in batch.works if 0 < self._due[work.index] < by_ns]
            for work in late:
                batch.results[work.index] = degraded_answer(work.item.payload, OVER_DEADLINE)
                batch.tally.degraded += 1
            gone = {work.index for work in late}
            batch.works = [work for work in batch.works if work.index not in gone]

    def behind_decisions(self, batch: Batch) -> None:
        """Withholds what could not be sealed and recorded in time."""
        by_ns = self._look(1)
        if by_ns > self._tightest_ns:
            for work in batch.works:
                if 0 < self._due[work.index] < by_ns:
                    sender_id, payload, _ = work.item
                    work.item = make_item((sender_id, payload, Reason.OVER_DEADLINE))
                    for one in work.decided:
                        if one.reason is None:
                            one.reason = Reason.OVER_DEADLINE

    def end(self, tally: Tally) -> None:
        if tally.evaluated:
            now_ns = self._clock.monotonic_ns()
            for took, begun_ns in zip(self._took, self._begun_ns, strict=True):
                took.note(self._size, now_ns - begun_ns)

    def _look(self, stage: int) -> int:
        """When what is due before is too late; 0 where nothing is due."""
        now_ns = self._begun_ns[stage] = self._clock.monotonic_ns()
        if not self._tightest_ns:
            return 0
        return now_ns + int(self._took[stage].expected_ns(self._size)) + ANSWER_MS * MS
