"""What an issuer submits, checked: one key to seal to, keys that it signs with, its addresses. Pure."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.programs.enrolling import EnrolmentRefused
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing import jwk
from gateway.sealing.inbound import InboundVerifier, Party, TokenRefused
from gateway.sealing.inbound import Kind as TokenKind
from gateway.sealing.jwe import Sealer
from gateway.sealing.jwk import thumbprint
from gateway.sealing.keys import BadKey, StaticRecipientKeys
from gateway.server.clients import public_signing_keys
from gateway.server.secret_words import secret_sha256
from issuernetwork._jose import BadKey as BadSigningKey
from issuernetwork._jose import VerifyKey, verify_keys

PROOF_TYPE: Final = "ein-enrol+jwt"
PROOF: Final = TokenKind(name="enrolment", types=frozenset((PROOF_TYPE,)))

ENDPOINTS: Final = ("contact", "push")
ENDPOINT_CHARACTERS_MAX: Final = 256
SIGNING_KEYS_MAX: Final = 4
ENDED_S: Final = 1
"""An end that has passed on every clock: the first second of 1970."""
PROOFS_MAX: Final = SIGNING_KEYS_MAX + 1
"""By each new key, and by one in force."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Public members alone. `sealing` is the one key that data is sealed to from then on."""

    recipient_id: str
    sealing: Mapping[str, Any]
    signing: tuple[Mapping[str, str], ...]
    endpoints: Mapping[str, str]

    @property
    def thumbprints(self) -> tuple[str, ...]:
        """The sealing key's first."""
        return tuple(thumbprint(key) for key in (self.sealing, *self.signing))

    @property
    def document(self) -> str:
        """As it is kept."""
        return json.dumps(
            {"sealing": self.sealing, "signing": list(self.signing), "endpoints": dict(self.endpoints)},
            sort_keys=True,
        )

    @property
    def jwks(self) -> str:
        """For `keys/recipients`: the one key, so that there is none to fall back to."""
        return json.dumps({"keys": [self.sealing]}, indent=1)

    @property
    def ended_jwks(self) -> str:
        """The same with an end in the past."""
        return json.dumps({"keys": [{**self.sealing, "exp": ENDED_S}]}, indent=1)


def kept(recipient_id: str, document: str) -> Submitted:
    """What `document` was made of."""
    found = json.loads(document)
    return Submitted(recipient_id, found["sealing"], tuple(found["signing"]), found["endpoints"])


def submitted(recipient_id: str, given: object) -> Submitted:
    """The checked submission. Raises EnrolmentRefused, which names the member at fault."""
    if not isinstance(given, Mapping):
        raise EnrolmentRefused("the body is a JSON object with jwks and endpoints")
    jwks = given.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise EnrolmentRefused("jwks: a JWK Set")
    sealing = [key for key in keys if key.get("use") == "enc"]
    signing = [key for key in keys if key.get("use") == "sig"]
    if len(sealing) != 1 or not 1 <= len(signing) <= SIGNING_KEYS_MAX or len(sealing + signing) != len(keys):
        raise EnrolmentRefused(
            f"jwks: one key with use enc, and 1 to {SIGNING_KEYS_MAX} with use sig; each says its use"
        )
    try:
        found = Submitted(
            recipient_id, _sealing_key(recipient_id, sealing[0]), public_signing_keys({"keys": signing}),
            _endpoints(given.get("endpoints", {})),
        )  # fmt: skip
        if len(set(found.thumbprints)) != len(found.thumbprints):
            raise BadKey("a key stands twice: one key is for one use")
    except (BadKey, BadSigningKey) as fault:
        raise EnrolmentRefused(f"jwks: {fault}") from None
    return found


def _sealing_key(recipient_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    jwk.recipient_keys(recipient_id, json.dumps({"keys": [given]}))
    members = ("kty", "crv", "x", "y", "n", "e", "alg", "kid", "exp")
    return {name: given[name] for name in members if name in given} | {"use": "enc"}


def _endpoints(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping) or not set(given) <= set(ENDPOINTS):
        raise EnrolmentRefused(f"endpoints: an object of {', '.join(ENDPOINTS)}")
    for name, value in given.items():
        if not isinstance(value, str) or not 1 <= len(value) <= ENDPOINT_CHARACTERS_MAX:
            raise EnrolmentRefused(f"endpoints.{name}: a URI of up to {ENDPOINT_CHARACTERS_MAX} characters")
        scheme = "mailto:" if name == "contact" else "https://"
        if not value.startswith(scheme) or not value.isascii() or not value.isprintable():
            raise EnrolmentRefused(f"endpoints.{name}: begins with {scheme}")
    return dict(given)


def challenge(
    one: Submitted, submission_id: int, nonce: str, *, issuer: str, clock: Clock, entropy: Entropy
) -> str:
    """A JWE to the submitted key. It says what it is, so that nobody can have other things opened by it."""
    (key,) = jwk.recipient_keys(one.recipient_id, one.jwks)
    text = {
        "typ": "ein-enrol-challenge", "iss": issuer, "recipient_id": one.recipient_id,
        "submission_id": submission_id, "nonce": nonce,
    }  # fmt: skip
    sealer = Sealer(entropy, clock, StaticRecipientKeys((key,)))
    return sealer.seal(one.recipient_id, json.dumps(text).encode(), fresh=True)[1].decode()


def proves(
    proofs: object, one: Submitted, submission_id: int, nonce_sha256: str, *, verifier: InboundVerifier,
    now_ms: int, under: tuple[Mapping[str, str], ...] = (),
) -> bool:  # fmt: skip
    """Whether each signing key signed the nonce that only the sealing key could open.

    Where keys are changed, one of those in force (`under`) has to have signed it too. A proof is good once.
    """
    if not isinstance(proofs, list) or not 1 <= len(proofs) <= PROOFS_MAX:
        return False
    asked = _Asked(one, submission_id, nonce_sha256, verifier, now_ms)
    new, before = verify_keys({"keys": list(one.signing)}), verify_keys({"keys": list(under)})
    kept_on = {str(key["kid"]) for key in one.signing if thumbprint(key) in map(thumbprint, under)}
    signed: set[str] = set()
    under_one = not under
    for proof in proofs:
        kid = _signed_by(proof, new, asked)
        if kid:
            signed.add(kid)
            under_one = under_one or kid in kept_on
        elif _signed_by(proof, before, asked):
            under_one = True
        else:
            return False
    return under_one and signed == set(new)


@dataclass(frozen=True, slots=True)
class _Asked:
    one: Submitted
    submission_id: int
    nonce_sha256: str
    verifier: InboundVerifier
    now_ms: int


def _signed_by(proof: object, keys: Mapping[str, VerifyKey], asked: _Asked) -> str:
    """The kid of the key that signed what was asked for; empty for anything else."""
    party = Party(asked.one.recipient_id, keys)
    try:
        taken = asked.verifier.verify(str(proof).encode("ascii"), party, now_ms=asked.now_ms)
    except (TokenRefused, UnicodeEncodeError):
        return ""
    claims = {name: value for name, value in taken.claims.items() if name not in _OF_EVERY_TOKEN}
    nonce = claims.pop("nonce", None)
    expected = {"submission_id": asked.submission_id, "thumbprints": list(asked.one.thumbprints)}
    if claims != expected or not isinstance(nonce, str):
        return ""
    return taken.kid if hmac.compare_digest(secret_sha256(nonce.encode()), asked.nonce_sha256) else ""


_OF_EVERY_TOKEN: Final = frozenset(("iss", "aud", "iat", "jti"))
"""Checked before."""
