"""JSON Web Keys (RFC 7517, 7518 6, 8037) to and from key objects. Every fault is a BadKey without a value."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.sealing import base64url
from gateway.sealing.keys import BadKey, KeyWrap, RecipientKey, SignatureAlgorithm, SigningKey

# NIST SP 800-57 part 1: 2048 bits until 2030; above 8192 a single operation takes too long to be meant well.
RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8192
# A recipient's document with more is not a rotation.
KEYS_MAX = 32

_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")

# Clamped scalars are multiples of eight (RFC 7748 5): any one of them takes every low-order point to zero.
_ANY_X25519_SCALAR = x25519.X25519PrivateKey.from_private_bytes(bytes(32))


def number(jwk: Mapping[str, object], member: str) -> int:
    """An unsigned big-endian integer member."""
    return int.from_bytes(octets(jwk, member), "big")


def octets(jwk: Mapping[str, object], member: str) -> bytes:
    """The bytes of a base64url member."""
    value = jwk.get(member)
    if not isinstance(value, str):
        raise BadKey(f"JWK member {member} is missing or not a string")
    try:
        return base64url.decode(value.encode())
    except ValueError:
        raise BadKey(f"JWK member {member} is not base64url") from None


def _text(jwk: Mapping[str, object], member: str) -> str:
    value = jwk.get(member)
    if not isinstance(value, str) or not value:
        raise BadKey(f"JWK member {member} is missing or not a string")
    return value


def _octets_of(value: int) -> int:
    return (value.bit_length() + 7) // 8


def _segment(value: int, size: int) -> str:
    return base64url.encode(value.to_bytes(size, "big")).decode()


def recipient_keys(recipient_id: str, document: str) -> tuple[RecipientKey, ...]:
    """The encryption keys of a public JWK Set, in its order. Keys for signatures are passed over."""
    try:
        parsed = json.loads(document)
    except (ValueError, RecursionError):
        raise BadKey("the recipient's JWK Set is not JSON") from None
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        raise BadKey(f"the recipient's JWK Set needs a member keys with at most {KEYS_MAX} keys")
    found = []
    for jwk in keys:
        if not isinstance(jwk, dict):
            raise BadKey("a key of the recipient's JWK Set is not an object")
        if any(member in jwk for member in _PRIVATE_MEMBERS):
            raise BadKey("the recipient's JWK Set holds a private key: publish the public members alone")
        if jwk.get("use", "enc") == "enc":
            found.append(_recipient_key(recipient_id, jwk))
    if len({key.kid for key in found}) != len(found):
        raise BadKey("two keys of the recipient's JWK Set have the same kid")
    return tuple(found)


def _recipient_key(recipient_id: str, jwk: Mapping[str, object]) -> RecipientKey:
    expires = jwk.get("exp")
    if expires is not None and (not isinstance(expires, int) or isinstance(expires, bool)):
        raise BadKey("JWK member exp is not a whole number of seconds")
    try:
        alg = KeyWrap(_text(jwk, "alg"))
    except ValueError:
        raise BadKey("JWK member alg has to be ECDH-ES+A256KW or RSA-OAEP-256") from None
    public = _agreement_public(jwk) if alg is KeyWrap.ECDH_ES_A256KW else _rsa_public(jwk)
    return RecipientKey(
        recipient_id=recipient_id,
        kid=_text(jwk, "kid"),
        alg=alg,
        public_key=public,
        expires_at_ms=None if expires is None else expires * 1000,
    )


def _agreement_public(jwk: Mapping[str, object]) -> ec.EllipticCurvePublicKey | x25519.X25519PublicKey:
    """The key of ECDH-ES: P-256, or X25519 (RFC 8037 2)."""
    curve = (jwk.get("kty"), jwk.get("crv"))
    if curve == ("EC", "P-256"):
        return _ec_public(jwk)
    if curve != ("OKP", "X25519"):
        raise BadKey("a key for this alg needs kty EC and crv P-256, or kty OKP and crv X25519")
    try:
        public = x25519.X25519PublicKey.from_public_bytes(octets(jwk, "x"))
        _ANY_X25519_SCALAR.exchange(public)
    except ValueError:
        # Of another length, or of low order: every shared secret would be zero (RFC 7748 6.1).
        raise BadKey("JWK member x is not a public key of X25519") from None
    return public


def public_ec_numbers(jwk: Mapping[str, object]) -> ec.EllipticCurvePublicNumbers:
    """The point of a P-256 key. Raises BadKey where it is none."""
    return _ec_public(jwk).public_numbers()


def _ec_public(jwk: Mapping[str, object]) -> ec.EllipticCurvePublicKey:
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise BadKey("a key for this alg needs kty EC and crv P-256")
    try:
        return ec.EllipticCurvePublicNumbers(number(jwk, "x"), number(jwk, "y"), ec.SECP256R1()).public_key()
    except ValueError:
        raise BadKey("JWK members x and y are not a point of P-256") from None


def _rsa_public(jwk: Mapping[str, object]) -> rsa.RSAPublicKey:
    if jwk.get("kty") != "RSA":
        raise BadKey("a key for this alg needs kty RSA")
    try:
        key = rsa.RSAPublicNumbers(number(jwk, "e"), number(jwk, "n")).public_key()
    except ValueError:
        raise BadKey("JWK members n and e are not an RSA key") from None
    if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise BadKey(f"an RSA key needs {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
    return key


def signing_key(jwk: Mapping[str, object]) -> SigningKey:
    """A private signing key of ours."""
    try:
        alg = SignatureAlgorithm(_text(jwk, "alg"))
    except ValueError:
        raise BadKey("JWK member alg has to be ES256, EdDSA, RS256 or PS256") from None
    try:
        return SigningKey(kid=_text(jwk, "kid"), alg=alg, private_key=_private(alg, jwk))
    except ValueError:
        raise BadKey("the members of the signing key do not belong together") from None


def _private(
    alg: SignatureAlgorithm, jwk: Mapping[str, object]
) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey:
    if alg is SignatureAlgorithm.ES256:
        public = _ec_public(jwk).public_numbers()
        return ec.EllipticCurvePrivateNumbers(number(jwk, "d"), public).private_key()
    if alg is SignatureAlgorithm.EDDSA:
        return _ed25519_private(jwk)
    return rsa.RSAPrivateNumbers(
        p=number(jwk, "p"),
        q=number(jwk, "q"),
        d=number(jwk, "d"),
        dmp1=number(jwk, "dp"),
        dmq1=number(jwk, "dq"),
        iqmp=number(jwk, "qi"),
        public_numbers=_rsa_public(jwk).public_numbers(),
    ).private_key()


def _ed25519_private(jwk: Mapping[str, object]) -> ed25519.Ed25519PrivateKey:
    # X25519 keys are octets of the same length: only kty and crv tell them apart (RFC 8037 2).
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise BadKey("a key for this alg needs kty OKP and crv Ed25519")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(octets(jwk, "d"))
    if private.public_key().public_bytes_raw() != octets(jwk, "x"):
        raise ValueError("x is of another key")
    return private


def public_jwk(key: SigningKey) -> dict[str, str]:
    """The public half, for our JWK Set."""
    return public_jwk_of(key.private_key.public_key(), kid=key.kid, alg=key.alg)


def public_jwk_of(
    public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey,
    *,
    kid: str,
    alg: SignatureAlgorithm,
) -> dict[str, str]:
    """As `public_jwk`, where the private half is out of reach."""
    common = {"kid": kid, "alg": str(alg), "use": "sig"}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": _segment(point.x, 32), "y": _segment(point.y, 32), **common}
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(raw).decode(), **common}
    numbers = public.public_numbers()
    modulus, exponent = (_segment(value, _octets_of(value)) for value in (numbers.n, numbers.e))
    return {"kty": "RSA", "n": modulus, "e": exponent, **common}


def public_half(jwk: Mapping[str, str]) -> dict[str, str]:
    """A JWK of ours without its private members. Making the key to tell costs an RSA key 50 ms."""
    return {name: value for name, value in jwk.items() if name not in _PRIVATE_MEMBERS}


def private_jwk(key: SigningKey) -> dict[str, str]:
    """Both halves of a signing key, for the encrypted key file alone."""
    private, public = key.private_key, public_jwk(key)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return {**public, "d": _segment(private.private_numbers().private_value, 32)}
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return {**public, "d": base64url.encode(private.private_bytes_raw()).decode()}
    numbers = private.private_numbers()
    secret = {
        "d": numbers.d, "p": numbers.p, "q": numbers.q,
        "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp,
    }  # fmt: skip
    return {**public, **{name: _segment(value, _octets_of(value)) for name, value in secret.items()}}


def jwk_set(published: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Our JWK Set (RFC 7517 5). Raises BadKey where one RSA key is meant for two algorithms (RFC 8017 6)."""
    moduli = {(found["n"], found["alg"]) for found in published if found["kty"] == "RSA"}
    if len({modulus for modulus, _ in moduli}) != len(moduli):
        raise BadKey("an RSA signing key is for exactly one of RS256 and PS256: make another for the second")
    return {"keys": published}


THUMBPRINT_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
"""What a thumbprint is over: RFC 7638 3.2, RFC 8037 2."""


def thumbprint(key: Mapping[str, object]) -> str:
    """RFC 7638 3, of a public key or of the public half of a private one. Raises BadKey."""
    members = THUMBPRINT_MEMBERS.get(str(key.get("kty")))
    if members is None or any(not isinstance(key.get(name), str) for name in members):
        raise BadKey("a key of the set lacks the members of its kty")
    canonical = json.dumps({name: key[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return base64url.encode(hashlib.sha256(canonical.encode()).digest()).decode()
