"""One suite for every front: what the hot loop may rely on, whatever carries the calls."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.server.certificates import PeerCertificate
from gateway.server.fronts.grpcio import GrpcioFront
from gateway.server.fronts.native import NativeFront
from gateway.server.grpc_common import ServerThread
from gateway.server.identity import Principal
from gateway.sharing.ports import (
    BATCH_ENRICH,
    ENRICH,
    MAX_REQUEST_BYTES,
    METHOD_PATHS,
    CallFront,
    IncomingCall,
)

SHOP = Principal("shop", "caller")
FAIL = b"fail with code "
TIMEOUT_S = 10


class Echo:
    """Answers what a front brings, as the hot loop would, on a thread of its own."""

    def __init__(self, front: CallFront) -> None:
        self.front = front
        self.seen: list[IncomingCall] = []
        self.gate = threading.Event()
        self.gate.set()
        self.done = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            calls = self.front.recv(256, 20)
            if calls is None:
                break
            self.seen += calls
            if calls:  # an idle round must not park the thread before the first call has come
                self.gate.wait(TIMEOUT_S)
            for call in calls:
                if call.payload.startswith(FAIL):
                    self.front.fail(call.call_id, int(call.payload[len(FAIL) :]), "named and mended")
                else:
                    self.front.respond(call.call_id, b"%d:" % call.method + call.payload)
        self.done.set()

    def stop(self) -> None:
        self._stop.set()
        self.gate.set()
        self._thread.join(TIMEOUT_S)


def authenticate(header: str | bytes | None, certificate: PeerCertificate | None = None) -> Principal | None:
    """Whoever says nothing is known here: what the gate refuses is tested with the gate."""
    return {None: SHOP, "Bearer bank": Principal("bank", "issuer")}.get(header)  # type: ignore[call-overload,no-any-return]


class Served:
    """A front with its echo, at `address`."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.host: ServerThread | None = None
        self.front: NativeFront | GrpcioFront
        if kind == "native":
            path = folder / "f.sock"
            self.host = ServerThread(
                f"unix:{path}", lambda server: None, services=("rest",), authenticate=authenticate
            )
            self.front = NativeFront("127.0.0.1:0", fallback_path=str(path))
        else:
            self.front = GrpcioFront("127.0.0.1:0", services=("rest",), authenticate=authenticate)
        self.address = f"127.0.0.1:{self.front.port}"
        self.echo = Echo(self.front)

    def close(self) -> None:
        self.echo.stop()
        self.front.close()
        if self.host is not None:
            self.host.close()


@pytest.fixture(params=["native", "grpcio"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(request.param, tmp_path_factory.mktemp("f"))
    yield served
    served.close()


def run(served: Served, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        options = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
        async with grpc.aio.insecure_channel(served.address, options=options) as channel:
            return await asyncio.wait_for(work(channel), TIMEOUT_S)

    return asyncio.run(main())


def refused(served: Served, payload: bytes, *, method: int = ENRICH) -> tuple[grpc.StatusCode, str]:
    async def work(channel: Any) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as fault:
            await channel.unary_unary(METHOD_PATHS[method])(payload)
        return fault.value.code(), fault.value.details()

    code, text = run(served, work)
    return code, text


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.002)


@pytest.mark.parametrize("method", [ENRICH, BATCH_ENRICH])
def test_each_method_brings_its_number_and_the_same_bytes(served: Served, method: int) -> None:
    for payload in (b"", b"\x00", os.urandom(3000)):
        answer = run(served, lambda channel, p=payload: channel.unary_unary(METHOD_PATHS[method])(p))
        assert answer == b"%d:" % method + payload


def test_the_largest_request_passes_and_one_byte_more_is_refused_without_reaching_the_loop(
    served: Served,
) -> None:
    for method, limit in enumerate(MAX_REQUEST_BYTES):
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
    run(served, lambda channel: channel.unary_unary(METHOD_PATHS[0])(b"some", timeout=5))
    remaining = {call.payload: call.remaining_ms for call in served.echo.seen}
    assert remaining[b"none"] is None
    # The client rounds its timeout up to few digits on the wire: 5009 ms were seen for 5 s.
    assert 3000 < (remaining[b"some"] or 0) <= 5100


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
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"third", timeout=0.05)
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
