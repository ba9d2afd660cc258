"""The merchant, as the authorization message will name it."""

from enrichment import quality
from enrichment.families import Values, bit
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Payment
from enrichment.quality import Poor

MCC = FIELD_BY_NAME["mcc"].number
NAME = FIELD_BY_NAME["merchant_name"].number
ACCEPTOR_ID = FIELD_BY_NAME["acceptor_id"].number
COUNTRY = FIELD_BY_NAME["merchant_country"].number


VALUES: Values = {
    MCC: "mcc",
    NAME: "merchant_name",
    ACCEPTOR_ID: "card_acceptor_id",
    COUNTRY: "merchant_country",
}

_MCC, _NAME, _ACCEPTOR_ID, _COUNTRY = bit(MCC), bit(NAME), bit(ACCEPTOR_ID), bit(COUNTRY)


def present(payment: Payment, poor: list[Poor]) -> int:
    """Mask of the group merchant."""
    mask = 0
    if payment.mcc:
        mask |= _MCC
        if payment.mcc in ("0000", "9999"):
            poor.append((MCC, quality.PLACEHOLDER))
    if payment.merchant_name:
        mask |= _NAME
        if quality.is_placeholder(payment.merchant_name):
            poor.append((NAME, quality.PLACEHOLDER))
    if payment.card_acceptor_id:
        mask |= _ACCEPTOR_ID
        if quality.is_placeholder(payment.card_acceptor_id):
            poor.append((ACCEPTOR_ID, quality.PLACEHOLDER))
    if payment.merchant_country:
        mask |= _COUNTRY
    return mask
