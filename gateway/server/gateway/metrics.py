"""Metrics of `ein gateway`. Labels are closed lists, so that the exposition stays small."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.records.reasons import Reason
from gateway.runtime.native import engines
from gateway.server.gateway.bound_metrics import Bound
from gateway.server.gateway.provider_metrics import ProviderMetrics
from gateway.server.gateway.score_metrics import ScoreMetrics
from gateway.sharing.items import Tally

_BATCH_CALLS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class GatewayMetrics:
    """Children are bound before the first call: a bound one costs 0.3 us."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._calls = Counter("ein_enrich_calls", "Enrich calls served.", registry=registry)
        self._of_admission(registry)
        self._items = Counter("ein_enrich_items", "Authorizations asked about.", registry=registry)
        self._evaluated = Counter("ein_evaluations", "Evaluations recorded.", registry=registry)
        self._released = Counter("ein_released", "Decisions that released data.", registry=registry)
        withheld = Counter(
            "ein_withheld", "Decisions that withheld data, by true reason.", ["reason"], registry=registry
        )
        self._withheld = {reason: withheld.labels(reason.name.lower()) for reason in Reason}
        self._undetermined = Counter("ein_undetermined", "Decisions of unknown fate.", registry=registry)
        self._degraded = Counter("ein_degraded", "Answers with a step left out.", registry=registry)
        self._repeated = Counter("ein_repeated", "Repeated requests.", registry=registry)
        self._refused = Counter("ein_refused", "Requests refused as malformed.", registry=registry)
        issues = Counter(
            "ein_field_issues",
            "Fields of requests that were dropped, refused or not fit to be shared.",
            ["field", "code"],
            registry=registry,
        )
        self._issues = Bound(issues)
        self.faults = Counter("ein_gateway_faults", "Faults of ours, each answered.", registry=registry)
        self._batch = Histogram(
            "ein_batch_calls", "Calls of one commit.", buckets=_BATCH_CALLS, registry=registry
        )
        self._seconds = Histogram(
            "ein_batch_seconds",
            "From taking a batch to its last answer, in seconds.",
            buckets=_SECONDS,
            registry=registry,
        )
        methods = Counter("ein_outcome_calls", "Outcome calls served.", ["method"], registry=registry)
        self._methods = {name: methods.labels(name) for name in ("ReportOutcomes", "WatchOutcomes")}
        self.policy_version = Gauge("ein_policy_version", "Snapshot in force.", registry=registry)
        self.policy_refused = Gauge(
            "ein_policy_refused", "Snapshot that could not be taken; 0: none.", registry=registry
        )
        native = Gauge("ein_native_engines", "1 where the engines in Rust serve.", registry=registry)
        native.set(0 if engines is None else 1)
        self.keys_lost = Gauge(
            "ein_recipient_keys_unavailable", "Recipients that nothing can be sealed to.", registry=registry
        )
        self.keys_ending = Gauge(
            "ein_recipient_keys_ending", "Recipients whose key ends soon.", registry=registry
        )
        self.own_keys_stale = Gauge(
            "ein_own_keys_stale", "1 while the key file has what cannot be taken.", registry=registry
        )
        self.providers = ProviderMetrics(registry)
        self.velocity_warming = Gauge(
            "ein_velocity_warming", "1 until the journal is counted again after a start.", registry=registry
        )
        self.velocity_keys = Gauge("ein_velocity_keys", "Keys that are counted.", registry=registry)
        self.streams = Gauge("ein_enrich_streams", "Streams of authorizations open.", registry=registry)
        self.policy_stale = Gauge("ein_policy_stale", "1 where the lease has run out.", registry=registry)
        self.score = ScoreMetrics(registry)

    def _of_admission(self, registry: CollectorRegistry) -> None:
        self._admitted = Counter("ein_enrich_admitted", "Enrich calls evaluated.", registry=registry)
        shed = Counter(
            "ein_enrich_shed", "Enrich calls answered without evaluation.", ["reason"], registry=registry
        )
        self._overloaded, self._over_deadline = shed.labels("overloaded"), shed.labels("over_deadline")
        self._late = Counter(
            "ein_enrich_late", "Enrich calls not evaluated when their answer was due.", registry=registry
        )
        self._queue = Histogram(
            "ein_queue_seconds",
            "Wait of the oldest call of a commit, at most, in seconds.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._limit = Gauge(
            "ein_queue_limit_seconds", "How long a call may wait at present, in seconds.", registry=registry
        )

    def batch(self, tally: Tally, calls: int, duration_ns: int) -> None:
        """What one step of the hot loop came to."""
        self._calls.inc(calls + tally.overloaded + tally.over_deadline)
        self._items.inc(tally.items)
        if calls:
            self._admitted.inc(calls)
            self._batch.observe(calls)
            self._seconds.observe(duration_ns / 1e9)
            self._queue.observe(tally.queue_ns / 1e9)
            self._limit.set(tally.limit_ns / 1e9)
        self._evaluated.inc(tally.evaluated)
        self._released.inc(tally.released)
        for reason, count in tally.withheld.items():
            self._withheld[reason].inc(count)
        for labels, count in tally.issues.items():
            self._issues[labels].inc(count)
        self.providers.batch(tally)
        for counter, count in (
            (self._undetermined, tally.undetermined),
            (self._degraded, tally.degraded),
            (self._overloaded, tally.overloaded),
            (self._over_deadline, tally.over_deadline),
            (self._late, tally.late),
            (self._repeated, tally.repeated),
            (self._refused, tally.refused),
            (self.faults, tally.faults),
        ):
            if count:
                counter.inc(count)

    def called(self, method: str) -> None:
        """A call of OutcomeService."""
        self._methods[method].inc()
