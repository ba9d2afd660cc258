"""The grpcio front: gathers the calls of a grpc.aio server into the batches of the hot loop."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from gateway.server.fronts.gently import gently
from gateway.server.fronts.intake import Intake
from gateway.server.fronts.native import oversize
from gateway.server.fronts.streams import Streams
from gateway.server.gate import Authenticate, Spend, caller
from gateway.server.grpc_common import ServerThread
from gateway.server.tls import Tls
from gateway.sharing.items import Refusal
from gateway.sharing.ports import MAX_REQUEST_BYTES, METHOD_PATHS, UNARY_METHODS, IncomingCall

CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

Answer = bytes | tuple[int, str]


class GrpcioFront:
    """`CallFront` over a grpc.aio server. `add` and `services` put further services on the same port."""

    def __init__(
        self,
        target: str,
        *,
        authenticate: Authenticate,
        tls: Tls | None = None,
        add: Callable[[Any], None] = lambda server: None,
        services: Sequence[str] = (),
        spend: Spend | None = None,
        on_fault: Callable[[str], None] = lambda method: None,
    ) -> None:
        self._intake = Intake()
        self._streams = Streams(self._intake)
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._answers: deque[tuple[int, Answer]] = deque()
        self._draining = False
        self._closed = False
        self._ids = itertools.count(1)
        self._add = add
        with gently():
            self.host = ServerThread(
                target, self._add_all, services=services, authenticate=authenticate, tls=tls, spend=spend,
                on_fault=on_fault,
            )  # fmt: skip

    @property
    def port(self) -> int:
        return self.host.port

    def open_streams(self) -> int:
        return len(self._streams)

    def _add_all(self, server: Any) -> None:
        for method in UNARY_METHODS:
            _, service, name = METHOD_PATHS[method].split("/")
            handler: Any = grpc.unary_unary_rpc_method_handler(self._handler(method))
            server.add_registered_method_handlers(service, {name: handler})
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
        self._streams.add(server)
        self._add(server)

    def _handler(self, method: int) -> Any:
        limit = MAX_REQUEST_BYTES[method]

        async def handle(payload: bytes, context: Any) -> bytes:
            if len(payload) > limit:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, oversize(method))
            if self._intake.full:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not serving now: try another worker")
            call_id = next(self._ids)
            future: asyncio.Future[Answer] = self.host.loop.create_future()
            self._pending[call_id] = future
            remaining_s = context.time_remaining()
            deadline_s = None if remaining_s is None else time.monotonic() + remaining_s
            # The gate knows more than a header: a certificate may have said who calls.
            self._intake.put(call_id, method, payload, caller(), deadline_s)
            try:
                answer = await future  # cancelled by its caller, the queued call still takes its way
            finally:
                self._pending.pop(call_id, None)
            if isinstance(answer, bytes):
                return answer
            await context.abort(CODES.get(answer[0], grpc.StatusCode.UNKNOWN), answer[1])
            raise AssertionError("abort raises")

        return handle

    def recv(self, max_calls: int, timeout_ms: int) -> list[IncomingCall] | None:
        self.flush()
        return self._intake.take(max_calls, timeout_ms)

    def respond(self, call_id: int, payload: bytes) -> None:
        if call_id < 0:
            self._streams.answer(call_id, payload)
        else:
            self._answer(call_id, payload)

    def fail(self, call_id: int, code: int, message: str) -> None:
        if call_id < 0:
            self._streams.answer(call_id, Refusal(code, message))
        else:
            self._answer(call_id, (code, message))

    def _answer(self, call_id: int, answer: Answer) -> None:
        self._answers.append((call_id, answer))

    def flush(self) -> None:
        """Once a batch: an event loop that is awake fights for the interpreter."""
        self._streams.flush()
        if self._answers and not self._draining:
            self._draining = True
            self.host.loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._draining = False
        answers = self._answers
        while answers:
            call_id, answer = answers.popleft()
            future = self._pending.get(call_id)
            if future is not None and not future.done():
                future.set_result(answer)

    def close(self) -> None:
        """Refuses new calls, hands out what was answered, ends the server."""
        if not self._closed:
            self._closed = True
            self.flush()
            self._intake.close()
            self._streams.close()
            self.host.close()
