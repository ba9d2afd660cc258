"""The token endpoint on the HTTP port of the feeds, and its metadata (RFC 8414)."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from gateway.server.certificates import Peers
from gateway.server.oauth.token_endpoint import Asked, TokenEndpoint, TokenRefused, error_body

FORM = "application/x-www-form-urlencoded"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthRoutes:
    """Puts the endpoint beside the other routes."""

    def __init__(self, endpoint: TokenEndpoint, peers: Peers) -> None:
        self._endpoint = endpoint
        self._peers = peers
        # Where our key is in a module or a vault a signature may take seconds: not on the loop of the feeds.
        self._thread = ThreadPoolExecutor(1, "feeds-oauth")

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/oauth/token", self._token)
        app.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        app.cleanup_ctx.append(self._end_thread)

    async def _end_thread(self, app: web.Application) -> AsyncIterator[None]:
        yield
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response(self._endpoint.metadata(), headers={"Cache-Control": "max-age=60"})

    async def _token(self, request: web.Request) -> web.Response:
        try:
            if request.content_type != FORM:
                raise TokenRefused("invalid_request", f"send {FORM}")
            asked = Asked(
                await request.read(), request.headers.get("Authorization"), self._peers.of_request(request)
            )
            loop = asyncio.get_running_loop()
            answer: dict[str, Any] = await loop.run_in_executor(self._thread, self._endpoint.answer, asked)
        except TokenRefused as refused:
            headers = dict(_NO_STORE)
            if refused.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="oauth"'
            return web.Response(
                body=error_body(refused),
                status=refused.status,
                content_type="application/json",
                headers=headers,
            )
        return web.json_response(answer, headers=_NO_STORE)
