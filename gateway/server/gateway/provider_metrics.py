"""Metrics of the providers. Their names and reasons are few, and known from the start."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.server.gateway.bound_metrics import Bound
from gateway.sharing.items import Tally


class ProviderMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        omitted = Counter(
            "ein_provider_omissions",
            "Payments without what a provider knows.",
            ["provider", "reason"],
            registry=registry,
        )
        provided = Counter(
            "ein_provider_seconds",
            "Time that a provider took of the hot loop.",
            ["provider"],
            registry=registry,
        )
        self.files_refused = Gauge(
            "ein_provider_files_refused", "Files of providers that cannot be used.", registry=registry
        )
        self._omitted, self._provided = Bound(omitted), Bound(provided)

    def batch(self, tally: Tally) -> None:
        """What a batch was left without, and what each provider took of it."""
        for omission, count in tally.omitted.items():
            self._omitted[omission].inc(count)
        for provider, took_ns in tally.provided_ns.items():
            self._provided[provider,].inc(took_ns / 1e9)
