"""What the gateway adds to a bare grpc.aio echo of the same messages, at a pace: two open loops in turns.

A call counts from when it was due, so that what waits behind a slow one counts as well. Server and load have
a core each at the low rate, and all cores at the high one, which an echo would not bear. What the machine
itself stalls for is told beside, as the gaps of a loop that does nothing else.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import echo
from bench.enrich import UNARY, pinned, reference
from bench.http2 import load
from issuernetwork.v1 import enrichment_pb2 as v1
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.kit.payments import payment
from tests.prove.flood import DEGRADED, FULL, Flood, Phase, percentile

RATE_PER_S = 1_000
HIGH_RATE_PER_S = 8_000
OVER_ECHO_MS = {"p50": 0.5, "p99": 3.0, "p99.9": 20.0}
HIGH_MS = {"p50": 2.0, "p99": 8.0}
PARTS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
HIGH_TICK_S = 0.0001
"""At the high rate the load sleeps so long where nothing comes: the server may use its core as well."""

WARM_UP_S = 1.0
SPIN_S = 2.0
STALL_MS = 1.0
"""A gap in a loop that does nothing else is the machine's own from here on: somebody else had the core."""


def _stalls() -> dict[str, Any]:
    """Gaps of a loop on the server's core, while the server has nothing to do."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0} if (os.cpu_count() or 1) > 1 else cores)
    gaps, last = list[float](), time.perf_counter()
    until = last + SPIN_S
    while last < until:
        now = time.perf_counter()
        if now - last > STALL_MS / 1e3:
            gaps.append((now - last) * 1e3)
        last = now
    os.sched_setaffinity(0, cores)
    return {
        "per_s": round(len(gaps) / SPIN_S, 1),
        "longest_ms": round(max(gaps, default=0.0), 2),
        "share": round(sum(gaps) / 1e3 / SPIN_S, 4),
    }


def _unpin(pid: int) -> None:
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), range(os.cpu_count() or 1))


def _joined(phases: list[Phase]) -> dict[str, float]:
    latencies = np.sort(np.concatenate([phase.latencies_ms(FULL, DEGRADED) for phase in phases]))
    return {name: percentile(latencies, part) for name, part in PARTS.items()}


def _degraded(phases: list[Phase]) -> int:
    return sum(phase.count(DEGRADED) for phase in phases)


def _late(phases: list[Phase]) -> float:
    return round(max(phase.late_s for phase in phases) * 1e3, 2)


def _answer(address: str, headers: list[tuple[str, str]]) -> bytes:
    """One of the gateway's own, for the echo to send."""
    _, told = load(address, UNARY, [payment(1).SerializeToString()], headers=headers, connections=1)
    return v1.EnrichAuthorizationResponse.FromString(told[5:]).SerializeToString()


def _measured(process: Process, headers: list[tuple[str, str]], *, full: bool) -> dict[str, Any]:
    rounds, round_s, high_s = (30, 10.0, 60.0) if full else (4, 2.5, 5.0)
    with reference("enrich", _answer(process.address, headers)) as address:
        ours = Flood(process.address, UNARY, headers)
        theirs = Flood(address, echo.PATH, headers)
        stalls = [_stalls()]
        try:
            for flood in (ours, theirs):
                flood.open(RATE_PER_S, WARM_UP_S)
            gateway: list[Phase] = []
            echoed: list[Phase] = []
            for _ in range(rounds):
                echoed.append(theirs.open(RATE_PER_S, round_s))
                gateway.append(ours.open(RATE_PER_S, round_s))
            _unpin(process.popen.pid)
            # Opened now: a connection that has been idle for minutes is closed by the server.
            shared = Flood(process.address, UNARY, headers, tick_s=HIGH_TICK_S)
            try:
                shared.open(HIGH_RATE_PER_S / 2, WARM_UP_S)
                high = [shared.open(HIGH_RATE_PER_S, high_s)]
            finally:
                shared.close()
        finally:
            for flood in (ours, theirs):
                flood.close()
        stalls.append(_stalls())
    unanswered = sum(len(phase.due_s) - phase.count(FULL, DEGRADED) for phase in (*gateway, *echoed, *high))
    return {
        "rate_per_s": RATE_PER_S,
        "seconds_of_each": rounds * round_s,
        "gateway_ms": _joined(gateway),
        "echo_ms": _joined(echoed),
        "over_echo_ms": {name: round(ms - _joined(echoed)[name], 3) for name, ms in _joined(gateway).items()},
        "degraded": _degraded(gateway),
        "unanswered": unanswered,
        "high_rate_per_s": HIGH_RATE_PER_S,
        "high_seconds": high_s,
        "high_ms": _joined(high),
        "high_degraded": _degraded(high),
        "generator_late_ms": {"gateway": _late(gateway), "echo": _late(echoed), "high": _late(high)},
        "stalls_of_an_idle_core": stalls,
    }


def run(full: bool) -> dict[str, Any]:
    cores, prefix = os.sched_getaffinity(0), pinned()
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        installation = Installation(Path(folder), front="native")
        process = Process(installation, prefix=prefix)
        try:
            headers = [*installation.metadata("payments"), ("grpc-timeout", "5S")]
            measured = _measured(process, headers, full=full)
        finally:
            process.stop()
            os.sched_setaffinity(0, cores)
    # A neighbour's load moves all of ten seconds: the reduced counts show that each call is answered.
    judged = PARTS if full else {}
    short = [
        f"{side} {name} {measured[side][name]} ms, at most {limits[name]}"
        for side, limits in (("over_echo_ms", OVER_ECHO_MS), ("high_ms", HIGH_MS))
        for name in judged
        if name in limits and measured[side][name] > limits[name]
    ]
    if measured["unanswered"]:
        short.append(f"{measured['unanswered']} calls had no answer")
    limits = {"over_echo_ms": OVER_ECHO_MS, "high_ms": HIGH_MS}
    return {**measured, "limits": limits, "shortfalls": short}
