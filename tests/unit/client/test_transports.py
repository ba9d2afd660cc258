"""One call, three ways: what travels with others keeps its own budget, result and fate."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuernetwork import client as client_module
from issuernetwork._gathering import STALLED_ITEMS, _budget, _field
from issuernetwork.client import PATIENT, EnrichResult, PaymentClient, Preset, Transport, service_config
from issuernetwork.v1 import enrichment_pb2
from tests.unit.client.fake_gateway import FakeGateway, serving

BATCHED = replace(PATIENT, transport="batch", gather_us=20_000)
STREAMED = replace(PATIENT, transport="stream", streams=1)
Request = enrichment_pb2.EnrichAuthorizationRequest


def request(name: str, merchant_id: str = "m-0001") -> Request:
    return Request(request_id=name, merchant_id=merchant_id)


def run(
    gateway: FakeGateway, preset: Preset, work: Callable[[PaymentClient], Awaitable[Any]]
) -> tuple[Any, client_module.ClientCounters]:
    async def scenario() -> Any:
        async with serving(gateway), PaymentClient(gateway.target, "t-1", preset=preset) as client:
            return await asyncio.wait_for(work(client), 20), client.counters()

    return asyncio.run(scenario())  # type: ignore[no-any-return]


async def all_of(client: PaymentClient, names: list[str], **options: Any) -> list[EnrichResult]:
    return await asyncio.gather(*(client.enrich(request(name), **options) for name in names))


def answered_ids(results: list[EnrichResult]) -> list[str]:
    return [result.response.request_id if result.response is not None else "" for result in results]


NAMES = [f"r-{number}" for number in range(100)]


@pytest.mark.parametrize("transport", ["auto", "unary", "batch", "stream"])
def test_each_way_gives_each_payment_its_own_answer(transport: Transport) -> None:
    gateway = FakeGateway()
    results, counted = run(gateway, PATIENT, lambda client: all_of(client, NAMES, transport=transport))
    assert answered_ids(results) == NAMES
    assert gateway.tokens == {"Bearer t-1"}
    assert counted.answered == len(NAMES)
    assert not counted.fallbacks
    by_way = (counted.unary_calls, counted.batch_items, counted.stream_items)
    few = PATIENT.gather_from_in_flight
    assert by_way == {
        "auto": (few, len(NAMES) - few, 0), "unary": (len(NAMES), 0, 0),
        "batch": (0, len(NAMES), 0), "stream": (0, 0, len(NAMES)),
    }[transport]  # fmt: skip


def test_few_at_once_go_alone_and_without_waiting_for_others() -> None:
    gateway = FakeGateway()
    preset = replace(PATIENT, gather_us=10_000_000)
    results, counted = run(
        gateway, preset, lambda client: all_of(client, NAMES[: PATIENT.gather_from_in_flight])
    )
    assert all(result.answered for result in results)
    assert counted.batch_calls == 0


def test_a_batch_leaves_when_it_is_full_and_holds_no_more_than_its_limit() -> None:
    gateway = FakeGateway()
    preset = replace(BATCHED, gather_us=10_000_000, gather_items=10)
    results, counted = run(gateway, preset, lambda client: all_of(client, NAMES))
    assert all(result.answered for result in results)
    assert [len(message) for message in gateway.messages] == [10] * 10
    assert counted.batch_calls == 10


def test_a_batch_leaves_when_its_time_is_over_and_one_alone_goes_alone() -> None:
    gateway = FakeGateway()

    async def work(client: PaymentClient) -> Any:
        return await all_of(client, NAMES[:3]), await client.enrich(request("lone"))

    (three, lone), counted = run(gateway, BATCHED, work)
    assert answered_ids(three) == NAMES[:3]
    assert lone.answered
    assert (counted.batch_items, counted.unary_calls) == (3, 1)
    assert not counted.fallbacks


def test_a_batch_never_grows_beyond_what_one_message_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuernetwork._gathering.MESSAGE_BYTES", 300)
    gateway = FakeGateway()

    async def work(client: PaymentClient) -> Any:
        large = [request(name, merchant_id="m" * 100) for name in NAMES[:12]]
        return await asyncio.gather(*(client.enrich(one) for one in large))

    results, _ = run(gateway, BATCHED, work)
    assert all(result.answered for result in results)
    assert max(len(message) for message in gateway.messages) == 2


def test_the_shortest_budget_of_a_batch_is_its_own_and_the_others_go_on_alone() -> None:
    gateway = FakeGateway(slow={"r-0": 30.0})

    async def work(client: PaymentClient) -> Any:
        began = time.monotonic()

        async def timed(name: str, deadline_ms: int) -> tuple[EnrichResult, float]:
            return await client.enrich(request(name), deadline_ms=deadline_ms), time.monotonic() - began

        return await asyncio.gather(timed("r-0", 1_000), timed("r-1", 15_000), timed("r-2", 15_000))

    ((short, took_s), (long, _), (longer, _)), counted = run(gateway, BATCHED, work)
    assert (short.answered, short.reason, short.maybe_recorded) == (False, "deadline_exceeded", True)
    assert took_s < 10, "not when the batch is answered"
    assert long.answered and longer.answered  # noqa: PT018
    assert counted.fallbacks == {"batch_deadline": 3}
    assert counted.unary_calls == 2
    assert counted.unanswered == {"deadline_exceeded": 1}


def test_a_batch_that_is_refused_as_a_whole_goes_one_by_one() -> None:
    gateway = FakeGateway(failures=[grpc.StatusCode.INVALID_ARGUMENT])
    results, counted = run(gateway, BATCHED, lambda client: all_of(client, NAMES[:5]))
    assert answered_ids(results) == NAMES[:5]
    assert counted.fallbacks == {"batch_refused": 5}


def test_a_batch_that_nobody_takes_is_not_sent_again_one_by_one() -> None:
    gateway = FakeGateway(failures=[grpc.StatusCode.UNAVAILABLE] * 50)
    results, counted = run(gateway, BATCHED, lambda client: all_of(client, NAMES[:5]))
    assert {result.reason for result in results} == {"unavailable"}
    assert counted.unary_calls == 0
    assert counted.unanswered == {"unavailable": 5}


@pytest.mark.parametrize("preset", [BATCHED, STREAMED], ids=["batch", "stream"])
def test_what_is_wrong_with_one_payment_is_told_of_it_alone(preset: Preset) -> None:
    async def work(client: PaymentClient) -> Any:
        return await asyncio.gather(
            client.enrich(request("r-1")),
            client.enrich(request("bad", merchant_id="")),
            client.enrich(request("r-2")),
        )

    (first, bad, second), counted = run(FakeGateway(), preset, work)
    assert first.answered and second.answered  # noqa: PT018
    assert (bad.reason, bad.detail) == ("invalid_argument", "merchant_id: missing; send it")
    assert counted.unanswered == {"invalid_argument": 1}


@pytest.mark.parametrize("preset", [BATCHED, STREAMED], ids=["batch", "stream"])
def test_a_cancelled_payment_stays_cancelled_and_breaks_no_neighbour(preset: Preset) -> None:
    gateway = FakeGateway(delay_s=0.1)

    async def work(client: PaymentClient) -> Any:
        calls = [asyncio.ensure_future(client.enrich(request(name))) for name in NAMES[:6]]
        await asyncio.sleep(0)
        calls[0].cancel()  # before it was sent
        await gateway.entered.wait()
        calls[1].cancel()  # under way
        return await asyncio.gather(*calls, return_exceptions=True)

    results, _ = run(gateway, preset, work)
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[1], asyncio.CancelledError)
    assert answered_ids(results[2:]) == NAMES[2:6]
    assert NAMES[0] not in [name for message in gateway.messages for name in message]


def test_a_stream_takes_many_in_one_message_with_what_is_left_of_each_budget() -> None:
    gateway = FakeGateway()

    async def work(client: PaymentClient) -> Any:
        return await asyncio.gather(
            *(client.enrich(request(name), deadline_ms=15_000 + place) for place, name in enumerate(NAMES))
        )

    results, counted = run(gateway, STREAMED, work)
    assert answered_ids(results) == NAMES
    assert counted.streams_opened == gateway.streams == 1
    assert len(gateway.messages) < len(NAMES) / 4
    assert max(len(message) for message in gateway.messages) <= STREAMED.gather_items
    assert all(0 < budget_ms <= 15_000 + place for place, budget_ms in enumerate(gateway.budgets_ms))


@pytest.mark.parametrize("pause_ms", [0, 60_000])
def test_what_a_broken_stream_had_in_hand_is_answered_by_single_calls_and_it_opens_again_after_a_pause(
    pause_ms: int,
) -> None:
    gateway = FakeGateway(break_stream_at=40)

    async def work(client: PaymentClient) -> Any:
        return await all_of(client, NAMES), await client.enrich(request("after"))

    preset = replace(STREAMED, stream_pause_ms=pause_ms)
    (first, after), counted = run(gateway, preset, work)
    assert answered_ids(first) == NAMES
    assert after.answered
    assert counted.fallbacks["stream_broken"] >= 1
    assert counted.fallbacks.get("stream_pause", 0) == (1 if pause_ms else 0)
    assert counted.streams_opened == (1 if pause_ms else 2)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED])
def test_a_gateway_without_streams_is_asked_by_single_calls(code: grpc.StatusCode) -> None:
    gateway = FakeGateway(failures=[code])
    results, counted = run(gateway, STREAMED, lambda client: all_of(client, NAMES[:5]))
    assert answered_ids(results) == NAMES[:5]
    assert counted.fallbacks == {"stream_broken": 5}


def test_a_silent_stream_costs_a_payment_its_deadline_and_is_given_up_in_the_end() -> None:
    silent = {f"s-{number}" for number in range(STALLED_ITEMS)}
    gateway = FakeGateway(silent=silent)

    async def work(client: PaymentClient) -> Any:
        late = await all_of(client, sorted(silent), deadline_ms=1_000)
        return late, await client.enrich(request("after"))

    (late, after), counted = run(gateway, STREAMED, work)
    assert {(one.reason, one.maybe_recorded) for one in late} == {("deadline_exceeded", True)}
    assert after.answered
    assert counted.unanswered == {"deadline_exceeded": STALLED_ITEMS}
    assert counted.fallbacks == {"stream_pause": 1}


def test_what_a_stream_may_not_hold_goes_by_another_way() -> None:
    gateway = FakeGateway()
    preset = replace(STREAMED, stream_items=10)
    results, counted = run(gateway, preset, lambda client: all_of(client, [*NAMES[:30], NAMES[0]]))
    assert answered_ids(results) == [*NAMES[:30], NAMES[0]]
    assert counted.fallbacks == {"stream_full": 21}
    assert counted.stream_items == 10


@pytest.mark.parametrize("preset", [BATCHED, STREAMED], ids=["batch", "stream"])
def test_closing_a_client_settles_what_is_under_way(preset: Preset) -> None:
    async def scenario() -> list[EnrichResult]:
        async with serving(FakeGateway(delay_s=30.0)) as gateway:
            client = PaymentClient(gateway.target, "t", preset=preset)
            calls = [
                asyncio.ensure_future(client.enrich(request(name), deadline_ms=60_000)) for name in NAMES
            ]
            await asyncio.sleep(0.1)
            await client.close()
            return await asyncio.wait_for(asyncio.gather(*calls), 20)

    assert {result.reason for result in asyncio.run(scenario())} <= {"closed", "cancelled"}


def test_a_token_that_cannot_be_had_raises_nothing_into_the_payment() -> None:
    def token() -> str:
        raise RuntimeError("no token at hand")

    async def scenario(preset: Preset) -> list[EnrichResult]:
        async with serving(FakeGateway()) as gateway:
            client = PaymentClient(gateway.target, token, preset=preset)
            results = await asyncio.gather(
                *(client.enrich(request(name)) for name in NAMES[:3]), return_exceptions=True
            )
            await client.close()
            return results  # type: ignore[return-value]

    for preset in (BATCHED, STREAMED, PATIENT):
        assert {result.reason for result in asyncio.run(scenario(preset))} == {"unauthenticated"}


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40_000), st.integers(1, 60_000))
def test_what_is_written_by_hand_is_what_protobuf_writes(content: bytes, budget_ms: int) -> None:
    written = enrichment_pb2.StreamedAuthorization(budget_ms=budget_ms).SerializeToString()
    assert _budget(budget_ms) == written
    error = enrichment_pb2.ItemError(message=content.hex())
    assert _field(2, content.hex().encode()) == error.SerializeToString() or not content


def test_streams_are_not_retried_by_the_library() -> None:
    methods = [name for one in json.loads(service_config())["methodConfig"] for name in one["name"]]
    assert "StreamEnrichAuthorizations" not in {name["method"] for name in methods}
