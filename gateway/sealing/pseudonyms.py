"""Pseudonyms and deterministic ids: HMAC-SHA256, one label for each use, parts encoded with their lengths."""

from functools import lru_cache
from hmac import digest

from gateway.sealing.keys import MacKeys

# RFC 4648 6, in lower case. Ten bits a step: 13 look-ups for the 130 bits of 26 letters.
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(high + low for high in _LETTERS for low in _LETTERS)
_SHIFTS = tuple(range(120, -1, -10))

# Recipients times live epochs; each entry is one derived key.
TOKEN_KEYS_CACHED = 4096


def canonical(label: bytes, *parts: str) -> bytes:
    """Injective: `label`, then each part after its length, so that ("a", "bc") is not ("ab", "c")."""
    pieces = [len(label).to_bytes(2, "big"), label]
    for part in parts:
        data = part.encode()
        pieces.append(len(data).to_bytes(4, "big"))
        pieces.append(data)
    return b"".join(pieces)


def base32(data: bytes) -> str:
    """26 lower-case base32 letters for 16 bytes, without padding."""
    bits = int.from_bytes(data, "big") << 2
    return "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


class Pseudonyms:
    """Every keyed name that the product gives. The same parts give the same name in each process."""

    __slots__ = ("_share", "_token_secret", "_unit", "_velocity")

    def __init__(self, mac_keys: MacKeys) -> None:
        self._unit = mac_keys.unit().secret
        self._velocity = mac_keys.velocity().secret
        self._share = mac_keys.share().secret

        def token_secret(recipient_id: str, epoch: int) -> bytes:
            return mac_keys.token(recipient_id, epoch).secret

        self._token_secret = lru_cache(maxsize=TOKEN_KEYS_CACHED)(token_secret)

    def __repr__(self) -> str:
        return "Pseudonyms(****)"

    def card_token(self, recipient_id: str, epoch: int, pan: str) -> str:
        """The recipient's own pseudonym of the whole PAN for one epoch; 26 letters."""
        secret = self._token_secret(recipient_id, epoch)
        return base32(digest(secret, canonical(b"card_token/1", pan), "sha256")[:16])

    def unit_key(self, kind: str, value: str) -> bytes:
        """16 bytes that experiments cluster by; `kind` says what `value` is (par, pan, card_ref ...)."""
        return digest(self._unit, canonical(b"unit_key/1", kind, value), "sha256")[:16]

    def velocity_key(self, kind: int, value: str) -> bytes:
        """16 bytes that velocity is counted under."""
        return digest(self._velocity, canonical(b"velocity_key/1", str(kind), value), "sha256")[:16]

    def share_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, program: str) -> str:
        """26 letters; a repeat of the payment's attempt gives the same id."""
        parts = canonical(b"share_id/1", sender_id, payment_intent_id, str(attempt_no), program)
        return base32(digest(self._share, parts, "sha256")[:16])

    def evaluation_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str) -> str:
        """26 letters; a repeat of the request gives the same id."""
        parts = canonical(b"evaluation_id/1", sender_id, payment_intent_id, str(attempt_no), request_id)
        return base32(digest(self._share, parts, "sha256")[:16])

    def request_digest(self, request: bytes) -> bytes:
        """16 bytes that tell a repeat of a request from a changed one. Keyed: the request holds a PAN."""
        return digest(self._share, b"\x00\x10request_digest/1" + request, "sha256")[:16]
