"""Keys, as types whose `repr` shows no key, and the ports that hand them out."""

from collections.abc import Mapping
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


class KeyStoreFault(GatewayError):
    """The store of our own keys does not do what it was asked. `public` says what to mend, never a secret."""

    code = "key_store"


class KeyRefused(GatewayError):
    """What was asked for cannot be done to our keys as they are. `public` says why, and what can be."""

    code = "key_refused"


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


class SigningStore(Protocol):
    """Where private signing keys are: in our own file, or in a module or a vault that they never leave."""

    def create(self, kid: str, alg: SignatureAlgorithm) -> dict[str, str]:
        """Makes a key pair there; its public half as a JWK with `kid`, `alg` and `use`.

        Raises KeyStoreFault: `kid` is taken, or the store cannot make keys of this kind.
        """
        ...

    def signer(self, kid: str, alg: SignatureAlgorithm) -> Signer:
        """Signs by that key; from any thread. Raises KeyStoreFault where the key is not there."""
        ...

    def destroy(self, kid: str) -> None:
        """Ends the private half for good. What is gone already stays gone."""
        ...


class Unwrapper(Protocol):
    """Opens the key that our file of secrets is encrypted under. The MAC keys are then in memory."""

    @property
    def kind(self) -> str:
        """As the file names it: passphrase, pkcs11, vault."""
        ...

    def wrap(self, secret: bytes) -> dict[str, object]:
        """What stands in the file beside the ciphertext: 32 bytes, wrapped, and what opening them needs."""
        ...

    def unwrap(self, wrapped: Mapping[str, object]) -> bytes:
        """The 32 bytes again. Raises KeyStoreFault; its text has neither key nor passphrase."""
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
    """Recipients' keys held in memory. The first of each recipient is the one, and none takes its place.

    What stands behind it in a set may be older, or lost: only whoever put the set there can say which.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[RecipientKey, ...]) -> None:
        self._keys: dict[str, RecipientKey] = {}
        for key in keys:
            self._keys.setdefault(key.recipient_id, key)

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        key = self._keys.get(recipient_id)
        if key is None or (key.expires_at_ms is not None and now_ms >= key.expires_at_ms):
            raise KeyUnavailable(recipient_id)
        return key
