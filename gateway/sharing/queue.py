"""What waits for the hot loop: how much may, what is begun next, and what cannot be answered in time. Pure.

A burst may wait up to QUEUE_LIMIT_MS: it ends by itself. A queue that stands does not, and each call in it
comes late by its length. So while it stands no call waits behind more work than a part of its own time, as
work is measured (controlled delay: RFC 8289; Maurer, "Fail at Scale", ACM Queue 13(8), 2015).
"""

from collections import deque
from collections.abc import Iterable, Sequence

from gateway.runtime.clock import MS
from gateway.sharing.ports import IncomingCall

BATCH_CALLS = 256
"""Calls of one commit: a batch takes under 20 ms, so that the next one does not wait long."""

BATCH_BYTES = 256 * 1024
"""Payload of one commit, for calls that bring many items: 600 payments of 400 bytes."""

QUEUE_LIMIT_MS = 100
"""Calls that would wait longer than this are answered `overloaded`: callers set deadlines of 50 to 200 ms."""

STANDING_PART = 4
"""Of its time left a call waits one part in so many, where the queue stands: 12 ms of 50. With the batch in
hand and its own the answer is there in some 25, and a closed loop of 256 payments in flight sheds none."""

STANDING_AFTER_MS = 25
"""A queue that is too long for so long stands: half of the shortest deadline that callers set."""

CALM_AFTER_MS = 200
"""So long after it was last too long it stands no more: longer than loads pause of themselves."""

ANSWER_MS = 2
"""From the end of a batch to its answer at the caller, in the worst of a hundred calls (proof `latency`)."""

NEAR_MS = 16
"""So long before its deadline a call that is held up is answered: the next look at it, and the answer's way
on a machine that has something else to do; a batch held up so far is not done in the difference."""

NEAR_PART = 4
"""And no more than this part of its time, or callers with little of it would hear nothing else. What has
waited for so long is not begun."""

PROBE_MS = 50
"""Where none has been begun for so long, one is that is expected to come too late: a stall is over within a
second, by ten of them."""

LONE_MS = 1.0
"""What the smallest batch takes, until it is measured: nearly all of it the sync."""

NS_PER_BYTE = 80.0
"""What each byte adds, until it is measured: 60 us a payment of 750 bytes."""

SMALL_BYTES = 4 * 1024
"""A batch under this, five payments, tells what the smallest takes; one over four times it, each byte."""

_STEADY = 8  # one batch in so many: steady against one slow sync, quick enough for a change of load
_OUTLIER = 4  # times what was expected, at most, are taken in: a stall of the disk says nothing of the next

Waiting = tuple[IncomingCall, int, int]
"""A call, when it came (or before), and when its answer is due (0: whenever), in monotonic nanoseconds.

A plain tuple: one is made for every call, and a named one takes three times as long.
"""


class Took:
    """How long batches took, by their size in bytes."""

    __slots__ = ("lone_ns", "ns_per_byte")

    def __init__(self) -> None:
        self.lone_ns = LONE_MS * MS
        self.ns_per_byte = NS_PER_BYTE

    def expected_ns(self, size: int) -> float:
        """Rather too long: the smallest batch's time stands in each byte's too."""
        return self.lone_ns + size * self.ns_per_byte

    def note(self, size: int, took_ns: int) -> None:
        """A batch of `size` bytes took so long."""
        lone_ns, ns_per_byte = self.lone_ns, self.ns_per_byte
        most = _OUTLIER * (lone_ns + size * ns_per_byte)
        ns = most if most < took_ns else took_ns
        # A batch of any size that takes less tells that both were too long: nothing keeps them up.
        if size <= SMALL_BYTES or ns < lone_ns:
            self.lone_ns = _towards(ns, lone_ns)
        if size >= 4 * SMALL_BYTES or ns < ns_per_byte * size:
            self.ns_per_byte = _towards(ns / size, ns_per_byte)


def _towards(measured: float, before: float) -> float:
    """Steadily, but at once where it is far too long: what keeps calls out is not measured often."""
    return before + (measured - before) / (_STEADY if measured > before / 2 else 2)


class Queue:
    """Calls in the order in which they came. One thread at a time."""

    __slots__ = ("_begun_ns", "_calls", "_crowded_ns", "_easy_ns", "_size", "standing", "took")

    def __init__(self) -> None:
        self._calls: deque[Waiting] = deque()
        self._size = 0
        self._easy_ns = self._crowded_ns = self._begun_ns = 0
        self.took = Took()
        self.standing = False

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def size(self) -> int:
        """Bytes of payload that wait."""
        return self._size

    def put(self, calls: Iterable[IncomingCall], now_ns: int, came_ns: int) -> None:
        """Calls whose time left is as of now, and that came no earlier than `came_ns`."""
        append, size = self._calls.append, 0
        for call in calls:
            left_ms = call.remaining_ms
            append((call, came_ns, 0 if left_ms is None else now_ns + int(left_ms * MS)))
            size += len(call.payload)
        self._size += size

    def limit_bytes(self) -> int:
        """What may wait of calls without a deadline."""
        # What fits into the next batch is served by it whatever the rate: one slow sync is no queue.
        return max(BATCH_BYTES, int(QUEUE_LIMIT_MS * MS / self.took.ns_per_byte))

    def limit_ns(self, batch: Sequence[Waiting]) -> int:
        """How long the first of a batch may have waited."""
        if not (self.standing and batch):
            return QUEUE_LIMIT_MS * MS
        return _allowed_ns(batch[0][2], batch[0][1])

    def cut(self, now_ns: int) -> list[Waiting]:
        """Takes out what is too much, to be answered `overloaded` at once. Ask when nothing waits too, or
        what comes behind an idle time would seem to have stood for as long."""
        self._follow(now_ns)
        if self.standing:
            return self._cut_standing(now_ns)
        limit, size, cut = self.limit_bytes(), self._size, []
        # The newest go first: those that came earlier can still be served in time.
        while size > limit and len(self._calls) > 1:
            cut.append(self._calls.pop())
            size -= len(cut[-1][0].payload)
        self._size = size
        return cut

    def take(self, now_ns: int) -> tuple[list[Waiting], list[Waiting]]:
        """The next batch; and what would come too late with it, to be answered at once."""
        calls, taken, late, size = self._calls, list[Waiting](), list[Waiting](), 0
        needed_ns = int(self.took.expected_ns(min(self._size, BATCH_BYTES))) + ANSWER_MS * MS
        while calls and len(taken) < BATCH_CALLS and size < BATCH_BYTES:
            one = calls.popleft()
            left_ns = one[2] - now_ns
            if one[2] and (left_ns < needed_ns or (left_ns < NEAR_MS * MS and is_near(one, now_ns))):
                late.append(one)
                self._size -= len(one[0].payload)
                continue
            size += len(one[0].payload)
            taken.append(one)
        if taken:
            self._begun_ns = now_ns
        elif late and late[-1][2] > now_ns > self._begun_ns + PROBE_MS * MS:
            # What is never begun is never measured: else one stall would keep all out for good.
            self._begun_ns = now_ns
            taken.append(late.pop())
        self._size -= size
        return taken, late

    def near(self, now_ns: int) -> list[Waiting]:
        """Takes out what comes near its deadline."""
        near = [one for one in self._calls if is_near(one, now_ns)]
        if near:
            self._keep([one for one in self._calls if not is_near(one, now_ns)])
        return near

    def next_near_ns(self, latest_ns: int) -> int:
        """When the next of those that wait comes near its deadline; `latest_ns` where none does before."""
        return min([near_ns(one) for one in self._calls if one[2]], default=latest_ns)

    def clear(self) -> list[Waiting]:
        """Takes out everything."""
        left = list(self._calls)
        self._keep([])
        return left

    def _keep(self, calls: list[Waiting]) -> None:
        self._calls = deque(calls)
        self._size = sum([len(one[0].payload) for one in calls])

    def _follow(self, now_ns: int) -> None:
        """Whether the queue stands: too long for some time, and no time without."""
        tightest_ns = min([one[2] for one in self._calls if one[2]], default=0)
        crowded = self._size * self.took.ns_per_byte > _allowed_ns(tightest_ns, now_ns)
        if crowded:
            self._crowded_ns = now_ns
            if now_ns - self._easy_ns > STANDING_AFTER_MS * MS:
                self.standing = True
        elif not self.standing or now_ns - self._crowded_ns > CALM_AFTER_MS * MS:
            self.standing, self._easy_ns = False, now_ns

    def _cut_standing(self, now_ns: int) -> list[Waiting]:
        """The oldest go: the newest have the most time, and wait the least behind what is left."""
        rate, ahead_ns = self.took.ns_per_byte, 0.0
        kept, cut = list[Waiting](), list[Waiting]()
        for one in reversed(self._calls):
            with_it_ns = ahead_ns + len(one[0].payload) * rate
            # One call is always kept, or one that is larger than all of its part would never be served.
            if kept and with_it_ns > _allowed_ns(one[2], now_ns):
                cut.append(one)
            else:
                kept.append(one)
                ahead_ns = with_it_ns
        if cut:
            kept.reverse()
            self._keep(kept)
        return cut


def near_ns(waiting: Waiting) -> int:
    """When a call that has a deadline comes near it."""
    _, came_ns, deadline_ns = waiting
    return deadline_ns - min(NEAR_MS * MS, (deadline_ns - came_ns) // NEAR_PART)


def is_near(waiting: Waiting, now_ns: int) -> bool:
    """Whether a call that is held up comes near its deadline."""
    return waiting[2] > 0 and near_ns(waiting) < now_ns


def _allowed_ns(deadline_ns: int, now_ns: int) -> int:
    """How long a call may wait in a queue that stands."""
    if not deadline_ns:
        return QUEUE_LIMIT_MS * MS
    return min(QUEUE_LIMIT_MS * MS, (deadline_ns - now_ns) // STANDING_PART)
