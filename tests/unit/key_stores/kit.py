"""What tests of several stores share."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.backends.signature_proof import PublicKey
from gateway.sealing import jwk


def public_of(found: dict[str, Any]) -> PublicKey:
    """The key of a public JWK."""
    if found["kty"] == "OKP":
        return ed25519.Ed25519PublicKey.from_public_bytes(jwk.octets(found, "x"))
    if found["kty"] == "RSA":
        return rsa.RSAPublicNumbers(jwk.number(found, "e"), jwk.number(found, "n")).public_key()
    return ec.EllipticCurvePublicNumbers(
        jwk.number(found, "x"), jwk.number(found, "y"), ec.SECP256R1()
    ).public_key()
