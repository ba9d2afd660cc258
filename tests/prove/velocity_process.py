"""Programs of the check `velocity`: each runs in a process of its own, whose memory is what is measured.

    python -m tests.prove.velocity_process fill JOURNAL SNAPSHOT KEYS TAIL
    python -m tests.prove.velocity_process restart JOURNAL SNAPSHOT KEYS TAIL

Each prints one JSON object.
"""

import json
import os
import resource
import sys
import threading
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.velocity_snapshot import FrozenVelocity
from gateway.backends.embedded.velocity_store import LocalVelocity, make_velocity
from gateway.records.journal import EVALUATIONS, FIRST
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.gateway.warming import Warming
from gateway.sharing.velocity_port import Touch
from issuernetwork.storage.v1 import journal_pb2

START_MS = 1_790_000_000_000
MERCHANTS = 48
TAIL_RATE_PER_S = 1_000
"""As many payments are counted while the snapshot is written: what is copied for it depends on that."""

PROBES = 2_000
TOUCH_ATTEMPTS = 32
TIMED_BATCHES = 1_000
ANSWER_BYTES = 400
MIB = 1 << 20


def key(kind: int, number: int) -> bytes:
    return blake2b(b"%d:%d" % (kind, number), digest_size=16).digest()


def attempt(number: int) -> Touch:
    """Four keys that no other attempt has, and a merchant that many have."""
    keys = [key(kind, number % MERCHANTS if kind == 1 else number) for kind in range(5)]
    return START_MS + number, keys


def again(number: int, attempts: int) -> Touch:
    """An attempt of the tail: a card of before, at another merchant, from the address of another card."""
    at_ms = START_MS + attempts + number
    one = number * 7919 % attempts
    two = (one + 1) % attempts
    keys = [key(0, one), key(1, number % MERCHANTS), key(2, two), key(3, two), key(4, one)]
    return at_ms, keys


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak


def probed(store: LocalVelocity, attempts: int) -> str:
    """Digest of what the store answers to attempts of all kinds of keys."""
    answers = store.touch([attempt(number * (attempts // PROBES)) for number in range(PROBES)])
    return blake2b(repr(answers).encode(), digest_size=16).hexdigest()


def write_tail(journal: str, tail: int, attempts: int) -> None:
    """The records that a gateway would have behind the snapshot."""
    now_ms = time.time_ns() // 1_000_000
    writer = FileJournalWriter(RealDisk(), SystemClock(), journal, (EVALUATIONS,))
    records: list[bytes] = []
    for number in range(tail):
        at_ms, keys = again(number, attempts)
        record = journal_pb2.Evaluation(
            evaluation_id=f"{number:026d}",
            request_id=f"r-{number}",
            sender_id="payments",
            payment_intent_id=f"i-{number}",
            attempt_no=1,
            initiated_at_ms=at_ms,
            decided_at_ms=now_ms,
            request_digest=bytes(16),
            velocity_keys=[one or b"" for one in keys],
            answer=bytes(ANSWER_BYTES),
        )
        records.append(record.SerializeToString())
        if len(records) == 1_000 or number == tail - 1:
            writer.append(EVALUATIONS, records)
            records = []
    writer.close()


def fill(journal: str, snapshot: str, keys: int, tail: int) -> dict[str, Any]:
    attempts = (keys - MERCHANTS) // 4
    write_tail(journal, tail, attempts)
    store = make_velocity(max_keys=keys)
    store.caught_up()
    before = resident_bytes()
    started = time.perf_counter()
    for first in range(0, attempts, TOUCH_ATTEMPTS):
        last = min(first + TOUCH_ATTEMPTS, attempts)
        store.touch([attempt(number) for number in range(first, last)])
    filled_s = time.perf_counter() - started
    grown = resident_bytes() - before
    measured = {
        "store": type(store).__name__,
        "keys": len(store),
        "filled_s": round(filled_s, 2),
        "bytes_a_key": round(grown / len(store), 1),
        "grown_mb": round(grown / 1e6, 1),
        "process_mb": round(resident_bytes() / 1e6, 1),
        **_snapshot_under_load(store, snapshot, tail, attempts),
    }
    return {**measured, "probed": probed(store, attempts), "touch_us_a_payment": _touch_us(store, attempts)}


def _touch_us(store: LocalVelocity, attempts: int) -> float:
    """Microseconds a payment of five keys, spread over all rows, in batches; the best of some rounds."""
    spread = [again(number * 31, attempts) for number in range(TIMED_BATCHES * TOUCH_ATTEMPTS)]
    batches = [spread[at : at + TOUCH_ATTEMPTS] for at in range(0, len(spread), TOUCH_ATTEMPTS)]
    rounds_s = []
    for _ in range(5):
        started = time.perf_counter()
        for batch in batches:
            store.touch(batch)
        rounds_s.append(time.perf_counter() - started)
    return round(min(rounds_s) / len(spread) * 1e6, 2)


def _snapshot_under_load(store: LocalVelocity, path: str, tail: int, attempts: int) -> dict[str, Any]:
    """Freezes, and counts the tail at its rate while another thread writes; then the rest of it."""
    forget_peak()
    started = time.perf_counter()
    frozen = store.freeze()
    froze_s = time.perf_counter() - started
    assert frozen is not None
    took_s: list[float] = []
    writer = threading.Thread(target=_write, args=(frozen, path, took_s))
    writer.start()
    counted, longest_s = 0, 0.0
    while writer.is_alive() and counted < tail:
        began = time.perf_counter()
        store.touch([again(counted, attempts)])
        longest_s = max(longest_s, time.perf_counter() - began)
        counted += 1
        ahead_s = counted / TAIL_RATE_PER_S - (time.perf_counter() - started)
        if ahead_s > 0:
            time.sleep(ahead_s)
    writer.join()
    peak = peak_bytes()
    for number in range(counted, tail):
        store.touch([again(number, attempts)])
    return {
        "snapshot_bytes": os.path.getsize(path),
        "snapshot_s": round(took_s[0], 2),
        "snapshot_freeze_ms": round(froze_s * 1e3, 2),
        "counted_beside": counted,
        "longest_count_beside_ms": round(longest_s * 1e3, 2),
        "process_peak_mb": round(peak / 1e6, 1),
    }


def _write(frozen: FrozenVelocity, path: str, took_s: list[float]) -> None:
    started = time.perf_counter()
    # The tail begins with the journal.
    frozen.write(RealDisk(), path, position=FIRST)
    took_s.append(time.perf_counter() - started)


def restart(journal: str, snapshot: str, keys: int, tail: int) -> dict[str, Any]:
    attempts = (keys - MERCHANTS) // 4
    forget_peak()
    before = resident_bytes()
    started = time.perf_counter()
    store = make_velocity(max_keys=keys)
    disk = RealDisk()
    warming = Warming(store, FileJournalReader(disk, journal), disk, snapshot)
    beside = threading.Thread(target=warming.run, args=(threading.Event(),))
    beside.start()
    told, longest_s = 0, 0.0
    while not store.ready:
        began = time.perf_counter()
        told += store.touch([attempt(0)]) == [None]
        warming.between()
        longest_s = max(longest_s, time.perf_counter() - began)
        time.sleep(0.001)
    ready_s = time.perf_counter() - started
    beside.join()
    return {
        "ready_s": round(ready_s, 2),
        "told_warming": told,
        "longest_step_ms": round(longest_s * 1e3, 2),
        "keys": len(store),
        "grown_mb": round((resident_bytes() - before) / 1e6, 1),
        "process_peak_mb": round(peak_bytes() / 1e6, 1),
        "probed": probed(store, attempts),
    }


if __name__ == "__main__":
    program = {"fill": fill, "restart": restart}[sys.argv[1]]
    print(json.dumps(program(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))
