import asyncio
import json
import socket
import time
from dataclasses import replace

import grpc
import pytest

from issuernetwork.client import (
    MAX_BATCH_ITEMS,
    PATIENT,
    PRODUCTION,
    EnrichResult,
    PaymentClient,
    ReportFailed,
    service_config,
)
from issuernetwork.v1 import common_pb2, enrichment_pb2, feed_pb2, outcomes_pb2
from tests.unit.client.fake_gateway import FakeGateway, serving

HASTY = replace(PATIENT, report_pause_ms=1, report_max_pause_ms=2, watch_pause_ms=1)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def request(number: int = 1) -> enrichment_pb2.EnrichAuthorizationRequest:
    return enrichment_pb2.EnrichAuthorizationRequest(request_id=f"r-{number}", merchant_id="m-0001")


def nobody_listens() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_an_answer_comes_back_with_the_callers_token_sent() -> None:
    async def scenario() -> None:
        async with serving(FakeGateway()) as gateway, PaymentClient(gateway.target, "t-1") as client:
            result = await client.enrich(request(), deadline_ms=5_000)
            assert result.answered
            assert result.response is not None
            assert result.response.request_id == "r-1"
            assert gateway.tokens == {"Bearer t-1"}

    asyncio.run(scenario())


def test_a_gateway_that_is_away_gives_a_result_and_no_exception() -> None:
    async def scenario() -> EnrichResult:
        async with PaymentClient(nobody_listens(), "t") as client:
            return await client.enrich(request(), deadline_ms=20_000)

    result = asyncio.run(scenario())
    assert not result.answered
    assert result.reason == "unavailable"
    assert result.elements() == []


def test_a_slow_gateway_costs_the_payment_no_more_than_its_deadline() -> None:
    async def scenario() -> tuple[EnrichResult, float]:
        async with (
            serving(FakeGateway(delay_s=30.0)) as gateway,
            PaymentClient(gateway.target, "t") as client,
        ):
            started_s = time.monotonic()
            return await client.enrich(request(), deadline_ms=200), time.monotonic() - started_s

    result, took_s = asyncio.run(scenario())
    assert result.reason == "deadline_exceeded"
    assert result.maybe_recorded
    assert took_s < 15.0


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_no_status_of_the_gateway_raises_into_the_payment(code: grpc.StatusCode) -> None:
    async def scenario() -> EnrichResult:
        gateway = FakeGateway(failures=[code] * 10)
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=PATIENT) as client:
            return await client.enrich(request())

    result = asyncio.run(scenario())
    assert not result.answered
    assert result.reason == code.name.lower()


def test_a_passing_unavailable_is_tried_again_and_a_refusal_is_not() -> None:
    async def scenario(code: grpc.StatusCode) -> tuple[bool, int]:
        gateway = FakeGateway(failures=[code])
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=PATIENT) as client:
            return (await client.enrich(request())).answered, gateway.calls

    assert asyncio.run(scenario(UNAVAILABLE)) == (True, 2)
    assert asyncio.run(scenario(grpc.StatusCode.INVALID_ARGUMENT)) == (False, 1)


def test_more_calls_than_the_limit_are_answered_overloaded_without_waiting() -> None:
    async def scenario() -> list[EnrichResult]:
        gateway = FakeGateway(delay_s=0.2)
        preset = replace(PATIENT, max_in_flight=2)
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=preset) as client:
            return await asyncio.gather(*(client.enrich(request(number)) for number in range(5)))

    results = asyncio.run(scenario())
    assert [result.reason for result in results] == ["", "", "overloaded", "overloaded", "overloaded"]
    assert not any(result.maybe_recorded for result in results)


def test_a_closed_client_answers_closed() -> None:
    async def scenario() -> EnrichResult:
        async with serving(FakeGateway()) as gateway:
            client = PaymentClient(gateway.target, "t")
            await client.close()
            return await client.enrich(request())

    assert asyncio.run(scenario()).reason == "closed"


def test_a_cancelled_payment_stays_cancelled() -> None:
    async def scenario() -> None:
        async with (
            serving(FakeGateway(delay_s=30.0)) as gateway,
            PaymentClient(gateway.target, "t") as client,
        ):
            call = asyncio.create_task(client.enrich(request(), deadline_ms=60_000))
            await asyncio.sleep(0.05)
            call.cancel()
            await call

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


def test_a_batch_keeps_order_and_gives_each_item_its_own_result() -> None:
    async def scenario() -> list[EnrichResult]:
        gateway = FakeGateway()
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=PATIENT) as client:
            bad = enrichment_pb2.EnrichAuthorizationRequest(request_id="bad")
            return await client.enrich_batch([request(1), bad, request(3)])

    results = asyncio.run(scenario())
    assert [result.answered for result in results] == [True, False, True]
    assert results[1].reason == "invalid_argument"
    assert results[2].response is not None
    assert results[2].response.request_id == "r-3"


def test_a_batch_at_a_gateway_that_is_away_fails_open_for_every_item() -> None:
    async def scenario() -> list[EnrichResult]:
        async with PaymentClient(nobody_listens(), "t", preset=PATIENT) as client:
            return await client.enrich_batch([request(1), request(2)])

    assert [result.answered for result in asyncio.run(scenario())] == [False, False]


def test_a_batch_beyond_the_limit_is_a_mistake_of_the_caller() -> None:
    async def scenario() -> None:
        async with PaymentClient(nobody_listens(), "t") as client:
            await client.enrich_batch([request()] * (MAX_BATCH_ITEMS + 1))

    with pytest.raises(ValueError, match="256"):
        asyncio.run(scenario())


def test_only_what_was_shared_is_named_as_shared() -> None:
    def answer(
        asked: enrichment_pb2.EnrichAuthorizationRequest,
    ) -> enrichment_pb2.EnrichAuthorizationResponse:
        response = enrichment_pb2.EnrichAuthorizationResponse(request_id=asked.request_id)
        response.decisions.add(
            program="risk-score",
            status=common_pb2.SHARE_STATUS_SHARED,
            share_id="s-1",
            elements=[enrichment_pb2.MessageElement(target="DE48.SE71", value="17")],
        )
        response.decisions.add(
            program="enhanced-data", status=common_pb2.SHARE_STATUS_UNDETERMINED, share_id="s-2"
        )
        return response

    async def scenario() -> EnrichResult:
        gateway = FakeGateway(enrich=answer)
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=PATIENT) as client:
            return await client.enrich(request())

    result = asyncio.run(scenario())
    assert result.shared_ids() == ["s-1"]
    assert [element.target for element in result.elements()] == ["DE48.SE71"]


def test_outcomes_are_reported_again_until_they_are_taken() -> None:
    async def scenario() -> tuple[int, list[str]]:
        gateway = FakeGateway(failures=[grpc.StatusCode.RESOURCE_EXHAUSTED] * 3)
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=HASTY) as client:
            outcomes = [outcomes_pb2.OutcomeEvent(outcome_id=f"o-{number}") for number in range(1_500)]
            results = await client.report_outcomes(outcomes)
            return len(results), [outcome.outcome_id for outcome in gateway.outcomes]

    count, seen = asyncio.run(scenario())
    assert count == 1_500
    assert seen == [f"o-{number}" for number in range(1_500)]


def test_a_refused_report_says_so_at_once() -> None:
    async def scenario() -> None:
        gateway = FakeGateway(failures=[grpc.StatusCode.PERMISSION_DENIED] * 9)
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=HASTY) as client:
            with pytest.raises(ReportFailed, match="permission_denied"):
                await client.report_outcomes([outcomes_pb2.OutcomeEvent(outcome_id="o-1")])
            assert gateway.calls == 1

    asyncio.run(scenario())


def test_labels_go_to_the_feeds_and_need_their_address() -> None:
    label = feed_pb2.LabelEvent(label_id="l-1")

    async def scenario() -> list[str]:
        gateway = FakeGateway()
        async with serving(gateway):
            async with PaymentClient(gateway.target, "t", feeds_target=gateway.target) as client:
                assert (await client.report_labels([label]))[0].recorded
            async with PaymentClient(gateway.target, "t") as client:
                with pytest.raises(ValueError, match="feeds_target"):
                    await client.report_labels([label])
        return [taken.label_id for taken in gateway.labels]

    assert asyncio.run(scenario()) == ["l-1"]


def test_a_watch_that_breaks_goes_on_behind_its_last_event() -> None:
    events = [
        outcomes_pb2.WatchOutcomesResponse(cursor=str(number + 1), payment_intent_id=f"p-{number}")
        for number in range(7)
    ]

    async def scenario() -> tuple[list[str], int]:
        gateway = FakeGateway(events=events, break_after=3)
        seen: list[str] = []
        async with serving(gateway), PaymentClient(gateway.target, "t", preset=HASTY) as client:
            async with asyncio.timeout(20):
                async for event in client.watch_outcomes():
                    seen.append(event.payment_intent_id)
                    if len(seen) == len(events):
                        break
        return seen, gateway.calls

    seen, calls = asyncio.run(scenario())
    assert seen == [f"p-{number}" for number in range(7)]
    assert calls == 3


def test_the_service_config_retries_idempotent_calls_alone_and_is_throttled() -> None:
    config = json.loads(service_config())
    retried = {name["method"] for method in config["methodConfig"] for name in method["name"]}
    assert retried == {
        "EnrichAuthorization", "BatchEnrichAuthorizations", "ReportOutcomes",
        "Lookup", "ReportReceipts", "ReportLabels",
    }  # fmt: skip
    for method in config["methodConfig"]:
        assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert config["retryThrottling"] == {"maxTokens": 100, "tokenRatio": 0.1}


def test_the_production_preset_leaves_the_payment_its_time() -> None:
    assert PRODUCTION.enrich_deadline_ms == 50
