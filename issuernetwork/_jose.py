"""The part of JOSE that a receiver needs, strict: compact JWS and JWE, algorithms pinned by the key.

Straight over `cryptography`, since general libraries take the algorithm from the header unless told not to,
and let a quarter of mutated tokens out as untyped exceptions. Everything here ends as RefusedToken.
"""

import json
from binascii import a2b_base64, b2a_base64
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

# A share is about 2 kB; nothing of the network comes near this.
TOKEN_BYTES_MAX: Final = 64 * 1024
# Senders keep a content key for five minutes or 2^20 messages: a few are live at once for one recipient.
CONTENT_KEYS_CACHED: Final = 256
# NIST SP 800-57: 2048 bits until 2030. Above 8192 one operation takes too long to be meant well.
RSA_BITS_MIN: Final = 2048
RSA_BITS_MAX: Final = 8192
# A set with more keys is no rotation.
JWKS_KEYS_MAX: Final = 32

SIGNATURES: Final = ("ES256", "EdDSA", "RS256", "PS256")
"""Signature algorithms that are verified, each by keys that are for it alone."""

ENC: Final = "A256GCM"
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
# RFC 7515 4.1, RFC 7797: keys that travel with the token, compression, extensions that change the meaning.
_REFUSED_JWS_MEMBERS = frozenset(("crit", "zip", "jwk", "jku", "x5u", "x5c", "b64"))
_KNOWN_JWE_MEMBERS = frozenset(("alg", "enc", "kid", "epk", "typ", "cty"))
_OAEP = padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None)
# RFC 7518 4.6.2 with empty apu and apv, 256 bits.
_ECDH_INFO = b"\x00\x00\x00\x0eECDH-ES+A256KW" + bytes(8) + b"\x00\x00\x01\x00"

# What a refused token is called to the transmitter: RFC 8935 2.4 and its registry.
SET_ERRORS: Final[Mapping[str, str]] = {
    "malformed": "invalid_request",
    "too_large": "invalid_request",
    "header": "invalid_request",
    "algorithm": "invalid_key",
    "unknown_key": "invalid_key",
    "unknown_recipient_key": "invalid_key",
    "signature": "authentication_failed",
    "type": "invalid_request",
    "issuer": "invalid_issuer",
    "audience": "invalid_audience",
    "claims": "invalid_request",
    "unknown_event": "invalid_request",
    "decryption": "invalid_key",
    "binding": "authentication_failed",
    "sequence_conflict": "invalid_request",
}


class RefusedToken(Exception):
    """A token that is not taken. `code` is one of SET_ERRORS and says why, never showing what it held."""

    def __init__(self, code: str) -> None:
        super().__init__(f"token refused: {code}")
        self.code = code

    @property
    def set_error(self) -> str:
        """The code registered for `setErrs` (RFC 8935 2.4, RFC 8936 2.4.4)."""
        return SET_ERRORS[self.code]


class BadKey(Exception):
    """A key document that cannot be used. The text names the member, never its value."""


def encode_base64url(data: bytes) -> bytes:
    """Unpadded base64url (RFC 7515 2)."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def decode_base64url(text: bytes) -> bytes:
    """The only bytes that encode to `text`. Raises ValueError for any other letter, padding or loose bits."""
    data = a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    if encode_base64url(data) != text:
        raise ValueError("not base64url")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # Two readers of one document must not see different values (RFC 7515 4).
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


_decode_json: Callable[[str], Any] = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant
).decode


def json_object(data: bytes) -> dict[str, Any]:
    """The object in `data`. Raises ValueError (also RecursionError) for anything else."""
    found = _decode_json(data.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A transmitter's public key and the one algorithm that it is for."""

    kid: str
    alg: str
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey = field(repr=False)

    def verify(self, signing_input: bytes, signature: bytes) -> None:
        """Raises InvalidSignature."""
        key = self.key
        if isinstance(key, ec.EllipticCurvePublicKey):
            # Exactly R || S (RFC 7518 3.4): DER is another encoding of the same and is not taken.
            if len(signature) != 64:
                raise InvalidSignature
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), signing_input, _ES256)
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signing_input)
        else:
            key.verify(signature, signing_input, _RSA_PADDINGS[self.alg], _SHA256)


_ES256 = ec.ECDSA(SHA256())
_SHA256 = SHA256()
_RSA_PADDINGS: Final[Mapping[str, padding.PKCS1v15 | padding.PSS]] = {
    "RS256": padding.PKCS1v15(),
    # A salt of just the hash's length, no other is taken: RFC 7518 3.5.
    "PS256": padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=padding.PSS.DIGEST_LENGTH),
}


@dataclass(frozen=True, slots=True)
class OpenKey:
    """A recipient's private key and the one key wrap that it is for."""

    kid: str
    alg: str
    key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | rsa.RSAPrivateKey = field(repr=False)

    def unwrap(self, header: Mapping[str, Any], wrapped: bytes) -> bytes:
        """The content key. Raises whatever `cryptography` raises."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.decrypt(wrapped, _OAEP)
        # The epk has to be of the curve of the key, whatever it says of itself.
        if isinstance(self.key, x25519.X25519PrivateKey):
            # Raises where the secret is all zero: an epk of low order (RFC 7748 6.1).
            shared = self.key.exchange(x25519_public_key(header["epk"]))
        else:
            shared = self.key.exchange(ec.ECDH(), ec_public_key(header["epk"]))
        return aes_key_unwrap(ConcatKDFHash(SHA256(), 32, _ECDH_INFO).derive(shared), wrapped)


def _member(jwk: Mapping[str, Any], member: str) -> bytes:
    value = jwk.get(member)
    if not isinstance(value, str):
        raise BadKey(f"JWK member {member} is missing or not a string")
    try:
        return decode_base64url(value.encode())
    except ValueError:
        raise BadKey(f"JWK member {member} is not base64url") from None


def _number(jwk: Mapping[str, Any], member: str) -> int:
    return int.from_bytes(_member(jwk, member), "big")


def ec_public_key(jwk: Any) -> ec.EllipticCurvePublicKey:
    """A P-256 key, its point checked. Raises BadKey."""
    if not isinstance(jwk, Mapping) or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise BadKey("the key needs kty EC and crv P-256")
    try:
        numbers = ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), ec.SECP256R1())
        return numbers.public_key()
    except ValueError:
        raise BadKey("JWK members x and y are not a point of P-256") from None


def x25519_public_key(jwk: Any) -> x25519.X25519PublicKey:
    """A key of X25519 (RFC 8037 2). One of low order shows in the exchange. Raises BadKey."""
    if not isinstance(jwk, Mapping) or jwk.get("kty") != "OKP" or jwk.get("crv") != "X25519":
        raise BadKey("the key needs kty OKP and crv X25519")
    try:
        return x25519.X25519PublicKey.from_public_bytes(_member(jwk, "x"))
    except ValueError:
        raise BadKey("JWK member x is not a key of X25519") from None


def _rsa_numbers(jwk: Mapping[str, Any]) -> rsa.RSAPublicNumbers:
    if jwk.get("kty") != "RSA":
        raise BadKey("the key needs kty RSA")
    numbers = rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n"))
    if not RSA_BITS_MIN <= numbers.n.bit_length() <= RSA_BITS_MAX:
        raise BadKey(f"an RSA key needs {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
    return numbers


def _key_id(jwk: Mapping[str, Any]) -> str:
    kid = jwk.get("kid", "")
    if not isinstance(kid, str):
        raise BadKey("JWK member kid is not a string")
    return kid


def verify_key(jwk: Mapping[str, Any]) -> VerifyKey:
    """A public signature key. Raises BadKey."""
    alg = jwk.get("alg")
    if jwk.get("use", "sig") != "sig":
        raise BadKey("JWK member use is not sig")
    try:
        if alg == "ES256":
            return VerifyKey(_key_id(jwk), alg, ec_public_key(jwk))
        if alg == "EdDSA" and jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            return VerifyKey(_key_id(jwk), alg, ed25519.Ed25519PublicKey.from_public_bytes(_member(jwk, "x")))
        if alg in ("RS256", "PS256"):
            return VerifyKey(_key_id(jwk), alg, _rsa_numbers(jwk).public_key())
    except ValueError:
        raise BadKey("the members of the key do not belong together") from None
    raise BadKey("JWK member alg has to be ES256, EdDSA, RS256 or PS256 and fit kty and crv")


def verify_keys(jwks: Any) -> dict[str, VerifyKey]:
    """Keys of a JWK Set by kid. Keys of other uses or algorithms are passed over (RFC 7517 5)."""
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or len(keys) > JWKS_KEYS_MAX:
        raise BadKey(f"the JWK Set needs a member keys with at most {JWKS_KEYS_MAX} keys")
    found: dict[str, VerifyKey] = {}
    rsa_algs: dict[int, str] = {}
    for jwk in keys:
        try:
            key = verify_key(jwk if isinstance(jwk, Mapping) else {})
        except BadKey:
            continue
        if key.kid in found:
            raise BadKey("two keys of the JWK Set have the same kid")
        # RFC 8017 6: one RSA key for one scheme, so that a weakness of one is none of the other.
        if (
            isinstance(key.key, rsa.RSAPublicKey)
            and rsa_algs.setdefault(key.key.public_numbers().n, key.alg) != key.alg
        ):
            raise BadKey("one RSA key of the JWK Set is for two algorithms")
        found[key.kid] = key
    return found


def open_key(jwk: Mapping[str, Any]) -> OpenKey:
    """A recipient's private key. Raises BadKey."""
    alg = jwk.get("alg")
    if jwk.get("use", "enc") != "enc":
        raise BadKey("JWK member use is not enc")
    try:
        if alg == "ECDH-ES+A256KW":
            return OpenKey(_key_id(jwk), alg, _agreement_key(jwk))
        if alg == "RSA-OAEP-256":
            p, q, d, dp, dq, qi = (_number(jwk, name) for name in ("p", "q", "d", "dp", "dq", "qi"))
            numbers = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, _rsa_numbers(jwk))
            return OpenKey(_key_id(jwk), alg, numbers.private_key())
    except ValueError:
        raise BadKey("the members of the key do not belong together") from None
    raise BadKey("JWK member alg has to be ECDH-ES+A256KW or RSA-OAEP-256")


def _agreement_key(jwk: Mapping[str, Any]) -> ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey:
    """The private key of ECDH-ES. Raises BadKey, or ValueError where its halves are of two keys."""
    if jwk.get("kty") != "OKP":
        numbers = ec_public_key(jwk).public_numbers()
        return ec.EllipticCurvePrivateNumbers(_number(jwk, "d"), numbers).private_key()
    public = x25519_public_key(jwk)
    private = x25519.X25519PrivateKey.from_private_bytes(_member(jwk, "d"))
    if private.public_key().public_bytes_raw() != public.public_bytes_raw():
        raise ValueError("x is of another key")
    return private


def verify_jws(token: bytes, keys: Mapping[str, VerifyKey]) -> tuple[dict[str, Any], bytes]:
    """Header and payload of a compact JWS whose signature holds. Raises RefusedToken."""
    if len(token) > TOKEN_BYTES_MAX:
        raise RefusedToken("too_large")
    parts = token.split(b".")
    if len(parts) != 3:
        raise RefusedToken("malformed")
    try:
        header = json_object(decode_base64url(parts[0]))
        payload = decode_base64url(parts[1])
        signature = decode_base64url(parts[2])
    except (ValueError, RecursionError):
        raise RefusedToken("malformed") from None
    if not _REFUSED_JWS_MEMBERS.isdisjoint(header):
        raise RefusedToken("header")
    kid = header.get("kid", "")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise RefusedToken("unknown_key")
    if header.get("alg") != key.alg:
        raise RefusedToken("algorithm")
    try:
        key.verify(token[: len(parts[0]) + 1 + len(parts[1])], signature)
    except (InvalidSignature, ValueError):
        raise RefusedToken("signature") from None
    return header, payload


class JweOpener:
    """Opens compact JWEs. Remembers unwrapped content keys, since senders use one for many messages."""

    __slots__ = ("_cached", "_keys")

    def __init__(self, keys: Mapping[str, OpenKey]) -> None:
        self._keys = keys
        self._cached: OrderedDict[bytes, AESGCM] = OrderedDict()

    def __repr__(self) -> str:
        return f"JweOpener(kids={sorted(self._keys)})"

    def open(self, token: bytes) -> bytes:
        """The plaintext. Raises RefusedToken."""
        if len(token) > TOKEN_BYTES_MAX:
            raise RefusedToken("too_large")
        parts = token.split(b".")
        if len(parts) != 5:
            raise RefusedToken("malformed")
        try:
            nonce, ciphertext, tag = (decode_base64url(part) for part in parts[2:])
        except ValueError:
            raise RefusedToken("malformed") from None
        # The very text of header and wrapped key: what follows from it is the same each time.
        name = parts[0] + b"." + parts[1]
        aead = self._cached.get(name)
        known = aead is not None
        if aead is None:
            aead = self._unwrap(parts[0], parts[1])
        # RFC 7518 5.3: the whole tag and a nonce of 96 bits; a shorter tag is easier to forge.
        if len(nonce) != 12 or len(tag) != 16:
            raise RefusedToken("malformed")
        try:
            plaintext = aead.decrypt(nonce, ciphertext + tag, parts[0])
        except Exception:  # InvalidTag, OverflowError; one answer for all, so that none is an oracle
            raise RefusedToken("decryption") from None
        if not known:
            self._cached[name] = aead
            if len(self._cached) > CONTENT_KEYS_CACHED:
                self._cached.popitem(last=False)
        return plaintext

    def _unwrap(self, header_segment: bytes, wrapped_segment: bytes) -> AESGCM:
        try:
            header = json_object(decode_base64url(header_segment))
            wrapped = decode_base64url(wrapped_segment)
        except (ValueError, RecursionError):
            raise RefusedToken("malformed") from None
        if not _KNOWN_JWE_MEMBERS.issuperset(header):
            raise RefusedToken("header")
        kid = header.get("kid", "")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise RefusedToken("unknown_recipient_key")
        if header.get("alg") != key.alg or header.get("enc") != ENC:
            raise RefusedToken("algorithm")
        try:
            secret = key.unwrap(header, wrapped)
        except Exception:  # the same answer for a bad wrap, a bad epk and a bad tag (RFC 7516 11.5)
            raise RefusedToken("decryption") from None
        if len(secret) != 32:
            raise RefusedToken("decryption")
        return AESGCM(secret)
