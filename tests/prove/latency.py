"""What the gateway adds to a bare grpc.aio echo of the same messages, at a pace: two open loops in turns.

Everything is on, as in the benchmarks: all providers, a model, two sealed shares a payment for most. A call
counts from when it was due, so that what waits behind a slow one counts as well. Server and load have a
core each at the low rate. At the high one, which that echo would not bear, the hot loop has one core, and
all other threads of the server have the other with the load (setting `gateway.hot_loop_core`). An echo by
our own front that writes and syncs stands beside it, in turns. Judged is the median of the rounds, as
elsewhere; each round is told too, and all of them as one. What the machine itself stalls for is told as the
gaps of a loop that does nothing else.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import echo
from bench.cores import pinned, server_core, stay_off
from bench.enrich import UNARY, reference, shared_part
from tests.kit.everything import everything
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.prove.durable_echo import durable_echo
from tests.prove.flood import DEGRADED, FULL, Flood, Phase, percentile

RATE_PER_S = 1_000
HIGH_RATE_PER_S = 8_000
OVER_ECHO_MS = {"p50": 0.5, "p99": 3.0, "p99.9": 20.0}
HIGH_MS = {"p50": 2.0, "p99": 8.0}
PARTS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
HIGH_TICK_S = 0.0002
"""At the high rate the load sleeps so long where nothing comes: the server uses its core as well."""

WARM_UP_S = 1.0
SPIN_S = 2.0
STALL_MS = 1.0
"""A gap in a loop that does nothing else is the machine's own from here on: somebody else had the core."""


def _stalls() -> dict[str, Any]:
    """Gaps of a loop on the server's core, while the server has nothing to do."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {server_core()})
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


def _joined(phases: list[Phase]) -> dict[str, float]:
    latencies = np.sort(np.concatenate([phase.latencies_ms(FULL, DEGRADED) for phase in phases]))
    return {name: percentile(latencies, part) for name, part in PARTS.items()}


def _of_rounds(phases: list[Phase]) -> list[dict[str, float]]:
    return [_joined([phase]) for phase in phases]


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in PARTS}


def _unanswered(*phases: Phase) -> int:
    return sum(len(phase.due_s) - phase.count(FULL, DEGRADED) for phase in phases)


def _late(phases: list[Phase]) -> float:
    return round(max(phase.late_s for phase in phases) * 1e3, 2)


def _headers(installation: Installation) -> list[tuple[str, str]]:
    return [*installation.metadata("payments"), ("grpc-timeout", "5S")]


def _answer(process: Process, headers: list[tuple[str, str]]) -> bytes:
    """One of the gateway's own, for the echo to send; that the load is the one described was looked at."""
    _, answer = shared_part(process, headers)
    return answer


def _in_turns(
    ours: Flood, theirs: Flood, warm_up_per_s: float, rate_per_s: float, rounds: int, round_s: float
) -> tuple[list[Phase], list[Phase]]:
    """Phases of ours and of the echo, which are warmed up first. Closes both."""
    gateway: list[Phase] = []
    echoed: list[Phase] = []
    try:
        for flood in (ours, theirs):
            flood.open(warm_up_per_s, WARM_UP_S)
        for _ in range(rounds):
            echoed.append(theirs.open(rate_per_s, round_s))
            gateway.append(ours.open(rate_per_s, round_s))
    finally:
        for flood in (ours, theirs):
            flood.close()
    return gateway, echoed


def _low(folder: Path, *, full: bool) -> dict[str, Any]:
    """Ours and the echo in turns, each with a core of its own."""
    rounds, round_s = (30, 10.0) if full else (4, 2.5)
    cores, prefix = os.sched_getaffinity(0), pinned()
    installation = everything(folder, front="native")
    process = Process(installation, prefix=prefix)
    try:
        headers = _headers(installation)
        with reference("enrich", _answer(process, headers)) as address:
            ours, theirs = Flood(process.address, UNARY, headers), Flood(address, echo.PATH, headers)
            gateway, echoed = _in_turns(ours, theirs, RATE_PER_S, RATE_PER_S, rounds, round_s)
    finally:
        process.stop()
        os.sched_setaffinity(0, cores)
    ours_ms, echo_ms = _joined(gateway), _joined(echoed)
    return {
        "rate_per_s": RATE_PER_S,
        "seconds_of_each": rounds * round_s,
        "gateway_ms": ours_ms,
        "echo_ms": echo_ms,
        "over_echo_ms": {name: round(ms - echo_ms[name], 3) for name, ms in ours_ms.items()},
        "degraded": sum(phase.count(DEGRADED) for phase in gateway),
        "unanswered": _unanswered(*gateway, *echoed),
        "generator_late_ms": {"gateway": _late(gateway), "echo": _late(echoed)},
    }


def _high(folder: Path, *, full: bool) -> dict[str, Any]:
    """Ours, with the hot loop on its core, and a durable echo in turns."""
    rounds, round_s = (7, 10.0) if full else (1, 5.0)
    cores = os.sched_getaffinity(0)
    installation = everything(folder, front="native", hot_loop_core=server_core())
    process = Process(installation)
    try:
        headers = _headers(installation)
        with durable_echo(_answer(process, headers), folder, server_core()) as address:
            stay_off(server_core())
            ours, theirs = (
                Flood(one, UNARY, headers, tick_s=HIGH_TICK_S) for one in (process.address, address)
            )
            gateway, echoed = _in_turns(ours, theirs, HIGH_RATE_PER_S / 2, HIGH_RATE_PER_S, rounds, round_s)
    finally:
        process.stop()
        os.sched_setaffinity(0, cores)
    return {
        "high_rate_per_s": HIGH_RATE_PER_S,
        "hot_loop_core": server_core(),
        "high_seconds_of_each": rounds * round_s,
        "high_ms": _medians(_of_rounds(gateway)),
        "high_durable_echo_ms": _medians(_of_rounds(echoed)),
        "high_rounds": {"gateway_ms": _of_rounds(gateway), "durable_echo_ms": _of_rounds(echoed)},
        "high_rounds_as_one": {"gateway_ms": _joined(gateway), "durable_echo_ms": _joined(echoed)},
        "high_degraded": sum(phase.count(DEGRADED) for phase in gateway),
        "high_unanswered": _unanswered(*gateway, *echoed),
        "high_generator_late_ms": {"gateway": _late(gateway), "echo": _late(echoed)},
    }


def _made(folder: str, name: str) -> Path:
    path = Path(folder, name)
    path.mkdir()
    return path


def run(full: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        stalls = [_stalls()]
        low = _low(_made(folder, "low"), full=full)
        high = _high(_made(folder, "high"), full=full)
        stalls.append(_stalls())
    measured = {**low, **high, "stalls_of_an_idle_core": stalls}
    # A neighbour's load moves all of ten seconds: the reduced counts show that each call is answered.
    judged = PARTS if full else {}
    limits = {"over_echo_ms": OVER_ECHO_MS, "high_ms": HIGH_MS}
    short = [
        f"{side} {name} {measured[side][name]} ms, at most {most}"
        for side, of_side in limits.items()
        for name, most in of_side.items()
        if name in judged and measured[side][name] > most
    ]
    unanswered = low["unanswered"] + high["high_unanswered"]
    if unanswered:
        short.append(f"{unanswered} calls had no answer")
    return {**measured, "limits": limits, "shortfalls": short}
