"""Reports while fan-out is behind."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.programs.subjects import Subjects
from gateway.records.journal import EVALUATIONS
from gateway.runtime.clock import SystemClock
from gateway.server.feeds.engine import REPORTS_WAITING, FeedsEngine, Overloaded
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.feeds.service import CATCH_UP_MAX_S, FeedServicer
from gateway.server.gate import calling
from gateway.server.identity import Principal
from issuernetwork.v1 import feed_pb2 as v1

_CONTEXT = SimpleNamespace(invocation_metadata=lambda: ())
_LABELS = v1.ReportLabelsRequest(labels=[v1.LabelEvent(label_id="l")])
_RECEIPTS = v1.ReportReceiptsRequest(
    receipts=[v1.Receipt(receipt_id="r", share_id="s", use=v1.RECEIPT_USE_USED)]
)


def _servicer() -> tuple[FeedServicer, FeedsEngine]:
    """Over a journal of which nothing is fanned out, and no thread that would do it."""
    parts = SimpleNamespace(
        clock=SystemClock(),
        core=None,
        consents=SimpleNamespace(subjects=Subjects()),
        gateway_journal=SimpleNamespace(end=lambda topic: 7),
        report_reader=SimpleNamespace(share=lambda share_id: None),
        labels=SimpleNamespace(take=lambda *_, **__: []),
        switches=SimpleNamespace(fresh=lambda: False, watcher=SimpleNamespace(view=object())),
        store=SimpleNamespace(unconfirmed_records=list, known_reports=lambda *_: set()),
    )
    engine = FeedsEngine(cast(Any, parts), FeedsMetrics())
    return FeedServicer(engine, cast(Any, None)), engine


@pytest.mark.parametrize("kind", ["labels", "receipts"])
def test_reports_wait_for_the_fan_out_beside_each_other_and_no_more_than_a_limit(kind: str) -> None:
    servicer, engine = _servicer()

    def report() -> Any:
        if kind == "labels":
            return servicer.ReportLabels(_LABELS, _CONTEXT)
        return servicer.ReportReceipts(_RECEIPTS, _CONTEXT)

    async def all_at_once() -> list[Any]:
        with calling(Principal("bank", "issuer")):
            calls = [report() for _ in range(REPORTS_WAITING + 3)]
            return await asyncio.gather(*calls, return_exceptions=True)

    started_s = time.monotonic()
    answers = asyncio.run(all_at_once())
    taken_s = time.monotonic() - started_s
    engine.close()
    refused = [answer for answer in answers if isinstance(answer, Overloaded)]
    assert len(refused) == 3
    assert not [one for one in answers if isinstance(one, BaseException) and one not in refused]
    # One after the other they would take 64 times as long.
    assert taken_s < REPORTS_WAITING / 4 * CATCH_UP_MAX_S


def test_a_report_goes_on_as_soon_as_the_fan_out_has_caught_up() -> None:
    _, engine = _servicer()

    async def catch_up() -> bool:
        engine.attach(asyncio.get_running_loop())
        waiting = asyncio.ensure_future(engine.caught_up(3600))
        await asyncio.sleep(0)
        engine._positions[EVALUATIONS] = 7
        engine._on_loop(engine._tell_followers)
        return await asyncio.wait_for(waiting, 20)

    assert asyncio.run(catch_up())
    assert not engine._followers
    engine.close()
