"""A first signature of a store's new key, verified: what a store says and what it does may differ."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm, Signer

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

KID_CHARACTERS_MAX = 64
"""Ours have 20. It becomes a label in a module, and a part of a path at a vault."""

_PROBE = b"the first signature of a key, over nothing that leaves"


def check_kid(kid: str) -> None:
    """Raises KeyStoreFault where `kid` is no plain name."""
    plain = kid.replace("-", "").replace("_", "")
    if not plain.isascii() or not plain.isalnum() or len(kid) > KID_CHARACTERS_MAX:
        raise KeyStoreFault(
            f"a kid of the key store is up to {KID_CHARACTERS_MAX} ASCII letters, digits, - and _"
        )


def prove(signer: Signer, public: PublicKey) -> None:
    """Raises KeyStoreFault where the store signs otherwise than RFC 7518 3 wants it."""
    try:
        verify(public, signer.alg, signer.sign(_PROBE), _PROBE)
    except (InvalidSignature, ValueError, TypeError):
        raise KeyStoreFault(
            f"the store's signatures with {signer.alg} are not as RFC 7518 wants them: use another algorithm"
        ) from None


def verify(public: PublicKey, alg: SignatureAlgorithm, signature: bytes, data: bytes) -> None:
    """Of JWS octets. Raises InvalidSignature, or ValueError and TypeError where the form is wrong."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        if len(signature) != 64:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        public.verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))
    elif isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, data)
    elif alg is SignatureAlgorithm.RS256:
        public.verify(signature, data, padding.PKCS1v15(), SHA256())
    else:
        # A salt of just the hash's length: RFC 7518 3.5.
        pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
        public.verify(signature, data, pss, SHA256())
