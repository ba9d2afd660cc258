"""One suite for every front: what the hot loop may rely on, whatever carries the calls."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.sharing.ports import BATCH_ENRICH, ENRICH, MAX_REQUEST_BYTES, METHOD_PATHS, UNARY_METHODS
from tests.kit.fronts import FAIL, SHOP, TIMEOUT_S, TWICE, Served, run, until

WAITS_S = 0.5


@pytest.fixture(params=["native", "grpcio"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(request.param, tmp_path_factory.mktemp("f"))
    yield served
    served.close()


def refused(served: Served, payload: bytes, *, method: int = ENRICH) -> tuple[grpc.StatusCode, str]:
    async def work(channel: Any) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await channel.unary_unary(METHOD_PATHS[method])(payload)
        return fault.value.code(), fault.value.details()

    code, text = run(served, work)
    return code, text


@pytest.mark.parametrize("method", [ENRICH, BATCH_ENRICH])
def test_each_method_brings_its_number_and_the_same_bytes(served: Served, method: int) -> None:
    for payload in (b"", b"\x00", os.urandom(3000)):
        answer = run(served, lambda channel, p=payload: channel.unary_unary(METHOD_PATHS[method])(p))
        assert answer == b"%d:" % method + payload


def test_the_largest_request_passes_and_one_byte_more_is_refused_without_reaching_the_loop(
    served: Served,
) -> None:
    for method in UNARY_METHODS:
        limit = MAX_REQUEST_BYTES[method]
        if method == BATCH_ENRICH:
            limit -= 1024  # grpc's own limit of the server counts a few bytes more
        call = bytes(limit)
        assert (
            len(run(served, lambda channel, c=call, m=method: channel.unary_unary(METHOD_PATHS[m])(c)))
            > limit
        )
        before = len(served.echo.seen)
        code, text = refused(served, bytes(MAX_REQUEST_BYTES[method] + 1), method=method)
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(text) < 200
        assert len(served.echo.seen) == before


def test_random_bytes_on_the_port_leave_it_serving(served: Served) -> None:
    import socket

    host, port = served.address.split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as raw:
            raw.sendall(os.urandom(512))
    assert run(served, lambda channel: channel.unary_unary(METHOD_PATHS[0])(b"on")) == b"0:on"


def test_a_deadline_is_seen_as_time_remaining_and_its_absence_as_none(served: Served) -> None:
    run(served, lambda channel: channel.unary_unary(METHOD_PATHS[0])(b"none"))
    run(served, lambda channel: channel.unary_unary(METHOD_PATHS[0])(b"some", timeout=30))
    remaining = {call.payload: call.remaining_ms for call in served.echo.seen}
    assert remaining[b"none"] is None
    # The client rounds its timeout up to few digits on the wire: 5009 ms were seen for 5 s.
    assert 20_000 < (remaining[b"some"] or 0) <= 30_500


async def arrived(served: Served, channel: Any, calls: int) -> None:
    """Returns when so many calls are at the front, seen by the loop or not."""
    front, seen = served.front, served.echo.seen
    if served.host is None:
        await asyncio.to_thread(until, lambda: len(seen) + len(front._intake) == calls)
    else:
        # What comes behind them is answered beside the loop.
        await asyncio.sleep(0)
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="rest"))


def test_what_a_call_has_waited_for_the_loop_is_no_more_of_its_time(served: Served) -> None:
    served.echo.gate.clear()

    async def work(channel: Any) -> Any:
        call = channel.unary_unary(METHOD_PATHS[0])
        first = asyncio.ensure_future(call(b"first", timeout=5))
        await asyncio.to_thread(until, lambda: len(served.echo.seen) == 1)
        waits = asyncio.ensure_future(call(b"waits", timeout=5))
        await arrived(served, channel, 2)
        began = time.monotonic()
        await asyncio.to_thread(until, lambda: time.monotonic() > began + WAITS_S)
        served.echo.gate.set()
        return await asyncio.gather(first, waits)

    run(served, work)
    remaining = {call.payload: call.remaining_ms or 0 for call in served.echo.seen}
    assert remaining[b"waits"] < 5_100 - WAITS_S * 1000
    assert remaining[b"first"] > remaining[b"waits"]


def test_the_first_answer_to_a_call_is_the_one_that_counts(served: Served) -> None:
    for _ in range(20):
        answer = run(served, lambda channel: channel.unary_unary(METHOD_PATHS[0])(TWICE))
        assert answer == b"0:" + TWICE


def test_the_authorization_header_is_seen_and_its_absence_is_none(served: Served) -> None:
    run(served, lambda channel: channel.unary_unary(METHOD_PATHS[0])(b"none"))
    metadata = (("authorization", "Bearer bank"), ("other", "x"))

    async def some(channel: Any) -> None:
        with suppress(grpc.aio.AioRpcError):
            await channel.unary_unary(METHOD_PATHS[0])(b"some", metadata=metadata)

    run(served, some)
    seen = {call.payload: call.authorization for call in served.echo.seen}
    if served.host is None:
        # Its gate has found out who calls, and lets nobody else through.
        assert seen == {b"none": SHOP}
    else:
        assert seen[b"none"] is None
        assert seen[b"some"] in ("Bearer bank", b"Bearer bank")


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS])
def test_a_failure_reaches_the_caller_with_code_and_text(served: Served, code: grpc.StatusCode) -> None:
    assert refused(served, FAIL + b"%d" % code.value[0]) == (code, "named and mended")


def test_two_hundred_calls_at_once_each_get_their_own_answer(served: Served) -> None:
    payloads = [b"call %d" % n for n in range(200)]

    async def work(channel: Any) -> Any:
        call = channel.unary_unary(METHOD_PATHS[0])
        return await asyncio.gather(*(call(payload) for payload in payloads))

    assert run(served, work) == [b"0:" + payload for payload in payloads]


def test_a_cancelled_call_still_reaches_the_loop_and_harms_no_other(served: Served) -> None:
    served.echo.gate.clear()

    async def work(channel: Any) -> Any:
        call = channel.unary_unary(METHOD_PATHS[0])
        first = call(b"first")
        await asyncio.to_thread(until, lambda: len(served.echo.seen) == 1)
        second = call(b"second")
        third = call(b"third")
        await arrived(served, channel, 3)
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        first.cancel()
        served.echo.gate.set()
        return await second

    assert run(served, work) == b"0:second"
    until(lambda: len(served.echo.seen) == 3)


def test_what_was_answered_before_close_reaches_its_caller(served: Served) -> None:
    served.echo.gate.clear()

    async def work(channel: Any) -> Any:
        call = channel.unary_unary(METHOD_PATHS[0])
        calls = [asyncio.ensure_future(call(b"%d" % n)) for n in range(50)]
        await asyncio.to_thread(until, lambda: len(served.echo.seen) >= 1)
        served.echo.gate.set()
        await asyncio.to_thread(until, lambda: len(served.echo.seen) == 50)
        await asyncio.to_thread(served.echo.stop)
        await asyncio.to_thread(served.front.close)
        return await asyncio.gather(*calls)

    assert sorted(run(served, work)) == sorted(b"0:%d" % n for n in range(50))
    assert served.front.recv(1, 1) is None


def test_everything_else_on_the_port_goes_to_the_server_behind(served: Served) -> None:
    async def work(channel: Any) -> Any:
        stub = health_pb2_grpc.HealthStub(channel)
        before = await stub.Check(health_pb2.HealthCheckRequest(service="rest"))
        host = served.host or getattr(served.front, "host")  # noqa: B009
        await asyncio.to_thread(host.set_serving, True)
        after = await stub.Check(health_pb2.HealthCheckRequest(service="rest"))
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await channel.unary_unary("/no.Such/Method")(b"")
        return before.status, after.status, fault.value.code()

    status = health_pb2.HealthCheckResponse
    assert run(served, work) == (status.NOT_SERVING, status.SERVING, grpc.StatusCode.UNIMPLEMENTED)
