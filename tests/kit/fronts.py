"""A front with a loop that answers what it brings, for the suite that every front runs."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from gateway.server.certificates import PeerCertificate
from gateway.server.fronts.grpcio import GrpcioFront
from gateway.server.fronts.intake import Intake
from gateway.server.fronts.native import NativeFront
from gateway.server.fronts.streams import Streams
from gateway.server.grpc_common import ServerThread
from gateway.server.identity import Principal
from gateway.sharing.ports import STREAM_ENRICH, CallFront, IncomingCall
from gateway.sharing.streamed import streamed
from issuernetwork.v1 import enrichment_pb2

SHOP = Principal("shop", "caller")
FAIL = b"fail with code "
TWICE = b"answer twice"
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
                if call.method == STREAM_ENRICH:
                    self._streamed(call)
                elif call.payload.startswith(FAIL):
                    self.front.fail(call.call_id, int(call.payload[len(FAIL) :]), "named and mended")
                else:
                    self.front.respond(call.call_id, b"%d:" % call.method + call.payload)
                if call.payload == TWICE:
                    self.front.respond(call.call_id, b"second")
                    self.front.fail(call.call_id, 13, "third")
        self.done.set()

    def _streamed(self, call: IncomingCall) -> None:
        asked = enrichment_pb2.EnrichAuthorizationRequest.FromString(call.payload)
        if asked.merchant_id.startswith(FAIL.decode()):
            self.front.fail(call.call_id, int(asked.merchant_id[len(FAIL) :]), "named and mended")
            return
        answer = enrichment_pb2.EnrichAuthorizationResponse(
            request_id=asked.request_id, evaluation_id=asked.merchant_id
        )
        self.front.respond(call.call_id, streamed(call.payload, answer.SerializeToString()))

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
            streams = Streams(Intake())
            self.host = ServerThread(
                f"unix:{path}", streams.add, services=("rest",), authenticate=authenticate
            )
            self.front = NativeFront("127.0.0.1:0", fallback_path=str(path), streams=streams)
        else:
            self.front = GrpcioFront("127.0.0.1:0", services=("rest",), authenticate=authenticate)
        self.address = f"127.0.0.1:{self.front.port}"
        self.echo = Echo(self.front)

    def close(self) -> None:
        self.echo.stop()
        self.front.close()
        if self.host is not None:
            self.host.close()


def run(served: Served, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        options = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
        async with grpc.aio.insecure_channel(served.address, options=options) as channel:
            return await asyncio.wait_for(work(channel), TIMEOUT_S)

    return asyncio.run(main())


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.002)
