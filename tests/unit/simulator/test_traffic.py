"""The payment side of a run: nothing is left over at its end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from issuernetwork.v1 import feed_pb2
from simulator.labels import DueLabel, LabelSchedule
from simulator.lines import LineList
from simulator.payments import DAY_MS, TraceNumbers
from simulator.traffic import Traffic

LONGEST_DELAY_MS = 450 * DAY_MS
"""A millionth of the drawn delays is about as long; a file may say anything."""


class Client:
    """Takes labels."""

    def __init__(self) -> None:
        self.labels: list[feed_pb2.LabelEvent] = []

    async def report_labels(self, labels: Sequence[feed_pb2.LabelEvent]) -> list[SimpleNamespace]:
        self.labels += labels
        return [SimpleNamespace(recorded=True) for _ in labels]


def test_a_run_ends_with_every_label_reported_however_late_its_time(tmp_path: Path) -> None:
    client, lines = Client(), LineList(tmp_path / "sender.ndjson")
    traffic = Traffic(cast("Any", client), {}, lines, TraceNumbers(), seed=1)
    traffic.counters.event_ms = 1_750_000_000_000
    late = DueLabel(traffic.counters.event_ms + LONGEST_DELAY_MS, feed_pb2.LabelEvent(label_id="late"))
    assert traffic._label_schedule is not None
    traffic._label_schedule.add(late)
    at_issuer = LabelSchedule()
    at_issuer.add(late)
    asyncio.run(traffic.run([]))
    lines.close()
    assert [label.label_id for label in client.labels] == ["late"]
    # The issuers are told the same event time when the run drains.
    assert at_issuer.take_due(traffic.counters.event_ms, 1)
