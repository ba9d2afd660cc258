"""What every gRPC server of ours shares: the last-resort interceptor, health, reflection, status codes."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from gateway.records.access import is_open
from gateway.records.errors import GatewayError
from gateway.server.gate import INTERNAL_TEXT as INTERNAL_TEXT
from gateway.server.gate import Authenticate, Gate, Spend
from gateway.server.tls import Tls

T = TypeVar("T")

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest request of every method but the unary Enrich: 1,000 reported items have under 1 MiB."""

START_TIMEOUT_S = 10
"""A server binds within milliseconds; after this long something else is wrong."""

SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
)

# Machine code of a GatewayError -> status; what is not listed is a fault of ours.
STATUS_OF_CODE: dict[str, grpc.StatusCode] = {
    "invalid_argument": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
    "journal_unavailable": grpc.StatusCode.UNAVAILABLE,
    "journal_undetermined": grpc.StatusCode.UNAVAILABLE,
    "key_store": grpc.StatusCode.UNAVAILABLE,
    "key_store_settings": grpc.StatusCode.UNAVAILABLE,
    "key_unavailable": grpc.StatusCode.UNAVAILABLE,
    "switches_unavailable": grpc.StatusCode.UNAVAILABLE,
    "policy_store_unavailable": grpc.StatusCode.UNAVAILABLE,
    "deadline_exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "overloaded": grpc.StatusCode.UNAVAILABLE,
    "store_unavailable": grpc.StatusCode.UNAVAILABLE,
    "operators_invalid": grpc.StatusCode.UNAVAILABLE,
    "switch_refused": grpc.StatusCode.FAILED_PRECONDITION,
    "operator_conflict": grpc.StatusCode.FAILED_PRECONDITION,
    "approval_refused": grpc.StatusCode.FAILED_PRECONDITION,
    "enrolment_refused": grpc.StatusCode.FAILED_PRECONDITION,
    "key_refused": grpc.StatusCode.FAILED_PRECONDITION,
    "identity_invalid": grpc.StatusCode.UNAVAILABLE,
}

_log = structlog.get_logger("grpc")


class InvalidArgument(GatewayError):
    """The request cannot be served as it is."""

    code = "invalid_argument"


def status_of(fault: BaseException) -> tuple[grpc.StatusCode, str]:
    """Status and public text of a fault. The text of what is not ours never leaves: it may hold a value."""
    if isinstance(fault, GatewayError):
        return STATUS_OF_CODE.get(fault.code, grpc.StatusCode.INTERNAL), fault.public
    return grpc.StatusCode.INTERNAL, INTERNAL_TEXT


class LastResort(grpc.aio.ServerInterceptor):
    """Maps every exception of a handler, and of parsing, to a status without any value in it."""

    def __init__(self, on_fault: Callable[[str], None] = lambda method: None) -> None:
        self._on_fault = on_fault

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or (handler.request_streaming and is_open(method)):
            return handler
        if handler.request_streaming:
            # Ours takes bytes, and parses inside, where it is guarded; the gate holds it to that.
            if not handler.response_streaming or handler.request_deserializer is not None:
                return handler
            return grpc.stream_stream_rpc_method_handler(self._both(method, handler.stream_stream))
        parse = handler.request_deserializer or bytes
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, parse, handler.unary_stream), None, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, parse, handler.unary_unary), None, handler.response_serializer
        )

    def _unary(self, method: str, parse: Callable[[bytes], Any], run: Any) -> Any:
        async def guarded(payload: bytes, context: Any) -> Any:
            try:
                return await run(_parsed(parse, payload), context)
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as fault:
                await self._abort(method, fault, context)

        return guarded

    def _stream(self, method: str, parse: Callable[[bytes], Any], run: Any) -> Any:
        async def guarded(payload: bytes, context: Any) -> Any:
            try:
                result = run(_parsed(parse, payload), context)
                if hasattr(result, "__aiter__"):
                    async for message in result:
                        yield message
                else:
                    await result
            # A swallowed CancelledError leaks the call's memory.
            except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
                raise
            except Exception as fault:
                await self._abort(method, fault, context)

        return guarded

    def _both(self, method: str, run: Any) -> Any:
        async def guarded(messages: Any, context: Any) -> None:
            try:
                await run(messages, context)
            # A swallowed CancelledError leaks the call's memory.
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception as fault:
                await self._abort(method, fault, context)

        return guarded

    async def _abort(self, method: str, fault: Exception, context: Any) -> None:
        code, public = status_of(fault)
        if code is grpc.StatusCode.INTERNAL:
            self._on_fault(method)
            _log.error("handler_fault", method=method, fault=type(fault).__name__)
        await context.abort(code, public)


def _parsed(parse: Callable[[bytes], Any], payload: bytes) -> Any:
    try:
        return parse(payload)
    except Exception:
        raise InvalidArgument(
            "request is not a message of this method: send it in protobuf encoding"
        ) from None


class ServerThread:
    """A grpc.aio server on an event loop and thread of its own, with health and reflection, behind the gate.

    `add` is called on that loop with the server, to add handlers. Health is NOT_SERVING until `set_serving`.
    """

    def __init__(
        self,
        address: str,
        add: Callable[[Any], None],
        *,
        services: Sequence[str],
        authenticate: Authenticate,
        tls: Tls | None = None,
        name: str = "grpcio",
        spend: Spend | None = None,
        on_fault: Callable[[str], None] = lambda method: None,
    ) -> None:
        self._address = address
        self._add = add
        self._services = tuple(services)
        self._authenticate = authenticate
        self._tls = tls
        self._spend = spend
        self._on_fault = on_fault
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self._server: Any = None
        self._health: Any = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.call(self._start(), START_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Runs `work` on the server's loop from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    async def _start(self) -> None:
        interceptors = [
            Gate(self._authenticate, self._on_fault, certificates=self._tls is not None, spend=self._spend),
            LastResort(self._on_fault),
        ]
        server = grpc.aio.server(interceptors=interceptors, options=SERVER_OPTIONS)
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*self._services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        self._add(server)
        self.port = self._listen(server)
        self._server = server
        await self._report(serving=False)
        await server.start()

    def _listen(self, server: Any) -> int:
        if self._tls is None:
            return int(server.add_insecure_port(self._address))
        return int(server.add_secure_port(self._address, self._tls.grpc_credentials()))

    async def _report(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        value = status.SERVING if serving else status.NOT_SERVING
        for service in ("", *self._services):
            await self._health.set(service, value)

    def set_health(self, service: str, *, serving: bool) -> None:
        """Health of one part by name, beside the process's own; from any thread, without waiting."""
        status = health_pb2.HealthCheckResponse
        value = status.SERVING if serving else status.NOT_SERVING
        asyncio.run_coroutine_threadsafe(self._health.set(service, value), self.loop)

    def set_serving(self, serving: bool) -> None:
        self.call(self._report(serving=serving), START_TIMEOUT_S)

    def close(self, grace_s: float = 0.5) -> None:
        """Stops accepting, lets what runs end within `grace_s` seconds, ends the thread."""
        if not self._thread.is_alive():
            return
        self.call(self._server.stop(grace_s), grace_s + START_TIMEOUT_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(START_TIMEOUT_S)
