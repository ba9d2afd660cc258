"""The payment, its references and its card."""

from typing import Any

from enrichment import quality
from enrichment.families import Values, bit
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Payment
from enrichment.quality import Poor

_N = {name: field.number for name, field in FIELD_BY_NAME.items()}
MATCH_KEY, STAN, RRN, TRANSMISSION = _N["match_key"], _N["stan"], _N["rrn"], _N["transmission_date_time"]
AMOUNT, CURRENCY, INITIATED_AT = _N["amount_minor"], _N["currency"], _N["initiated_at"]
CHANNEL, INITIATION, ATTEMPT_NO = _N["channel"], _N["initiation"], _N["attempt_no"]
BIN8, LAST4, PAN, PAR = _N["bin8"], _N["last4"], _N["pan"], _N["par"]
IS_NETWORK_TOKEN, FUNDING = _N["is_network_token"], _N["funding"]
CORRELATION_ID, ISSUER_REFERENCE_ID = _N["correlation_id"], _N["issuer_reference_id"]
NETWORK_TXN_ID = _N["network_txn_id"]
BASKET_CATEGORY, DELIVERY_TIMEFRAME = _N["basket_category"], _N["delivery_timeframe"]

# By number of the contract's enums.
CHANNELS = ("", "ecom", "app", "moto", "pos")
INITIATIONS = ("", "CIT", "MIT")
FUNDINGS = ("", "credit", "debit", "prepaid")
TIMEFRAMES = ("", "electronic", "same_day", "overnight", "two_three_days", "four_or_more_days", "to_store")


def _initiation(known: Any) -> str:
    payment = known.payment
    word = INITIATIONS[payment.initiation]
    return f"{word}:{payment.mit_reason}" if payment.mit_reason else word


def _funding(known: Any) -> str:
    return "commercial" if known.payment.commercial else FUNDINGS[known.payment.funding]


VALUES: Values = {
    MATCH_KEY: "network_match_key",
    STAN: "stan",
    RRN: "retrieval_reference_number",
    TRANSMISSION: "transmission_date_time",
    AMOUNT: "amount_minor",
    CURRENCY: "currency",
    INITIATED_AT: "initiated_at_ms",
    CHANNEL: lambda known: CHANNELS[known.payment.channel],
    INITIATION: _initiation,
    ATTEMPT_NO: "attempt_no",
    BIN8: "truncated_iin",
    LAST4: "last4",
    PAN: lambda known: known.payment.pan.digits(),
    PAR: "par",
    IS_NETWORK_TOKEN: lambda known: known.payment.network_token is not None,
    FUNDING: _funding,
    CORRELATION_ID: "correlation_id",
    ISSUER_REFERENCE_ID: "issuer_reference_id",
    NETWORK_TXN_ID: "original_network_transaction_id",
    BASKET_CATEGORY: "basket_category",
    DELIVERY_TIMEFRAME: lambda known: TIMEFRAMES[known.payment.delivery_timeframe],
}

ALWAYS = (
    bit(AMOUNT) | bit(CURRENCY) | bit(INITIATED_AT) | bit(ATTEMPT_NO)
    | bit(BIN8) | bit(LAST4) | bit(IS_NETWORK_TOKEN)
)  # fmt: skip
_CHANNEL, _INITIATION, _PAN, _PAR, _FUNDING = bit(CHANNEL), bit(INITIATION), bit(PAN), bit(PAR), bit(FUNDING)
_MATCH_KEY, _STAN, _RRN, _TRANSMISSION = bit(MATCH_KEY), bit(STAN), bit(RRN), bit(TRANSMISSION)
_CORRELATION_ID, _ISSUER_REFERENCE_ID = bit(CORRELATION_ID), bit(ISSUER_REFERENCE_ID)
_NETWORK_TXN_ID, _BASKET_CATEGORY = bit(NETWORK_TXN_ID), bit(BASKET_CATEGORY)
_DELIVERY_TIMEFRAME = bit(DELIVERY_TIMEFRAME)


def present(payment: Payment, poor: list[Poor]) -> int:
    """Mask of the groups correlation, payment and card."""
    mask = ALWAYS
    if payment.channel:
        mask |= _CHANNEL
    if payment.initiation:
        mask |= _INITIATION
    if payment.pan is not None:
        mask |= _PAN
    if payment.par:
        mask |= _PAR
        if quality.is_placeholder(payment.par):
            poor.append((PAR, quality.PLACEHOLDER))
    if payment.commercial or payment.funding:
        mask |= _FUNDING
    if payment.network_match_key:
        mask |= _MATCH_KEY
        if quality.is_placeholder(payment.network_match_key):
            poor.append((MATCH_KEY, quality.PLACEHOLDER))
    if payment.stan:
        mask |= _STAN
        if payment.stan == "000000":
            poor.append((STAN, quality.PLACEHOLDER))
    if payment.retrieval_reference_number:
        mask |= _RRN
        if payment.retrieval_reference_number == "000000000000":
            poor.append((RRN, quality.PLACEHOLDER))
    if payment.transmission_date_time:
        mask |= _TRANSMISSION
    if payment.correlation_id:
        mask |= _CORRELATION_ID
        if quality.is_placeholder(payment.correlation_id):
            poor.append((CORRELATION_ID, quality.PLACEHOLDER))
    if payment.issuer_reference_id:
        mask |= _ISSUER_REFERENCE_ID
        if quality.is_placeholder(payment.issuer_reference_id):
            poor.append((ISSUER_REFERENCE_ID, quality.PLACEHOLDER))
    if payment.original_network_transaction_id:
        mask |= _NETWORK_TXN_ID
        if quality.is_placeholder(payment.original_network_transaction_id):
            poor.append((NETWORK_TXN_ID, quality.PLACEHOLDER))
    if payment.basket_category:
        mask |= _BASKET_CATEGORY
        if quality.is_placeholder(payment.basket_category):
            poor.append((BASKET_CATEGORY, quality.PLACEHOLDER))
    if payment.delivery_timeframe:
        mask |= _DELIVERY_TIMEFRAME
    return mask
