"""The load generator for a bidirectional stream: one a connection, some items in flight on each."""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Sequence

from bench.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES,
    HEADERS,
    LARGE_WINDOW,
    OPENING,
    RST_STREAM,
    SETTINGS,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    Load,
    control,
    frame,
    header_block,
    run_over,
)

STREAM = 1
_ITEMS_TAG = 0x0A
_INITIAL_WINDOW_SIZE = 0x4


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def message_of(requests: Sequence[bytes]) -> bytes:
    """DATA frames of one message with these requests, none with a budget of its own."""
    body = b""
    for request in requests:
        item = b"\x0a" + _varint(len(request)) + request
        body += b"\x0a" + _varint(len(item)) + item
    content = b"\0" + struct.pack(">I", len(body)) + body
    return b"".join(
        frame(DATA, 0, STREAM, content[at : at + FRAME_BYTES]) for at in range(0, len(content), FRAME_BYTES)
    )


def items_in(message: bytes) -> int:
    """How many answers a message holds."""
    count = at = 0
    while at < len(message):
        assert message[at] == _ITEMS_TAG
        size = shift = 0
        while True:
            at += 1
            size |= (message[at] & 127) << shift
            shift += 7
            if message[at] < 128:
                break
        at += 1 + size
        count += 1
    return count


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run", block: bytes, in_flight: int, together: int) -> None:
        self._run = run
        self._block = block
        self._in_flight = in_flight
        self._together = together
        self._buffer = b""
        self._message = b""
        self._windows = [WINDOW_BYTES, WINDOW_BYTES]  # of the connection, of the stream
        self._room = 0
        self._started: deque[float] = deque()
        self._held: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(OPENING)
        transport.write(frame(HEADERS, END_HEADERS, STREAM, self._block))
        self._send(self._in_flight)

    def _send(self, room: int) -> None:
        """Up to `room` more items, as many in a message as may be."""
        self._room += room
        while self._room >= self._together or (self._room and self._run.left < self._room):
            requests = self._run.take(min(self._together, self._room))
            if not requests:
                break
            self._room -= len(requests)
            self._started.extend([time.perf_counter()] * len(requests))
            self._held.append(message_of(requests))
        out = []
        while self._held and len(self._held[0]) <= min(self._windows):
            size = len(self._held[0]) - 9
            self._windows = [window - size for window in self._windows]
            out.append(self._held.popleft())
        if out:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        at, end, answered = 0, len(data), 0
        while end - at >= 9:
            size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if end - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & LARGE_WINDOW
            payload = data[at + 9 : at + 9 + size]
            if kind == DATA:
                answered += self._answered(payload)
            elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
                self._run.broken()
            elif kind == WINDOW_UPDATE:
                self._windows[1 if stream else 0] += int.from_bytes(payload, "big")
            elif kind != HEADERS:
                self._control(kind, flags, stream, payload)
            at += 9 + size
        self._buffer = data[at:]
        if answered or self._held:
            self._send(answered)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == _INITIAL_WINDOW_SIZE:
                    self._windows[1] += value - WINDOW_BYTES
        control(self._transport, kind, flags, payload)

    def _answered(self, payload: bytes) -> int:
        self._message += payload
        answered = 0
        while len(self._message) >= 5:
            size = 5 + int.from_bytes(self._message[1:5], "big")
            if len(self._message) < size:
                break
            answered += items_in(self._message[5:size])
            self._message = self._message[size:]
        now = time.perf_counter()
        # The hot loop answers the items of a stream in their order.
        self._run.answered([(now - self._started.popleft()) * 1000 for _ in range(answered)])
        return answered


class _Run:
    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads
        self._next = 0
        self._unanswered = len(payloads)
        self.latencies_ms: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def left(self) -> int:
        return len(self._payloads) - self._next

    def take(self, count: int) -> Sequence[bytes]:
        taken = self._payloads[self._next : self._next + count]
        self._next += len(taken)
        return taken

    def answered(self, latencies_ms: list[float]) -> None:
        self.latencies_ms += latencies_ms
        self._unanswered -= len(latencies_ms)
        if not self._unanswered and not self.done.done():
            self.done.set_result(None)

    def broken(self) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError("the server ended a stream"))


async def _load(
    address: str, path: str, payloads: Sequence[bytes], headers: Sequence[tuple[str, str]],
    in_flight: int, streams: int, together: int,
) -> Load:  # fmt: skip
    block, run = header_block(path, address, headers), _Run(payloads)
    seconds, cpu_seconds = await run_over(
        address, run, lambda: _Connection(run, block, in_flight // streams, together), streams
    )
    return Load(len(payloads), 0, seconds, cpu_seconds, run.latencies_ms)


def load_streams(
    address: str,
    path: str,
    payloads: Sequence[bytes],
    *,
    headers: Sequence[tuple[str, str]] = (),
    in_flight: int = 32,
    streams: int = 4,
    together: int = 1,
) -> Load:
    """Sends each payload once over `streams`, `in_flight` at a time in all, `together` in one message."""
    return asyncio.run(_load(address, path, payloads, headers, in_flight, streams, together))
