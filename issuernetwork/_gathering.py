"""Authorizations that are sent together: micro-batches by size and time, and streams that stay open."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from issuernetwork._results import (
    CLOSED,
    LATE,
    SHORTER,
    Asked,
    Counts,
    EnrichResult,
    Otherwise,
    Preset,
    result_of_error,
    result_of_item,
)

MESSAGE_BYTES = 1024 * 1024
"""Of a batch or of one message of a stream: a quarter of gRPC's own limit, so that none is refused whole."""

STALLED_ITEMS = 32
"""Late in a row on one stream, with no answer in between: it is given up. One message's worth."""

_REFUSED_WHOLE = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)

_Call = Callable[..., Any]


def _field(number: int, content: bytes) -> bytes:
    """One length-delimited field: requests are serialized once, and copied into no message."""
    size, parts = len(content), bytearray((number << 3 | 2,))
    while size > 127:
        parts.append(size & 127 | 128)
        size >>= 7
    parts.append(size)
    return bytes(parts) + content


def _budget(milliseconds: int) -> bytes:
    parts = bytearray((2 << 3,))
    while milliseconds > 127:
        parts.append(milliseconds & 127 | 128)
        milliseconds >>= 7
    parts.append(milliseconds)
    return bytes(parts)


class Batcher:
    """Sends what has come within a moment as one call."""

    def __init__(self, call: _Call, metadata: Callable[[], Any], preset: Preset, counts: Counts) -> None:
        self._call = call
        self._metadata = metadata
        self._preset = preset
        self._counts = counts
        self._gathered: list[Asked] = []
        self._bytes = 0
        self._due_s = 0.0
        self._ticking = False
        self._sending: set[asyncio.Task[None]] = set()

    def add(self, asked: Asked) -> None:
        """It is settled by its deadline, or as soon as it is known that it has to go alone."""
        if self._gathered and self._bytes + len(asked.payload) > MESSAGE_BYTES:
            self._flush()
        if not self._gathered:
            self._due_s = asyncio.get_running_loop().time() + self._preset.gather_us / 1_000_000
        self._gathered.append(asked)
        self._bytes += len(asked.payload)
        if len(self._gathered) >= self._preset.gather_items:
            self._flush()
        elif not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        if self._gathered and loop.time() >= self._due_s:
            self._flush()
        self._ticking = bool(self._gathered)
        if self._ticking:
            # A timer of the event loop waits for whole milliseconds; other work runs in between.
            loop.call_soon(self._tick)

    def _flush(self) -> None:
        batch = [asked for asked in self._gathered if not asked.done.done()]
        self._gathered, self._bytes = [], 0
        if len(batch) == 1:
            batch[0].settle(Otherwise())
        elif batch:
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, batch: Sequence[Asked]) -> None:
        loop = asyncio.get_running_loop()
        results: list[EnrichResult | Otherwise]
        try:
            metadata = self._metadata()
            timeout_s = min(asked.deadline_s for asked in batch) - loop.time()
            payload = b"".join([_field(1, asked.payload) for asked in batch])
            self._counts.batch_calls += 1
            self._counts.batch_items += len(batch)
            answer = await self._call(payload, timeout=max(0.0, timeout_s), metadata=metadata)
            results = [result_of_item(item) for item in answer.items]
            results += [SHORTER] * (len(batch) - len(results))
        except grpc.aio.AioRpcError as refused:
            results = [_of_batch(refused)] * len(batch)
        except asyncio.CancelledError:
            for asked in batch:
                asked.settle(CLOSED)
            raise
        except Exception:  # a token that cannot be had, or a channel that is closed: each is told by itself
            results = [Otherwise("batch_refused")] * len(batch)
        for asked, result in zip(batch, results, strict=False):
            asked.settle(result)

    def close(self) -> None:
        for asked in self._gathered:
            asked.settle(CLOSED)
        self._gathered = []
        for task in self._sending:
            task.cancel()


def _of_batch(refused: grpc.aio.AioRpcError) -> EnrichResult | Otherwise:
    if refused.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        # It was the shortest one; the others have time left.
        return Otherwise("batch_deadline", True)
    if refused.code() in _REFUSED_WHOLE:
        return Otherwise("batch_refused")
    return result_of_error(refused)


class Stream:
    """A call that stays open, opened at its first item and again some time after it broke."""

    def __init__(self, call: _Call, metadata: Callable[[], Any], preset: Preset, counts: Counts) -> None:
        self._call = call
        self._metadata = metadata
        self._preset = preset
        self._counts = counts
        self._unanswered: dict[str, Asked] = {}
        self._outbox: deque[Asked] = deque()
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._paused_until_s = 0.0
        self._late = 0

    def refusal(self, request_id: str) -> str:
        """Why it takes no item of this id now; empty where it does."""
        if asyncio.get_running_loop().time() < self._paused_until_s:
            return "stream_pause"
        # Answers are told apart by their ids.
        if len(self._unanswered) >= self._preset.stream_items or request_id in self._unanswered:
            return "stream_full"
        return ""

    def add(self, asked: Asked) -> None:
        """Only where `refusal` is empty. It is settled by its deadline, or when the stream has broken."""
        loop = asyncio.get_running_loop()
        self._unanswered[asked.request_id] = asked
        self._outbox.append(asked)
        self._wake.set()
        timer = loop.call_at(asked.deadline_s, self._passed, asked)
        asked.done.add_done_callback(lambda done: timer.cancel())
        if self._running is None:
            self._running = loop.create_task(self._run())

    def _passed(self, asked: Asked) -> None:
        """It stays among the unanswered: the gateway has it in hand, and its limit counts it."""
        asked.settle(LATE)
        self._late += 1
        if self._late >= STALLED_ITEMS and self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        why = "stream_broken"
        call = None
        try:
            call = self._call(metadata=self._metadata())
            self._counts.streams_opened += 1
            reading = asyncio.get_running_loop().create_task(self._read(call))
            try:
                await self._write(call, reading)
            finally:
                reading.cancel()
        except asyncio.CancelledError:
            why = "stream_stalled"
            if self._late < STALLED_ITEMS:
                raise  # the client is closed
        except Exception:  # whatever it was, the payments go on by another way
            why = "stream_broken"
        finally:
            if call is not None:
                call.cancel()
            self._broken(why)

    async def _write(self, call: Any, reading: "asyncio.Task[None]") -> None:
        reading.add_done_callback(self._read_out)
        while not reading.done():
            await self._gather()
            message = self._message()
            if message:
                await call.write(message)
                continue
            self._wake.clear()
            await self._wake.wait()
        reading.result()

    async def _gather(self) -> None:
        """While many are under way it waits a moment for others: a message costs more than an item."""
        preset, loop = self._preset, asyncio.get_running_loop()
        if not self._outbox or len(self._unanswered) < preset.gather_from_in_flight:
            return
        due_s = loop.time() + preset.gather_us / 1_000_000
        # A timer of the event loop waits for whole milliseconds; other work runs in between.
        while len(self._outbox) < preset.gather_items and loop.time() < due_s:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def _read_out(self, reading: "asyncio.Task[None]") -> None:
        if not reading.cancelled():
            reading.exception()  # looked at, so that nobody warns of it
        self._wake.set()

    def _message(self) -> bytes:
        """What has gathered while the last message was written."""
        now_s = asyncio.get_running_loop().time()
        parts: list[bytes] = []
        size = 0
        while self._outbox and len(parts) < self._preset.gather_items and size < MESSAGE_BYTES:
            asked = self._outbox.popleft()
            if asked.done.done():
                self._unanswered.pop(asked.request_id, None)
                continue
            budget_ms = min(60_000, max(1, int((asked.deadline_s - now_s) * 1000)))
            parts.append(_field(1, _field(1, asked.payload) + _budget(budget_ms)))
            size += len(asked.payload)
        self._counts.stream_items += len(parts)
        return b"".join(parts)

    async def _read(self, call: Any) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            self._late = 0
            for item in message.items:
                asked = self._unanswered.pop(item.request_id, None)
                if asked is not None:
                    asked.settle(result_of_item(item))

    def _broken(self, why: str) -> None:
        self._running = None
        self._late = 0
        self._paused_until_s = asyncio.get_running_loop().time() + self._preset.stream_pause_ms / 1000
        unanswered, self._unanswered = self._unanswered, {}
        written = set(unanswered) - {asked.request_id for asked in self._outbox}
        self._outbox.clear()
        for request_id, asked in unanswered.items():
            asked.settle(Otherwise(why, request_id in written))

    def close(self) -> None:
        for asked in self._unanswered.values():
            asked.settle(CLOSED)
        self._unanswered = {}
        self._outbox.clear()
        if self._running is not None:
            self._running.cancel()
