"""The issuer's side of enrolment: submits keys, opens the challenge, signs it, and asks how far it is.

Straight over `cryptography`, as the receiver: the algorithm is the key's, never the header's.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from issuernetwork._jose import (
    BadKey,
    JweOpener,
    RefusedToken,
    decode_base64url,
    ec_public_key,
    encode_base64url,
    json_object,
    open_key,
)

PROOF_TYPE: Final = "ein-enrol+jwt"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE_S: Final = 60
"""Made right before it is used."""

REPLY_BYTES_MAX: Final = 64 * 1024
TIMEOUT_S: Final = 30.0


class EnrolFault(Exception):
    """A step that did not go through. The text says which and why, never a secret."""

    def __init__(self, step: str, why: str = "", *, status: int = 0) -> None:
        super().__init__(
            f"{step} failed" + (f" with status {status}" if status else "") + (f": {why}" if why else "")
        )
        self.status = status


@dataclass(frozen=True, slots=True)
class SignKey:
    """A private signing key of the issuer: ES256 or EdDSA."""

    kid: str
    alg: str
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """A compact JWS over `claims`."""
        header = {"alg": self.alg, "kid": self.kid, "typ": typ}
        parts = [
            encode_base64url(json.dumps(one, separators=(",", ":")).encode()) for one in (header, claims)
        ]
        text = b".".join(parts)
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            signature = self.key.sign(text)
        else:
            # R || S of 32 bytes each (RFC 7518 3.4).
            r, s = decode_dss_signature(self.key.sign(text, ec.ECDSA(SHA256())))
            signature = (r << 256 | s).to_bytes(64, "big")
        return (text + b"." + encode_base64url(signature)).decode()


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


@dataclass(frozen=True, slots=True)
class Keys:
    """What an issuer enrols with: one key that data is sealed to, and those that it signs with."""

    public: Mapping[str, Any]
    sealing: Mapping[str, Any] = field(repr=False)
    signing: tuple[SignKey, ...] = field(repr=False)


class Enroller:
    """Talks to a network's enrolment endpoints. `iss` is the network's name in tokens and challenges."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, recipient_id: str, iss: str) -> None:
        self._session = session
        self._base = base_url.rstrip("/")
        self._recipient_id = recipient_id
        self._iss = iss

    async def access_token(self, key: SignKey) -> str:
        """A token of ten minutes for a key that is in force (RFC 7523). Raises EnrolFault."""
        now_s = int(time.time())
        claims = {
            "iss": self._recipient_id, "sub": self._recipient_id, "aud": self._iss, "iat": now_s,
            "exp": now_s + ASSERTION_LIFE_S, "jti": secrets.token_hex(16),
        }  # fmt: skip
        form = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": key.sign("JWT", claims),
        }  # fmt: skip
        answer = await self._ask("asking for a token", "POST", "/oauth/token", data=form)
        return str(answer.get("access_token", ""))

    async def enrol(
        self, keys: Keys, *, token: str, endpoints: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Submits the keys and proves them; what the network says then. Raises EnrolFault."""
        given = {"jwks": keys.public, "endpoints": dict(endpoints or {})}
        made = await self._ask("submitting the keys", "POST", "/enrol/submissions", token=token, json=given)
        proofs = [key.sign(PROOF_TYPE, self._claims(made, keys)) for key in keys.signing]
        path = f"/enrol/submissions/{int(made['submission_id'])}/proof"
        return await self._ask("proving the keys", "POST", path, token=token, json={"proofs": proofs})

    async def status(self, submission_id: int, *, token: str) -> dict[str, Any]:
        """How far a submission is. Raises EnrolFault."""
        return await self._ask("asking", "GET", f"/enrol/submissions/{submission_id}", token=token)

    def _claims(self, made: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
        try:
            opened = open_key(keys.sealing)
            challenge = json_object(JweOpener({opened.kid: opened}).open(str(made["challenge"]).encode()))
        except (RefusedToken, BadKey, KeyError, ValueError):
            raise EnrolFault("opening the challenge", "it is not sealed to this key") from None
        # Nothing else is opened and sent back: only a challenge of this network about this submission.
        expected = {
            "typ": "ein-enrol-challenge", "iss": self._iss, "recipient_id": self._recipient_id,
            "submission_id": made.get("submission_id"),
        }  # fmt: skip
        nonce = challenge.pop("nonce", None)
        if challenge != expected or not isinstance(nonce, str):
            raise EnrolFault("opening the challenge", "it is not one of this network about these keys")
        return {
            "iss": self._recipient_id, "aud": self._iss, "iat": int(time.time()), "nonce": nonce,
            "submission_id": made["submission_id"], "thumbprints": made.get("thumbprints"),
        }  # fmt: skip

    async def _ask(
        self, step: str, method: str, path: str, *, token: str = "", **sent: Any
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.request(
                method, self._base + path, headers=headers, timeout=timeout, allow_redirects=False, **sent
            ) as reply:
                raw = await reply.content.read(REPLY_BYTES_MAX)
                status = reply.status
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise EnrolFault(step, "the network was not reached") from fault
        try:
            answer = json_object(raw)
        except (ValueError, RecursionError):
            answer = {}
        if status not in (200, 201):
            why = answer.get("description") or answer.get("error_description") or ""
            raise EnrolFault(step, str(why), status=status)
        return answer


def public_set(keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A JWK Set of the public members of private JWKs."""
    hidden = ("d", "p", "q", "dp", "dq", "qi")
    return {"keys": [{name: one[name] for name in one if name not in hidden} for one in keys]}
