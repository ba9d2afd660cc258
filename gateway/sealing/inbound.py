"""Tokens that others send us: signed receipts, proofs of enrolment, clients' assertions, as compact JWS.

One verifier for all of them (RFC 7515, RFC 8725), and one store of the ids that were taken. Each party has an
allow-list of keys, each key one algorithm; nothing that the token says of itself picks a key or an algorithm.
A refusal names the check that failed, never a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature

from gateway.records.errors import GatewayError
from issuernetwork._jose import VerifyKey, decode_base64url, json_object

TOKEN_BYTES_MAX: Final = 64 * 1024
"""Of a token whose kind says nothing else: a proof of enrolment has 1 kB."""

SEGMENTS: Final = 3
"""Of a compact JWS: header, payload, signature (RFC 7515 section 7.1)."""

AGE_S_MAX: Final = 300
"""Five minutes from signing to us: enough for a queue and its retries."""

SKEW_S_MAX: Final = 60
"""Between the clocks of two machines: as for payments."""

KEPT_LONGER_MS: Final = SKEW_S_MAX * 1000
"""An id outlives its token: who verified one may wait its turn while others, later by the clock, forget."""

NESTING_MAX: Final = 8
"""Objects and lists within each other. Receipts have three, a proof of enrolment two."""

ID_CHARACTERS_MAX: Final = 128
"""Of a `jti`: four times a UUID."""

IDS_REMEMBERED_MAX: Final = 16_384
"""Of one party, for six minutes: some forty-five tokens a second, each with up to a thousand receipts."""

_HEADER_MEMBERS: Final = frozenset(("alg", "kid", "typ"))
_UNTYPED_MEMBERS: Final = frozenset(("alg", "kid"))
_KEY_MEMBERS: Final = frozenset(("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"))

MENDS: Final[Mapping[str, str]] = {
    "size": "send a shorter token, with less in it",
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
    "sub": "set sub to the same id as iss",
    "aud": "set aud to the issuer URL of this installation, as text",
    "iat": f"set iat to the second of signing, send it within {AGE_S_MAX} s, and keep your clock by NTP",
    "nbf": "leave nbf out, or set it to the second of signing",
    "exp": "sign a new one: this one has run out, or exp is no whole number of seconds soon after iat",
    "jti": f"give each token an id of its own in jti, 1 to {ID_CHARACTERS_MAX} printable ASCII characters",
    "claims": "leave out what the contract does not know, and give each member its type",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What one kind of token has to be, beyond what every one has to be.

    `types` are the values of `typ`; None in it: it may be left out. `life_s_max`: `exp` has to be there, and
    so far behind `iat` at most. `subject`: `sub` has to be there, and to say what `iss` says.
    """

    name: str
    """Ids of one kind are none of another."""
    types: frozenset[str | None]
    life_s_max: int | None = None
    subject: bool = False
    bytes_max: int = TOKEN_BYTES_MAX
    ids_max: int = IDS_REMEMBERED_MAX


@dataclass(frozen=True, slots=True)
class Party:
    """Who may send, and with which keys: kid to key, each for one algorithm."""

    issuer: str
    keys: Mapping[str, VerifyKey]


@dataclass(frozen=True, slots=True)
class Taken:
    """A token that was taken. `kid` is of the key that signed it, `sha256` of the token as it came."""

    claims: dict[str, Any] = field(repr=False)
    kid: str
    sha256: bytes = field(repr=False)


class SeenIds(Protocol):
    """The `jti`s of each party that were taken, for as long as their tokens could be sent again."""

    @property
    def began_ms(self) -> int:
        """What was signed before is not taken: nobody knows whether it was taken before. 0: nothing was."""
        ...

    def take(self, party: str, jti: str, *, until_ms: int, now_ms: int, most: int) -> None:
        """Remembers the id until then. Raises TokenRefused where it is there, or the party has `most`."""
        ...


class InboundVerifier:
    """Takes one kind of token for one audience."""

    __slots__ = ("_audience", "_kind", "_seen")

    def __init__(self, kind: Kind, *, audience: str, seen: SeenIds) -> None:
        self._kind = kind
        self._audience = audience
        self._seen = seen

    def __repr__(self) -> str:
        return f"InboundVerifier(kind={self._kind.name!r}, audience={self._audience!r})"

    def verify(self, token: bytes, party: Party, *, now_ms: int) -> Taken:
        """A token that is taken, once. Raises TokenRefused, and what the store of ids raises."""
        if len(token) > self._kind.bytes_max:
            raise TokenRefused("size")
        parts = token.split(b".")
        if len(parts) != SEGMENTS:
            raise TokenRefused("form")
        key = _key_of(_object(parts[0]), party, self._kind.types)
        payload = _signed_payload(token, parts, key)
        claims = _claims(payload)
        self._check_claims(claims, party, now_ms)
        # Last: what is refused uses no id up.
        self._seen.take(
            f"{self._kind.name}/{party.issuer}", claims["jti"],
            until_ms=(claims["iat"] + AGE_S_MAX + 1) * 1000 + KEPT_LONGER_MS, now_ms=now_ms,
            most=self._kind.ids_max,
        )  # fmt: skip
        return Taken(claims, key.kid, sha256(token).digest())

    def _check_claims(self, claims: Mapping[str, Any], party: Party, now_ms: int) -> None:
        if claims.get("iss") != party.issuer:
            raise TokenRefused("iss")
        if self._kind.subject and claims.get("sub") != party.issuer:
            raise TokenRefused("sub")
        if claims.get("aud") != self._audience:
            raise TokenRefused("aud")
        self._check_times(claims, now_ms // 1000)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not _is_id(jti):
            raise TokenRefused("jti")

    def _check_times(self, claims: Mapping[str, Any], now_s: int) -> None:
        issued_s, began_ms = claims.get("iat"), self._seen.began_ms
        # `type`, since True is a whole number to Python.
        if type(issued_s) is not int or not now_s - AGE_S_MAX <= issued_s <= now_s + SKEW_S_MAX:
            raise TokenRefused("iat")
        # A clock that is ahead could have signed it before, and sent it before.
        if began_ms and issued_s < began_ms // 1000 + SKEW_S_MAX:
            raise TokenRefused("iat")
        if "nbf" in claims:
            begins_s = claims["nbf"]
            if type(begins_s) is not int or begins_s > now_s + SKEW_S_MAX:
                raise TokenRefused("nbf")
        life_s_max = self._kind.life_s_max
        if "exp" in claims or life_s_max is not None:
            expires_s = claims.get("exp")
            if type(expires_s) is not int or not max(issued_s, now_s - SKEW_S_MAX) < expires_s:
                raise TokenRefused("exp")
            if life_s_max is not None and expires_s - issued_s > life_s_max:
                raise TokenRefused("exp")


def _key_of(header: Mapping[str, Any], party: Party, types: frozenset[str | None]) -> VerifyKey:
    if "zip" in header:
        raise TokenRefused("zip")
    if not _KEY_MEMBERS.isdisjoint(header):
        raise TokenRefused("embedded_key")
    if "crit" in header:
        raise TokenRefused("crit")
    untyped = None in types and header.keys() == _UNTYPED_MEMBERS
    if not untyped and header.keys() != _HEADER_MEMBERS:
        raise TokenRefused("header")
    if not all(isinstance(value, str) for value in header.values()):
        raise TokenRefused("header")
    key = party.keys.get(header["kid"])
    if key is None:
        raise TokenRefused("key")
    if header["alg"] != key.alg:
        raise TokenRefused("algorithm")
    if header.get("typ") not in types:
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
