"""Signing with a key in memory."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.sealing.keys import BadKey, SignatureAlgorithm, SigningKey

_ECDSA_SHA256 = ec.ECDSA(SHA256())
_SHA256 = SHA256()
_RSA_PADDINGS: Final = {
    SignatureAlgorithm.RS256: padding.PKCS1v15(),
    # A salt of just the hash's length: RFC 7518 3.5.
    SignatureAlgorithm.PS256: padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH),
}


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
            # JWS wants R || S of 32 bytes each (RFC 7518 3.4), cryptography gives DER.
            r, s = decode_dss_signature(key.sign(signing_input, _ECDSA_SHA256))
            return (r << 256 | s).to_bytes(64, "big")
        signature: bytes = (
            key.sign(signing_input)
            if alg is SignatureAlgorithm.EDDSA
            else key.sign(signing_input, _RSA_PADDINGS[alg], _SHA256)
        )
        return signature
