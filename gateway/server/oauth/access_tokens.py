"""Access tokens: JWTs of type at+jwt (RFC 9068), signed with our key, that live ten minutes.

A token names its client. What the client may do is looked up at each call: removing it ends its tokens.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.sealing.keys import Signer
from gateway.sealing.signed_json import signed_json
from issuernetwork._jose import (
    BadKey,
    RefusedToken,
    VerifyKey,
    decode_base64url,
    json_object,
    verify_jws,
    verify_keys,
)

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105 - a media type, RFC 9068 2.1
LIFE_S: Final = 600
"""Ten minutes, as an operator's: a client asks anew by itself."""

SKEW_S: Final = 60
"""Between the clocks of two machines of ours."""

TOKEN_BYTES_MAX: Final = 2048
"""Ours have under 700 bytes."""

KNOWN_MAX: Final = 4096
"""Verified tokens at hand: verifying takes some 60 us, looking up 1."""


class AccessTokenRefused(GatewayError):
    """The token does not say who calls."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Access:
    """What a token says. `thumbprint`: of the certificate that it is bound to; empty where to none."""

    client_id: str
    expires_s: int
    thumbprint: str


def make_access_token(
    signer: Signer, *, issuer: str, client_id: str, jti: str, now_ms: int, thumbprint: str = ""
) -> str:
    """A token for `client_id` at all our ports. `thumbprint` binds it to a certificate (RFC 8705 3.1)."""
    issued_s = now_ms // 1000
    claims: dict[str, object] = {
        "iss": issuer, "aud": issuer, "sub": client_id, "client_id": client_id, "jti": jti,
        "iat": issued_s, "exp": issued_s + LIFE_S,
    }  # fmt: skip
    if thumbprint:
        claims["cnf"] = {"x5t#S256": thumbprint}
    return signed_json(signer, TOKEN_TYPE, claims).decode()


def type_of(token: bytes) -> str:
    """The `typ` of a token's header, unchecked: who is to verify it. Empty where it is none."""
    if len(token) > TOKEN_BYTES_MAX:
        return ""
    try:
        header = json_object(decode_base64url(token.partition(b".")[0]))
    except (ValueError, RecursionError):
        return ""
    found = header.get("typ")
    return found if isinstance(found, str) else ""


class AccessTokens:
    """Verifies tokens of ours. `jwks`: our public keys as they are now. For one thread or several."""

    def __init__(self, *, issuer: str, jwks: Callable[[], Mapping[str, Any]], clock: Clock) -> None:
        self._issuer = issuer
        self._jwks = jwks
        self._clock = clock
        self._keys: tuple[Mapping[str, Any] | None, dict[str, VerifyKey]] = (None, {})
        self._known: OrderedDict[bytes, Access] = OrderedDict()

    def knows(self, token: bytes) -> bool:
        """Whether it was verified before: then there is no need to look what it is."""
        return token in self._known

    def verified(self, token: bytes) -> Access:
        """What the token says. Raises AccessTokenRefused."""
        now_s = self._clock.wall_ms() // 1000
        if self._jwks() is not self._keys[0]:
            # By a key that is not ours any more nobody gets in, known before or not.
            self._known.clear()
        found = self._known.get(token)
        if found is None:
            found = self._verify(token, now_s)
            self._known[token] = found
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        if now_s >= found.expires_s:
            raise AccessTokenRefused("authorization: exp: the token has run out; ask for another")
        return found

    def _verify(self, token: bytes, now_s: int) -> Access:
        keys = self._current_keys()
        try:
            if len(token) > TOKEN_BYTES_MAX:
                raise RefusedToken("too_large")
            header, payload = verify_jws(token, keys)
            claims = json_object(payload)
        except (RefusedToken, ValueError, RecursionError):
            raise AccessTokenRefused("authorization: no token of ours; ask for one at /oauth/token") from None
        kid = header.get("kid")
        # Compared whole: nothing of the token's own has a say.
        if header != {"alg": keys[str(kid)].alg, "kid": kid, "typ": TOKEN_TYPE}:
            raise AccessTokenRefused("authorization: the header is not that of an access token")
        issued_s, expires_s, client_id = (claims.get(name) for name in ("iat", "exp", "client_id"))
        if claims.get("iss") != self._issuer or claims.get("aud") != self._issuer:
            raise AccessTokenRefused("authorization: iss or aud: the token is for another installation")
        if type(issued_s) is not int or type(expires_s) is not int or not isinstance(client_id, str):
            raise AccessTokenRefused("authorization: iat, exp and client_id are needed")
        if now_s < issued_s - SKEW_S or not 0 < expires_s - issued_s <= LIFE_S:
            raise AccessTokenRefused("authorization: iat or exp: the token is not of now, or lives too long")
        if claims.get("sub") != client_id:
            raise AccessTokenRefused("authorization: sub: it is not the client")
        return Access(client_id, expires_s, _thumbprint(claims))

    def _current_keys(self) -> dict[str, VerifyKey]:
        jwks = self._jwks()
        held, keys = self._keys
        if jwks is not held:
            try:
                keys = verify_keys(jwks)
            except BadKey:
                keys = {}
            self._keys = (jwks, keys)
        return keys


def _thumbprint(claims: Mapping[str, Any]) -> str:
    if "cnf" not in claims:
        return ""
    confirmation = claims["cnf"]
    found = confirmation.get("x5t#S256") if isinstance(confirmation, dict) else None
    # A way of binding that we do not know must not read as none.
    if not isinstance(found, str) or not found or len(confirmation) != 1:
        raise AccessTokenRefused("authorization: cnf: a binding that is none of ours")
    return found
