"""The hot loop: what has gathered while the last batch was committed is the next. No asyncio, no timer."""

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.records.access import ACCESS, UNKNOWN_CALLER, denial
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, Clock
from gateway.runtime.native import FAULTS
from gateway.runtime.tasks import Stop
from gateway.sharing.gateway import Gateway
from gateway.sharing.items import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    UNAVAILABLE,
    Item,
    Refusal,
    Result,
    Tally,
    make_item,
    request_id_of,
    unevaluated,
)
from gateway.sharing.ports import (
    BATCH_ENRICH,
    METHOD_PATHS,
    STREAM_ENRICH,
    Caller,
    CallFront,
    Credential,
    IncomingCall,
)
from gateway.sharing.streamed import item_error, streamed
from gateway.sharing.wire import nested, occurrences
from issuernetwork.v1 import enrichment_pb2

BATCH_CALLS = 256
"""Calls of one commit: a batch takes under 20 ms, so that the next one does not wait long."""

BATCH_BYTES = 256 * 1024
"""Payload of one commit, for calls that bring many items: 600 payments of 400 bytes."""

IDLE_MS = 20
"""Longest wait for a call. Leases need a step every 50 ms."""

DEADLINE_MARGIN_MS = 5
"""Less left than this: the p99 of a durable batch is 4 ms, so the answer would be too late to be used."""

QUEUE_LIMIT_MS = 100
"""Calls that would wait longer than this are answered `overloaded`: callers set deadlines of 50 to 200 ms."""

LOOK_AHEAD_CALLS = 8192
"""Calls taken in beyond a full batch, to see how long the queue is: 4 s of refusals at 2,000 payments/s."""

LOOK_AHEAD_BYTES = 64 * 1024 * 1024
"""Payload taken in beyond a full batch: bounds memory before anything is known of the callers."""

ITEMS_PER_CALL = 256
"""Items of a batch call (contract)."""

COLLECT_EACH_OBJECTS = 50_000
"""Containers made and kept between two looks of the collector: 700, its default, is less than one batch."""

DRAIN_MS = 2_000
"""After a stop: how long calls that were under way are still served."""

_MAY_CALL = tuple(ACCESS[path] for path in METHOD_PATHS)
_DENIALS = tuple(denial(path) for path in METHOD_PATHS)

_FIRST_RATE_NS_PER_BYTE = 150.0  # 60 us a payment of 400 bytes; measured anew with each batch

# Field numbers: items of a batch and of its answer; what an item of the answer holds.
_ITEMS = 1
_RESPONSE_OF_ITEM = 1
_ERROR_OF_ITEM = 2


# Plain tuples: one of each is made for every call, and a named one takes three times as long.
_Waiting = tuple[IncomingCall, int]
"""A call and when it was received, in monotonic nanoseconds."""

_Parsed = tuple[IncomingCall, int, int]
"""A call with its items: `items[first:last]` of the batch."""


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
        self._authenticate = authenticate
        self._on_batch = on_batch
        self._on_fault = on_fault
        self._between = between
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._rate_ns_per_byte = _FIRST_RATE_NS_PER_BYTE
        self.busy = False
        """Whether the last step had a call."""

    def run(self, stop: Stop) -> None:
        """Serves until told to stop, then what is under way, then closes the front."""
        with _calm_collector():
            self._run(stop)

    def _run(self, stop: Stop) -> None:
        while not stop.is_set():
            if not self.step():
                return
        until_ns = self._clock.monotonic_ns() + DRAIN_MS * MS
        while self._clock.monotonic_ns() < until_ns and self.step(timeout_ms=IDLE_MS):
            if not self.busy:
                break
        for waiting in self._waiting:
            self._front.fail(waiting[0].call_id, UNAVAILABLE, "shutting down: try another worker")
        self._waiting.clear()
        self._front.close()

    def step(self, timeout_ms: int = IDLE_MS) -> bool:
        """One batch, or one wait for it. False once the front is closed."""
        self._gateway.idle()
        self._between()
        if not self._gather(timeout_ms):
            return False
        started_ns = self._clock.monotonic_ns()
        calls = self._take()
        self.busy = bool(calls)
        if not calls:
            return True
        tally = Tally()
        items: list[Item] = []
        parsed = []
        for waiting in calls:
            one = self._parse(waiting, started_ns, items)
            if one is not None:
                parsed.append(one)
        if items:
            results = self._enrich(items, tally)
            for one in parsed:
                self._respond(one, results)
        self._front.flush()
        duration_ns = self._clock.monotonic_ns() - started_ns
        self._measure(calls, duration_ns)
        self._on_batch(tally, len(calls), duration_ns)
        return True

    def _gather(self, timeout_ms: int) -> bool:
        """Takes in what has come. A full batch means that more may wait: that is looked at too."""
        calls = self._front.recv(BATCH_CALLS, 0 if self._waiting else timeout_ms)
        if calls is None:
            return False
        now_ns = self._clock.monotonic_ns()
        while calls:
            for call in calls:
                self._waiting.append((call, now_ns))
                self._waiting_bytes += len(call.payload)
            if (
                len(calls) < BATCH_CALLS
                or len(self._waiting) >= LOOK_AHEAD_CALLS
                or self._waiting_bytes >= LOOK_AHEAD_BYTES
            ):
                break
            calls = self._front.recv(BATCH_CALLS, 0) or []
        self._shed()
        return True

    def _shed(self) -> None:
        """The newest go first: those that came earlier can still be served in time."""
        # What fits into the next batch is served by it whatever the rate: one slow sync is no queue.
        limit_bytes = max(BATCH_BYTES, QUEUE_LIMIT_MS * MS / self._rate_ns_per_byte)
        shed: list[_Waiting] = []
        while self._waiting_bytes > limit_bytes and len(self._waiting) > 1:
            waiting = self._waiting.pop()
            self._waiting_bytes -= len(waiting[0].payload)
            shed.append(waiting)
        if not shed:
            return
        tally = Tally()
        items: list[Item] = []
        now_ns = self._clock.monotonic_ns()
        parsed = [self._parse(waiting, now_ns, items, overloaded=True) for waiting in shed]
        results = self._enrich(items, tally) if items else []
        for one in parsed:
            if one is not None:
                self._respond(one, results)
        self._front.flush()
        self._on_batch(tally, len(shed), 0)

    def _take(self) -> list[_Waiting]:
        waiting = self._waiting
        taken: list[_Waiting] = []
        taken_bytes = 0
        while waiting and len(taken) < BATCH_CALLS and taken_bytes < BATCH_BYTES:
            one = waiting.popleft()
            taken_bytes += len(one[0].payload)
            taken.append(one)
        self._waiting_bytes -= taken_bytes
        return taken

    def _parse(
        self, waiting: _Waiting, now_ns: int, items: list[Item], *, overloaded: bool = False
    ) -> _Parsed | None:
        """Appends the call's items to `items`; ends the call here where it cannot be served."""
        call, received_ns = waiting
        try:
            caller = self._authenticate(call.authorization)
        except FAULTS as fault:
            self._on_fault("authenticate", fault)
            self._front.fail(call.call_id, INTERNAL, "internal fault: try again")
            return None
        if caller is None:
            self._front.fail(call.call_id, UNAUTHENTICATED, UNKNOWN_CALLER)
            return None
        if caller.role not in _MAY_CALL[call.method]:
            self._front.fail(call.call_id, PERMISSION_DENIED, _DENIALS[call.method])
            return None
        withhold = Reason.OVERLOADED if overloaded else None
        if call.remaining_ms is not None:
            remaining_ms = call.remaining_ms - (now_ns - received_ns) / MS
            if remaining_ms <= 0:
                self._front.fail(call.call_id, DEADLINE_EXCEEDED, "deadline passed before evaluation")
                return None
            if remaining_ms < DEADLINE_MARGIN_MS and withhold is None:
                withhold = Reason.OVER_DEADLINE
        first = len(items)
        try:
            if call.method == BATCH_ENRICH:
                payloads = _items_of(call.payload)
                if not 1 <= len(payloads) <= ITEMS_PER_CALL:
                    self._front.fail(
                        call.call_id, INVALID_ARGUMENT, f"requests: send 1 to {ITEMS_PER_CALL} items"
                    )
                    return None
                sender_id = caller.principal_id
                items += [make_item((sender_id, payload, withhold)) for payload in payloads]
            else:
                items.append(make_item((caller.principal_id, call.payload, withhold)))
        except Exception:  # the parser's own text could hold what was sent
            self._front.fail(
                call.call_id, INVALID_ARGUMENT, "request is not a message of this method: send protobuf"
            )
            return None
        return call, first, len(items)

    def _enrich(self, items: list[Item], tally: Tally) -> list[Result]:
        try:
            return self._gateway.enrich(items, tally)
        except FAULTS as fault:
            tally.faults += 1
            self._on_fault("enrich", fault)
            return [unevaluated(request_id_of(item.payload), "internal") for item in items]

    def _respond(self, parsed: _Parsed, results: list[Result]) -> None:
        call, first, last = parsed
        try:
            if call.method == BATCH_ENRICH:
                self._front.respond(call.call_id, _batch_answer(results[first:last]))
                return
            result = results[first]
            if call.method == STREAM_ENRICH:
                self._front.respond(call.call_id, streamed(call.payload, result))
            elif isinstance(result, bytes):
                self._front.respond(call.call_id, result)
            else:
                self._front.fail(call.call_id, result.code, result.message)
        except Exception as fault:
            self._on_fault("respond", fault)
            self._front.fail(call.call_id, INTERNAL, "internal fault: try again")

    def _measure(self, calls: list[_Waiting], duration_ns: int) -> None:
        size = sum([len(call.payload) for call, _ in calls])
        if size:
            # One batch in eight: steady against a single slow sync, quick enough for a change of load.
            self._rate_ns_per_byte += (duration_ns / size - self._rate_ns_per_byte) / 8


@contextmanager
def _calm_collector() -> Iterator[None]:
    """What was made at start lives for ever and is not looked at again. A batch makes no cycles."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EACH_OBJECTS, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _items_of(payload: bytes) -> list[bytes]:
    """The items of a batch as they were sent: each is its own message, refused by itself where it is none."""
    items = occurrences(_ITEMS, payload)
    if items is not None:
        return items
    requests = enrichment_pb2.BatchEnrichAuthorizationsRequest.FromString(payload).requests
    return [request.SerializeToString() for request in requests]


def _batch_answer(results: list[Result]) -> bytes:
    if Refusal not in map(type, results):
        return nested(_ITEMS, _RESPONSE_OF_ITEM, results)  # type: ignore[arg-type]
    return b"".join(
        [
            nested(_ITEMS, _RESPONSE_OF_ITEM, [result])
            if isinstance(result, bytes)
            else nested(_ITEMS, _ERROR_OF_ITEM, [item_error(result)])
            for result in results
        ]
    )
