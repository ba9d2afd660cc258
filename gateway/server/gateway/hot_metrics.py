"""What every batch of the hot loop adds to: plain sums, put into the form of the exposition where it is asked
for. A counter of the library's takes a lock and three calls, thirty times a batch."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.records.reasons import Reason
from gateway.sharing.items import Tally

_BATCH_CALLS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_NANOSECONDS = tuple(
    round(s * 1e9) for s in (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
)


class _Spread:
    """A histogram of whole numbers. `unit`: so many of them are one of what is told."""

    __slots__ = ("_bounds", "_counts", "_sum", "_unit")

    def __init__(self, bounds: tuple[int, ...], unit: int) -> None:
        self._bounds, self._unit = bounds, unit
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0

    def add(self, value: int) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, text: str, created_s: float) -> Metric:
        """As it is exposed: each bucket with all below it."""
        buckets, below = [], 0
        for bound, count in zip((*self._bounds, None), self._counts, strict=True):
            below += count
            buckets.append(("+Inf" if bound is None else repr(bound / self._unit), below))
        family = HistogramMetricFamily(name, text)
        family.add_metric([], buckets, self._sum / self._unit)
        family.add_sample(f"{name}_created", {}, created_s)
        return family


class HotMetrics(Collector):
    """One lock a batch: the hot loop adds, and who stands in for it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._created_s = time.time()
        self._calls = self._items = self._admitted = self._evaluated = self._released = self._limit_ns = 0
        self._withheld = dict.fromkeys(Reason, 0)
        self._issues: dict[tuple[str, str], int] = {}
        self._omitted: dict[tuple[str, str], int] = {}
        self._provided_ns: dict[str, int] = {}
        self._batch = _Spread(_BATCH_CALLS, 1)
        self._took, self._queued = _Spread(_NANOSECONDS, 10**9), _Spread(_NANOSECONDS, 10**9)
        registry.register(self)

    def add(self, tally: Tally, calls: int, duration_ns: int) -> None:
        """What one step of the hot loop came to."""
        with self._lock:
            self._calls += calls + tally.overloaded + tally.over_deadline
            self._items += tally.items
            if calls:
                self._admitted += calls
                self._batch.add(calls)
                self._took.add(duration_ns)
                self._queued.add(tally.queue_ns)
                self._limit_ns = tally.limit_ns
            self._evaluated += tally.evaluated
            self._released += tally.released
            for reason, count in tally.withheld.items():
                self._withheld[reason] += count
            for provider, took_ns in tally.provided_ns.items():
                self._provided_ns[provider] = self._provided_ns.get(provider, 0) + took_ns
            for sums, found in ((self._issues, tally.issues), (self._omitted, tally.omitted)):
                for labels, count in found.items():
                    sums[labels] = sums.get(labels, 0) + count

    def describe(self) -> Iterable[Metric]:
        """Names, for the registry."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """As the library asks for it."""
        with self._lock:
            return [*self._totals(), *self._labelled(), *self._spreads()]

    def _totals(self) -> Iterator[Metric]:
        for name, text, value in (
            ("ein_enrich_calls", "Enrich calls served.", self._calls),
            ("ein_enrich_admitted", "Enrich calls evaluated.", self._admitted),
            ("ein_enrich_items", "Authorizations asked about.", self._items),
            ("ein_evaluations", "Evaluations recorded.", self._evaluated),
            ("ein_released", "Decisions that released data.", self._released),
        ):
            yield self._counter(name, text, (), [((), value)])

    def _labelled(self) -> Iterator[Metric]:
        withheld = {(reason.name.lower(),): count for reason, count in self._withheld.items()}
        provided = {(name,): took_ns / 1e9 for name, took_ns in self._provided_ns.items()}
        yield self._counter(
            "ein_withheld", "Decisions that withheld data, by true reason.", ("reason",), withheld.items()
        )
        yield self._counter(
            "ein_field_issues",
            "Fields of requests that were dropped, refused or not fit to be shared.",
            ("field", "code"),
            self._issues.items(),
        )
        yield self._counter(
            "ein_provider_omissions",
            "Payments without what a provider knows.",
            ("provider", "reason"),
            self._omitted.items(),
        )
        yield self._counter(
            "ein_provider_seconds",
            "Time that a provider took of the hot loop.",
            ("provider",),
            provided.items(),
        )

    def _spreads(self) -> Iterator[Metric]:
        for spread, name, text in (
            (self._batch, "ein_batch_calls", "Calls of one commit."),
            (self._took, "ein_batch_seconds", "From taking a batch to its last answer, in seconds."),
            (self._queued, "ein_queue_seconds", "Wait of the oldest call of a commit, at most, in seconds."),
        ):
            yield spread.family(name, text, self._created_s)
        yield GaugeMetricFamily(
            "ein_queue_limit_seconds",
            "How long a call may wait at present, in seconds.",
            value=self._limit_ns / 1e9,
        )

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...], sums: Iterable[tuple[tuple[str, ...], float]]
    ) -> Metric:
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in sums:
            family.add_metric(values, count, created=self._created_s)
        return family
