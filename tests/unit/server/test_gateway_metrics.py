"""What the hot loop's tallies come to in the gateway's metrics."""

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
