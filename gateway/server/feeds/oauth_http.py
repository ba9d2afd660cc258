"""The token endpoint on the HTTP port of the feeds, and its metadata (RFC 8414)."""

from typing import Any

from aiohttp import web

from gateway.server.beside import Beside
from gateway.server.certificates import Peers
from gateway.server.oauth.token_endpoint import Asked, TokenEndpoint, TokenRefused, error_body

FORM = "application/x-www-form-urlencoded"
THREADS = 1
"""The endpoint's own: an assertion is a write of some milliseconds, which no event loop waits for."""

INSIDE_MAX = 64
"""Half a second of them. A client asks once in some minutes, and tries again."""

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthRoutes:
    """Puts the endpoint beside the other routes."""

    def __init__(self, endpoint: TokenEndpoint, peers: Peers) -> None:
        self._endpoint = endpoint
        self._peers = peers
        self._beside = Beside("tokens", threads=THREADS, inside_max=INSIDE_MAX)

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/oauth/token", self._token)
        app.router.add_get("/.well-known/oauth-authorization-server", self._metadata)
        app.on_cleanup.append(self._close)

    async def _close(self, app: web.Application) -> None:
        self._beside.close()

    async def _metadata(self, request: web.Request) -> web.Response:
        return web.json_response(self._endpoint.metadata(), headers={"Cache-Control": "max-age=60"})

    async def _token(self, request: web.Request) -> web.Response:
        try:
            if request.content_type != FORM:
                raise TokenRefused("invalid_request", f"send {FORM}")
            asked = Asked(
                await request.read(), request.headers.get("Authorization"), self._peers.of_request(request)
            )
            answer: dict[str, Any] = await self._beside.run(lambda: self._endpoint.answer(asked))
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
