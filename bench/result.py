"""The form of a result, and what alternated runs are boiled down to."""

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How much is measured. Odd numbers of runs, for medians."""

    runs: int = 5
    calls: int = 6_000  # most of a second of the reference
    batch_calls: int = 800  # most of a second of ours
    warm_up: int = 2_000


FULL = Scale()
QUICK = Scale(runs=3, calls=2_000, batch_calls=240, warm_up=1_000)


@dataclass(frozen=True)
class Run:
    """One run of one side. `items` counts what the rate is of; latencies are of calls."""

    items: int
    seconds: float
    latencies_ms: list[float]
    generator_share: float = 0.0
    """CPU seconds of the load generator by wall seconds."""

    @property
    def rate(self) -> float:
        return self.items / self.seconds


def _percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _rounded(milliseconds: float) -> float:
    """To a microsecond; what takes less keeps three digits."""
    return round(milliseconds, 3) if milliseconds >= 0.1 else float(f"{milliseconds:.3g}")


def alternate(
    name: str,
    reference: str,
    measured: Callable[[int], Run],
    compared: Callable[[int], Run],
    *,
    runs: int = FULL.runs,
    load: str = "",
    beside: Mapping[str, Callable[[int], Run]] | None = None,
) -> str:
    """Runs both sides in turn, after a warm-up of each; the JSON line of the medians.

    What stands `beside` runs in the same rounds, and its rates are told without a limit.
    """
    others: Mapping[str, Callable[[int], Run]] = beside or {}
    for side in (measured, compared, *others.values()):
        side(-1)
    ours, theirs = [], []
    besides: dict[str, list[float]] = {name: [] for name in others}
    for number in range(runs):
        theirs.append(compared(number))
        ours.append(measured(number))
        for other, side in others.items():
            besides[other].append(side(number).rate)
    latencies = [value for run in ours for value in run.latencies_ms]
    share = statistics.median(run.generator_share for run in ours)
    result: dict[str, object] = {
        "bench": name,
        "reference": reference,
        "ratio": round(statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True)), 3),
        "rate_per_s": round(statistics.median(run.rate for run in ours)),
        "p50_ms": _rounded(_percentile(latencies, 0.5)),
        "p99_ms": _rounded(_percentile(latencies, 0.99)),
        "runs": runs,
        "reference_rate_per_s": round(statistics.median(run.rate for run in theirs)),
    }
    if load:
        result["load"] = load
    if besides:
        result["beside_rate_per_s"] = {
            other: round(statistics.median(rates)) for other, rates in besides.items()
        }
    if share:
        result["limit"] = "server" if share < 0.9 else "load generator"
        result["generator_cpu_share"] = round(share, 2)
    return json.dumps(result)
