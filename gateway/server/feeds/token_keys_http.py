"""Recipients fetch the keys behind their card tokens: sealed, signed, written down before they leave."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from gateway.backends.embedded.token_keys import SqliteTokenKeys
from gateway.records.access import HTTP_ACCESS, TOKEN_KEYS_ROUTE
from gateway.runtime.clock import Clock
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import KeyUnavailable, MacKeys, Signer
from gateway.sealing.token_epochs import TokenEpochs
from gateway.sealing.token_key import signed_token_key
from gateway.sealing.token_spans import spans, spans_to_hand_out
from gateway.server.beside import Beside
from gateway.server.identity import Principal

KEEP_MS: Final = 9 * 24 * 3_600_000
"""After its end: a share is delivered for 8 days, and whoever fetches once a day has it the day after."""

THREADS: Final = 1
"""Recipients fetch once a day; a sealer is one thread's."""

INSIDE_MAX: Final = 64
"""A few milliseconds each where our key is in a file."""

_NO_STORE: Final = {"Cache-Control": "no-store"}


class TokenKeyDesk:
    """Makes what a recipient fetches. Calls block: keep it off event loops, on one thread."""

    def __init__(
        self,
        *,
        handed_out: SqliteTokenKeys,
        token_epochs: Callable[[], TokenEpochs],
        mac_keys: MacKeys,
        sealer: Sealer,
        signer_of: Callable[[str], Signer],
        iss: str,
        clock: Clock,
    ) -> None:
        """`signer_of` a recipient's stream: it verifies no other algorithm."""
        self._handed_out = handed_out
        self._token_epochs = token_epochs
        self._mac_keys = mac_keys
        self._sealer = sealer
        self._signer_of = signer_of
        self._iss = iss
        self._clock = clock

    def keys_of(self, recipient_id: str) -> list[str]:
        """Signed token keys, the oldest epoch first. Raises KeyUnavailable where there is none to seal to."""
        now_ms = self._clock.wall_ms()
        found = spans_to_hand_out(spans(self._token_epochs(), recipient_id), now_ms=now_ms, keep_ms=KEEP_MS)
        signer = self._signer_of(recipient_id)
        made, kid = [], ""
        for span in found:
            held = self._sealer.held(recipient_id, fresh=True)
            if held.recipient_key.kid != kid:
                # Before anything is made that could leave; a key that changed meanwhile is one more.
                kid = held.recipient_key.kid
                self._handed_out.hand_out(recipient_id, [one.epoch for one in found], recipient_kid=kid)
            token = signed_token_key(
                signer, held, iss=self._iss, recipient_id=recipient_id, issued_at_ms=now_ms, span=span,
                key=self._mac_keys.token(recipient_id, span.epoch),
            )  # fmt: skip
            made.append(token.decode("ascii"))
        return made

    def close(self) -> None:
        self._handed_out.close()


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
