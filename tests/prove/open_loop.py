"""Unary gRPC calls over bare HTTP/2, begun when they are due and not when the last has ended.

For checks that time what two servers do together on few cores: a call costs the generator some 30 µs, where
a client library takes 300 and is then what is timed. Speaks as much of RFC 9113 as `bench.http2`.
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence

from bench.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    LARGE_WINDOW,
    OPENING,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_BYTES,
    WINDOW_UPDATE,
    frame,
    header_block,
)

Ended = Callable[[bytes | None, float], None]
"""Told of a call's end: its message, None where there is none, and when its last byte was read."""


class OpenConnection(asyncio.Protocol):
    """One connection that calls one method. Messages are under the 16 KiB of a frame."""

    def __init__(self, address: str, path: str, headers: Sequence[tuple[str, str]]) -> None:
        self._block = header_block(path, address, headers)
        self._buffer = b""
        self._next = 1
        self._window = WINDOW_BYTES
        self._ended: dict[int, Ended] = {}
        self._messages: dict[int, bytes] = {}
        self._held: deque[bytes] = deque()
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(OPENING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        for ended in self._ended.values():
            ended(None, time.perf_counter())
        self._ended.clear()

    @property
    def in_flight(self) -> int:
        return len(self._ended)

    def call(self, calls: Sequence[tuple[bytes, Ended]]) -> None:
        """Sends them in one write, as far as the server's window lets them."""
        assert not self._lost, "the server closed the connection"
        for payload, ended in calls:
            stream, self._next = self._next, self._next + 2
            self._ended[stream] = ended
            message = b"\0" + struct.pack(">I", len(payload)) + payload
            head = frame(HEADERS, END_HEADERS, stream, self._block)
            self._held.append(head + frame(DATA, END_STREAM, stream, message))
        self._send()

    def close(self) -> None:
        self._transport.close()

    def _send(self) -> None:
        out, overhead = [], 18 + len(self._block)
        while self._held and len(self._held[0]) - overhead <= self._window:
            self._window -= len(self._held[0]) - overhead
            out.append(self._held.popleft())
        if out:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        read_at = time.perf_counter()
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        while end - at >= 9:
            size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if end - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & LARGE_WINDOW
            if kind == DATA:
                self._messages[stream] = self._messages.get(stream, b"") + data[at + 9 : at + 9 + size]
            elif kind not in (HEADERS, RST_STREAM):
                self._control(kind, flags, stream, data[at + 9 : at + 9 + size])
            # A stream that has ended may be reset behind its end: that says nothing more (RFC 9113 5.1).
            if (flags & END_STREAM and kind in (DATA, HEADERS)) or (
                kind == RST_STREAM and stream in self._ended
            ):
                # Behind five bytes that say its length.
                message = self._messages.pop(stream, b"")
                self._ended.pop(stream)(message[5:] if len(message) >= 5 else None, read_at)
            at += 9 + size
        self._buffer = data[at:]
        if self._held:
            self._send()

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._transport.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            self._transport.close()


async def connect(address: str, path: str, headers: Sequence[tuple[str, str]]) -> OpenConnection:
    """A connection to `host:port` for calls of `path`."""
    host, _, port = address.rpartition(":")
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: OpenConnection(address, path, headers), host, int(port)
    )
    return connection
