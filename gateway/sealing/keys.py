"""Keys, as types whose `repr` shows no key, and the ports that hand them out."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from gateway.records.errors import GatewayError


class KeyWrap(StrEnum):
    """How a content key is wrapped for a recipient (RFC 7518 4.1; over X25519 RFC 8037 3.2)."""

    ECDH_ES_A256KW = "ECDH-ES+A256KW"
    RSA_OAEP_256 = "RSA-OAEP-256"


class SignatureAlgorithm(StrEnum):
    """How a SET is signed (RFC 7518 3.1, RFC 8037 3.1). One per key; never chosen by a header."""

    ES256 = "ES256"
    EDDSA = "EdDSA"
    RS256 = "RS256"
    PS256 = "PS256"


class KeyUnavailable(GatewayError):
    """A recipient has no key that may be used now. Nothing is sealed to any other key instead."""

    code = "key_unavailable"

    def __init__(self, recipient_id: str) -> None:
        super().__init__("the recipient has no usable public key: publish a current one in its JWK Set")
        self.recipient_id = recipient_id


class BadKey(GatewayError):
    """A key document that cannot be used. `public` names the member, never its value."""

    code = "bad_key"


@dataclass(frozen=True, slots=True)
class RecipientKey:
    """A recipient's public key. `expires_at_ms` is None where the recipient set no end (JWK member `exp`)."""

    recipient_id: str
    kid: str
    alg: KeyWrap
    public_key: EllipticCurvePublicKey | X25519PublicKey | RSAPublicKey = field(repr=False)
    expires_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private signing key of ours."""

    kid: str
    alg: SignatureAlgorithm
    private_key: EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class MacKey:
    """Secret of an HMAC-SHA256, 32 bytes. Its `repr` shows nothing of it."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        # RFC 2104 3: keys shorter than the hash weaken the MAC.
        if len(self.secret) < 32:
            raise BadKey("a MAC key needs at least 32 bytes")


class Signer(Protocol):
    """Signs with one key and one algorithm."""

    @property
    def kid(self) -> str: ...

    @property
    def alg(self) -> SignatureAlgorithm: ...

    def sign(self, signing_input: bytes) -> bytes:
        """The JWS signature octets (RFC 7515 5.1), ES256 as R || S."""
        ...


class MacKeys(Protocol):
    """The secrets behind pseudonyms. In memory: several MACs are taken for each payment."""

    def unit(self) -> MacKey:
        """Never rotates while an experiment runs."""
        ...

    def velocity(self) -> MacKey: ...

    def share(self) -> MacKey:
        """Behind the deterministic ids and digests."""
        ...

    def token(self, recipient_id: str, epoch: int) -> MacKey:
        """Behind the recipient's card tokens of one epoch."""
        ...


class RecipientKeys(Protocol):
    """Finds the key to seal to."""

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        """The recipient's key at wall time `now_ms`. Raises KeyUnavailable; never another recipient's key."""
        ...


class StaticRecipientKeys:
    """Recipients' keys held in memory, the first usable one of each recipient wins."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[RecipientKey, ...]) -> None:
        by_recipient: dict[str, list[RecipientKey]] = {}
        for key in keys:
            by_recipient.setdefault(key.recipient_id, []).append(key)
        self._keys = {recipient: tuple(held) for recipient, held in by_recipient.items()}

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        for key in self._keys.get(recipient_id, ()):
            if key.expires_at_ms is None or now_ms < key.expires_at_ms:
                return key
        raise KeyUnavailable(recipient_id)
