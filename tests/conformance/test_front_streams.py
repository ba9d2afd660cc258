"""The same suite for streams: each front serves them alike, beside its single calls."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import grpc
import pytest

from gateway.server.fronts import streams as fronts_streams
from gateway.server.fronts.streams import ITEMS_IN_FLIGHT, ITEMS_PER_MESSAGE
from gateway.sharing.ports import MAX_REQUEST_BYTES, METHOD_PATHS, STREAM_ENRICH
from issuernetwork.v1 import enrichment_pb2
from tests.kit.fronts import FAIL, SHOP, Served, run, until

PATH = METHOD_PATHS[STREAM_ENRICH]
Message = enrichment_pb2.StreamEnrichAuthorizationsRequest
Item = enrichment_pb2.StreamedAuthorization


@pytest.fixture(params=["native", "grpcio"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(request.param, tmp_path_factory.mktemp("f"))
    yield served
    served.close()


def item(name: str, *, merchant_id: str = "", budget_ms: int = 0) -> Item:
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=name, merchant_id=merchant_id or f"m-{name}"
    )
    return Item(request=request, budget_ms=budget_ms)


def opened(channel: Any, **options: Any) -> Any:
    return channel.stream_stream(
        PATH, response_deserializer=enrichment_pb2.StreamEnrichAuthorizationsResponse.FromString
    )(**options)


async def sent(stream: Any, items: Sequence[Item], *, together: int = 1) -> None:
    for at in range(0, len(items), together):
        await stream.write(Message(items=items[at : at + together]).SerializeToString())


async def heard(stream: Any, count: int) -> list[Any]:
    """The next `count` answers."""
    found: list[Any] = []
    while len(found) < count:
        message = await stream.read()
        assert message is not grpc.aio.EOF, f"ended after {len(found)} answers: {await stream.details()}"
        found += message.items
    return found


async def ended(stream: Any) -> tuple[grpc.StatusCode, str]:
    with suppress(grpc.aio.AioRpcError):
        while await stream.read() is not grpc.aio.EOF:
            pass
    return await stream.code(), await stream.details()


def said(answers: Sequence[Any]) -> dict[str, str]:
    return {one.request_id: one.response.evaluation_id for one in answers}


@pytest.mark.parametrize("together", [1, 7, ITEMS_PER_MESSAGE])
def test_each_item_of_a_stream_gets_its_own_answer_and_the_stream_ends_when_all_are_written(
    served: Served, together: int
) -> None:
    names = [f"i{n}" for n in range(600)]

    async def work(channel: Any) -> Any:
        stream = opened(channel)

        async def send() -> None:
            await sent(stream, [item(name) for name in names], together=together)
            await stream.done_writing()

        sending = asyncio.ensure_future(send())
        answers = await heard(stream, len(names))
        await sending
        return answers, await ended(stream)

    answers, end = run(served, work)
    assert end == (grpc.StatusCode.OK, "")
    assert len(answers) == len(names)
    assert said(answers) == {name: f"m-{name}" for name in names}
    assert {call.method for call in served.echo.seen} == {STREAM_ENRICH}
    assert {call.authorization for call in served.echo.seen} == {SHOP}


def test_an_item_that_fails_ends_neither_the_stream_nor_another_item(served: Served) -> None:
    oversize = item("large", merchant_id="m" * MAX_REQUEST_BYTES[STREAM_ENRICH])
    failing = item("failing", merchant_id=FAIL.decode() + "6")
    negative = item("negative", budget_ms=-1)

    async def work(channel: Any) -> Any:
        stream = opened(channel)
        no_request = b"\x0a\x03\x0a\x05\x08"  # an item whose request is longer than the item
        whole = Message(items=[oversize, failing, negative, item("good")]).SerializeToString()
        await stream.write(whole + no_request)
        answers = await heard(stream, 5)
        await sent(stream, [item("after")])
        return answers, await heard(stream, 1)

    answers, after = run(served, work)
    codes = {one.request_id: one.error.code for one in answers if one.WhichOneof("result") == "error"}
    assert codes == {
        "large": grpc.StatusCode.RESOURCE_EXHAUSTED.value[0],
        "failing": grpc.StatusCode.ALREADY_EXISTS.value[0],
        "negative": grpc.StatusCode.INVALID_ARGUMENT.value[0],
        "": grpc.StatusCode.INVALID_ARGUMENT.value[0],
    }
    assert said(after) == {"after": "m-after"}


@pytest.mark.parametrize("count", [0, ITEMS_PER_MESSAGE + 1])
def test_a_message_of_no_items_or_too_many_ends_the_stream_with_what_to_do(
    served: Served, count: int
) -> None:
    async def work(channel: Any) -> Any:
        stream = opened(channel)
        await stream.write(Message(items=[item("x")] * count).SerializeToString())
        return await ended(stream)

    code, text = run(served, work)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert str(ITEMS_PER_MESSAGE) in text


def test_bytes_that_are_no_message_end_the_stream_and_are_not_repeated(served: Served) -> None:
    async def work(channel: Any) -> Any:
        stream = opened(channel)
        await stream.write(b"4111111111111111")
        return await ended(stream)

    code, text = run(served, work)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "4111" not in text


def test_what_remains_of_an_items_budget_or_of_the_streams_deadline_is_seen(served: Served) -> None:
    async def work(channel: Any) -> None:
        for stream in (opened(channel), opened(channel, timeout=30)):
            await sent(stream, [item("none"), item("short", budget_ms=9_000), item("long", budget_ms=40_000)])
            await heard(stream, 3)
            stream.cancel()

    run(served, work)
    calls = served.echo.seen
    remaining = [call.remaining_ms for call in sorted(calls, key=lambda call: -call.call_id)]
    unlimited, short, long, of_stream, short_too, long_too = remaining
    assert unlimited is None
    assert 0 < (short or 0) <= 9_000 >= (short_too or 0) > 0
    assert 30_000 < (long or 0) <= 40_000
    # The client rounds its timeout up to few digits on the wire.
    assert 20_000 < (of_stream or 0) <= 30_500
    assert 20_000 < (long_too or 0) <= 30_500


def test_no_more_is_read_than_may_be_in_flight(served: Served) -> None:
    served.echo.gate.clear()
    count = 3 * ITEMS_IN_FLIGHT

    async def work(channel: Any) -> Any:
        stream = opened(channel)
        sending = asyncio.ensure_future(sent(stream, [item(f"i{n}") for n in range(count)]))
        front = served.front
        await asyncio.to_thread(until, lambda: len(served.echo.seen) + len(front._intake) >= ITEMS_IN_FLIGHT)
        other = opened(channel)  # what it is told comes after whatever else would have been read
        await sent(other, [item("other")])
        await asyncio.to_thread(until, lambda: len(served.echo.seen) + len(front._intake) > ITEMS_IN_FLIGHT)
        in_hand = len(served.echo.seen) + len(front._intake)
        served.echo.gate.set()
        answers = await heard(stream, count)
        await sending
        return in_hand, answers

    in_hand, answers = run(served, work)
    assert in_hand == ITEMS_IN_FLIGHT + 1
    assert len(said(answers)) == count


def test_a_stream_that_is_cancelled_or_dropped_leaves_nothing_behind_and_harms_no_other(
    served: Served,
) -> None:
    served.echo.gate.clear()

    async def work(channel: Any) -> Any:
        stays, goes = opened(channel), opened(channel)
        await sent(stays, [item("stays")])
        await sent(goes, [item(f"goes{n}") for n in range(20)])
        await asyncio.to_thread(until, lambda: len(served.echo.seen) + len(served.front._intake) == 21)
        goes.cancel()
        async with grpc.aio.insecure_channel(served.address) as other:
            dropped = opened(other)
            await sent(dropped, [item("dropped")])
            await asyncio.to_thread(until, lambda: len(served.echo.seen) + len(served.front._intake) == 22)
        await asyncio.to_thread(until, lambda: len(served.front._streams or ()) == 1)
        served.echo.gate.set()
        answers = await heard(stays, 1)
        await stays.done_writing()
        return answers, await ended(stays)

    answers, end = run(served, work)
    assert said(answers) == {"stays": "m-stays"}
    assert end[0] is grpc.StatusCode.OK
    until(lambda: len(served.echo.seen) == 22)
    streams = served.front._streams
    assert streams is not None
    until(lambda: not len(streams) and not streams._asked)


def test_single_calls_and_streams_are_served_beside_each_other(served: Served) -> None:
    async def singles(channel: Any) -> None:
        call = channel.unary_unary(METHOD_PATHS[0])
        for number in range(100):
            assert await call(b"%d" % number) == b"0:%d" % number

    async def streamed(channel: Any) -> None:
        stream = opened(channel)
        for number in range(100):
            await sent(stream, [item(f"i{number}")])
            assert said(await heard(stream, 1)) == {f"i{number}": f"m-i{number}"}

    async def work(channel: Any) -> None:
        await singles(channel)
        await asyncio.gather(*(streamed(channel) for _ in range(3)), *(singles(channel) for _ in range(3)))
        await singles(channel)  # after the last stream has ended

    run(served, work)


def test_more_streams_than_the_limit_are_refused_and_the_others_go_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fronts_streams, "OPEN_STREAMS", 2)

    async def work(channel: Any) -> Any:
        first, second = opened(channel), opened(channel)
        for stream in (first, second):
            await sent(stream, [item("a")])
            await heard(stream, 1)
        assert served.front.open_streams() == 2
        refused = await ended(opened(channel))
        await sent(first, [item("b")])
        return refused, await heard(first, 1)

    (code, _), answers = run(served, work)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert said(answers) == {"b": "m-b"}


def test_a_client_that_does_not_read_its_answers_holds_up_nobody_else(served: Served) -> None:
    large, many = "m" * 8_000, 10_000  # 80 MB: the windows on the way hold a quarter of that

    async def work(channel: Any) -> Any:
        async with grpc.aio.insecure_channel(served.address) as own:
            deaf = opened(own)
            sending = asyncio.ensure_future(
                sent(deaf, [item(f"d{n}", merchant_id=large) for n in range(many)], together=20)
            )
            await asyncio.to_thread(until, lambda: len(served.echo.seen) >= ITEMS_IN_FLIGHT)
            stream = opened(channel)
            for number in range(50):
                await sent(stream, [item(f"i{number}")])
                assert said(await heard(stream, 1)) == {f"i{number}": f"m-i{number}"}
            held = sending.done(), len(served.echo.seen)
            sending.cancel()
            return held

    done, seen = run(served, work)
    assert not done
    assert seen < many


def test_an_issuer_may_not_stream(served: Served) -> None:
    async def work(channel: Any) -> Any:
        return await ended(opened(channel, metadata=(("authorization", "Bearer bank"),)))

    code, _ = run(served, work)
    assert code is grpc.StatusCode.PERMISSION_DENIED


def test_close_ends_a_stream_after_what_was_answered_has_been_written(served: Served) -> None:
    served.echo.gate.clear()

    async def work(channel: Any) -> Any:
        stream = opened(channel)
        await sent(stream, [item(f"i{n}") for n in range(50)])
        await asyncio.to_thread(until, lambda: len(served.echo.seen) + len(served.front._intake) == 50)
        served.echo.gate.set()
        await asyncio.to_thread(until, lambda: len(served.echo.seen) == 50)
        await asyncio.to_thread(served.echo.stop)
        closing = asyncio.to_thread(served.front.close)
        answers, _ = await asyncio.gather(heard(stream, 50), closing)
        return answers, await ended(stream)

    answers, (code, _) = run(served, work)
    assert len(said(answers)) == 50
    assert code is grpc.StatusCode.UNAVAILABLE
