"""Short-lived tokens by which operators say who they are: a JWT (RFC 7519) signed with a key of their own.

The public half and its thumbprint (RFC 7638) are registered; the private half never leaves its owner.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.records.errors import GatewayError
from gateway.sealing import base64url, jwk
from gateway.sealing.jwk import public_ec_numbers
from gateway.sealing.keys import BadKey, SignatureAlgorithm, Signer
from gateway.sealing.signed_json import signed_json
from issuernetwork._jose import RefusedToken, json_object, verify_jws, verify_keys

TOKEN_TYPE: Final = "ein-operator+jwt"  # noqa: S105 - a media type
LIFE_S_MAX: Final = 600
"""Ten minutes: enough for a change in hand, too short to be worth stealing."""

SKEW_S_MAX: Final = 60
"""Between the clocks of two machines: as for payments."""

TOKEN_BYTES_MAX: Final = 2048
"""A header and five claims have under 600 bytes."""

ID_CHARACTERS_MAX: Final = 128
"""Of a `jti`: four times what `ein operator token` gives."""

_MEMBERS = jwk.THUMBPRINT_MEMBERS["EC"]


class OperatorTokenRefused(GatewayError):
    """The token does not say who calls. Its text names the member at fault, never a value."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class TokenId:
    """Which token somebody showed: an act takes it, so that nobody acts with it again."""

    thumbprint: str
    jti: str = field(repr=False)
    issued_s: int
    expires_s: int


def thumbprint(public: Mapping[str, object]) -> str:
    """RFC 7638 3 of a P-256 key. Raises BadKey."""
    public_ec_numbers(public)
    return jwk.thumbprint(public)


def operator_public_jwk(given: object) -> dict[str, str]:
    """The members of a public P-256 key that are kept of what an operator gave. Raises BadKey."""
    if not isinstance(given, dict):
        raise BadKey("the operator's key is not a JWK: make one with `ein operator key`")
    if "d" in given:
        raise BadKey("the operator's key is a private one: register its public half alone")
    public_ec_numbers(given)
    return {name: str(given[name]) for name in _MEMBERS}


def make_token(signer: Signer, *, audience: str, jti: str, now_ms: int, life_s: int = LIFE_S_MAX) -> str:
    """A token of the operator whose key `signer` has; its kid is the key's thumbprint."""
    if not 1 <= life_s <= LIFE_S_MAX:
        raise ValueError(f"an operator's token lives 1 to {LIFE_S_MAX} seconds")
    issued_s = now_ms // 1000
    claims = {"sub": signer.kid, "aud": audience, "iat": issued_s, "exp": issued_s + life_s, "jti": jti}
    return signed_json(signer, TOKEN_TYPE, claims).decode()


def key_named(token: str) -> str:
    """The thumbprint that a token's header names, unchecked: whose key to verify with."""
    header = _object(token.split(".")[0]) if len(token) <= TOKEN_BYTES_MAX else None
    kid = header.get("kid") if header is not None else None
    if not isinstance(kid, str):
        raise OperatorTokenRefused(
            "authorization: no token of an operator; make one with `ein operator token`"
        )
    return kid


def verify_token(token: str, public: Mapping[str, str], *, audience: str, now_ms: int) -> TokenId:
    """Checks a token against the key that its header names. Raises OperatorTokenRefused."""
    claims = _signed_claims(token, public)
    issued_s, expires_s, now_s = claims.get("iat"), claims.get("exp"), now_ms // 1000
    if type(issued_s) is not int or type(expires_s) is not int:
        raise OperatorTokenRefused("authorization: iat and exp: whole numbers of seconds are missing")
    kid, jti = thumbprint(public), claims.get("jti")
    if claims.get("aud") != audience or claims.get("sub") != kid:
        raise OperatorTokenRefused("authorization: aud or sub: the token is for another installation or key")
    if not issued_s - SKEW_S_MAX <= now_s < expires_s or not 0 < expires_s - issued_s <= LIFE_S_MAX:
        raise OperatorTokenRefused(
            "authorization: exp: the token has run out or lives too long; make a new one"
        )
    if not isinstance(jti, str) or not 1 <= len(jti) <= ID_CHARACTERS_MAX:
        raise OperatorTokenRefused("authorization: jti: it is missing; make tokens with `ein operator token`")
    return TokenId(kid, jti, issued_s, expires_s)


def _signed_claims(token: str, public: Mapping[str, str]) -> dict[str, Any]:
    kid = thumbprint(public)
    keys = verify_keys({"keys": [{**public, "kid": kid, "alg": str(SignatureAlgorithm.ES256), "use": "sig"}]})
    try:
        header, payload = verify_jws(token.encode(), keys)
        claims = json_object(payload)
    except (RefusedToken, ValueError, RecursionError):
        raise OperatorTokenRefused("authorization: the signature is not of the key that it names") from None
    # Nothing but the three members: nothing of the token's own has a say.
    if header != {"alg": str(SignatureAlgorithm.ES256), "kid": kid, "typ": TOKEN_TYPE}:
        raise OperatorTokenRefused("authorization: the header is not that of an operator's token")
    return claims


def _object(segment: str) -> dict[str, Any] | None:
    try:
        return json_object(base64url.decode(segment.encode()))
    except (ValueError, RecursionError):
        return None
