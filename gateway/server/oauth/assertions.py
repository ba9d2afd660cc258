"""Client assertions: a JWT by which a client proves that it has its private key (RFC 7523 2.2, 3)."""

from typing import Any, Final

from gateway.records.errors import GatewayError
from gateway.server.clients import Client
from issuernetwork._jose import BadKey, RefusedToken, json_object, verify_jws

TYPES: Final = (None, "JWT", "client-authentication+jwt")
"""RFC 7519 5.1 leaves `typ` out or takes JWT; a type of its own is better still (RFC 8725 3.11)."""

LIFE_S_MAX: Final = 300
"""Made for one request: five minutes allow for a slow one."""

SKEW_S: Final = 60
"""Between the clocks of two machines: as for payments."""

ASSERTION_BYTES_MAX: Final = 4096
"""RS256 of an RSA-4096 key has 700 bytes of signature."""

JTI_CHARACTERS_MAX: Final = 128
SEEN_A_CLIENT_MAX: Final = 1024
"""Assertions of one client that have not run out: three a second, where one each ten minutes is enough."""


class AssertionRefused(GatewayError):
    """The assertion does not prove who asks."""

    code = "unauthenticated"


class Replays:
    """Assertions seen, until they have run out. What was used before our start is not known, and refused."""

    def __init__(self, started_s: int) -> None:
        self._started_s = started_s
        self._seen: dict[str, dict[str, int]] = {}

    def check(self, client_id: str, jti: str, *, issued_s: int, expires_s: int, now_s: int) -> None:
        """Takes it once. Raises AssertionRefused."""
        if issued_s < self._started_s:
            raise AssertionRefused("client_assertion: iat: it was made before this process; make a new one")
        seen = self._seen.setdefault(client_id, {})
        for one in [name for name, until_s in seen.items() if until_s + SKEW_S < now_s]:
            del seen[one]
        if jti in seen:
            raise AssertionRefused("client_assertion: jti: it was used before; make a new one each time")
        if len(seen) >= SEEN_A_CLIENT_MAX:
            raise AssertionRefused("client_assertion: too many in a short time: keep a token while it lives")
        seen[jti] = expires_s


def check_assertion(
    assertion: bytes, client: Client, *, audience: str, now_ms: int, replays: Replays
) -> None:
    """Raises AssertionRefused. `audience` is our own name, and it alone: made for another it is of no use."""
    claims = _signed_claims(assertion, client)
    issued_s, expires_s, now_s = claims.get("iat"), claims.get("exp"), now_ms // 1000
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise AssertionRefused("client_assertion: iss and sub: the client_id, both of them")
    if claims.get("aud") != audience:
        raise AssertionRefused("client_assertion: aud: the `issuer` of our metadata")
    if type(issued_s) is not int or type(expires_s) is not int:
        raise AssertionRefused("client_assertion: iat and exp: whole numbers of seconds")
    if not issued_s - SKEW_S <= now_s < expires_s + SKEW_S or not 0 < expires_s - issued_s <= LIFE_S_MAX:
        raise AssertionRefused(f"client_assertion: iat, exp: of now, and {LIFE_S_MAX} seconds at most")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= JTI_CHARACTERS_MAX:
        raise AssertionRefused("client_assertion: jti: an id of its own")
    replays.check(client.client_id, jti, issued_s=issued_s, expires_s=expires_s, now_s=now_s)


def _signed_claims(assertion: bytes, client: Client) -> dict[str, Any]:
    try:
        if len(assertion) > ASSERTION_BYTES_MAX:
            raise RefusedToken("too_large")
        header, payload = verify_jws(assertion, client.verify_keys())
        claims = json_object(payload)
    except (RefusedToken, BadKey, ValueError, RecursionError):
        raise AssertionRefused("client_assertion: the signature is not of a key of the client") from None
    if header.get("typ") not in TYPES or not {"alg", "kid", "typ"}.issuperset(header):
        raise AssertionRefused("client_assertion: the header has alg, kid and typ alone")
    return claims
