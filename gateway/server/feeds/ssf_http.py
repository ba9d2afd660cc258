"""Shared Signals over HTTP: poll delivery (RFC 8936), our JWK Set, the transmitter's configuration."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any

import structlog
from aiohttp import web

from gateway.feeds.delivery import MAX_ANSWERS, Polled, Reply
from gateway.feeds.records import stream_of
from gateway.records.access import HTTP_ACCESS, POLL_ROUTE
from gateway.records.errors import GatewayError
from gateway.server.feeds.engine import FeedsEngine
from gateway.server.feeds.in_flight import drop
from gateway.server.identity import Principal

LONG_POLL_S = 30.0
"""RFC 8936 2.4 leaves it to us; below the idle limit of usual proxies."""

MAX_BODY_BYTES = 1024 * 1024
"""4,000 answers of 64 bytes and their codes."""

MAX_WAITING_PER_STREAM = 4
"""Long polls of one stream at once: one that works, and those that a broken connection left behind."""

RECHECK_S = 1.0
"""A waiting poll looks again by itself: a wake-up lost between two looks costs no more than this."""

ETAG_CHARACTERS = 32
"""128 bits of a hash: no two of our sets have the same."""

WRITE_CHUNK_BYTES = 64 * 1024
"""Handed to the transport at once; from this size on aiohttp waits until the transport has room again."""

POLL_DELIVERY = "urn:ietf:rfc:8936"
_JSON = "application/json"
_log = structlog.get_logger("ssf")


Who = Callable[[web.Request], Principal | None]
"""Who makes a request, by its header or its certificate; None for nobody known."""


class BadPoll(Exception):
    """The request is not a poll; the text says what is wrong, without any value."""


class SsfApp:
    """The HTTP side of the feeds."""

    def __init__(
        self,
        engine: FeedsEngine,
        who: Who,
        *,
        issuer_url: str,
        jwks: Callable[[], Mapping[str, Any]],
        jwks_max_age_s: int = 60,
        long_poll_s: float = LONG_POLL_S,
    ) -> None:
        self._engine = engine
        self._who = who
        self._long_poll_s = long_poll_s
        self._jwks = jwks
        self._jwks_cache_control = f"max-age={jwks_max_age_s}"
        self._written: tuple[Mapping[str, Any] | None, bytes, str] = (None, b"", "")
        self._configuration = {
            "spec_version": "1_0",
            "issuer": issuer_url,
            "jwks_uri": f"{issuer_url.rstrip('/')}/.well-known/jwks.json",
            "delivery_methods_supported": [POLL_DELIVERY],
            "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}, {"spec_urn": "urn:ietf:rfc:6750"}],
            "default_subjects": "ALL",
        }
        self._steps: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, int] = {}

    def application(self) -> web.Application:
        """Routes, for aiohttp."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._last_resort()])
        app.router.add_post(POLL_ROUTE, self._poll)
        app.router.add_get("/.well-known/ssf-configuration", self._answer_configuration)
        app.router.add_get("/.well-known/jwks.json", self._answer_jwks)
        app.router.add_get("/healthz", self._answer_health)
        return app

    def _last_resort(self) -> Any:
        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPException:
                raise
            except GatewayError as refused:
                self._engine.metrics.faults.inc()
                _log.error("poll_failed", code=refused.code)
                return _fault(503, refused.code, refused.public)
            except asyncio.CancelledError:
                raise
            except ConnectionResetError:
                # The receiver hung up; what was recorded as sent is offered again.
                _log.debug("receiver_gone")
                return _fault(503, "receiver_gone", "poll again")
            except Exception as fault:
                self._engine.metrics.faults.inc()
                _log.error("handler_fault", fault=type(fault).__name__)
                return _fault(500, "internal", "internal fault: try again")

        return guard

    async def _answer_configuration(self, request: web.Request) -> web.Response:
        return web.json_response(self._configuration)

    async def _answer_jwks(self, request: web.Request) -> web.Response:
        """RFC 9110 8.8.3, 13.1.2: who has this very set already is told just so."""
        jwks = self._jwks()
        if jwks is not self._written[0]:
            body = json.dumps(jwks).encode()
            self._written = (jwks, body, sha256(body).hexdigest()[:ETAG_CHARACTERS])
        _, body, tag = self._written
        headers = {"Cache-Control": self._jwks_cache_control, "ETag": f'"{tag}"'}
        known = {one.value for one in request.if_none_match or ()}
        if tag in known or "*" in known:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=_JSON, headers=headers)

    async def _answer_health(self, request: web.Request) -> web.Response:
        ready = self._engine.parts.switches.fresh() and not self._engine.closing
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        self._engine.metrics.calls.labels("poll").inc()
        principal = self._who(request)
        if principal is None:
            return _fault(401, "authentication_failed", "send `Authorization: Bearer <token>`")
        stream_id = request.match_info["stream_id"]
        if principal.role not in HTTP_ACCESS[POLL_ROUTE] or stream_id != stream_of(principal.principal_id):
            return _fault(404, "not_found", "no such stream of yours")
        try:
            event, return_immediately = _parse(stream_id, await request.read())
        except BadPoll as bad:
            return _fault(400, "invalid_request", str(bad))
        if self._waiting.get(stream_id, 0) >= MAX_WAITING_PER_STREAM:
            return _fault(429, "too_many_polls", "poll a stream once at a time")
        self._waiting[stream_id] = self._waiting.get(stream_id, 0) + 1
        try:
            reply, chosen = await self._reply(request, event, return_immediately)
        finally:
            self._waiting[stream_id] -= 1
        return await self._write(request, reply, chosen)

    async def _reply(
        self, request: web.Request, event: Polled, return_immediately: bool
    ) -> tuple[Reply, int]:
        """The SETs to send now, waiting for some where that is asked for, and when they were chosen."""
        deadline = asyncio.get_running_loop().time() + self._long_poll_s
        only_answers = event.max_events == 0
        while True:
            # Before looking: what comes between the look and the wait must not be slept over.
            wake = self._engine.wake_of(event.stream_id)
            chosen = self._engine.revocations.count
            if not self._engine.parts.switches.fresh():
                # Answers are taken; nothing may leave.
                reply, event = await self._step(_without_events(event)), _again(event)
            else:
                reply, event = await self._step(event), _again(event)
            if reply.items or return_immediately or only_answers or self._engine.closing:
                return reply, chosen
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or request.transport is None or request.transport.is_closing():
                return reply, chosen
            try:
                await asyncio.wait_for(wake.wait(), min(left, RECHECK_S))
            except TimeoutError:
                continue

    async def _step(self, event: Polled) -> Reply:
        async with self._steps.setdefault(event.stream_id, asyncio.Lock()):
            return await self._engine.poll(event)

    async def _write(self, request: web.Request, reply: Reply, chosen: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": _JSON, "Cache-Control": "no-store"})
        await response.prepare(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        try:
            await self._write_on(response, transport, reply, chosen)
        except BaseException:
            # The status is said: a second one, of what went wrong, would stand in the middle of the body.
            drop(transport)
            raise
        return response

    async def _write_on(
        self, response: web.StreamResponse, transport: asyncio.Transport, reply: Reply, chosen: int
    ) -> None:
        if reply.items and not self._engine.may_leave(reply.items, chosen):
            await response.write_eof(b'{"sets":{},"moreAvailable":true}')
            return
        body = _body(reply)
        with self._engine.in_flight.holding(transport, reply.items):
            for start in range(0, len(body), WRITE_CHUNK_BYTES):
                # From here to the write there is no await: what is checked is what leaves.
                if reply.items and not self._engine.may_leave(reply.items, chosen):
                    raise ConnectionResetError
                await response.write(body[start : start + WRITE_CHUNK_BYTES])
            await response.write_eof()
        self._engine.metrics.sets.inc(len(reply.items))


def _without_events(event: Polled) -> Polled:
    return Polled(
        stream_id=event.stream_id, acknowledged=event.acknowledged, set_errors=event.set_errors, max_events=0
    )


def _again(event: Polled) -> Polled:
    return Polled(stream_id=event.stream_id, max_events=event.max_events)


def _body(reply: Reply) -> bytes:
    # Ids and compact JWS are base32 and base64url: nothing in them needs escaping.
    sets = b",".join(b'"%s":"%s"' % (item.jti.encode(), item.set_bytes) for item in reply.items)
    more = b"true" if reply.more_available else b"false"
    return b'{"sets":{' + sets + b'},"moreAvailable":' + more + b"}"


def _parse(stream_id: str, body: bytes) -> tuple[Polled, bool]:
    """RFC 8936 2.2. Lenient where it does no harm: unknown members are left alone."""
    try:
        document = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise BadPoll("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadPoll("the body is not a JSON object")
    max_events, immediately = document.get("maxEvents"), document.get("returnImmediately", False)
    if max_events is not None and (type(max_events) is not int or max_events < 0):
        raise BadPoll("maxEvents is a whole number from 0")
    if not isinstance(immediately, bool):
        raise BadPoll("returnImmediately is true or false")
    ack, errors = document.get("ack") or [], document.get("setErrs") or {}
    if not isinstance(ack, list) or not all(isinstance(jti, str) for jti in ack):
        raise BadPoll("ack is a list of jti")
    if not isinstance(errors, dict):
        raise BadPoll("setErrs is an object of jti to {err, description}")
    if len(ack) + len(errors) > MAX_ANSWERS:
        raise BadPoll(f"at most {MAX_ANSWERS} answers in one poll")
    codes = {jti: _error_code(error) for jti, error in errors.items()}
    event = Polled(stream_id=stream_id, acknowledged=tuple(ack), set_errors=codes, max_events=max_events)
    return event, immediately


def _error_code(error: object) -> str:
    code = error.get("err") if isinstance(error, dict) else error
    return code if isinstance(code, str) and code else "other"


def _fault(status: int, code: str, description: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.json_response({"err": code, "description": description}, status=status, headers=headers)
