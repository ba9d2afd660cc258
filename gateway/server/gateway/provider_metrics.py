"""Metrics of the providers. Their names and reasons are few, and known from the start."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.sharing.items import Tally


class ProviderMetrics:
    """Children are bound once: a bound one costs 0.3 us."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._omitted = Counter(
            "ein_provider_omissions",
            "Payments without what a provider knows.",
            ["provider", "reason"],
            registry=registry,
        )
        self._provided = Counter(
            "ein_provider_seconds",
            "Time that a provider took of the hot loop.",
            ["provider"],
            registry=registry,
        )
        self.files_refused = Gauge(
            "ein_provider_files_refused", "Files of providers that cannot be used.", registry=registry
        )
        self._children: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

    def batch(self, tally: Tally) -> None:
        """What a batch was left without, and what each provider took of it."""
        for omission, count in tally.omitted.items():
            self._child(self._omitted, *omission).inc(count)
        for provider, took_ns in tally.provided_ns.items():
            self._child(self._provided, provider).inc(took_ns / 1e9)

    def _child(self, counter: Counter, *labels: str) -> Counter:
        child = self._children.get((counter, labels))
        if child is None:
            child = self._children[counter, labels] = counter.labels(*labels)
        return child
