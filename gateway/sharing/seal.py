"""What is released is encrypted to its recipient at once: no clear personal datum reaches our own disk."""

from hashlib import sha256

from enrichment.fields import FIELDS
from enrichment.signals import Signals
from gateway.records.reasons import Reason
from gateway.sealing.body import sealed_body
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import KeyUnavailable
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.encode import TOKEN_EPOCH, element_value
from gateway.sharing.work import Work
from issuernetwork.v1 import common_pb2

_MESSAGE = int(common_pb2.TRANSPORT_MESSAGE)
_CLEAR_OK = frozenset(one.number for one in FIELDS if one.clear_ok)


class ShareSealer:
    """Seals the released decisions of one payment."""

    __slots__ = ("_pseudonyms", "_sealer")

    def __init__(self, pseudonyms: Pseudonyms, sealer: Sealer) -> None:
        self._pseudonyms = pseudonyms
        self._sealer = sealer

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
            body = sealed_body(
                share_id=share_id,
                issuer_id=entry.issuer_id,
                recipient_id=entry.recipient_id,
                program=entry.program,
                purpose=entry.purpose,
                card_token=token,
                token_epoch=TOKEN_EPOCH if token else 0,
                match={"keys": work.match_keys, "attempted_at_ms": payment.initiated_at_ms},
                fields=seen.named(one.release.mask),
            )
            try:
                one.recipient_kid, one.sealed = self._sealer.seal(entry.recipient_id, body)
            except KeyUnavailable:
                one.reason = Reason.KEY_UNAVAILABLE  # after the draw: it stays in its arm
                continue
            one.share_id, one.card_token = share_id, token
            one.payload_sha256 = sha256(one.sealed).digest()
            if entry.message_elements and _MESSAGE in entry.transports:
                mask = one.release.mask
                one.elements = tuple(
                    (target, element_value(seen.value(number)))
                    for target, number in entry.message_elements
                    if mask >> number & 1 and number in _CLEAR_OK
                )
