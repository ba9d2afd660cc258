"""The endpoint where recipients fetch the keys behind their card tokens."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from gateway.records.access import HTTP_ACCESS, TOKEN_KEYS_ROUTE
from gateway.sealing.keys import KeyUnavailable
from gateway.server.beside import Beside
from gateway.server.feeds.token_key_desk import TokenKeyDesk
from gateway.server.identity import Principal

THREADS: Final = 1
"""Recipients fetch once a day; a sealer is one thread's."""

INSIDE_MAX: Final = 64
"""A few milliseconds each where our key is in a file."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


class TokenKeyRoutes:
    """Puts the endpoint beside the other routes. `who` finds the principal of a request."""

    def __init__(self, desk: TokenKeyDesk, who: Callable[[web.Request], Principal | None]) -> None:
        self._desk = desk
        self._who = who
        self._beside = Beside("token-keys", threads=THREADS, inside_max=INSIDE_MAX)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get(TOKEN_KEYS_ROUTE, self._keys)
        app.on_cleanup.append(self._close)

    async def _close(self, app: web.Application) -> None:
        self._beside.close()

    async def _keys(self, request: web.Request) -> web.Response:
        principal = self._who(request)
        if principal is None:
            return _fault(401, "authentication_failed", "send `Authorization: Bearer <token>`")
        recipient_id = request.match_info["recipient_id"]
        if principal.role not in HTTP_ACCESS[TOKEN_KEYS_ROUTE] or recipient_id != principal.principal_id:
            return _fault(404, "not_found", "no such keys of yours")
        try:
            found = await self._beside.run(lambda: self._desk.keys_of(recipient_id))
        except KeyUnavailable as refused:
            return _fault(409, refused.code, refused.public)
        return web.json_response({"token_keys": found}, headers=_NO_STORE)


def _fault(status: int, code: str, description: str) -> web.Response:
    headers = {**_NO_STORE, **({"WWW-Authenticate": "Bearer"} if status == 401 else {})}
    return web.json_response({"err": code, "description": description}, status=status, headers=headers)
