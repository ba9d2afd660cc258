"""What a call asks for, and the answers to it: the same for the hot loop and for who stands in for it."""

from collections.abc import Callable, Container, Iterable

from gateway.records.access import ACCESS, UNKNOWN_CALLER, denial
from gateway.runtime.native import FAULTS
from gateway.sharing.items import (
    INTERNAL,
    INVALID_ARGUMENT,
    PERMISSION_DENIED,
    UNAUTHENTICATED,
    Refusal,
    Result,
    degraded_answer,
)
from gateway.sharing.ports import (
    BATCH_ENRICH,
    ENRICH,
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

ITEMS_PER_CALL = 256
"""Items of a batch call (contract)."""

_MAY_CALL = tuple(ACCESS[path] for path in METHOD_PATHS)
_DENIALS = tuple(denial(path) for path in METHOD_PATHS)

# Field numbers: items of a batch and of its answer; what an item of the answer holds.
_ITEMS = 1
_RESPONSE_OF_ITEM = 1
_ERROR_OF_ITEM = 2

Parsed = tuple[IncomingCall, int, int]
"""A call with its items: `items[first:last]` of the batch. A plain tuple: one is made for every call."""


class Desk:
    """Finds out who calls and what for, and ends the calls that may not. Any thread may use it."""

    def __init__(
        self,
        front: CallFront,
        authenticate: Callable[[Credential], Caller | None],
        on_fault: Callable[[str, BaseException], None],
    ) -> None:
        self._front = front
        self._authenticate = authenticate
        self._on_fault = on_fault

    def sender_of(self, call: IncomingCall) -> str | None:
        """Who calls; None where the call was ended, since nobody known does or none who may."""
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
        return caller.principal_id

    def payloads_of(self, call: IncomingCall) -> list[bytes] | None:
        """The requests of a call; None where it was ended, since they are none or too many."""
        if call.method != BATCH_ENRICH:
            return [call.payload]
        try:
            payloads = _items_of(call.payload)
        except Exception:  # the parser's own text could hold what was sent
            self._front.fail(
                call.call_id, INVALID_ARGUMENT, "request is not a message of this method: send protobuf"
            )
            return None
        if not 1 <= len(payloads) <= ITEMS_PER_CALL:
            self._front.fail(call.call_id, INVALID_ARGUMENT, f"requests: send 1 to {ITEMS_PER_CALL} items")
            return None
        return payloads

    def degrade(self, call: IncomingCall, reason: bytes) -> int:
        """Answers that nothing was done, and why; how many requests that were."""
        # As others are: who may not call learns nothing of the load.
        if self.sender_of(call) is None:
            return 0
        payloads = self.payloads_of(call)
        if payloads is None:
            return 0
        self.respond(call, [degraded_answer(payload, reason) for payload in payloads])
        return len(payloads)

    def respond_all(self, calls: Iterable[Parsed], results: list[Result], answered: Container[int]) -> None:
        """Answers calls, each with its own of the results, but those that are `answered`, by id."""
        respond = self._front.respond
        for call, first, last in calls:
            if call.call_id in answered:
                continue
            result = results[first]
            if call.method != ENRICH or type(result) is not bytes:
                self.respond(call, results[first:last])
                continue
            try:  # as nearly all are, in half the time
                respond(call.call_id, result)
            except Exception as fault:
                self._end(call, fault)

    def respond(self, call: IncomingCall, results: list[Result]) -> None:
        """Answers a call; where that fails, ends it."""
        try:
            if call.method == BATCH_ENRICH:
                self._front.respond(call.call_id, _batch_answer(results))
                return
            result = results[0]
            if call.method == STREAM_ENRICH:
                self._front.respond(call.call_id, streamed(call.payload, result))
            elif isinstance(result, bytes):
                self._front.respond(call.call_id, result)
            else:
                self._front.fail(call.call_id, result.code, result.message)
        except Exception as fault:
            self._end(call, fault)

    def _end(self, call: IncomingCall, fault: Exception) -> None:
        self._on_fault("respond", fault)
        self._front.fail(call.call_id, INTERNAL, "internal fault: try again")


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
