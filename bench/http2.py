"""A load generator that costs little: HTTP/2 frames made beforehand, sent and counted on plain sockets.

It speaks the part of RFC 9113 and of gRPC over HTTP/2 that unary calls need, and checks no more than that
each call brought a message. A call costs it some microseconds, so that the server is what is measured.
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
FRAME_BYTES = 16_384  # initial SETTINGS_MAX_FRAME_SIZE
WINDOW_BYTES = 65_535  # initial flow-control window
LARGE_WINDOW = (1 << 31) - 1
STALL_S = 30.0


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


OPENING = (
    PREFACE
    + frame(SETTINGS, 0, 0, struct.pack(">HIHI", 0x2, 0, 0x4, LARGE_WINDOW))
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGE_WINDOW - WINDOW_BYTES))
)
"""What a client begins with: no pushes, and windows that never fill."""


def _literal(name: bytes, value: bytes) -> bytes:
    """A header field that is neither indexed nor Huffman-coded (RFC 7541 6.2.2)."""
    assert len(name) < 127
    assert len(value) < 127
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def header_block(path: str, authority: str, headers: Sequence[tuple[str, str]]) -> bytes:
    fields = [(":path", path), (":authority", authority), ("te", "trailers")]
    fields += [("content-type", "application/grpc"), *headers]
    # :method POST and :scheme http stand in the static table.
    return b"\x83\x86" + b"".join(_literal(name.encode(), value.encode()) for name, value in fields)


@dataclass
class Load:
    """What a run came to."""

    calls: int
    failed: int
    seconds: float
    cpu_seconds: float
    latencies_ms: list[float]


def control(transport: asyncio.Transport, kind: int, flags: int, payload: bytes) -> None:
    """Answers what the other side asks of the connection itself."""
    if kind == SETTINGS and not flags & ACK:
        transport.write(frame(SETTINGS, ACK, 0, b""))
    elif kind == PING and not flags & ACK:
        transport.write(frame(PING, ACK, 0, payload))
    elif kind == GOAWAY:
        raise AssertionError("the server closed the connection")


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run", block: bytes, in_flight: int) -> None:
        self._run = run
        self._block = block
        self._in_flight = in_flight
        self._buffer = b""
        self._next = 1
        self._window = WINDOW_BYTES
        self._started: dict[int, float] = {}
        self._answered: set[int] = set()
        self._held: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(OPENING)
        self._send([self._call() for _ in range(self._in_flight)])

    def _call(self) -> list[bytes]:
        """Frames of the next call; DATA frames come as own items, since they count against the window."""
        payload = self._run.take()
        if payload is None:
            return []
        stream, self._next = self._next, self._next + 2
        self._started[stream] = time.perf_counter()
        message = b"\0" + struct.pack(">I", len(payload)) + payload
        parts = [frame(HEADERS, END_HEADERS, stream, self._block)]
        for at in range(0, len(message), FRAME_BYTES):
            last = at + FRAME_BYTES >= len(message)
            parts.append(frame(DATA, END_STREAM if last else 0, stream, message[at : at + FRAME_BYTES]))
        return parts

    def _send(self, calls: list[list[bytes]]) -> None:
        held = self._held
        for parts in calls:
            held.extend(parts)
        out = []
        while held:
            part = held[0]
            if part[3] == DATA:
                if len(part) - 9 > self._window:
                    break
                self._window -= len(part) - 9
            out.append(held.popleft())
        if out:
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        at, end = 0, len(data)
        calls: list[list[bytes]] = []
        while end - at >= 9:
            size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if end - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big") & LARGE_WINDOW
            if kind == DATA:
                if size > 5 or flags & END_STREAM == 0:
                    self._answered.add(stream)
                self._run.sample(data[at + 9 : at + 9 + size])
            elif kind not in (HEADERS, RST_STREAM):
                self._control(kind, flags, stream, data[at + 9 : at + 9 + size])
            if (flags & END_STREAM and kind in (DATA, HEADERS)) or kind == RST_STREAM:
                self._run.ended(self._started.pop(stream), stream in self._answered)
                self._answered.discard(stream)
                calls.append(self._call())
            at += 9 + size
        self._buffer = data[at:]
        if calls or self._held:
            self._send(calls)

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
        else:
            control(self._transport, kind, flags, payload)


class _Run:
    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = iter(payloads)
        self._left = len(payloads)
        self.failed = 0
        self.latencies_ms: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.first_answer = b""

    def take(self) -> bytes | None:
        return next(self._payloads, None)

    def sample(self, data: bytes) -> None:
        if not self.first_answer:
            self.first_answer = data

    def ended(self, started: float, answered: bool) -> None:
        self.latencies_ms.append((time.perf_counter() - started) * 1000)
        self.failed += not answered
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)


class Run(Protocol):
    """What is sent, and when all of it is answered."""

    done: asyncio.Future[None]


async def run_over(
    address: str, run: Run, connect: Callable[[], asyncio.Protocol], connections: int
) -> tuple[float, float]:
    """Runs it over so many connections. Seconds, and of them those of this process's CPU."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    began, cpu = time.perf_counter(), time.process_time()
    transports = []
    for _ in range(connections):
        transport, _protocol = await loop.create_connection(connect, host, int(port))
        transports.append(transport)
    await asyncio.wait_for(run.done, STALL_S)
    took = time.perf_counter() - began, time.process_time() - cpu
    for transport in transports:
        transport.close()
    return took


async def _load(
    address: str, path: str, payloads: Sequence[bytes], headers: Sequence[tuple[str, str]],
    in_flight: int, connections: int,
) -> tuple[Load, bytes]:  # fmt: skip
    block, run = header_block(path, address, headers), _Run(payloads)
    seconds, cpu_seconds = await run_over(
        address, run, lambda: _Connection(run, block, in_flight // connections), connections
    )
    return Load(len(payloads), run.failed, seconds, cpu_seconds, run.latencies_ms), run.first_answer


def load(
    address: str,
    path: str,
    payloads: Sequence[bytes],
    *,
    headers: Sequence[tuple[str, str]] = (),
    in_flight: int = 32,
    connections: int = 4,
) -> tuple[Load, bytes]:
    """Sends each payload once, `in_flight` at a time; the first answer's DATA frame comes back as well."""
    return asyncio.run(_load(address, path, payloads, headers, in_flight, connections))
