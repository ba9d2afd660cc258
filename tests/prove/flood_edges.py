"""Callers at the edge of what may be: the largest calls, sockets that are hardly read, idle streams.

    python -m tests.prove.flood_edges giant_batches HOST:PORT TOKEN

says `ready` when they are there, and ends with its standard input. A process of its own, so that what it
costs is not taken for the gateway's delay.
"""

import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import grpc

from bench.enrich import BATCH, UNARY
from bench.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OPENING,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    header_block,
)
from gateway.sharing.ports import METHOD_PATHS, STREAM_ENRICH
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import outcomes_pb2
from tests.kit.installation import ROOT
from tests.kit.payments import payment
from tests.prove.both_ends import wait_until

WATCH = "/issuernetwork.v1.OutcomeService/WatchOutcomes"
HEALTH = "/grpc.health.v1.Health/Watch"
WATCHERS = 256
"""The gateway's own limit; one more is told to keep one a payment service."""

GIANT_ITEMS = 256
GIANT_DEADLINE_S = 0.25
"""As the client that we ship sets it for batches."""

OVERSIZE_BYTES = 5 * 1024 * 1024
SLOW_CLIENTS = 50
CALLS_OF_SLOW = 20
SLOW_CLIENT_S = 0.04
"""From one to the next: five hundred calls within two seconds, beside the payments."""

DRIBBLE_S = 0.02
IDLE_STREAMS = 1_000
"""Of each kind."""

IDLE_STREAM_S = 0.004
"""From one of each kind to the next: five hundred streams a second."""

CHANNELS = 10
CANCEL = 0x8
"""Error code of a stream (RFC 9113 7)."""

POLL_S = 0.05
READ_BYTES = 1 << 16
ENDS_S = 20.0

Metadata = Sequence[tuple[str, str]]


@contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `work` on a thread of its own until the block ends."""
    over, faults = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            work(over)
        except BaseException as raised:
            faults.append(raised)

    thread = threading.Thread(target=run, name="edges", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not faults, faults


@contextmanager
def giant_batches(address: str, metadata: Metadata) -> Iterator[None]:
    """The largest batches, one after the other, and some that are larger than any may be."""
    requests = [payment(number, prefix="giant") for number in range(GIANT_ITEMS)]
    channel = grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)])
    call = channel.unary_unary(BATCH)

    def work(over: threading.Event) -> None:
        rounds = answered = 0
        while not over.is_set():
            for number, request in enumerate(requests):
                request.request_id = f"giant-{rounds}-{number}"
            payload = v1.BatchEnrichAuthorizationsRequest(requests=requests).SerializeToString()
            began_s = time.monotonic()
            with suppress(grpc.RpcError):
                call(payload, timeout=GIANT_DEADLINE_S, metadata=metadata)
                answered += 1
            assert time.monotonic() - began_s < 2 * GIANT_DEADLINE_S, "a giant batch was late"
            with suppress(grpc.RpcError):
                call(bytes(OVERSIZE_BYTES), timeout=GIANT_DEADLINE_S, metadata=metadata)
            rounds += 1
        assert answered, "no giant batch was answered"

    with _beside(work):
        yield
    channel.close()


@contextmanager
def slow_clients(address: str, metadata: Metadata) -> Iterator[None]:
    """Callers that take no answer (a window of 0 bytes), and callers that send a byte now and then.

    They come one after the other: what hundreds of calls at once do is for the check of overload to say.
    """
    host, _, port = address.rpartition(":")
    block = header_block(UNARY, address, [*metadata, ("grpc-timeout", "10S")])
    settings = frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, 0))
    sent = []
    for number in range(SLOW_CLIENTS):
        out = bytearray(PREFACE + settings)
        for call in range(CALLS_OF_SLOW):
            message = payment(number * CALLS_OF_SLOW + call, prefix="slow").SerializeToString()
            out += frame(HEADERS, END_HEADERS, 2 * call + 1, block)
            out += frame(DATA, END_STREAM, 2 * call + 1, _prefixed(message))
        # Half of them send all at once and read nothing; the others never come to the end of a call.
        sent.append(bytes(out if number % 2 else out[: len(PREFACE + settings) + 30]))
    sockets: list[socket.socket] = []

    def dribble(over: threading.Event) -> None:
        while not over.wait(DRIBBLE_S):
            for one in sockets[::2]:
                with suppress(OSError):
                    one.send(b"\0")

    with _beside(dribble):
        for out in _paced(sent, SLOW_CLIENT_S):
            sockets.append(socket.create_connection((host, int(port))))
            sockets[-1].sendall(out)
        yield
    for one in sockets:
        one.close()


T = TypeVar("T")


def _paced(items: Iterable[T], pause_s: float) -> Iterator[T]:
    due_s = time.monotonic()
    for item in items:
        yield item
        due_s += pause_s
        time.sleep(max(0.0, due_s - time.monotonic()))


def _prefixed(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message


class IdleConnection:
    """Streams that are open and bring nothing; it sees how many of them have ended."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.sendall(OPENING)
        self.answered = False
        """A ping that went out behind everything else: all streams are there."""

        self.ended = 0
        self._read = b""
        self._next = 1
        self._open: list[int] = []

    def open(self, block: bytes, asked: bytes | None) -> None:
        """A stream, with its one request where it has one."""
        out = frame(HEADERS, END_HEADERS, self._next, block)
        if asked is not None:
            out += frame(DATA, END_STREAM, self._next, _prefixed(asked))
        self._open.append(self._next)
        self._next += 2
        self.socket.sendall(out)

    def end(self) -> None:
        """Takes one stream back, and closes the connection behind the last."""
        self.socket.sendall(frame(RST_STREAM, 0, self._open.pop(), struct.pack(">I", CANCEL)))
        if not self._open:
            self.socket.close()

    def ping(self) -> None:
        self.socket.sendall(frame(PING, 0, 0, b"all here"))

    def take(self) -> bool:
        """Reads what there is; whether there may be more to come."""
        data = self._read + (got := self.socket.recv(READ_BYTES))
        at = 0
        while len(data) - at >= 9:
            kind, flags, stream = struct.unpack_from(">BBI", data, at + 3)
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            if stream:
                self.ended += kind == RST_STREAM or bool(kind in (DATA, HEADERS) and flags & END_STREAM)
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.socket.sendall(frame(kind, ACK, 0, data[at + 9 : end] if kind == PING else b""))
            else:
                self.ended += kind == GOAWAY
                self.answered |= kind == PING
            at = end
        self._read = data[at:]
        return bool(got)


@contextmanager
def idle_streams(address: str, metadata: Metadata) -> Iterator[None]:
    """A thousand streams of authorizations that bring none, and as many that wait for outcomes or health.

    They come one after the other, and go so: what hundreds of calls at once do is for the check of overload.
    """
    enrich, watch, health = (
        header_block(path, address, metadata) for path in (METHOD_PATHS[STREAM_ENRICH], WATCH, HEALTH)
    )
    request = outcomes_pb2.WatchOutcomesRequest().SerializeToString()
    poll, open_ones = select.epoll(), dict[int, IdleConnection]()

    def connect() -> IdleConnection:
        made = IdleConnection(address)
        open_ones[made.socket.fileno()] = made
        poll.register(made.socket.fileno(), select.EPOLLIN)
        return made

    def listen(over: threading.Event) -> None:
        while not over.is_set():
            for number, _ in poll.poll(POLL_S):
                if not open_ones[number].take():
                    poll.unregister(number)
                    open_ones[number].ended += 1

    with _beside(listen):
        shared, alone = [connect() for _ in range(CHANNELS)], list[IdleConnection]()
        for number in _paced(range(IDLE_STREAMS), IDLE_STREAM_S):
            alone.append(connect())
            alone[-1].open(enrich, None)
            path, asked = (watch, request) if number < WATCHERS else (health, b"")
            shared[number % CHANNELS].open(path, asked)
        for one in open_ones.values():
            one.ping()
        wait_until(lambda: all(one.answered for one in open_ones.values()), "streams", ENDS_S)
        yield
        ended = sum(one.ended for one in open_ones.values())
    for number in _paced(range(IDLE_STREAMS), IDLE_STREAM_S):
        alone[number].end()
        shared[number % CHANNELS].end()
    poll.close()
    assert not ended, f"{ended} streams ended"


@contextmanager
def edges(kind: str, address: str, token: str) -> Iterator[None]:
    """Runs one of them in a process of its own."""
    command = [sys.executable, "-m", "tests.prove.flood_edges", kind, address, token]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n", f"{kind} did not begin"
            yield
        finally:
            process.stdin.close()
            code = process.wait(ENDS_S)
    assert code == 0, f"{kind} failed: see above"


def main() -> None:
    kind, address, token = sys.argv[1:]
    stands = {one.__name__: one for one in (giant_batches, slow_clients, idle_streams)}[kind]
    with stands(address, [("authorization", f"Bearer {token}")]):
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
