"""The gate in front of every method of a grpcio server: who calls, and may they. Handlers ask who it was."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
import structlog

from gateway.records.access import check_access, is_act, is_open
from gateway.records.errors import GatewayError
from gateway.sealing.operator_token import TokenId
from gateway.server.certificates import PeerCertificate, Peers
from gateway.server.identity import Principal

STATUS_OF_REFUSAL: Final = {
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
}


INTERNAL_TEXT: Final = "internal fault: the call was not completed; try again, and report it if it stays"

_log = structlog.get_logger("grpc")


class Authenticate(Protocol):
    """Finds the principal behind an Authorization header and a client certificate; None for nobody known."""

    def __call__(
        self, header: str | bytes | None, certificate: PeerCertificate | None = None, /
    ) -> Principal | None: ...


Spend = Callable[[TokenId], None]
"""Takes an operator's token for an act. Blocks; raises GatewayError where it was taken before."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that passed the gate. `check` raises where it would not pass any more."""

    principal: Principal
    check: Callable[[], Principal]


_admitted: ContextVar[Admitted] = ContextVar("admitted")


def caller() -> Principal:
    """Who makes the call that runs here. Raises LookupError where no call passed the gate."""
    return _admitted.get().principal


def still_caller() -> Principal:
    """The same, looked up again: a stream may be open for days. Raises Unauthenticated, PermissionDenied."""
    return _admitted.get().check()


@contextmanager
def calling(principal: Principal) -> Any:
    """Runs what is inside as a call of `principal`: for what calls handlers without a server."""
    token = _admitted.set(Admitted(principal, lambda: principal))
    try:
        yield
    finally:
        _admitted.reset(token)


def authorization_of(metadata: Any) -> str | bytes | None:
    """The authorization header of a call's metadata."""
    for key, value in metadata or ():
        if key == "authorization":
            return value  # type: ignore[no-any-return]
    return None


class Gate(grpc.aio.ServerInterceptor):
    """Outermost of the interceptors: what does not pass is neither parsed nor handled."""

    def __init__(
        self,
        authenticate: Authenticate,
        on_fault: Callable[[str], None] = lambda method: None,
        *,
        certificates: bool = False,
        spend: Spend | None = None,
    ) -> None:
        """`certificates`: connections may have one. Asking for it costs each call something.

        Without `spend` nobody acts by an operator's token.
        """
        self._authenticate = authenticate
        self._on_fault = on_fault
        self._spend = spend
        self._peers = Peers() if certificates else None
        self._gated: dict[str, Any] = {}
        """Handlers by method, as many as are registered: to build them for each call costs 4 us of it."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        gated = self._gated.get(method)
        if gated is not None:
            return gated
        handler = await continuation(handler_call_details)
        if handler is None or is_open(method):
            return handler
        gated = self._gated[method] = self._gate(method, handler)
        return gated

    def _gate(self, method: str, handler: Any) -> Any:
        if handler.request_streaming:
            if not handler.response_streaming or handler.request_deserializer is not None:
                # None of ours is; the interceptor inside would not guard it.
                return grpc.unary_unary_rpc_method_handler(_unsupported)
            return grpc.stream_stream_rpc_method_handler(self._both(method, handler.stream_stream))
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream), None, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler.unary_unary), None, handler.response_serializer
        )

    def _unary(self, method: str, run: Any) -> Any:
        async def gated(payload: bytes, context: Any) -> Any:
            await self._admit(method, context)
            return await run(payload, context)

        return gated

    def _stream(self, method: str, run: Any) -> Any:
        async def gated(payload: bytes, context: Any) -> AsyncIterator[Any]:
            await self._admit(method, context)
            async for message in run(payload, context):
                yield message

        return gated

    def _both(self, method: str, run: Any) -> Any:
        async def gated(messages: AsyncIterator[bytes], context: Any) -> None:
            await self._admit(method, context)
            await run(messages, context)

        return gated

    async def _admit(self, method: str, context: Any) -> None:
        header = authorization_of(context.invocation_metadata())
        certificate: PeerCertificate | None = None

        def check() -> Principal:
            principal = self._authenticate(header, certificate)
            check_access(method, None if principal is None else principal.role)
            assert principal is not None
            return principal

        try:
            certificate = None if self._peers is None else self._peers.of(context)
            principal = check()
            if principal.shown is not None and is_act(method):
                await self._take(principal.shown)
            _admitted.set(Admitted(principal, check))
            return
        except GatewayError as refused:
            code, public = STATUS_OF_REFUSAL.get(refused.code, grpc.StatusCode.UNAVAILABLE), refused.public
        except Exception as fault:
            # Nothing is outside of this: its text would reach the caller.
            self._on_fault(method)
            _log.error("handler_fault", method=method, fault=type(fault).__name__)
            code, public = grpc.StatusCode.INTERNAL, INTERNAL_TEXT
        await context.abort(code, public)

    async def _take(self, shown: TokenId) -> None:
        if self._spend is None:
            raise RuntimeError("an act at a server that takes no operator's token")
        # Not on the loop: the id is on the disk before the act begins.
        await asyncio.get_running_loop().run_in_executor(None, self._spend, shown)


async def _unsupported(payload: bytes, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no method of ours takes a stream and answers once")
