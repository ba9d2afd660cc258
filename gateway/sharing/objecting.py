"""Whether the holder of a card objects: by any name that a payment gives the card, not only the one used."""

from collections.abc import Container

from enrichment.payment import UNIT_CARD_REF, UNIT_NETWORK_TOKEN, UNIT_PAN, UNIT_PAR, Payment
from gateway.sealing.pseudonyms import Pseudonyms

UNIT_KINDS = {
    UNIT_PAR: "par",
    UNIT_PAN: "pan",
    UNIT_CARD_REF: "card_ref",
    UNIT_NETWORK_TOKEN: "network_token",
}


def objects(
    objecting: Container[bytes], pseudonyms: Pseudonyms, payment: Payment, sender_id: str, unit_key: bytes
) -> bool:
    """Ask before the PAN is dropped, and only where somebody objects at all: it takes a MAC a name."""
    if unit_key in objecting:
        return True
    used, _ = payment.unit
    pan, token = payment.pan, payment.network_token
    names = (
        (UNIT_PAN, pan.digits() if pan is not None else ""),
        (UNIT_CARD_REF, payment.card_ref),
        (UNIT_NETWORK_TOKEN, token.digits() if token is not None else ""),
    )
    return any(
        value and source != used and pseudonyms.card_key(UNIT_KINDS[source], value, sender_id) in objecting
        for source, value in names
    )


def unit_key_of(pseudonyms: Pseudonyms, payment: Payment, sender_id: str) -> bytes:
    """The unit key of a payment. Ask before the PAN is dropped."""
    source, unit = payment.unit
    return pseudonyms.card_key(UNIT_KINDS[source], unit, sender_id)
