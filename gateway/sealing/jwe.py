"""Compact JWE for one recipient, fast: the wrapped content key is reused for a while, the nonce never.

RFC 7516 makes a fresh content key for each message; here one serves up to 2^20 messages or five minutes of
one process, since wrapping costs fifty times the encryption. What that gives up: who learns one content key
reads its messages, and not one alone. `fresh=True` makes one a message where a recipient's document asks.
"""

import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from gateway.runtime.clock import MS, Clock
from gateway.runtime.entropy import Entropy
from gateway.runtime.native import engines
from gateway.sealing import base64url
from gateway.sealing.content_key import NONCE_BYTES, SECRET_BYTES, ContentKey
from gateway.sealing.keys import KeyUnavailable, KeyWrap, RecipientKey, RecipientKeys

# Far under the 2^32 invocations of NIST SP 800-38D 8.3; it bounds what one leaked content key opens.
MESSAGES_PER_CONTENT_KEY = 1 << 20
CONTENT_KEY_LIFE_MS = 5 * 60 * 1000
# One live content key a recipient; a policy holds hundreds of recipients.
CONTENT_KEYS_CACHED = 4096

# Order of the group of P-256 (FIPS 186-4 D.1.2.3).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def p256_private_key(entropy: Entropy) -> ec.EllipticCurvePrivateKey:
    """A key pair from `entropy` (FIPS 186-4 B.4.1, 128 extra bits so that the remainder shows no bias)."""
    number = int.from_bytes(entropy.bytes(48), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def concat_kdf(shared: bytes, alg: str) -> bytes:
    """The 256-bit key-encryption key of ECDH-ES (RFC 7518 4.6.2), with empty apu and apv."""
    info = len(alg).to_bytes(4, "big") + alg.encode() + bytes(8) + (256).to_bytes(4, "big")
    return ConcatKDFHash(SHA256(), 32, info).derive(shared)


@dataclass(slots=True)
class Held:
    """A content key, whose it is, and how much of it is left."""

    recipient_key: RecipientKey
    content_key: ContentKey
    messages_left: int
    expires_ns: int

    def seal_hashed(self, plaintext: bytes) -> tuple[bytes, bytes]:
        """The compact JWE and its SHA-256. Ask only while there are messages left."""
        self.messages_left -= 1  # before the encryption: a fault counts as a message too
        return self.content_key.seal(plaintext)


class Sealer:
    """Seals bytes to recipients. One thread at a time; worker processes each have their own content keys."""

    __slots__ = ("_cached", "_clock", "_current", "_entropy", "_make", "_monotonic_ns")

    def __init__(
        self, entropy: Entropy, clock: Clock, recipient_keys: RecipientKeys, *, native: Any = engines
    ) -> None:
        self._entropy = entropy
        self._clock = clock
        self._monotonic_ns = clock.monotonic_ns
        self._current = recipient_keys.current
        self._make: type[ContentKey] = getattr(native, "ContentKey", ContentKey)
        self._cached: dict[str, Held] = {}

    def __repr__(self) -> str:
        return f"Sealer(recipients={len(self._cached)})"

    def seal(self, recipient_id: str, plaintext: bytes, *, fresh: bool = False) -> tuple[str, bytes]:
        """The recipient's kid and the compact JWE. Raises KeyUnavailable where it has no key now."""
        held = self.held(recipient_id, fresh=fresh)
        return held.recipient_key.kid, held.seal_hashed(plaintext)[0]

    def held(self, recipient_id: str, *, fresh: bool = False) -> Held:
        """The content key for the recipient, good for the messages of now. Raises as `seal` does."""
        recipient_key = self._current(recipient_id, now_ms=self._clock.wall_ms())
        held = self._cached.get(recipient_id)
        if (
            fresh
            or held is None
            or held.recipient_key is not recipient_key
            or held.messages_left <= 0
            or self._monotonic_ns() >= held.expires_ns
        ):
            held = self._hold(recipient_key, 1 if fresh else MESSAGES_PER_CONTENT_KEY)
            if not fresh:
                self._keep(recipient_id, held)
        return held

    def serves(self, held: Held, now_ms: int) -> bool:
        """Whether it is good for another message at wall time `now_ms`. Raises as `seal` does."""
        recipient_key = held.recipient_key
        return (
            self._current(recipient_key.recipient_id, now_ms=now_ms) is recipient_key
            and held.messages_left > 0
            and self._monotonic_ns() < held.expires_ns
        )

    def _keep(self, recipient_id: str, held: Held) -> None:
        if len(self._cached) >= CONTENT_KEYS_CACHED and recipient_id not in self._cached:
            self._cached.pop(next(iter(self._cached)))
        self._cached[recipient_id] = held

    def _hold(self, recipient_key: RecipientKey, messages: int) -> Held:
        secret = self._entropy.bytes(SECRET_BYTES)
        header, wrapped = self._wrap(recipient_key, secret)
        segment = base64url.encode(json.dumps(header, separators=(",", ":")).encode())
        prefix = segment + b"." + base64url.encode(wrapped) + b"."
        return Held(
            recipient_key=recipient_key,
            content_key=self._make(secret, prefix, segment, self._entropy.bytes(NONCE_BYTES)),
            messages_left=messages,
            expires_ns=self._monotonic_ns() + CONTENT_KEY_LIFE_MS * MS,
        )

    def _wrap(self, key: RecipientKey, secret: bytes) -> tuple[dict[str, object], bytes]:
        header: dict[str, object] = {"alg": str(key.alg), "enc": "A256GCM", "kid": key.kid}
        public = key.public_key
        if key.alg is KeyWrap.RSA_OAEP_256 and isinstance(public, rsa.RSAPublicKey):
            oaep = padding.OAEP(mgf=padding.MGF1(SHA256()), algorithm=SHA256(), label=None)
            return header, public.encrypt(secret, oaep)
        if key.alg is KeyWrap.ECDH_ES_A256KW and isinstance(public, ec.EllipticCurvePublicKey):
            header["epk"], shared = self._agree_p256(public)
        elif key.alg is KeyWrap.ECDH_ES_A256KW and isinstance(public, x25519.X25519PublicKey):
            try:
                header["epk"], shared = self._agree_x25519(public)
            except ValueError:
                # A low-order point: the secret would be zero for everyone (RFC 7748 6.1).
                raise KeyUnavailable(key.recipient_id) from None
        else:
            raise KeyUnavailable(key.recipient_id)
        return header, aes_key_wrap(concat_kdf(shared, key.alg), secret)

    def _agree_p256(self, public: ec.EllipticCurvePublicKey) -> tuple[dict[str, str], bytes]:
        """The ephemeral key as epk, and the shared secret."""
        ephemeral = p256_private_key(self._entropy)
        point = ephemeral.public_key().public_numbers()
        epk = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url.encode(point.x.to_bytes(32, "big")).decode(),
            "y": base64url.encode(point.y.to_bytes(32, "big")).decode(),
        }
        return epk, ephemeral.exchange(ec.ECDH(), public)

    def _agree_x25519(self, public: x25519.X25519PublicKey) -> tuple[dict[str, str], bytes]:
        """As above (RFC 8037 3.2). Raises ValueError where the shared secret is zero."""
        # Any 32 bytes are a private key, clamped as they are used (RFC 7748 5).
        ephemeral = x25519.X25519PrivateKey.from_private_bytes(self._entropy.bytes(32))
        x = base64url.encode(ephemeral.public_key().public_bytes_raw()).decode()
        return {"kty": "OKP", "crv": "X25519", "x": x}, ephemeral.exchange(public)
