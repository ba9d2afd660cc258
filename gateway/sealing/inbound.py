"""Tokens that others send us: signed receipts and proofs of enrolment, as compact JWS (RFC 7515, RFC 8725).

One verifier for all of them. Each party has an allow-list of keys, each key one algorithm; nothing that the
token says of itself picks a key or an algorithm. A refusal names the check that failed, never a value.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from gateway.records.errors import GatewayError
from issuernetwork._jose import VerifyKey, decode_base64url, json_object

TOKEN_BYTES_MAX: Final = 64 * 1024
"""A thousand receipts, the most that one call reports, have about 50 kB."""

SEGMENTS: Final = 3
"""Of a compact JWS: header, payload, signature (RFC 7515 section 7.1)."""

AGE_S_MAX: Final = 300
"""Five minutes from signing to us: enough for a queue and its retries, and as long as ids are remembered."""

AHEAD_S_MAX: Final = 10
"""How far a sender's clock may be ahead of ours: clocks that NTP keeps agree within a second."""

NESTING_MAX: Final = 8
"""Objects and lists within each other. A receipt has three, a proof of enrolment with its JWK Set four."""

ID_CHARACTERS_MAX: Final = 128
"""Of a `jti`: four times a UUID."""

IDS_REMEMBERED_MAX: Final = 16_384
"""Of one party, for `AGE_S_MAX`: some fifty tokens a second, each with up to a thousand receipts."""

_HEADER_MEMBERS: Final = frozenset(("alg", "kid", "typ"))
_KEY_MEMBERS: Final = frozenset(("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"))

MENDS: Final[Mapping[str, str]] = {
    "size": f"send at most {TOKEN_BYTES_MAX} bytes",
    "form": "send a compact JWS: three parts of unpadded base64url, JSON whose members stand once",
    "zip": "send it uncompressed, without the header member zip",
    "embedded_key": "leave jwk, jku, x5u, x5c and x5t out of the header: keys are registered beforehand",
    "crit": "leave crit out of the header: no extension is known here",
    "header": "send the header members alg, kid and typ, each as text, and no others",
    "key": "sign with a key that is registered for you, and name it by kid",
    "algorithm": "sign with the algorithm that the key is registered for, and say it in alg",
    "typ": "set typ to the media type of what you send",
    "signature": "sign header and payload as they are sent, with the key that kid names",
    "nesting": f"send plain claims, nested at most {NESTING_MAX} deep, and no token inside the token",
    "iss": "set iss to your own id",
    "aud": "set aud to the issuer URL of this installation, as text",
    "iat": f"set iat to the second of signing, send it within {AGE_S_MAX} s, and keep your clock by NTP",
    "exp": "sign a new one: this one has run out, or exp is no whole number of seconds after iat",
    "jti": f"give each token an id of its own in jti, 1 to {ID_CHARACTERS_MAX} printable ASCII characters",
    "replay": "sign a new token with a new jti: this one was taken before",
    "busy": "wait, and send fewer and larger tokens: too many came within the last minutes",
}
"""Every check, in the order in which they are made, and how to mend what fails it."""


class TokenRefused(GatewayError):
    """A token that is not taken. `check` is one of MENDS."""

    code = "unauthenticated"

    def __init__(self, check: str) -> None:
        super().__init__(f"token: {check}: {MENDS[check]}")
        self.check = check


@dataclass(frozen=True, slots=True)
class Party:
    """Who may send, and with which keys: kid to key, each for one algorithm."""

    issuer: str
    keys: Mapping[str, VerifyKey]


class SeenIds:
    """The `jti`s of each party that were taken, for as long as their tokens could be sent again.

    In memory: `began_ms` is when it began, and what was signed before is not taken, since nobody knows
    whether it was taken by the process before this one.
    """

    __slots__ = ("_by_party", "_most", "began_ms")

    def __init__(self, began_ms: int, *, most: int = IDS_REMEMBERED_MAX) -> None:
        self.began_ms = began_ms
        self._most = most
        self._by_party: dict[str, OrderedDict[str, int]] = {}

    def __repr__(self) -> str:
        return f"SeenIds(parties={len(self._by_party)})"

    def take(self, party: str, jti: str, now_ms: int) -> None:
        """Remembers the id. Raises TokenRefused where it was there, or where there is no room for more."""
        seen = self._by_party.setdefault(party, OrderedDict())
        # In the order in which they came: what is behind the first one that lives is younger still.
        while seen and next(iter(seen.values())) <= now_ms:
            seen.popitem(last=False)
        if jti in seen:
            raise TokenRefused("replay")
        if len(seen) >= self._most:
            raise TokenRefused("busy")
        seen[jti] = now_ms + (AGE_S_MAX + AHEAD_S_MAX) * 1000


class InboundVerifier:
    """Takes one kind of token, told by `typ`, for one audience."""

    __slots__ = ("_audience", "_seen", "_typ")

    def __init__(self, *, typ: str, audience: str, seen: SeenIds) -> None:
        self._typ = typ
        self._audience = audience
        self._seen = seen

    def __repr__(self) -> str:
        return f"InboundVerifier(typ={self._typ!r}, audience={self._audience!r})"

    def verify(self, token: bytes, party: Party, *, now_ms: int) -> dict[str, Any]:
        """The claims of a token that is taken, once. Raises TokenRefused."""
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused("size")
        parts = token.split(b".")
        if len(parts) != SEGMENTS:
            raise TokenRefused("form")
        key = _key_of(_object(parts[0]), party, self._typ)
        payload = _signed_payload(token, parts, key)
        claims = _claims(payload)
        self._check_claims(claims, party, now_ms)
        self._seen.take(party.issuer, claims["jti"], now_ms)
        return claims

    def _check_claims(self, claims: Mapping[str, Any], party: Party, now_ms: int) -> None:
        if claims.get("iss") != party.issuer:
            raise TokenRefused("iss")
        if claims.get("aud") != self._audience:
            raise TokenRefused("aud")
        issued_s = claims.get("iat")
        # `type`, since True is a whole number to Python.
        if type(issued_s) is not int or not now_ms // 1000 - AGE_S_MAX <= issued_s:
            raise TokenRefused("iat")
        if issued_s > now_ms // 1000 + AHEAD_S_MAX or issued_s < self._seen.began_ms // 1000 + AHEAD_S_MAX:
            raise TokenRefused("iat")
        if "exp" in claims:
            expires_s = claims["exp"]
            if type(expires_s) is not int or not max(issued_s, now_ms // 1000) < expires_s:
                raise TokenRefused("exp")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not _is_id(jti):
            raise TokenRefused("jti")


def _key_of(header: Mapping[str, Any], party: Party, typ: str) -> VerifyKey:
    if "zip" in header:
        raise TokenRefused("zip")
    if not _KEY_MEMBERS.isdisjoint(header):
        raise TokenRefused("embedded_key")
    if "crit" in header:
        raise TokenRefused("crit")
    if header.keys() != _HEADER_MEMBERS or not all(isinstance(value, str) for value in header.values()):
        raise TokenRefused("header")
    key = party.keys.get(header["kid"])
    if key is None:
        raise TokenRefused("key")
    if header["alg"] != key.alg:
        raise TokenRefused("algorithm")
    if header["typ"] != typ:
        raise TokenRefused("typ")
    return key


def _signed_payload(token: bytes, parts: list[bytes], key: VerifyKey) -> bytes:
    try:
        payload, signature = decode_base64url(parts[1]), decode_base64url(parts[2])
    except ValueError:
        raise TokenRefused("form") from None
    try:
        key.verify(token[: len(parts[0]) + 1 + len(parts[1])], signature)
    except (InvalidSignature, ValueError):
        raise TokenRefused("signature") from None
    return payload


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json_object(payload)
    except RecursionError:
        raise TokenRefused("nesting") from None
    except ValueError:
        # A token within the token is no JSON: three parts with dots, or five.
        raise TokenRefused("nesting" if payload.count(b".") >= SEGMENTS - 1 else "form") from None
    if _deeper_than(claims, NESTING_MAX):
        raise TokenRefused("nesting")
    return claims


def _object(segment: bytes) -> dict[str, Any]:
    try:
        return json_object(decode_base64url(segment))
    except (ValueError, RecursionError):
        raise TokenRefused("form") from None


def _deeper_than(value: object, most: int) -> bool:
    """Level by level, so that the depth of what was sent is not that of our stack."""
    level: list[Any] = [value]
    for _ in range(most):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _is_id(jti: str) -> bool:
    return 1 <= len(jti) <= ID_CHARACTERS_MAX and jti.isascii() and jti.isprintable()
