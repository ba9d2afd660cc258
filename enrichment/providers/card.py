"""The payment, its references and its card."""

from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import JsonValue, Payment
from enrichment.quality import Poor

_N = {name: field.number for name, field in FIELD_BY_NAME.items()}
MATCH_KEY, STAN, RRN, TRANSMISSION = _N["match_key"], _N["stan"], _N["rrn"], _N["transmission_date_time"]
AMOUNT, CURRENCY, INITIATED_AT = _N["amount_minor"], _N["currency"], _N["initiated_at"]
CHANNEL, INITIATION, ATTEMPT_NO = _N["channel"], _N["initiation"], _N["attempt_no"]
BIN8, LAST4, PAN, PAR = _N["bin8"], _N["last4"], _N["pan"], _N["par"]
IS_NETWORK_TOKEN, FUNDING = _N["is_network_token"], _N["funding"]

# By number of the contract's enums.
CHANNELS = ("", "ecom", "app", "moto", "pos")
INITIATIONS = ("", "CIT", "MIT")
FUNDINGS = ("", "credit", "debit", "prepaid")


def provide(payment: Payment, values: dict[int, JsonValue], poor: list[Poor]) -> None:
    """Adds the groups correlation, payment and card."""
    values[AMOUNT] = payment.amount_minor
    values[CURRENCY] = payment.currency
    values[INITIATED_AT] = payment.initiated_at_ms
    values[ATTEMPT_NO] = payment.attempt_no
    values[BIN8] = payment.truncated_iin
    values[LAST4] = payment.last4
    values[IS_NETWORK_TOKEN] = payment.network_token is not None
    if payment.channel:
        values[CHANNEL] = CHANNELS[payment.channel]
    if payment.initiation:
        word = INITIATIONS[payment.initiation]
        values[INITIATION] = f"{word}:{payment.mit_reason}" if payment.mit_reason else word
    if payment.pan is not None:
        values[PAN] = payment.pan.digits()
    if payment.par:
        values[PAR] = payment.par
    if payment.commercial:
        values[FUNDING] = "commercial"
    elif payment.funding:
        values[FUNDING] = FUNDINGS[payment.funding]
    if payment.network_match_key:
        values[MATCH_KEY] = payment.network_match_key
    if payment.stan:
        values[STAN] = payment.stan
        if payment.stan == "000000":
            poor.append((STAN, "placeholder"))
    if payment.retrieval_reference_number:
        values[RRN] = payment.retrieval_reference_number
        if payment.retrieval_reference_number == "000000000000":
            poor.append((RRN, "placeholder"))
    if payment.transmission_date_time:
        values[TRANSMISSION] = payment.transmission_date_time
