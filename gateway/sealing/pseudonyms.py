"""Pseudonyms and deterministic ids, one key or label for each use, the same in each process.

Made in Rust where the engine is built (native/src/sealing/mac.rs), else by its twin in `pseudonyms_macs`.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from gateway.runtime.native import engines
from gateway.sealing.keys import MacKeys
from gateway.sealing.pseudonyms_macs import CardTokens, ContactHashes, Macs, Names, VelocityKeys

# Recipients times live epochs; each entry is one derived key.
TOKEN_KEYS_CACHED = 4096


class Pseudonyms:
    """Every keyed name that the product gives. The same parts give the same name in each process."""

    __slots__ = ("_contacts", "_tokens", "macs", "names", "names_of", "request_digest", "share_id")

    # Of the hot path: the engine's own functions, without a call in between.
    names: Callable[[str, int, str, str, str, str, str, str, str, int, str], Names]
    """(sender id, source, kind of unit, unit, merchant id, ip, device id, e-mail address, payment
    intent id, attempt, request id) -> unit key, velocity keys by kind, evaluation id.

    Source and unit as the payment has them: a reference of the sender's own is told from another sender's
    here. The address in its own form (`enrichment.contact.email_of`). Empty strings are absent: nothing is
    counted under them."""

    names_of: Callable[[Any, str, Mapping[int, str]], tuple[int, bytes, VelocityKeys, str] | None] | None
    """(payment, sender id, kinds of unit by source) -> source, and `names`; None of a payment that the engine
    has not read. Itself None where there is no engine."""

    share_id: Callable[[str, str, int, str], str]
    """(sender id, payment intent id, attempt, program) -> 26 letters; a repeat has the same."""

    request_digest: Callable[[bytes], bytes]
    """16 bytes that tell a repeat of a request from a changed one. Keyed: the request holds a PAN."""

    def __init__(self, mac_keys: MacKeys, *, native: Any = engines) -> None:
        make_macs = getattr(native, "Macs", Macs)
        make_tokens = getattr(native, "CardTokens", CardTokens)
        self.macs: Macs = make_macs(
            mac_keys.unit().secret, mac_keys.velocity().secret, mac_keys.share().secret
        )

        self.names = self.macs.names
        self.names_of = getattr(self.macs, "names_of", None)
        self.share_id = self.macs.share_id
        self.request_digest = self.macs.request_digest

        def tokens(recipient_id: str, epoch: int) -> CardTokens:
            found: CardTokens = make_tokens(mac_keys.token(recipient_id, epoch).secret)
            return found

        def contacts(recipient_id: str, epoch: int) -> ContactHashes:
            return ContactHashes(mac_keys.token(recipient_id, epoch).secret)

        self._tokens = lru_cache(maxsize=TOKEN_KEYS_CACHED)(tokens)
        self._contacts = lru_cache(maxsize=TOKEN_KEYS_CACHED)(contacts)

    def __repr__(self) -> str:
        return "Pseudonyms(****)"

    def card_tokens(self, recipient_id: str, epoch: int) -> Callable[[str], str]:
        """Makes the recipient's own pseudonyms of whole PANs for one epoch; 26 letters each."""
        return self.tokens(recipient_id, epoch).card_token

    def tokens(self, recipient_id: str, epoch: int) -> CardTokens:
        """What `card_tokens` makes them with, for who seals."""
        return self._tokens(recipient_id, epoch)

    def contact_hash(self, recipient_id: str, epoch: int, label: str, text: str) -> str:
        """The recipient's own pseudonym of contact data; see `ContactHashes`."""
        return self._contacts(recipient_id, epoch).contact_hash(label, text)

    def unit_key(self, kind: str, value: str) -> bytes:
        """16 bytes that experiments cluster by; `kind` says what `value` is (par, pan, card_ref ...)."""
        return self.macs.unit_key(kind, value)

    def card_key(self, kind: str, value: str, sender_id: str) -> bytes:
        """The unit key that `names` gives a card: a reference of a sender's own is told from another's."""
        if kind == "card_ref":
            value = f"{len(sender_id)}:{sender_id}:{value}"
        return self.macs.unit_key(kind, value)

    def velocity_key(self, kind: int, value: str) -> bytes:
        """16 bytes that velocity is counted under. The kind is in the label."""
        return self.macs.velocity_key(kind, value)

    def evaluation_id(self, sender_id: str, payment_intent_id: str, attempt_no: int, request_id: str) -> str:
        """26 letters; a repeat of the request gives the same id."""
        return self.macs.evaluation_id(sender_id, payment_intent_id, attempt_no, request_id)
