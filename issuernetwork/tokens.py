"""Access tokens of ten minutes, by client credentials with a key of one's own (RFC 6749 4.4, RFC 7523 2.2).

    source = TokenSource(session, feeds_url, client_id="northgate-bank", iss=iss, key=sign_key(private_jwk))
    token = await source.fresh()

For issuers and payment services alike. The key never leaves; what is sent is signed for one request.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from issuernetwork._jose import BadKey, decode_base64url, ec_public_key, encode_base64url, json_object

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE_S: Final = 60
"""Made right before it is used."""

REPLY_BYTES_MAX: Final = 64 * 1024
TIMEOUT_S: Final = 30.0
RENEW_AT: Final = 0.7
"""Part of a token's life after which another is asked for: three minutes of ten are left for trying."""

RETRY_S: Final = 5.0
"""Between two tries while the token at hand is still good."""

Token = str | Callable[[], Awaitable[str]]
"""A token without an end, or where to get one that has; empty where a certificate says who calls."""


class AskFault(Exception):
    """A request that did not go through. The text says which and why, never a secret."""

    def __init__(self, step: str, why: str = "", *, status: int = 0) -> None:
        told = f"{step} failed" + (f" with status {status}" if status else "")
        super().__init__(f"{told}: {why}" if why else told)
        self.status = status


@dataclass(frozen=True, slots=True)
class SignKey:
    """A private signing key: ES256 or EdDSA."""

    kid: str
    alg: str
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A compact JWS over `claims`."""
        header = {"alg": self.alg, "kid": self.kid, "typ": typ}
        texts = (json.dumps(one, separators=(",", ":")).encode() for one in (header, claims))
        signed = b".".join(encode_base64url(text) for text in texts)
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            signature = self.key.sign(signed)
        else:
            # R || S of 32 bytes each (RFC 7518 3.4).
            r, s = decode_dss_signature(self.key.sign(signed, ec.ECDSA(SHA256())))
            signature = (r << 256 | s).to_bytes(64, "big")
        return (signed + b"." + encode_base64url(signature)).decode()


def sign_key(jwk: Mapping[str, Any]) -> SignKey:
    """A private JWK as `ein-issuer keys new --use sig` makes it. Raises BadKey."""
    kid, alg = jwk.get("kid"), jwk.get("alg")
    if jwk.get("use", "sig") != "sig" or not isinstance(kid, str) or not kid:
        raise BadKey("JWK members use and kid: a signing key with a name")
    try:
        secret = decode_base64url(str(jwk.get("d", "")).encode())
        if alg == "ES256":
            numbers = ec_public_key(jwk).public_numbers()
            private = ec.EllipticCurvePrivateNumbers(int.from_bytes(secret, "big"), numbers).private_key()
            return SignKey(kid, alg, private)
        if alg == "EdDSA" and (jwk.get("kty"), jwk.get("crv")) == ("OKP", "Ed25519"):
            return SignKey(kid, alg, ed25519.Ed25519PrivateKey.from_private_bytes(secret))
    except ValueError:
        raise BadKey("the members of the signing key do not belong together") from None
    raise BadKey("JWK member alg has to be ES256 or EdDSA and fit kty and crv")


async def ask(
    session: aiohttp.ClientSession, step: str, method: str, url: str, *, token: str = "", **sent: Any
) -> dict[str, Any]:
    """The JSON object that comes back. `step` names it in a fault. Raises AskFault."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        # A redirect would carry the credentials to somebody else.
        async with session.request(
            method, url, headers=headers, timeout=timeout, allow_redirects=False, **sent
        ) as reply:
            raw, status = await _limited(reply), reply.status
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise AskFault(step, "the network was not reached") from fault
    try:
        answer = json_object(raw)
    except (ValueError, RecursionError):
        answer = {}
    if status not in (200, 201):
        why = answer.get("description") or answer.get("error_description") or ""
        raise AskFault(step, str(why), status=status)
    return answer


async def _limited(reply: aiohttp.ClientResponse) -> bytes:
    """At most so much of a body: a single read gives what has come so far."""
    found = b""
    while len(found) <= REPLY_BYTES_MAX and (chunk := await reply.content.read(REPLY_BYTES_MAX)):
        found += chunk
    return found


class TokenSource:
    """Keeps an access token at hand. `iss` is the network's name: its metadata say it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        *,
        client_id: str,
        iss: str,
        key: SignKey,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._now_s = monotonic_s
        self._url = base_url.rstrip("/") + "/oauth/token"
        self._client_id = client_id
        self._iss = iss
        self._key = key
        self._token = ""
        self._renew_at_s = self._ends_at_s = 0.0
        self._asking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"TokenSource(client_id={self._client_id!r})"

    def current(self) -> str:
        """The token asked for last; for what cannot wait. Keep it so by `run`."""
        return self._token

    async def fresh(self) -> str:
        """A token that is good for minutes. Raises AskFault where none can be had and none is left."""
        if self._now_s() < self._renew_at_s:
            return self._token
        async with self._asking:
            now_s = self._now_s()
            if now_s < self._renew_at_s:
                return self._token
            try:
                await self._renew()
            except AskFault:
                if now_s >= self._ends_at_s:
                    raise
                # The one at hand is still good: no request waits for a network that does not answer.
                self._renew_at_s = min(now_s + RETRY_S, self._ends_at_s)
        return self._token

    async def run(self, stop: asyncio.Event) -> None:
        """Renews until told to stop, for those who take `current`."""
        while not stop.is_set():
            try:
                await self.fresh()
                wait_s = max(self._renew_at_s - self._now_s(), 0.1)
            except AskFault:
                wait_s = RETRY_S
            try:
                await asyncio.wait_for(stop.wait(), wait_s)
            except TimeoutError:
                continue

    async def _renew(self) -> None:
        asked_at_s, now_s = self._now_s(), int(time.time())
        claims = {
            "iss": self._client_id, "sub": self._client_id, "aud": self._iss, "iat": now_s,
            "exp": now_s + ASSERTION_LIFE_S, "jti": secrets.token_hex(16),
        }  # fmt: skip
        form = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._key.sign("JWT", claims),
        }  # fmt: skip
        answer = await ask(self._session, "asking for a token", "POST", self._url, data=form)
        token, life_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or type(life_s) is not int or life_s <= 0:
            raise AskFault("asking for a token", "the answer has no token")
        self._token = token
        self._renew_at_s, self._ends_at_s = asked_at_s + life_s * RENEW_AT, asked_at_s + life_s
