"""The names that a payment gives its card, as pseudonyms: not only the one that experiments cluster by."""

from enrichment.payment import UNIT_CARD_REF, UNIT_NETWORK_TOKEN, UNIT_PAN, UNIT_PAR, Payment
from gateway.sealing.pseudonyms import Pseudonyms

UNIT_KINDS = {
    UNIT_PAR: "par",
    UNIT_PAN: "pan",
    UNIT_CARD_REF: "card_ref",
    UNIT_NETWORK_TOKEN: "network_token",
}


NO_KEY = (0, b"")


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
