"""Metrics of the feeds. Every label is bounded."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FAN_OUT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Around the 25 ms from answer to look-up."""


class FeedsMetrics:
    """Counters for the operator; the conservation account is never computed from them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.shares = Counter("ein_feeds_shares", "Shares fanned out.", registry=self.registry)
        self.records = Counter(
            "ein_feeds_records", "Journal records read.", ["topic"], registry=self.registry
        )
        self.behind = Gauge(
            "ein_feeds_records_behind", "Records not fanned out yet.", ["topic"], registry=self.registry
        )
        self.fan_out_seconds = Histogram(
            "ein_feeds_fan_out_seconds", "One batch of fan-out.", buckets=FAN_OUT_BUCKETS_S,
            registry=self.registry,
        )  # fmt: skip
        self.sets = Counter(
            "ein_feeds_sets_sent", "SETs handed to recipients by poll.", registry=self.registry
        )
        self.withdrawn = Counter(
            "ein_feeds_withdrawn", "Items withdrawn by a switch.", registry=self.registry
        )
        self.calls = Counter("ein_feeds_calls", "Calls served.", ["method"], registry=self.registry)
        self.faults = Counter("ein_feeds_faults", "Calls or steps that failed.", registry=self.registry)
        self.policy_version = Gauge("ein_feeds_policy_version", "Snapshot in force.", registry=self.registry)
        self.policy_refused = Gauge(
            "ein_feeds_policy_refused", "Snapshot that could not be taken; 0: none.", registry=self.registry
        )
        self.stale = Gauge(
            "ein_feeds_policy_stale", "1 while the switches are stale.", registry=self.registry
        )
        self.own_keys_stale = Gauge(
            "ein_feeds_own_keys_stale",
            "1 while the key file has what cannot be taken.",
            registry=self.registry,
        )
        self.signing_keys = Gauge(
            "ein_feeds_signing_keys", "Keys of the JWK Set.", ["state"], registry=self.registry
        )
        self.ledger_entries = Counter(
            "ein_feeds_ledger_entries", "Entries added to the ledger.", registry=self.registry
        )
        self.ledger_lag_seconds = Gauge(
            "ein_feeds_ledger_lag_seconds", "Since the ledger held all that was durable.",
            registry=self.registry,
        )  # fmt: skip
        self.ledger_faults = Counter(
            "ein_feeds_ledger_faults", "Rounds of the ledger put off.", registry=self.registry
        )
