"""Pseudonyms and deterministic ids, one key or label for each use, the same in each process.

Made in Rust where the engine is built (native/src/mac.rs), else by its twin in `pseudonyms_macs`.
"""

from functools import lru_cache
from typing import Any

from gateway.runtime.native import engines
from gateway.sealing.keys import MacKeys
from gateway.sealing.pseudonyms_macs import CardTokens, Macs, Names

# Recipients times live epochs; each entry is one derived key.
TOKEN_KEYS_CACHED = 4096


class Pseudonyms:
    """Every keyed name that the product gives. The same parts give the same name in each process."""

    __slots__ = ("_macs", "_tokens")

    def __init__(self, mac_keys: MacKeys, *, native: Any = engines) -> None:
        make_macs = getattr(native, "Macs", Macs)
        make_tokens = getattr(native, "CardTokens", CardTokens)
        self._macs: Macs = make_macs(
            mac_keys.unit().secret, mac_keys.velocity().secret, mac_keys.share().secret
        )

        def tokens(recipient_id: str, epoch: int) -> CardTokens:
            found: CardTokens = make_tokens(mac_keys.token(recipient_id, epoch).secret)
            return found

        self._tokens = lru_cache(maxsize=TOKEN_KEYS_CACHED)(tokens)

    def __repr__(self) -> str:
        return "Pseudonyms(****)"

    def card_token(self, recipient_id: str, epoch: int, pan: str) -> str:
        """The recipient's own pseudonym of the whole PAN for one epoch; 26 letters."""
        return self._tokens(recipient_id, epoch).card_token(pan)

    def unit_key(self, kind: str, value: str) -> bytes:
        """16 bytes that experiments cluster by; `kind` says what `value` is (par, pan, card_ref ...)."""
        return self._macs.unit_key(kind, value)

    def velocity_key(self, kind: int, value: str) -> bytes:
        """16 bytes that velocity is counted under. The kind is in the label."""
        return self._macs.velocity_key(kind, value)

    def share_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, program: str) -> str:
        """26 letters; a repeat of the payment's attempt gives the same id."""
        return self._macs.share_id(sender_id, payment_intent_id, attempt_no, program)

    def evaluation_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str) -> str:
        """26 letters; a repeat of the request gives the same id."""
        return self._macs.evaluation_id(sender_id, payment_intent_id, attempt_no, request_id)

    def request_digest(self, request: bytes) -> bytes:
        """16 bytes that tell a repeat of a request from a changed one. Keyed: the request holds a PAN."""
        return self._macs.request_digest(request)

    def names(
        self,
        sender_id: str,
        source: int,
        kind_text: str,
        unit: str,
        merchant_id: str,
        ip: str,
        device_id: str,
        payment_intent_id: str,
        attempt_no: int,
        request_id: str,
    ) -> Names:
        """Unit key, velocity keys by kind and evaluation id of a payment, in one call.

        `source` and `unit` are the payment's unit as it came: a reference of the sender's own is told from
        another sender's here. Empty strings are absent: nothing is counted under them.
        """
        return self._macs.names(
            sender_id, source, kind_text, unit, merchant_id, ip, device_id,
            payment_intent_id, attempt_no, request_id,
        )  # fmt: skip
