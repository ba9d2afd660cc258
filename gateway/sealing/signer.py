"""Signing with a key in memory, and with one that is opened when it is first used.

ES256 is signed in Rust where the engine is built (native/src/sealing/es256.rs), else by a library.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.runtime.native import engines
from gateway.sealing.compact import Compact, Template, Values, compact_of
from gateway.sealing.keys import BadKey, SignatureAlgorithm, Signer, SigningKey

# Hashed here: the library makes a context of its own for each message that it hashes, a tenth of a signature.
_ECDSA_OF_SHA256 = ec.ECDSA(Prehashed(SHA256()))
_SHA256 = SHA256()
_RSA_PADDINGS: Final = {
    SignatureAlgorithm.RS256: padding.PKCS1v15(),
    # A salt of just the hash's length: RFC 7518 3.5.
    SignatureAlgorithm.PS256: padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH),
}


def raw_of_der(der: bytes) -> bytes:
    """R || S of 32 bytes each, as JWS wants a signature of P-256 (RFC 7518 3.4): cryptography gives DER."""
    r, s = decode_dss_signature(der)
    return (r << 256 | s).to_bytes(64, "big")


def _engine_of(private: Any, native: Any) -> Any:
    """The engine that has taken the key; None where there is none. Raises BadKey."""
    make = getattr(native, "Es256", None)
    if make is None:
        return None
    try:
        return make(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    except ValueError:
        raise BadKey("the signing key is no pair of halves on P-256") from None


class LocalSigner:
    """Implements `Signer` over one private key, which decides the algorithm; where the engine has the key,
    `compact.WholeSigner` too."""

    __slots__ = ("_engine", "_key", "alg", "compact", "kid")

    def __init__(self, key: SigningKey, *, native: Any = engines) -> None:
        private = key.private_key
        fits = {
            SignatureAlgorithm.ES256: isinstance(private, ec.EllipticCurvePrivateKey)
            and isinstance(private.curve, ec.SECP256R1),
            SignatureAlgorithm.EDDSA: isinstance(private, ed25519.Ed25519PrivateKey),
            SignatureAlgorithm.RS256: isinstance(private, rsa.RSAPrivateKey),
            SignatureAlgorithm.PS256: isinstance(private, rsa.RSAPrivateKey),
        }
        if not fits[key.alg]:
            raise BadKey("alg does not fit the type of the signing key")
        self._engine = _engine_of(private, native) if key.alg is SignatureAlgorithm.ES256 else None
        # Not both: the engine's key is the only one that is kept then.
        self._key: Any = private if self._engine is None else None
        if self._engine is not None:
            self.compact: Compact = self._engine.compact
        self.kid = key.kid
        self.alg = key.alg

    def __repr__(self) -> str:
        return f"LocalSigner(kid={self.kid!r}, alg={str(self.alg)!r})"

    def sign(self, signing_input: bytes) -> bytes:
        signature: bytes
        if self._engine is not None:
            signature = self._engine.sign(signing_input)
            return signature
        # By the algorithm, which fits the key: to ask an abstract class costs a fortieth of a signature.
        key, alg = self._key, self.alg
        if alg is SignatureAlgorithm.ES256:
            return raw_of_der(key.sign(sha256(signing_input).digest(), _ECDSA_OF_SHA256))
        signature = (
            key.sign(signing_input)
            if alg is SignatureAlgorithm.EDDSA
            else key.sign(signing_input, _RSA_PADDINGS[alg], _SHA256)
        )
        return signature


class LateSigner:
    """Implements `compact.WholeSigner`; its key is opened by the first signature. For any thread.

    To open an RSA key stops the process for 50 ms, and most processes never sign by it.
    """

    __slots__ = ("_open", "_signer", "alg", "compact", "kid")

    def __init__(self, kid: str, alg: SignatureAlgorithm, open_key: Callable[[], Signer]) -> None:
        """`open_key` is asked again by every signature until it has answered; it raises KeyStoreFault."""
        self.kid = kid
        self.alg = alg
        self._open = open_key
        self._signer: Signer | None = None
        self.compact: Compact = self._first_compact
        """By the key's own signer in one call, where that can, as soon as it is open. Raises as `sign`."""

    def __repr__(self) -> str:
        return f"LateSigner(kid={self.kid!r}, alg={str(self.alg)!r})"

    def open(self) -> Signer:
        """Raises KeyStoreFault."""
        if self._signer is None:
            self._signer = self._open()
        return self._signer

    def sign(self, signing_input: bytes) -> bytes:
        """Raises KeyStoreFault where the key cannot be opened."""
        return (self._signer or self.open()).sign(signing_input)

    def _first_compact(self, template: Template, values: Values) -> bytes:
        self.compact = compact_of(self.open())
        return self.compact(template, values)
