"""Metrics of `ein gateway`. Labels are closed lists, so that the exposition stays small."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.runtime.native import engines
from gateway.server.gateway.hot_metrics import HotMetrics
from gateway.server.gateway.score_metrics import ScoreMetrics
from gateway.sharing.items import Tally


class GatewayMetrics:
    """What every batch adds to is in `HotMetrics`; children of the rest are bound before the first call."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._hot = HotMetrics(registry)
        self._of_admission(registry)
        self._undetermined = Counter("ein_undetermined", "Decisions of unknown fate.", registry=registry)
        self._degraded = Counter("ein_degraded", "Answers with a step left out.", registry=registry)
        self._repeated = Counter("ein_repeated", "Repeated requests.", registry=registry)
        self._refused = Counter("ein_refused", "Requests refused as malformed.", registry=registry)
        self.faults = Counter("ein_gateway_faults", "Faults of ours, each answered.", registry=registry)
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
        self.provider_files_refused = Gauge(
            "ein_provider_files_refused", "Files of providers that cannot be used.", registry=registry
        )
        self.velocity_warming = Gauge(
            "ein_velocity_warming", "1 until the journal is counted again after a start.", registry=registry
        )
        self.velocity_keys = Gauge("ein_velocity_keys", "Keys that are counted.", registry=registry)
        self.velocity_uncounted = Counter(
            "ein_velocity_uncounted", "Attempts that no count has.", registry=registry
        )
        self.streams = Gauge("ein_enrich_streams", "Streams of authorizations open.", registry=registry)
        self.policy_stale = Gauge("ein_policy_stale", "1 where the lease has run out.", registry=registry)
        self.score = ScoreMetrics(registry)

    def _of_admission(self, registry: CollectorRegistry) -> None:
        shed = Counter(
            "ein_enrich_shed", "Enrich calls answered without evaluation.", ["reason"], registry=registry
        )
        self._overloaded, self._over_deadline = shed.labels("overloaded"), shed.labels("over_deadline")
        self._late = Counter(
            "ein_enrich_late", "Enrich calls not evaluated when their answer was due.", registry=registry
        )

    def batch(self, tally: Tally, calls: int, duration_ns: int) -> None:
        """What one step of the hot loop came to."""
        self._hot.add(tally, calls, duration_ns)
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
