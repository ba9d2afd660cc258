"""An echo that writes and syncs: the least that a durable answer takes on this machine, by our own front.

It takes in what has gathered, writes as many bytes as our journal does of so many payments over zeros in a
file, syncs, and answers each call with the same bytes. Nothing is read, decided or sealed. Its threads lie as
the gateway's do: the loop on the server's core, the front's on the other.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pygrpc_native import EVENT_CALL, NativeGrpcFront

from bench.cores import stay_off
from bench.enrich import UNARY
from gateway.server.fronts.native import IO_THREADS
from gateway.sharing.queue import BATCH_CALLS
from tests.kit.installation import ROOT

RECORD_BYTES = 4_200
"""Of a payment in our journal, most of it two sealed shares."""

FILE_BYTES = 64 * 1024 * 1024
IDLE_MS = 20


def serve(answer: bytes, path: str, core: int) -> None:
    """Until it is killed. Says its port."""
    cores = os.sched_getaffinity(0)
    stay_off(core)  # so that the front's thread begins there
    front = NativeGrpcFront(
        "127.0.0.1:0", [(UNARY, False)], io_threads=IO_THREADS, client_key_metadata="authorization",
        call_details=True, keepalive_permit_without_calls=True,
    )  # fmt: skip
    front.start()
    os.sched_setaffinity(0, cores & {core} or cores)
    with open(path, "wb") as file:
        for _ in range(0, FILE_BYTES, 1 << 20):
            file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
        print(front.bound_port, flush=True)
        records, at = memoryview(os.urandom(BATCH_CALLS * RECORD_BYTES)), 0
        while (events := front.recv_batch_details(BATCH_CALLS, IDLE_MS)) is not None:
            calls = [event[1] for event in events if event[0] == EVENT_CALL]
            if calls:
                batch = records[: len(calls) * RECORD_BYTES]
                at = at if at + len(batch) <= FILE_BYTES else 0
                at += os.pwrite(file.fileno(), batch, at)
                os.fdatasync(file.fileno())
            for call_id in calls:
                front.respond(call_id, answer)


@contextmanager
def durable_echo(answer: bytes, folder: Path, core: int) -> Iterator[str]:
    """Its address. The loop is on that core: measured twice it could be another than the gateway's."""
    path = str(folder / "durable-echo")
    command = [sys.executable, "-m", "tests.prove.durable_echo", answer.hex(), path, str(core)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


if __name__ == "__main__":
    serve(bytes.fromhex(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
