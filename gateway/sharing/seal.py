"""What is released is encrypted to its recipient at once: no clear personal datum reaches our own disk."""

from enrichment.fields import FIELDS
from enrichment.signals import Signals
from gateway.records.reasons import Reason
from gateway.sealing.body import routing_of, write_body
from gateway.sealing.jwe import Held, Sealer
from gateway.sealing.keys import KeyUnavailable
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.encode import TOKEN_EPOCH, element_value
from gateway.sharing.work import Work
from issuernetwork.v1 import common_pb2

_MESSAGE = int(common_pb2.TRANSPORT_MESSAGE)
_CLEAR_OK = frozenset(one.number for one in FIELDS if one.clear_ok)


class ShareSealer:
    """Seals the released decisions of one payment."""

    __slots__ = ("_held", "_pseudonyms", "_sealer")

    def __init__(self, pseudonyms: Pseudonyms, sealer: Sealer) -> None:
        self._pseudonyms = pseudonyms
        self._sealer = sealer
        self._held: dict[str, Held] = {}

    def begin(self) -> None:
        """Recipients' keys are looked at anew for each batch."""
        self._held.clear()

    def seal(self, work: Work, seen: Signals) -> None:
        payment = work.payment
        token = ""
        token_of = ""
        for one in work.decided:
            if one.reason is not None or one.release is None:
                continue
            entry = one.entry
            if token_of != entry.recipient_id and payment.pan is not None:
                token_of = entry.recipient_id
                token = self._pseudonyms.card_token(token_of, TOKEN_EPOCH, payment.pan.digits())
            share_id = self._pseudonyms.share_id(
                work.item.sender_id, payment.payment_intent_id, payment.attempt_no, entry.program
            )
            body = write_body(
                share_id,
                routing_of(entry.issuer_id, entry.recipient_id, entry.program, entry.purpose),
                token,
                TOKEN_EPOCH if token else 0,
                {"keys": work.match_keys, "attempted_at_ms": payment.initiated_at_ms},
                seen.named(one.release.mask),
            )
            held = self._held.get(entry.recipient_id)
            if held is None or held.messages_left <= 0:
                try:
                    held = self._held[entry.recipient_id] = self._sealer.held(entry.recipient_id)
                except KeyUnavailable:
                    one.reason = Reason.KEY_UNAVAILABLE  # after the draw: it stays in its arm
                    continue
            one.sealed, one.payload_sha256 = held.seal_hashed(body)
            one.recipient_kid = held.recipient_key.kid
            one.share_id, one.card_token = share_id, token
            if entry.message_elements and _MESSAGE in entry.transports:
                mask = one.release.mask
                one.elements = tuple(
                    (target, element_value(seen.value(number)))
                    for target, number in entry.message_elements
                    if mask >> number & 1 and number in _CLEAR_OK
                )
