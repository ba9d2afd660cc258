"""`ein gateway` as a process: both fronts, outcomes, restart, drain."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.wake import WakeSender
from gateway.records.journal import EVALUATIONS, FEEDS_TOPICS, LABELS, OUTCOMES, RECEIPTS
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import (
    common_pb2,
    enrichment_pb2,
    enrichment_pb2_grpc,
    feed_pb2,
    outcomes_pb2,
    outcomes_pb2_grpc,
)
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.kit.payments import payment

TIMEOUT_S = 20.0


class Running:
    """An installation and its gateway."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.process = Process(installation)

    @property
    def metadata(self) -> list[tuple[str, str]]:
        return self.installation.metadata("payments")

    def run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            options = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.insecure_channel(self.process.address, options=options) as channel:
                return await asyncio.wait_for(work(channel), TIMEOUT_S)

        return asyncio.run(main())

    def enrich(self, *requests: Any) -> list[Any]:
        async def work(channel: Any) -> Any:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)
            calls = [
                stub.EnrichAuthorization(one, metadata=self.metadata, timeout=TIMEOUT_S) for one in requests
            ]
            return await asyncio.gather(*calls)

        found: list[Any] = self.run(work)
        return found

    def report(self, *outcomes: Any) -> Any:
        async def work(channel: Any) -> Any:
            stub = outcomes_pb2_grpc.OutcomeServiceStub(channel)
            request = outcomes_pb2.ReportOutcomesRequest(outcomes=outcomes)
            return await stub.ReportOutcomes(request, metadata=self.metadata, timeout=TIMEOUT_S)

        return self.run(work)

    def metrics(self) -> dict[str, float]:
        """Sample to value, names with their labels."""
        with urllib.request.urlopen(f"http://{self.process.metrics}/metrics") as reply:
            lines = reply.read().decode().splitlines()
        return {
            name: float(value) for name, _, value in (one.rpartition(" ") for one in lines if one[0] != "#")
        }

    def count(self, topic: str) -> int:
        reader = FileJournalReader(RealDisk(), self.installation.state.gateway_journal)
        return reader.end(topic) + 1


@pytest.fixture(scope="module", params=["native", "grpcio"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(Installation(tmp_path_factory.mktemp("g"), front=request.param))
    yield running
    assert running.process.stop() == 0


def outcome(number: int) -> Any:
    return outcomes_pb2.OutcomeEvent(
        outcome_id=f"o-{number}",
        payment_intent_id=f"p-i-{number}",
        kind=outcomes_pb2.OUTCOME_KIND_AUTHORIZATION,
        occurred_at_ms=time.time_ns() // 1_000_000,
        approved=True,
    )


def test_payments_are_shared_recorded_and_counted(running: Running) -> None:
    names = ("ein_evaluations_total", "ein_released_total", 'ein_withheld_total{reason="shadow"}')
    before, counted = running.count(EVALUATIONS), running.metrics()
    answers = running.enrich(*(payment(n, prefix="share") for n in range(40)))
    assert running.count(EVALUATIONS) - before == 40
    shared = [d for a in answers for d in a.decisions if d.status == common_pb2.SHARE_STATUS_SHARED]
    assert 5 < len(shared) < 40
    now = running.metrics()
    # One program of Northgate's is in shadow, the other shares with half of the cards.
    assert [now[name] - counted[name] for name in names] == [40, len(shared), 40]


def test_a_hundred_repeats_at_once_are_one_evaluation(running: Running) -> None:
    before = running.count(EVALUATIONS)
    answers = running.enrich(*[payment(1, prefix="repeat", now_ms=1_790_000_000_000)] * 100)
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert running.count(EVALUATIONS) - before == 1


def test_a_batch_answers_each_item_in_order(running: Running) -> None:
    requests = [payment(n, prefix="batch") for n in range(5)]
    requests[2].currency = "nothing"

    async def work(channel: Any) -> Any:
        stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)
        batch = enrichment_pb2.BatchEnrichAuthorizationsRequest(requests=requests)
        return await stub.BatchEnrichAuthorizations(batch, metadata=running.metadata)

    items = running.run(work).items
    assert [item.response.request_id for item in items] == [
        "" if n == 2 else f"batch-r-{n}" for n in range(5)
    ]
    assert items[2].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert items[2].error.field_issues[0].field == "currency"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", grpc.StatusCode.UNAUTHENTICATED),
        ("Bearer nothing", grpc.StatusCode.UNAUTHENTICATED),
        ("issuer", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_only_callers_may_enrich_or_report(running: Running, token: str, code: grpc.StatusCode) -> None:
    if token == "issuer":
        token = f"Bearer {running.installation.tokens['northgate-bank']}"
    metadata = (("authorization", token),) if token else ()

    async def work(channel: Any) -> Any:
        codes = []
        for call in (
            enrichment_pb2_grpc.EnrichmentServiceStub(channel).EnrichAuthorization(
                payment(1, prefix="who"), metadata=metadata
            ),
            outcomes_pb2_grpc.OutcomeServiceStub(channel).ReportOutcomes(
                outcomes_pb2.ReportOutcomesRequest(outcomes=[outcome(1)]), metadata=metadata
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as fault:
                await call
            codes.append(fault.value.code())
        return codes

    assert running.run(work) == [code, code]


def test_bytes_that_are_no_message_are_refused_without_an_echo(running: Running) -> None:
    async def work(channel: Any) -> Any:
        found = []
        for path in (
            "/issuernetwork.v1.EnrichmentService/EnrichAuthorization",
            "/issuernetwork.v1.OutcomeService/ReportOutcomes",
        ):
            with pytest.raises(grpc.aio.AioRpcError) as fault:
                await channel.unary_unary(path)(b"\xffsecret 4111111111111111", metadata=running.metadata)
            found.append((fault.value.code(), fault.value.details()))
        return found

    for code, details in running.run(work):
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "4111" not in details


def test_outcomes_are_recorded_once_and_refused_by_field(running: Running) -> None:
    before = running.count(OUTCOMES)
    bad = outcome(10)
    bad.payment_intent_id = ""
    first = running.report(outcome(11), bad, outcome(11))
    second = running.report(outcome(11))
    status = [result.status for result in (*first.results, *second.results)]
    recorded, refused, duplicate = (
        outcomes_pb2.REPORT_STATUS_RECORDED,
        outcomes_pb2.REPORT_STATUS_REFUSED,
        outcomes_pb2.REPORT_STATUS_DUPLICATE,
    )
    assert status == [recorded, refused, duplicate, duplicate]
    assert first.results[1].field_issues[0].field == "payment_intent_id"
    assert running.count(OUTCOMES) - before == 1


def test_watching_brings_the_senders_own_receipts_and_labels_from_the_cursor_on(running: Running) -> None:
    state = running.installation.state
    wake = WakeSender(state.run, "feeds")
    writer = FileJournalWriter(RealDisk(), SystemClock(), state.feeds_journal, FEEDS_TOPICS, wake=wake)

    def receipt(name: str, sender_id: str) -> bytes:
        record = journal_pb2.ReceiptRecord(sender_id=sender_id, payment_intent_id=name)
        record.receipt.receipt_id = name
        return record.SerializeToString()

    async def work(channel: Any) -> Any:
        stub = outcomes_pb2_grpc.OutcomeServiceStub(channel)
        start = f"r{writer.end(RECEIPTS)}.l{writer.end(LABELS)}"
        stream = stub.WatchOutcomes(
            outcomes_pb2.WatchOutcomesRequest(after_cursor=start), metadata=running.metadata
        )
        writer.append(RECEIPTS, [receipt("mine", "payments"), receipt("theirs", "shop-2")])
        first = await stream.read()
        label = journal_pb2.LabelRecord(sender_id="payments", payment_intent_id="labelled")
        label.label.kind = feed_pb2.LABEL_KIND_FRAUD
        writer.append(LABELS, [label.SerializeToString()])
        second = await stream.read()
        stream.cancel()
        again = stub.WatchOutcomes(
            outcomes_pb2.WatchOutcomesRequest(after_cursor=first.cursor), metadata=running.metadata
        )
        resumed = await again.read()
        again.cancel()
        return first, second, resumed

    try:
        first, second, resumed = running.run(work)
    finally:
        writer.close()
        wake.close()
    assert (first.payment_intent_id, first.receipt.receipt_id) == ("mine", "mine")
    assert (second.payment_intent_id, second.label.kind) == ("labelled", feed_pb2.LABEL_KIND_FRAUD)
    assert resumed == second


SERVICES = ("", *(f"issuernetwork.v1.{name}Service" for name in ("Enrichment", "Outcome", "Program")))


def test_health_says_serving_of_each_service_until_the_drain_and_knows_no_other(running: Running) -> None:
    async def work(channel: Any) -> Any:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Check(health_pb2.HealthCheckRequest(service="issuernetwork.v1.NoService"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        watched = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in SERVICES]
        before = [(await one.read()).status for one in watched]
        running.process.popen.terminate()
        return before, [(await one.read()).status for one in watched]

    status = health_pb2.HealthCheckResponse
    before, after = running.run(work)
    assert running.process.popen.wait(TIMEOUT_S) == 0
    running.process = Process(running.installation)
    assert before == [status.SERVING] * len(SERVICES)
    assert after == [status.NOT_SERVING] * len(SERVICES)


def test_after_a_kill_nothing_is_lost_and_a_repeat_gets_the_same_answer(running: Running) -> None:
    asked = [payment(n, prefix="killed", now_ms=1_790_000_000_000) for n in range(30)]
    before = running.enrich(*asked)
    running.report(outcome(50))
    recorded = running.count(EVALUATIONS)
    running.process.kill()
    running.process = Process(running.installation)
    assert running.enrich(*asked) == before
    assert running.count(EVALUATIONS) == recorded
    assert running.report(outcome(50)).results[0].status == outcomes_pb2.REPORT_STATUS_DUPLICATE


def test_a_drain_answers_what_is_under_way_and_exits_with_zero(running: Running) -> None:
    async def work(channel: Any) -> Any:
        stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)
        calls = [
            asyncio.ensure_future(
                stub.EnrichAuthorization(payment(n, prefix="drain"), metadata=running.metadata)
            )
            for n in range(100)
        ]
        await calls[0]
        running.process.popen.terminate()
        return await asyncio.gather(*calls, return_exceptions=True)

    before = running.count(EVALUATIONS)
    results = running.run(work)
    assert running.process.popen.wait(TIMEOUT_S) == 0
    answered = [one for one in results if isinstance(one, enrichment_pb2.EnrichAuthorizationResponse)]
    assert {one.code() for one in results if isinstance(one, grpc.aio.AioRpcError)} <= {
        grpc.StatusCode.UNAVAILABLE
    }
    assert running.count(EVALUATIONS) - before >= len(answered) > 0
    assert running.installation.state.velocity_snapshot.exists()
    lines = [json.loads(line) for line in running.process.log().splitlines() if line.startswith("{")]
    assert {"ready", "stopped"} <= {line["event"] for line in lines}
    running.process = Process(running.installation)
