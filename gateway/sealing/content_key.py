"""One content key at work: a message after the other under it, each with a nonce of its own (RFC 7516 5.1).

Sealed in Rust where the engine is built (native/src/sealing/seal.rs), else by the twin here.
"""

from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.sealing import base64url

SECRET_BYTES = 32
NONCE_BYTES = 12
_TAG_BYTES = 16
_NONCES = 1 << 8 * NONCE_BYTES


class ContentKey:
    """Seals under one content key. `prefix` is all that stands before the nonce; `header` is authenticated.

    How many messages it may serve is for its owner to say.
    """

    __slots__ = ("_aead", "_header", "_next_nonce", "_prefix")

    def __init__(self, secret: bytes, prefix: bytes, header: bytes, first_nonce: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a content key of A256GCM has {SECRET_BYTES} bytes")
        if len(first_nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce of A256GCM has {NONCE_BYTES} bytes")
        self._aead = AESGCM(secret)
        self._prefix = prefix
        self._header = header
        self._next_nonce = int.from_bytes(first_nonce, "big")

    def __repr__(self) -> str:
        return "ContentKey(****)"

    def seal(self, plaintext: bytes) -> tuple[bytes, bytes]:
        """The compact JWE, and its SHA-256."""
        # The counter moves before all that may fail: a fault skips a nonce and repeats none.
        number = self._next_nonce
        self._next_nonce = number + 1
        nonce = (number % _NONCES).to_bytes(NONCE_BYTES, "big")
        sealed = self._aead.encrypt(nonce, plaintext, self._header)
        encode = base64url.encode
        message, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        jwe = b"%b%b.%b.%b" % (self._prefix, encode(nonce), encode(message), encode(tag))
        return jwe, sha256(jwe).digest()
