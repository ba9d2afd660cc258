"""Key pairs of simulated recipients: the private half stays with the issuer's process."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

RSA_BITS = 2048


def _number(value: int, length: int = 0) -> str:
    size = length or (value.bit_length() + 7) // 8
    return base64.urlsafe_b64encode(value.to_bytes(size, "big")).rstrip(b"=").decode()


def ec_pair(kid: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Public and private JWK of a P-256 key for ECDH-ES+A256KW (RFC 7518 6.2)."""
    private = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = {
        "kty": "EC",
        "crv": "P-256",
        "x": _number(private.public_numbers.x, 32),
        "y": _number(private.public_numbers.y, 32),
        "kid": kid,
        "use": "enc",
        "alg": "ECDH-ES+A256KW",
    }
    return public, {**public, "d": _number(private.private_value, 32)}


def rsa_pair(kid: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Public and private JWK of an RSA key for RSA-OAEP-256 (RFC 7518 6.3)."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS).private_numbers()
    public = {
        "kty": "RSA",
        "n": _number(private.public_numbers.n),
        "e": _number(private.public_numbers.e),
        "kid": kid,
        "use": "enc",
        "alg": "RSA-OAEP-256",
    }
    secret = {
        "d": _number(private.d),
        "p": _number(private.p),
        "q": _number(private.q),
        "dp": _number(private.dmp1),
        "dq": _number(private.dmq1),
        "qi": _number(private.iqmp),
    }
    return public, {**public, **secret}
