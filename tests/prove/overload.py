"""Three times what the gateway can serve, with a deadline of 50 ms: all are answered, and most work goes on.

Capacity is measured in a closed loop of callers with time, then the payments come in an open one; a call
counts from when it was due. The load has one core, and shares it with what of the server runs beside the hot
loop.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.enrich import BATCH, UNARY
from tests.kit.everything import everything
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.prove.flood import DEGRADED, FAULTED, FULL, Flood, Phase, percentile

DEADLINE_MS = 50
OVER = 3.0
ITEMS = 8
"""Payments of a call: under load clients send several at once. A call costs 15 to 20 us of HTTP/2 and sockets
whatever its answer: three times the capacity in calls of one is more than two cores read and refuse."""

LONE_OVER = 1.5
"""What calls of one payment are shown with, beside: as much as one core of the two takes in."""

IN_FLIGHT = 256
"""Payments, of the closed loop: more serve no more, and at 32 the last of a batch are waited for."""

TICK_S = 0.001
"""The load sleeps where nothing comes: it does not have its core to itself."""

COLLAPSED = 0.5
"""Answered in time, of the reduced counts."""

ANSWERED_LEAST = 0.99
FULL_LEAST = 0.7
P99_MOST = 2.0
RECOVERY_MOST_S = 2.0
GROWTH_MOST_MIB = 10.0
WARM_UP_S = 2.0
"""Each card and device of the load is new once, and what is measured of a batch settles."""

LOOK_S = 0.2
WINDOW_S = 0.25
WELL_LEAST = 0.98
"""Of the answers of a window, once it is recovered: a stall of the machine takes others now and then."""

AFTER_RATE = 0.5
AFTER_S = 3.0
"""Half of capacity behind the flood: long enough to see that it is served as before."""


@contextmanager
def served(folder: Path) -> Iterator[tuple[Installation, Process]]:
    """A gateway with everything on, on all cores, and this process on the last of them alone."""
    installation = everything(folder, front="native")
    process = Process(installation)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield installation, process
    finally:
        os.sched_setaffinity(0, cores)
        process.stop()


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class _Sizes(threading.Thread):
    """Looks at a process's memory while it is under load."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="sizes", daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.mib: list[float] = []

    def run(self) -> None:
        while not self._over.wait(LOOK_S):
            self.mib.append(rss_mib(self._pid))

    def stop(self) -> float:
        """How much it grew behind the first third: what is held of the load's own is there by then."""
        self._over.set()
        self.join()
        return round(max(self.mib[-3:]) - self.mib[len(self.mib) // 3], 1)


def _recovery_s(after: Phase, most_ms: float) -> float:
    """Until answers are full and as quick as before; AFTER_S where they never are."""
    at_s = after.due_s - after.due_s[0]
    well = (after.kinds == FULL) & ((after.ended_s - after.due_s) * 1e3 <= most_ms)
    for window in range(int(AFTER_S / WINDOW_S)):
        within = (at_s >= window * WINDOW_S) & (at_s < (window + 1) * WINDOW_S)
        if within.any() and well[within].mean() >= WELL_LEAST:
            return window * WINDOW_S
    return AFTER_S


def _figures(phase: Phase, items: int) -> dict[str, Any]:
    full, told = phase.latencies_ms(FULL), phase.latencies_ms(FULL, DEGRADED)
    return {
        "payments_per_s": round(items * len(phase.due_s) / phase.seconds),
        "full_per_s": round(items * len(full) / phase.seconds),
        "full_p50_ms": percentile(full, 0.5),
        "full_p99_ms": percentile(full, 0.99),
        "told_p99_ms": percentile(told, 0.99),
        "degraded": items * phase.count(DEGRADED),
        "faulted": items * phase.count(FAULTED),
        "unanswered": items * phase.count(0),
        "generator_share": round(phase.cpu_seconds / phase.seconds, 2),
        "generator_late_ms": round(phase.late_s * 1e3, 1),
        "generator_gap_ms": round(phase.gap_s * 1e3, 1),
    }


def _under(
    address: str, metadata: list[tuple[str, str]], pid: int, *, items: int | None, over: float, scale: float
) -> dict[str, Any]:
    """Capacity, overload and what is behind it, of calls of so many payments."""
    path, payments = (UNARY, 1) if items is None else (BATCH, items)

    def flood(timeout: str) -> Flood:
        who = [*metadata, ("grpc-timeout", timeout)]
        return Flood(address, path, who, tick_s=TICK_S, items=items)

    patient, hurried = flood("10S"), flood(f"{DEADLINE_MS}m")
    try:
        patient.closed(IN_FLIGHT // payments, WARM_UP_S)
        normal = patient.closed(IN_FLIGHT // payments, 2.0 * scale)
        capacity = len(normal.due_s) / normal.seconds
        sizes = _Sizes(pid)
        sizes.start()
        told = hurried.open(over * capacity, 6.0 * scale)
        growth_mib = sizes.stop()
        after = hurried.open(AFTER_RATE * capacity, AFTER_S)
    finally:
        patient.close()
        hurried.close()
    p99_ms = percentile(normal.latencies_ms(FULL), 0.99)
    return {
        "times_capacity": over,
        "answered_in_time": round(told.in_time(DEADLINE_MS), 4),
        "full_of_capacity": round(told.count(FULL) / told.seconds / capacity, 3),
        "p99_of_normal": round(percentile(told.latencies_ms(FULL), 0.99) / p99_ms, 2),
        "recovery_s": _recovery_s(after, P99_MOST * p99_ms),
        "growth_mib": growth_mib,
        "normal": _figures(normal, payments),
        "overload": _figures(told, payments),
        "after": _figures(after, payments),
    }


def run(full: bool) -> dict[str, Any]:
    scale = 10 if full else 1
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        served(Path(folder)) as (installation, process),
    ):
        who, pid = installation.metadata("payments"), process.popen.pid
        judged = _under(process.address, who, pid, items=ITEMS, over=OVER, scale=scale)
        lone = _under(process.address, who, pid, items=None, over=LONE_OVER, scale=scale / 2)
    return {
        "deadline_ms": DEADLINE_MS,
        "payments_of_a_call": ITEMS,
        **judged,
        "lone_calls": lone,
        "shortfalls": _shortfalls(judged) if full else _collapsed(judged),
    }


def _collapsed(measured: dict[str, Any]) -> list[str]:
    """Of the reduced counts, which a neighbour's load moves: without shedding one in 200 is answered."""
    answered = measured["answered_in_time"]
    return [] if answered >= COLLAPSED else [f"answered_in_time {answered}, at least {COLLAPSED}"]


def _shortfalls(measured: dict[str, Any]) -> list[str]:
    limits = (
        ("answered_in_time", -ANSWERED_LEAST), ("full_of_capacity", -FULL_LEAST), ("p99_of_normal", P99_MOST),
        ("recovery_s", RECOVERY_MOST_S), ("growth_mib", GROWTH_MOST_MIB),
    )  # fmt: skip
    return [
        f"{name} {measured[name]}, {'at most' if limit > 0 else 'at least'} {abs(limit)}"
        for name, limit in limits
        if (measured[name] > limit if limit > 0 else measured[name] < -limit)
    ]
