"""Signing with a key in memory, and with one that is opened when it is first used."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.runtime.native import engines
from gateway.sealing.keys import BadKey, SignatureAlgorithm, Signer, SigningKey

# Hashed here: the library makes a context of its own for each message that it hashes, a tenth of a signature.
_ECDSA_OF_SHA256 = ec.ECDSA(Prehashed(SHA256()))
_SHA256 = SHA256()
_RSA_PADDINGS: Final = {
    SignatureAlgorithm.RS256: padding.PKCS1v15(),
    # A salt of just the hash's length: RFC 7518 3.5.
    SignatureAlgorithm.PS256: padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH),
}


def raw_of_der_by_twin(der: bytes) -> bytes:
    """R || S of 32 bytes each, as JWS wants a signature of P-256 (RFC 7518 3.4): cryptography gives DER."""
    r, s = decode_dss_signature(der)
    return (r << 256 | s).to_bytes(64, "big")


raw_of_der: Callable[[bytes], bytes] = getattr(engines, "raw_of_der", raw_of_der_by_twin)
"""By the engine where it is built (native/src/signature.rs)."""


class LocalSigner:
    """Implements `keys.Signer` over one private key; the key decides the algorithm."""

    __slots__ = ("_key", "alg", "kid")

    def __init__(self, key: SigningKey) -> None:
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
        self._key: Any = private
        self.kid = key.kid
        self.alg = key.alg

    def __repr__(self) -> str:
        return f"LocalSigner(kid={self.kid!r}, alg={str(self.alg)!r})"

    def sign(self, signing_input: bytes) -> bytes:
        # By the algorithm, which fits the key: to ask an abstract class costs a fortieth of a signature.
        key, alg = self._key, self.alg
        if alg is SignatureAlgorithm.ES256:
            return raw_of_der(key.sign(sha256(signing_input).digest(), _ECDSA_OF_SHA256))
        signature: bytes = (
            key.sign(signing_input)
            if alg is SignatureAlgorithm.EDDSA
            else key.sign(signing_input, _RSA_PADDINGS[alg], _SHA256)
        )
        return signature


class LateSigner:
    """Implements `keys.Signer`; its key is opened by the first signature. For any thread.

    To open an RSA key stops the process for 50 ms, and most processes never sign by it.
    """

    __slots__ = ("_open", "_signer", "alg", "kid")

    def __init__(self, kid: str, alg: SignatureAlgorithm, open_key: Callable[[], Signer]) -> None:
        """`open_key` is asked again by every signature until it has answered; it raises KeyStoreFault."""
        self.kid = kid
        self.alg = alg
        self._open = open_key
        self._signer: Signer | None = None

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
