"""What the hot loop's tallies come to in the gateway's metrics."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from gateway.records.reasons import Reason
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.sharing.items import Tally


def _value(metrics: GatewayMetrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None, name
    return found


def test_calls_are_counted_as_admitted_or_shed_and_as_late_where_they_were() -> None:
    metrics = GatewayMetrics()
    tally = Tally(items=12, degraded=5, overloaded=2, over_deadline=3, late=1, queue_ns=4_000_000)
    tally.limit_ns = 12_500_000
    metrics.batch(tally, 7, 1_000_000)
    assert _value(metrics, "ein_enrich_calls_total") == 12
    assert _value(metrics, "ein_enrich_admitted_total") == 7
    assert _value(metrics, "ein_enrich_shed_total", reason="overloaded") == 2
    assert _value(metrics, "ein_enrich_shed_total", reason="over_deadline") == 3
    assert _value(metrics, "ein_enrich_late_total") == 1
    assert _value(metrics, "ein_queue_seconds_sum") == 0.004
    assert _value(metrics, "ein_queue_limit_seconds") == 0.0125


def test_what_was_only_shed_is_no_commit() -> None:
    metrics = GatewayMetrics()
    metrics.batch(Tally(items=3, degraded=3, overloaded=3), 0, 0)
    assert _value(metrics, "ein_enrich_calls_total") == 3
    assert _value(metrics, "ein_batch_calls_count") == _value(metrics, "ein_batch_seconds_count") == 0
    assert _value(metrics, "ein_queue_seconds_count") == 0


def _lines(registry: CollectorRegistry, name: str) -> list[str]:
    return [
        line
        for line in generate_latest(registry).decode().splitlines()
        if line.startswith(name) and "_created" not in line
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 2_000_000_000)), max_size=20))
@example([(1, 500_000), (2, 500_001), (256, 1_000_000_000), (257, 1_000_000_001), (3, 0)])
def test_histograms_are_exposed_as_the_library_exposes_its_own(batches: list[tuple[int, int]]) -> None:
    metrics, registry = GatewayMetrics(), CollectorRegistry()
    calls = Histogram("ein_batch_calls", "", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256), registry=registry)
    seconds = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    took = Histogram("ein_batch_seconds", "", buckets=seconds, registry=registry)
    for count, duration_ns in batches:
        metrics.batch(Tally(), count, duration_ns)
        calls.observe(count)
        took.observe(duration_ns / 1e9)
    assert _lines(metrics.registry, "ein_batch_calls") == _lines(registry, "ein_batch_calls")
    # The sum of the library's is one of fractions, and off in its last digit.
    ours, theirs = (_lines(one, "ein_batch_seconds_bucket") for one in (metrics.registry, registry))
    assert ours == theirs
    total_ns = sum(duration_ns for _, duration_ns in batches)
    assert _value(metrics, "ein_batch_seconds_sum") == total_ns / 1e9


def test_every_reason_is_there_before_it_is_counted_and_what_batches_add_comes_together() -> None:
    metrics = GatewayMetrics()
    assert all(_value(metrics, "ein_withheld_total", reason=reason.name.lower()) == 0 for reason in Reason)
    told: dict[str, Any] = {"issues": {("ip", "private"): 2}, "omitted": {("device", "warming"): 3}}
    for took_ns in (500_000, 1_000_000):
        metrics.batch(Tally(items=4, evaluated=3, released=2, provided_ns={"device": took_ns}, **told), 1, 1)
    metrics.batch(Tally(withheld={Reason.HOLDOUT: 5}, faults=1), 1, 1)
    assert [_value(metrics, f"ein_{name}_total") for name in ("enrich_items", "evaluations", "released")] == [
        8,
        6,
        4,
    ]
    assert _value(metrics, "ein_withheld_total", reason="holdout") == 5
    assert _value(metrics, "ein_field_issues_total", field="ip", code="private") == 4
    assert _value(metrics, "ein_provider_omissions_total", provider="device", reason="warming") == 6
    assert _value(metrics, "ein_provider_seconds_total", provider="device") == 0.0015
    assert _value(metrics, "ein_gateway_faults_total") == 1
    assert b"ein_released_created" in generate_latest(metrics.registry)
    assert b"ein_queue_seconds_created" in generate_latest(metrics.registry)
