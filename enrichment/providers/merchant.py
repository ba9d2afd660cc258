"""The merchant, as the authorization message will name it."""

from enrichment import quality
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import JsonValue, Payment
from enrichment.quality import Poor

MCC = FIELD_BY_NAME["mcc"].number
NAME = FIELD_BY_NAME["merchant_name"].number
ACCEPTOR_ID = FIELD_BY_NAME["acceptor_id"].number
COUNTRY = FIELD_BY_NAME["merchant_country"].number


def provide(payment: Payment, values: dict[int, JsonValue], poor: list[Poor]) -> None:
    """Adds the group merchant."""
    if payment.mcc:
        values[MCC] = payment.mcc
        if payment.mcc in ("0000", "9999"):
            poor.append((MCC, quality.PLACEHOLDER))
    if payment.merchant_name:
        values[NAME] = payment.merchant_name
    if payment.card_acceptor_id:
        values[ACCEPTOR_ID] = payment.card_acceptor_id
    if payment.merchant_country:
        values[COUNTRY] = payment.merchant_country
