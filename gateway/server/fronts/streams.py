"""Streams of authorizations: a grpc.aio server reads and writes them, the hot loop evaluates their items.

Each item is a call of its own to the hot loop, with a number below zero. What has been answered together is
written together.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import grpc

from gateway.records.errors import GatewayError
from gateway.server.fronts.intake import Intake
from gateway.server.gate import caller, still_caller
from gateway.server.grpc_common import InvalidArgument
from gateway.sharing.items import UNAVAILABLE, Refusal
from gateway.sharing.ports import MAX_REQUEST_BYTES, METHOD_PATHS, STREAM_ENRICH, Credential
from gateway.sharing.streamed import ITEMS_OF_STREAM, ItemRefused, item_of, streamed
from gateway.sharing.wire import occurrences
from issuernetwork.v1 import enrichment_pb2

ITEMS_IN_FLIGHT = 256
"""Of one stream (contract): one batch of the hot loop. Nothing more is read until answers are written."""

ITEMS_PER_MESSAGE = 256
"""Items of one message (contract), as of a batch."""

OPEN_STREAMS = 2048
"""At once: an idle one keeps 50 KiB, so 100 MiB; a payment service needs a few of each worker."""

CHECK_CALLER_S = 0.5
"""Identities are followed twice a second; a stream may be open for days."""

RESOURCE_EXHAUSTED = 8


class Busy(GatewayError):
    """Too much at once, or the end of this worker."""

    code = "overloaded"


class _Asked(NamedTuple):
    stream: "_Stream"
    payload: bytes


class _Stream:
    """One that is open."""

    __slots__ = ("checked_s", "deadline_s", "in_flight", "outbox", "principal", "room", "wake")

    def __init__(self, principal: Credential, deadline_s: float | None) -> None:
        self.principal = principal
        self.deadline_s = deadline_s
        self.checked_s = time.monotonic()
        self.in_flight = 0
        """Read and not yet written."""
        self.outbox: list[bytes] = []
        self.wake = asyncio.Event()
        """There is something to write, or no more to read."""
        self.room = asyncio.Event()

    def read_out(self, reading: "asyncio.Task[None]") -> None:
        if not reading.cancelled():
            reading.exception()  # looked at, so that nobody warns of it
        self.wake.set()


class Streams:
    """The streaming method of one grpc.aio server. Items wait in `intake`; `on_open` hears of each stream."""

    def __init__(self, intake: Intake, on_open: Callable[[], None] = lambda: None) -> None:
        self.intake = intake
        self.on_open = on_open
        self._ids = itertools.count(-1, -1)
        self._open: set[_Stream] = set()
        self._asked: dict[int, _Asked] = {}
        self._answers: deque[tuple[int, bytes | Refusal]] = deque()
        self._draining = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, server: Any) -> None:
        """Registers the method."""
        _, service, name = METHOD_PATHS[STREAM_ENRICH].split("/")
        handler: Any = grpc.stream_stream_rpc_method_handler(self._serve)
        server.add_registered_method_handlers(service, {name: handler})
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))

    async def _serve(self, messages: AsyncIterator[bytes], context: Any) -> None:
        if self._closed or len(self._open) >= OPEN_STREAMS:
            raise Busy("not serving more streams now: try another worker, or single calls")
        self._loop = asyncio.get_running_loop()
        remaining_s = context.time_remaining()
        # The gate knows more than a header: a certificate may have said who calls.
        stream = _Stream(caller(), None if remaining_s is None else time.monotonic() + remaining_s)
        self._open.add(stream)
        self.on_open()
        reading = self._loop.create_task(self._read(stream, messages))
        reading.add_done_callback(stream.read_out)
        try:
            await self._write(stream, context, reading)
        finally:
            # What was read takes its way through the hot loop, and is answered into the void.
            self._open.discard(stream)
            reading.cancel()

    async def _read(self, stream: _Stream, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            now_s = time.monotonic()
            if now_s - stream.checked_s >= CHECK_CALLER_S:
                stream.principal, stream.checked_s = still_caller(), now_s
            items = _items_of(message)
            stream.in_flight += len(items)
            for item in items:
                self._take(stream, item, now_s)
            while stream.in_flight >= ITEMS_IN_FLIGHT:
                stream.room.clear()
                await stream.room.wait()

    def _take(self, stream: _Stream, item: bytes, now_s: float) -> None:
        """Hands an item to the hot loop, or answers it here."""
        try:
            payload, budget_ms = item_of(item)
            if len(payload) > MAX_REQUEST_BYTES[STREAM_ENRICH]:
                raise ItemRefused(_OVERSIZE, payload)
            if self.intake.full:
                raise ItemRefused(_FULL, payload)
        except ItemRefused as refused:
            _hand_back(stream, streamed(refused.payload, refused.refusal))
            return
        deadline_s = stream.deadline_s
        if budget_ms:
            own_s = now_s + budget_ms / 1000
            deadline_s = own_s if deadline_s is None else min(own_s, deadline_s)
        call_id = next(self._ids)
        self._asked[call_id] = _Asked(stream, payload)
        self.intake.put(call_id, STREAM_ENRICH, payload, stream.principal, deadline_s)

    async def _write(self, stream: _Stream, context: Any, reading: "asyncio.Task[None]") -> None:
        while True:
            while stream.outbox:
                # A message holds up to what may be in flight, so that nobody's limit of a message is met.
                written, stream.outbox = stream.outbox[:ITEMS_IN_FLIGHT], stream.outbox[ITEMS_IN_FLIGHT:]
                try:
                    await context.write(b"".join(written))
                except grpc.aio.InternalError:
                    return  # its caller has gone, before the cancellation was heard of
                stream.in_flight -= len(written)
                stream.room.set()
            if self._closed:
                raise Busy("shutting down: try another worker")
            if reading.done():
                reading.result()
                if not stream.in_flight:
                    return
            stream.wake.clear()
            if not (stream.outbox or self._closed or (reading.done() and not stream.in_flight)):
                await stream.wake.wait()

    def answer(self, call_id: int, answer: bytes | Refusal) -> None:
        """Answers an item, from the hot loop's thread. Does nothing where its stream has gone."""
        self._answers.append((call_id, answer))

    def flush(self) -> None:
        """Hands out what was answered. Once a batch: an event loop awake fights for the interpreter."""
        if self._answers and not self._draining and self._loop is not None:
            self._draining = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._draining = False
        answers = self._answers
        while answers:
            call_id, answer = answers.popleft()
            asked = self._asked.pop(call_id, None)
            if asked is not None and asked.stream in self._open:
                _hand_back(
                    asked.stream, answer if isinstance(answer, bytes) else streamed(asked.payload, answer)
                )

    def close(self) -> None:
        """Ends the streams, after what was answered has been written. From any thread."""
        if not self._closed:
            self._closed = True
            self.flush()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for stream in self._open:
            stream.wake.set()


_OVERSIZE = Refusal(
    RESOURCE_EXHAUSTED, f"request larger than {MAX_REQUEST_BYTES[STREAM_ENRICH]} bytes: send a shorter item"
)
_FULL = Refusal(UNAVAILABLE, "not serving now: try another worker")


def _hand_back(stream: _Stream, answer: bytes) -> None:
    stream.outbox.append(answer)
    stream.wake.set()


def _items_of(message: bytes) -> list[bytes]:
    """The items of a message as they were sent: each is refused by itself where it is none."""
    items = occurrences(ITEMS_OF_STREAM, message)
    if items is None:
        try:
            parsed = enrichment_pb2.StreamEnrichAuthorizationsRequest.FromString(message)
        except Exception:  # the parser's own text could hold what was sent
            raise InvalidArgument(
                "request is not a message of this method: send it in protobuf encoding"
            ) from None
        items = [item.SerializeToString() for item in parsed.items]
    if not 1 <= len(items) <= ITEMS_PER_MESSAGE:
        raise InvalidArgument(f"items: send 1 to {ITEMS_PER_MESSAGE} in a message")
    return items
