"""A fault at each step of evaluation, key access, ledger and journal: zero canaries leave, payments go on.

All faults of the tables, on each front, in the order of a seed: one fault may leave something behind for the
next. What left is read from the bytes that the servers sent, and from the journals as they are on disk.
"""

import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.kit.fail_closed import CANARIES, Bench
from tests.kit.fault_verdict import leak_found, problems, undergo
from tests.kit.faults_feeds import FEEDS_FAULTS
from tests.kit.faults_gateway import GATEWAY_FAULTS
from tests.kit.faults_planted import PLANTED_LEAKS

FRONTS = ("native", "grpcio")


def _front(front: str, rounds: int, seed: int) -> dict[str, Any]:
    table = [
        *(("gateway", fault) for fault in GATEWAY_FAULTS),
        *(("feeds", fault) for fault in FEEDS_FAULTS),
    ] * rounds
    random.Random(seed).shuffle(table)
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        with Bench(Path(folder), front=front) as bench:
            for process, fault in table:
                found += [
                    f"{fault.name}: {text}" for text in problems(bench, fault, undergo(bench, fault, process))
                ]
            found += [f"metrics: {canary}" for canary in bench.metrics()]
            found += [f"not in the ledger: {share_id}" for share_id in bench.not_in_ledger()]
            leaks = [leak.name for leak in PLANTED_LEAKS if leak_found(bench, leak)]
            payments, sent_bytes = bench.payments, bench.bytes_seen
        found += bench.files()
    assert not found, found[:10]
    assert len(leaks) == len(PLANTED_LEAKS), f"planted leaks were not found: {leaks} alone were"
    return {
        "faults": len(table),
        "payments": payments,
        "bytes_of_transports": sent_bytes,
        "canary_bytes_left": len(found),
        "planted_leaks_found": len(leaks),
    }


def run(full: bool) -> dict[str, Any]:
    rounds = 3 if full else 1
    seed = int(os.environ.get("EIN_FIRST_SEED", "1"))
    print(f"seed {seed}", flush=True)
    began_s = time.monotonic()
    fronts = {front: _front(front, rounds, seed + at) for at, front in enumerate(FRONTS)}
    return {
        "faults_of_the_gateway": len(GATEWAY_FAULTS),
        "faults_of_the_feeds": len(FEEDS_FAULTS),
        "canaries": len(CANARIES),
        "rounds": rounds,
        "fronts": fronts,
        "took_s": round(time.monotonic() - began_s, 1),
        "seed": seed,
    }
