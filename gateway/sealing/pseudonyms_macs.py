"""Keyed names from secrets: what native/src/sealing/mac.rs does too. Parts are encoded with their lengths.

What others compute too, or what outlives a release (card tokens, unit keys), is HMAC-SHA256. What stays
inside (velocity keys, share and evaluation ids, digests of requests) is keyed BLAKE2b (RFC 7693 2.9), which
takes a third of the time: docs/decisions/0007-keyed-blake2b-inside.md.
"""

from hashlib import blake2b, sha256
from typing import Any

from issuernetwork.v1.common_pb2 import UNIT_SOURCE_CARD_REF

# RFC 4648 6, in lower case. Ten bits a step: 13 look-ups for the 130 bits of 26 letters.
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(high + low for high in _LETTERS for low in _LETTERS)
_SHIFTS = tuple(range(120, -1, -10))

# Five bits of each byte as a letter: 26 bytes of hash make an id of 130 bits.
_ID_LETTERS = bytes(ord(_LETTERS[byte & 31]) for byte in range(256))
_ID_BYTES = 26

# Kinds of velocity keys there may be; five are in use.
VELOCITY_KINDS = 8

VelocityKeys = tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None]
"""16 bytes a kind, in the order of `VelocityKind`; None where there is nothing to count."""

Names = tuple[bytes, VelocityKeys, str]
"""Unit key, velocity keys, evaluation id."""

_BLOCK_BYTES = 64  # of SHA-256, and the longest key of BLAKE2b
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def canonical(label: bytes, *parts: str) -> bytes:
    """Injective: `label`, then each part after its length, so that ("a", "bc") is not ("ab", "c")."""
    return len(label).to_bytes(2, "big") + label + b"".join(map(_sized, parts))


def _sized(part: str) -> bytes:
    """One part as `canonical` has it."""
    data = part.encode()
    return len(data).to_bytes(4, "big") + data


_CARD_TOKEN = canonical(b"card_token/1")
_UNIT_KEY = canonical(b"unit_key/1")


def base32(data: bytes) -> str:
    """26 lower-case base32 letters for 16 bytes, without padding."""
    bits = int.from_bytes(data, "big") << 2
    return "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


class Hmac:
    """HMAC-SHA256 (RFC 2104) of one key with its two blocks hashed ahead: half the time of `hmac.digest`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, secret: bytes) -> None:
        if len(secret) > _BLOCK_BYTES:
            secret = sha256(secret).digest()
        block = secret.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def __repr__(self) -> str:
        return "Hmac(****)"

    def digest(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


def _keyed(secret: bytes, label: bytes, digest_bytes: int) -> Any:
    """A BLAKE2b with its key and label taken in, to be copied for each use."""
    key = secret if len(secret) <= _BLOCK_BYTES else sha256(secret).digest()
    return blake2b(key=key, digest_size=digest_bytes, person=label)


class CardTokens:
    """Card tokens of one recipient and epoch."""

    __slots__ = ("_mac",)

    def __init__(self, secret: bytes) -> None:
        self._mac = Hmac(secret)

    def __repr__(self) -> str:
        return "CardTokens(****)"

    def card_token(self, pan: str) -> str:
        return base32(self._mac.digest(_CARD_TOKEN + _sized(pan))[:16])


class ContactHashes:
    """Hashes of contact data for one recipient and epoch, by the key of its card tokens, each under a label.

    Few programs share them: in Python alone.
    """

    __slots__ = ("_mac",)

    def __init__(self, secret: bytes) -> None:
        self._mac = Hmac(secret)

    def __repr__(self) -> str:
        return "ContactHashes(****)"

    def contact_hash(self, label: str, text: str) -> str:
        """26 letters of `text`, in the form of `issuernetwork.contact`. `label` is the name of the field."""
        return base32(self._mac.digest(canonical(f"{label}/1".encode(), text))[:16])


class Macs:
    """All names but card tokens, whose secrets come one a recipient and epoch. See `Pseudonyms`."""

    __slots__ = ("_digest", "_evaluation", "_share", "_unit", "_velocity")

    def __init__(self, unit: bytes, velocity: bytes, share: bytes) -> None:
        self._unit = Hmac(unit)
        self._velocity = tuple(
            _keyed(velocity, b"ein-velocity-%d" % kind, 16) for kind in range(VELOCITY_KINDS)
        )
        self._share = _keyed(share, b"ein-share-id", _ID_BYTES)
        self._evaluation = _keyed(share, b"ein-evaluation", _ID_BYTES)
        self._digest = _keyed(share, b"ein-request", 16)

    def __repr__(self) -> str:
        return "Macs(****)"

    def unit_key(self, kind: str, value: str) -> bytes:
        return self._unit.digest(_UNIT_KEY + _sized(kind) + _sized(value))[:16]

    def velocity_key(self, kind: int, value: str) -> bytes:
        state = self._velocity[kind].copy()
        state.update(value.encode())
        digest: bytes = state.digest()
        return digest

    def share_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, program: str) -> str:
        return self._id(self._share, sender_id, payment_intent_id, attempt_no, program)

    def evaluation_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str) -> str:
        return self._id(self._evaluation, sender_id, payment_intent_id, attempt_no, request_id)

    def request_digest(self, request: bytes) -> bytes:
        state = self._digest.copy()
        state.update(request)
        digest: bytes = state.digest()
        return digest

    def names(
        self,
        sender_id: str,
        source: int,
        kind_text: str,
        unit: str,
        merchant_id: str,
        ip: str,
        device_id: str,
        email: str,
        payment_intent_id: str,
        attempt_no: int,
        request_id: str,
    ) -> Names:
        counted = clustered = unit
        if source == UNIT_SOURCE_CARD_REF:
            # A reference of the sender's own: equal ones of two senders are two cards.
            counted, clustered = f"{sender_id}:{unit}", f"{len(sender_id)}:{sender_id}:{unit}"
        return (
            self.unit_key(kind_text, clustered),
            (
                self.velocity_key(0, f"{source}:{counted}") if unit else None,
                self.velocity_key(1, f"{sender_id}:{merchant_id}"),
                self.velocity_key(2, ip) if ip else None,
                self.velocity_key(3, f"{sender_id}:{device_id}") if device_id else None,
                self.velocity_key(4, email) if email else None,
            ),
            self.evaluation_id(sender_id, payment_intent_id, attempt_no, request_id),
        )

    def _id(self, prepared: Any, sender_id: str, payment_intent_id: str, attempt_no: int, last: str) -> str:
        state = prepared.copy()
        # Lengths first, so that no part reaches over its border; what is behind the second is the last.
        state.update(
            f"{len(sender_id)}:{sender_id}{len(payment_intent_id)}:{payment_intent_id}{attempt_no}:{last}".encode()
        )
        letters: str = state.digest().translate(_ID_LETTERS).decode()
        return letters
