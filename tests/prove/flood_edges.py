"""Callers at the edge of what may be: the largest calls, sockets that are hardly read, idle streams.

    python -m tests.prove.flood_edges giant_batches HOST:PORT TOKEN

says `ready` when they are there, and ends with its standard input. A process of its own, so that what it
costs is not taken for the gateway's delay.
"""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import grpc

from bench.enrich import BATCH, UNARY
from bench.http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, header_block
from gateway.sharing.ports import METHOD_PATHS, STREAM_ENRICH
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import outcomes_pb2
from tests.kit.installation import ROOT
from tests.kit.payments import payment

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
DRIBBLE_S = 0.02
IDLE_STREAMS = 1_000
CHANNELS = 10
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
    """Callers that take no answer (a window of 0 bytes), and callers that send a byte now and then."""
    host, _, port = address.rpartition(":")
    block = header_block(UNARY, address, [*metadata, ("grpc-timeout", "10S")])
    settings = frame(SETTINGS, 0, 0, struct.pack(">HI", 0x4, 0))
    sockets = []
    for number in range(SLOW_CLIENTS):
        one = socket.create_connection((host, int(port)))
        sockets.append(one)
        out = bytearray(PREFACE + settings)
        for call in range(CALLS_OF_SLOW):
            message = payment(number * CALLS_OF_SLOW + call, prefix="slow").SerializeToString()
            body = b"\0" + struct.pack(">I", len(message)) + message
            out += frame(HEADERS, END_HEADERS, 2 * call + 1, block)
            out += frame(DATA, END_STREAM, 2 * call + 1, body)
        # Half of them send all at once and read nothing; the others never come to the end of a call.
        one.sendall(out if number % 2 else out[: len(PREFACE + settings) + 30])

    def dribble(over: threading.Event) -> None:
        while not over.wait(DRIBBLE_S):
            for one in sockets[::2]:
                with suppress(OSError):
                    one.send(b"\0")

    with _beside(dribble):
        yield
    for one in sockets:
        one.close()


@contextmanager
def idle_streams(address: str, metadata: Metadata) -> Iterator[None]:
    """A thousand streams of authorizations that bring none, and as many that wait for outcomes or health."""
    host, _, port = address.rpartition(":")
    sockets = [socket.create_connection((host, int(port))) for _ in range(IDLE_STREAMS)]
    opened = frame(HEADERS, END_HEADERS, 1, header_block(METHOD_PATHS[STREAM_ENRICH], address, metadata))
    for one in sockets:
        one.sendall(PREFACE + frame(SETTINGS, 0, 0, b"") + opened)
    request = outcomes_pb2.WatchOutcomesRequest().SerializeToString()

    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(address, options=options) for _ in range(CHANNELS)]
    streams: list[Any] = []
    for number in range(IDLE_STREAMS):
        path, asked = (WATCH, request) if number < WATCHERS else (HEALTH, b"")
        streams.append(channels[number % CHANNELS].unary_stream(path)(asked, metadata=metadata))
    try:
        yield
        ended = [stream.code() for stream in streams if not stream.is_active()]
        assert not ended, f"{len(ended)} streams ended: {set(ended)}"
    finally:
        for stream in streams:
            stream.cancel()
        for channel in channels:
            channel.close()
        for one in sockets:
            one.close()


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
