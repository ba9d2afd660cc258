"""The keys of the golden vectors, from seeds that everybody can read: they protect nothing.

They are made anew wherever they are needed, so that no private key stands in a file.
"""

import math
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import base64url
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey

# One seed a key, so that a key more changes none of the others.
_SIGNING_SEEDS = {
    SignatureAlgorithm.ES256: 4_001,
    SignatureAlgorithm.EDDSA: 4_002,
    SignatureAlgorithm.RS256: 4_003,
    SignatureAlgorithm.PS256: 4_004,
}
_P256_SEED, _X25519_SEED, _RSA_SEED = 4_101, 4_102, 4_103
_RSA_BITS = 2048
_RSA_EXPONENT = 65537
# Most candidates have a small factor: far quicker than to raise each to its own power.
_SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % small for small in range(3, math.isqrt(n) + 1, 2))]


def _unsafe_prime(entropy: UnsafeSeededEntropy, bits: int) -> int:
    while True:
        # The two upper bits, so that the product of two has all its bits; and odd.
        candidate = int.from_bytes(entropy.bytes(bits // 8), "big") | 3 << bits - 2 | 1
        # By Fermat's test; the key is checked whole when it is loaded.
        if all(candidate % prime for prime in _SMALL_PRIMES) and pow(2, candidate - 1, candidate) == 1:
            return candidate


@cache
def unsafe_rsa_key(seed: int) -> rsa.RSAPrivateKey:
    """Always the same RSA key for a seed: `cryptography` itself makes none from given bytes."""
    entropy = UnsafeSeededEntropy(seed)
    while True:
        p, q = (_unsafe_prime(entropy, _RSA_BITS // 2) for _ in range(2))
        phi = (p - 1) * (q - 1)
        if p != q and math.gcd(_RSA_EXPONENT, phi) == 1:
            break
    d = pow(_RSA_EXPONENT, -1, phi)
    return rsa.RSAPrivateNumbers(
        p=p, q=q, d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p), dmq1=rsa.rsa_crt_dmq1(d, q), iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(_RSA_EXPONENT, p * q),
    ).private_key()  # fmt: skip


@cache
def unsafe_signing_key(alg: SignatureAlgorithm) -> SigningKey:
    """The network's test key of one algorithm."""
    entropy = UnsafeSeededEntropy(_SIGNING_SEEDS[alg])
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if alg is SignatureAlgorithm.ES256:
        private = p256_private_key(entropy)
    elif alg is SignatureAlgorithm.EDDSA:
        private = ed25519.Ed25519PrivateKey.from_private_bytes(entropy.bytes(32))
    else:
        private = unsafe_rsa_key(_SIGNING_SEEDS[alg])
    return SigningKey(f"test-only-sig-{alg.lower()}", alg, private)


def _text(value: int, size: int) -> str:
    return base64url.encode(value.to_bytes(size, "big")).decode()


@cache
def _unsafe_recipient_jwks() -> tuple[dict[str, str], ...]:
    ecdh = {"alg": "ECDH-ES+A256KW", "use": "enc"}
    p256 = p256_private_key(UnsafeSeededEntropy(_P256_SEED)).private_numbers()
    point = p256.public_numbers
    okp = x25519.X25519PrivateKey.from_private_bytes(UnsafeSeededEntropy(_X25519_SEED).bytes(32))
    numbers = unsafe_rsa_key(_RSA_SEED).private_numbers()
    whole, half = _RSA_BITS // 8, _RSA_BITS // 16
    return (
        {
            "kty": "EC", "crv": "P-256", "kid": "test-only-enc-p256", **ecdh,
            "x": _text(point.x, 32), "y": _text(point.y, 32), "d": _text(p256.private_value, 32),
        },
        {
            "kty": "OKP", "crv": "X25519", "kid": "test-only-enc-x25519", **ecdh,
            "x": base64url.encode(okp.public_key().public_bytes_raw()).decode(),
            "d": base64url.encode(okp.private_bytes_raw()).decode(),
        },
        {
            "kty": "RSA", "kid": "test-only-enc-rsa", "alg": "RSA-OAEP-256", "use": "enc",
            "n": _text(numbers.public_numbers.n, whole), "e": "AQAB", "d": _text(numbers.d, whole),
            "p": _text(numbers.p, half), "q": _text(numbers.q, half),
            "dp": _text(numbers.dmp1, half), "dq": _text(numbers.dmq1, half), "qi": _text(numbers.iqmp, half),
        },
    )  # fmt: skip


def unsafe_recipient_jwks() -> list[dict[str, str]]:
    """The recipient's private test keys: P-256, X25519, RSA."""
    return [dict(key) for key in _unsafe_recipient_jwks()]


_PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi"))


def public_half(private: dict[str, str]) -> dict[str, str]:
    """The JWK without its private members."""
    return {name: value for name, value in private.items() if name not in _PRIVATE_MEMBERS}
