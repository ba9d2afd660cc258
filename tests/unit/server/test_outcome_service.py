"""Reports and watchers beside each other."""

import asyncio
import threading
from collections.abc import Sequence

from gateway.outcomes.recorder import OutcomeRecorder
from gateway.records.journal import Entry
from gateway.runtime.clock import SystemClock
from gateway.server.gate import calling
from gateway.server.gateway.outcome_service import OutcomeServicer
from gateway.server.identity import Principal
from gateway.sharing.remembered import Positions
from issuernetwork.v1 import outcomes_pb2 as v1

DEADLINE_S = 10.0
WATCHERS = 100


class Stuck:
    """A journal of feeds whose disk does not answer."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def read(self, topic: str, after: int, max_records: int) -> list[Entry]:
        self.go_on.wait(2 * DEADLINE_S)
        return []

    def end(self, topic: str) -> int:
        return -1


class Written:
    """A journal writer."""

    def append(self, topic: str, payloads: Sequence[bytes]) -> list[int]:
        return list(range(len(payloads)))


def test_whatever_their_ids_outcomes_are_recorded_once() -> None:
    clock = SystemClock()
    recorder = OutcomeRecorder(Written(), clock, Positions(1 << 10))  # type: ignore[arg-type]
    events = [
        v1.OutcomeEvent(
            outcome_id=f"o-{number}",
            payment_intent_id="p",
            kind=v1.OUTCOME_KIND_ADVICE,
            occurred_at_ms=clock.wall_ms(),
        )
        for number in range(100)
    ]
    for expected in (v1.REPORT_STATUS_RECORDED, v1.REPORT_STATUS_DUPLICATE):
        [answer] = recorder.record([("shop-1", events)])
        assert {result.status for result in answer.results} == {expected}


def test_watchers_that_wait_for_the_disk_hold_up_no_report_and_no_other_work() -> None:
    clock, stuck = SystemClock(), Stuck()
    servicer = OutcomeServicer(
        recorder=OutcomeRecorder(Written(), clock, Positions(1 << 10)),  # type: ignore[arg-type]
        make_reader=lambda: stuck,  # type: ignore[arg-type,return-value]
    )
    event = v1.OutcomeEvent(
        outcome_id="o", payment_intent_id="p", kind=v1.OUTCOME_KIND_ADVICE, occurred_at_ms=clock.wall_ms()
    )

    async def watch() -> None:
        async for _ in servicer.WatchOutcomes(v1.WatchOutcomesRequest(), None):
            raise AssertionError("there is nothing to tell")

    async def scenario() -> v1.ReportOutcomesResponse:
        watching = [asyncio.ensure_future(watch()) for _ in range(WATCHERS)]
        try:
            await asyncio.sleep(0)
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.to_thread(int)
                return await servicer.ReportOutcomes(v1.ReportOutcomesRequest(outcomes=[event]), None)
        finally:
            stuck.go_on.set()
            for one in watching:
                one.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    with calling(Principal("shop-1", "caller")):
        answer = asyncio.run(scenario())
    servicer.close()
    assert [result.status for result in answer.results] == [v1.REPORT_STATUS_RECORDED]
