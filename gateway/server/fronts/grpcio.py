"""The grpcio front: gathers the calls of a grpc.aio server into the batches of the hot loop."""

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from gateway.server.fronts.native import oversize
from gateway.server.gate import Authenticate, Spend, caller
from gateway.server.grpc_common import ServerThread
from gateway.server.tls import Tls
from gateway.sharing.ports import MAX_REQUEST_BYTES, METHOD_PATHS, IncomingCall

MAX_QUEUED_CALLS = 8192
"""Calls that wait for the hot loop: two seconds' worth at this front's rate; more are turned away at once."""

CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

GATHER_MS = 2.0
"""Wait for as many calls as the last batch had, where it had several: event loop and hot loop fight for the
interpreter at every batch, and small ones cost more than this (half the rate with 32 in flight)."""

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
        self._queue: deque[IncomingCall] = deque()
        self._gathered = threading.Event()
        self._wanted = self._last = 1
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._answers: deque[tuple[int, Answer]] = deque()
        self._draining = False
        self._closed = False
        self._ids = itertools.count(1)
        self._add = add
        self.host = ServerThread(
            target, self._add_all, services=services, authenticate=authenticate, tls=tls, spend=spend,
            on_fault=on_fault,
        )  # fmt: skip

    @property
    def port(self) -> int:
        return self.host.port

    def _add_all(self, server: Any) -> None:
        for method, path in enumerate(METHOD_PATHS):
            _, service, name = path.split("/")
            handler: Any = grpc.unary_unary_rpc_method_handler(self._handler(method))
            server.add_registered_method_handlers(service, {name: handler})
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
        self._add(server)

    def _handler(self, method: int) -> Any:
        limit = MAX_REQUEST_BYTES[method]

        async def handle(payload: bytes, context: Any) -> bytes:
            if len(payload) > limit:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, oversize(method))
            if self._closed or len(self._queue) >= MAX_QUEUED_CALLS:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not serving now: try another worker")
            call_id = next(self._ids)
            future: asyncio.Future[Answer] = self.host.loop.create_future()
            self._pending[call_id] = future
            remaining_s = context.time_remaining()
            remaining_ms = None if remaining_s is None else remaining_s * 1000.0
            # The gate knows more than a header: a certificate may have said who calls.
            self._queue.append(IncomingCall(call_id, method, payload, caller(), remaining_ms))
            if len(self._queue) >= self._wanted and not self._gathered.is_set():
                self._gathered.set()
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
        queue = self._queue
        if not queue:
            if self._closed:
                return None
            self._await(1, timeout_ms)
        if queue and len(queue) < self._last and timeout_ms > 0:
            self._await(self._last, GATHER_MS)
        self._last = min(len(queue), max_calls)
        return [queue.popleft() for _ in range(self._last)]

    def _await(self, calls: int, timeout_ms: float) -> None:
        self._wanted = calls
        self._gathered.clear()
        if len(self._queue) < calls and not self._closed:
            self._gathered.wait(timeout_ms / 1000)

    def respond(self, call_id: int, payload: bytes) -> None:
        self._answer(call_id, payload)

    def fail(self, call_id: int, code: int, message: str) -> None:
        self._answer(call_id, (code, message))

    def _answer(self, call_id: int, answer: Answer) -> None:
        self._answers.append((call_id, answer))
        # One wake-up of the event loop takes all answers that have gathered until it runs.
        if not self._draining:
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
            self._gathered.set()
            self.host.close()
