"""The hot loop: what has gathered while the last batch was committed is the next. No asyncio, no timer."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.runtime.clock import MS, Clock
from gateway.runtime.native import FAULTS
from gateway.runtime.tasks import Stop, make_lock
from gateway.sharing.budget import OVER_DEADLINE
from gateway.sharing.calls import Desk, Parsed
from gateway.sharing.gateway import Gateway
from gateway.sharing.items import (
    DEADLINE_EXCEEDED,
    UNAVAILABLE,
    Item,
    Result,
    Tally,
    degraded_tail,
    make_item,
    request_id_of,
    unevaluated,
)
from gateway.sharing.ports import BATCH_ENRICH, Caller, CallFront, Credential
from gateway.sharing.queue import BATCH_CALLS, Queue, Waiting, is_near, near_ns

IDLE_MS = 20
"""Longest wait for a call. Leases need a step every 50 ms."""

LOOK_AHEAD_CALLS = 8192
"""Calls taken in beyond a full batch, to see how long the queue is: 4 s of refusals at 2,000 payments/s."""

LOOK_AHEAD_BYTES = 64 * 1024 * 1024
"""Payload taken in beyond a full batch: bounds memory before anything is known of the callers."""

COLLECT_EACH = (10_000, 10, 50)
"""Thresholds of the collector. 700 containers made and kept, its default, is less than one batch. A batch
makes no cycles; a call of the server beside does, five containers and 1.4 KB (grpc.aio looks its method up by
a function that holds itself), so that 3 MiB of them wait at most. All that was
kept is looked at no sooner than after five million."""

DRAIN_MS = 2_000
"""After a stop: how long calls that were under way are still served."""

LOOK_MS = 12
"""Longest time between two looks at whether the loop is held up, of which each takes the interpreter from it:
a quarter of 50 ms, which is what callers set at least."""

LOOK_MIN_MS = 4
"""Shortest: 250 looks a second, where callers have little time."""

LOOK_PART = 2
"""And of the time that callers have had: what comes in behind a look is found before it is near its end."""

HELD_UP_MS = 4
"""A batch in hand for longer is looked at: at 1,000 payments/s 99 of 100 are done."""

_OVERLOADED = degraded_tail("overloaded")


class HotLoop:
    """Steps calls through the gateway. `authenticate` maps a raw header to its caller, cached and bounded.

    `between` is called on the loop's thread when no batch is in hand: short work only.
    """

    def __init__(
        self,
        front: CallFront,
        gateway: Gateway,
        clock: Clock,
        authenticate: Callable[[Credential], Caller | None],
        *,
        on_batch: Callable[[Tally, int, int], None] = lambda tally, calls, duration_ns: None,
        on_fault: Callable[[str, BaseException], None] = lambda stage, fault: None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._front = front
        self._gateway = gateway
        self._clock = clock
        self._desk = Desk(front, authenticate, on_fault)
        self._on_batch = on_batch
        self._on_fault = on_fault
        self._between = between
        self._queue = Queue()
        self._intake = make_lock()
        """Held while calls are taken in or out: by the loop, or by who stands in for it."""

        self._in_hand: Sequence[Waiting] = ()
        self._since_ns = 0
        self._stood_in: set[int] = set()
        """Calls in hand that were answered in the loop's place."""

        self._looked_ns = 0
        """When calls were last taken in."""

        self.busy = False
        """Whether the last step had a call."""

    def run(self, stop: Stop) -> None:
        """Serves until told to stop, then what is under way, then closes the front."""
        with calm_collector():
            self._run(stop)

    def _run(self, stop: Stop) -> None:
        while not stop.is_set():
            if not self.step():
                return
        until_ns = self._clock.monotonic_ns() + DRAIN_MS * MS
        while self._clock.monotonic_ns() < until_ns and self.step(timeout_ms=IDLE_MS):
            if not self.busy:
                break
        for waiting in self._queue.clear():
            self._front.fail(waiting[0].call_id, UNAVAILABLE, "shutting down: try another worker")
        self._front.close()

    def step(self, timeout_ms: int = IDLE_MS) -> bool:
        """One batch, or one wait for it. False once the front is closed."""
        self._gateway.idle()
        self._between()
        tally = Tally()
        self._intake.acquire()
        try:
            if not self._gather(timeout_ms):
                return False
            now_ns = self._clock.monotonic_ns()
            cut = self._queue.cut(now_ns)
            taken, late = self._queue.take(now_ns)
        finally:
            self._intake.release()
        self.busy = bool(taken or late or cut)
        if not self.busy:
            return True
        # First what costs little: it has waited as long as what is begun.
        self._degrade(cut, _OVERLOADED, now_ns, tally)
        self._degrade(late, OVER_DEADLINE, now_ns, tally)
        if cut or late:
            self._front.flush()
        duration_ns = self._serve(taken, tally) if taken else 0
        tally.limit_ns = self._queue.limit_ns(taken)
        self._on_batch(tally, len(taken), duration_ns)
        return True

    def _serve(self, calls: list[Waiting], tally: Tally) -> int:
        """One batch, from its bytes to its answers; how long it took."""
        started_ns = self._clock.monotonic_ns()
        self._in_hand, self._since_ns = calls, started_ns
        items, due, parsed = self._parse(calls)
        if items:
            results = self._enrich(items, tally, due)
            self._desk.respond_all(parsed, results, self._stood_in)
        self._front.flush()
        self._since_ns = 0
        ended_ns = self._clock.monotonic_ns()
        tally.queue_ns = started_ns - calls[0][1]
        tally.late = sum([0 < one[2] < ended_ns for one in calls])
        if self._stood_in:
            tally.late = max(tally.late, len(self._stood_in))
            self._stood_in = set()
        self._queue.took.note(sum([len(one[0].payload) for one in calls]), ended_ns - started_ns)
        return ended_ns - started_ns

    def stand_in(self, stop: Stop) -> None:
        """On a thread of its own: answers what would be late, while the loop is held up."""
        rest_ns = LOOK_MIN_MS * MS
        while not stop.wait(rest_ns / 1e9):
            rest_ns = self.look_after()

    def look_after(self) -> int:
        """One look, and how long until the next in nanoseconds. A disk that stalls or a provider that hangs
        holds up the batch, and not its callers."""
        since_ns, in_hand = self._since_ns, self._in_hand
        now_ns = self._clock.monotonic_ns()
        had_ns = min([one[2] - one[1] for one in in_hand if one[2]], default=LOOK_PART * LOOK_MS * MS)
        rest_ns = min(LOOK_MS * MS, max(LOOK_MIN_MS * MS, had_ns // LOOK_PART))
        held_ns = now_ns - since_ns
        if not since_ns:
            return rest_ns
        if held_ns < HELD_UP_MS * MS:
            # It may have been begun with little time left, behind another that was held up.
            near = min([near_ns(one) for one in in_hand if one[2]], default=now_ns + rest_ns)
            return min(rest_ns, max(HELD_UP_MS * MS - held_ns, near - now_ns))
        tally = Tally()
        next_ns = now_ns + rest_ns
        for waiting in in_hand:
            call = waiting[0]
            if call.call_id in self._stood_in:
                continue
            if is_near(waiting, now_ns):
                # The loop answers it too, where it comes to that: the first answer is the one that counts.
                self._stood_in.add(call.call_id)
                self._desk.degrade(call, OVER_DEADLINE)
            elif waiting[2]:
                next_ns = min(next_ns, near_ns(waiting))
        if self._intake.acquire(blocking=False):
            try:
                self._take_in(0)
                due = self._queue.near(now_ns)
                next_ns = min(next_ns, self._queue.next_near_ns(next_ns))
            finally:
                self._intake.release()
            self._degrade(due, OVER_DEADLINE, now_ns, tally)
        self._front.flush()
        if tally.over_deadline:
            self._on_batch(tally, 0, 0)
        return max(LOOK_MIN_MS * MS, next_ns - now_ns)

    def _gather(self, timeout_ms: int) -> bool:
        """Takes in what has come. False once the front is closed."""
        return self._take_in(0 if self._queue else timeout_ms)

    def _take_in(self, timeout_ms: int) -> bool:
        """A full batch means that more may wait: that is looked at too."""
        queue, looked_ns = self._queue, self._looked_ns
        while (calls := self._front.recv(BATCH_CALLS, timeout_ms)) is not None:
            now_ns = self._looked_ns = self._clock.monotonic_ns()
            # An idle loop takes a call in as it comes; behind a batch it may have waited since the last look.
            queue.put(calls, now_ns, looked_ns if self.busy else now_ns)
            timeout_ms = 0
            if len(calls) < BATCH_CALLS or len(queue) >= LOOK_AHEAD_CALLS or queue.size >= LOOK_AHEAD_BYTES:
                return True
        return bool(queue)

    def _degrade(self, calls: Sequence[Waiting], tail: bytes, now_ns: int, tally: Tally) -> None:
        """Answers calls without a look at them. Nothing of them is recorded: no arm was drawn."""
        for call, _, deadline_ns in calls:
            if 0 < deadline_ns <= now_ns:
                self._front.fail(call.call_id, DEADLINE_EXCEEDED, "deadline passed before evaluation")
                tally.over_deadline += 1
                continue
            items = self._desk.degrade(call, tail)
            tally.items += items
            tally.degraded += items
            if tail is _OVERLOADED:
                tally.overloaded += 1
            else:
                tally.over_deadline += 1

    def _parse(self, calls: Sequence[Waiting]) -> tuple[list[Item], list[int], list[Parsed]]:
        """Items, when each is due, and whose they are. Ends the calls that cannot be served."""
        items: list[Item] = []
        due: list[int] = []
        parsed: list[Parsed] = []
        asked, sender_id = None, None
        for call, _, deadline_ns in calls:
            _, method, payload, authorization, _ = call
            if sender_id is None or asked != (method, authorization):
                # Most calls of a batch are of one caller, who is asked for once.
                asked, sender_id = (method, authorization), self._desk.sender_of(call)
                if sender_id is None:
                    continue
            first = len(items)
            if method == BATCH_ENRICH:
                payloads = self._desk.payloads_of(call)
                if payloads is None:
                    continue
                items += [make_item((sender_id, one, None)) for one in payloads]
                due += [deadline_ns] * len(payloads)
            else:
                items.append(make_item((sender_id, payload, None)))
                due.append(deadline_ns)
            parsed.append((call, first, len(items)))
        return items, due, parsed

    def _enrich(self, items: list[Item], tally: Tally, due: list[int]) -> list[Result]:
        try:
            return self._gateway.enrich(items, tally, due)
        except FAULTS as fault:
            tally.faults += 1
            self._on_fault("enrich", fault)
            return [unevaluated(request_id_of(item.payload), "internal") for item in items]


@contextmanager
def calm_collector() -> Iterator[None]:
    """What was made at start lives for ever and is not looked at again. A batch makes no cycles."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EACH)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
