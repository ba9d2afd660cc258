"""The names that a payment gives its card, as pseudonyms: not only the one that experiments cluster by."""

from enrichment.contact import email_of
from enrichment.payment import UNIT_CARD_REF, UNIT_NETWORK_TOKEN, UNIT_PAN, UNIT_PAR, Payment
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.pseudonyms_macs import VelocityKeys

UNIT_KINDS = {
    UNIT_PAR: "par",
    UNIT_PAN: "pan",
    UNIT_CARD_REF: "card_ref",
    UNIT_NETWORK_TOKEN: "network_token",
}


NO_KEY = (0, b"")


def names_of(
    pseudonyms: Pseudonyms, payment: Payment, sender_id: str
) -> tuple[int, bytes, VelocityKeys, str]:
    """Source of the unit, its key, velocity keys by kind, evaluation id. Ask before the PAN is dropped."""
    if pseudonyms.names_of is not None:
        found = pseudonyms.names_of(payment, sender_id, UNIT_KINDS)
        if found is not None:
            return found
    source, unit = payment.unit
    return source, *pseudonyms.names(
        sender_id, source, UNIT_KINDS[source], unit, payment.merchant_id, payment.ip, payment.device_id,
        email_of(payment), payment.payment_intent_id, payment.attempt_no, payment.request_id,
    )  # fmt: skip


def card_key_of(pseudonyms: Pseudonyms, payment: Payment, sender_id: str) -> tuple[int, bytes]:
    """What a request calls a card by, and the key of that name, where its unit is the PAR; else NO_KEY.

    A request has one name of a card (`card` is one of number, token, reference) and its PAR: no third.
    Ask before the PAN is dropped.
    """
    used, _ = payment.unit
    if used != UNIT_PAR:
        return NO_KEY
    pan, token = payment.pan, payment.network_token
    if pan is not None:
        source, value = UNIT_PAN, pan.digits()
    elif token is not None:
        source, value = UNIT_NETWORK_TOKEN, token.digits()
    else:
        source, value = UNIT_CARD_REF, payment.card_ref
    return (source, pseudonyms.card_key(UNIT_KINDS[source], value, sender_id)) if value else NO_KEY


def unit_key_of(pseudonyms: Pseudonyms, payment: Payment, sender_id: str) -> bytes:
    """The unit key of a payment. Ask before the PAN is dropped."""
    source, unit = payment.unit
    return pseudonyms.card_key(UNIT_KINDS[source], unit, sender_id)
