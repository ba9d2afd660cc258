"""A payment and its facts as one row of floats: what a model sees, in serving and in training alike.

Nothing else makes such rows, so what a model was trained on is what it is asked about. Absent is NaN, which
trees have branches for. A row holds counts, ages, tiers and flags: no card, no person, no address.
"""

from collections.abc import Callable, Sequence
from math import nan
from operator import itemgetter
from struct import pack
from typing import Any, Final

from enrichment.payment import Address, Facts, History, Payment
from enrichment.reader import slots_of
from enrichment.scoring.points import MINOR_ELSE, MINOR_TO_DOLLAR

FEATURES_VERSION: Final = 1
"""Rises with any change of names, order or meaning: models of another version are not served."""

# Which way risk may go with a feature where all else stays the same: 1 up, -1 down, 0 free.
_MONOTONE: Final[tuple[tuple[str, int], ...]] = (
    ("amount_dollars", 0),
    ("hour_utc", 0),
    ("mcc", 0),
    ("channel", 0),
    ("merchant_initiated", 0),
    ("funding", 0),
    ("cross_border", 1),
    ("billing_abroad", 1),
    ("ship_bill_mismatch", 1),
    ("attempt_no", 1),
    ("device_known", -1),
    ("cvv_mismatch", 1),
    ("avs_mismatch", 1),
    ("authentication", 1),
    ("caller_score", 1),
    ("card_10m", 1),
    ("card_1h", 1),
    ("card_24h", 1),
    ("card_7d", 1),
    ("merchants_per_card_24h", 1),
    ("ip_10m", 1),
    ("ip_1h", 1),
    ("ip_24h", 1),
    ("cards_per_ip_24h", 1),
    ("device_10m", 1),
    ("device_1h", 1),
    ("device_24h", 1),
    ("cards_per_device_24h", 1),
    ("email_24h", 1),
    ("cards_per_email_24h", 1),
    ("ip_abroad", 1),
    ("ip_hidden", 1),
    ("email_disposable", 1),
    ("email_digits_percent", 0),
    ("phone_elsewhere", 1),
    ("device_on_card_age_days", -1),
    ("amount_to_card_mean", 0),
    ("amount_to_merchant_mean", 0),
    ("authentication_odd", 1),
    ("mcc_risk", 1),
    ("merchant_fraud_rate_bp", 1),
    ("merchant_dispute_rate_bp", 1),
    ("card_testing_verdict", 1),
    ("account_age_days", -1),
    ("account_change_age_days", -1),
    ("password_change_age_days", -1),
    ("transactions_24h", 0),
    ("transactions_1y", 0),
    ("purchases_6m", -1),
    ("add_card_attempts_24h", 1),
    ("card_on_file_age_days", -1),
)

FEATURES: Final = tuple(name for name, _ in _MONOTONE)
"""Names in the order of the row."""

MONOTONE: Final = tuple(direction for _, direction in _MONOTONE)
"""By feature: domain knowledge that data may not contradict. Free is what fraud has from both ends."""

Row = tuple[float, ...]

_COUNTRY: Final = Address._fields.index("country")

# Of counts: attempts in 10 minutes, 1 hour, 24 hours and 7 days, then different others in each.
_of_card: Final = itemgetter(0, 1, 2, 3, 6)
_of_source: Final = itemgetter(0, 1, 2, 6)
_of_email: Final = itemgetter(2, 6)
_NO_VELOCITY: Final[Row] = (nan,) * 15
_NO_CARD: Final[Row] = (nan,) * 5
_NO_SOURCE: Final[Row] = (nan,) * 4
_NO_EMAIL: Final[Row] = (nan,) * 2
_NOTHING_FOUND: Final[Row] = (nan,) * 13
_NO_HISTORY: Final[Row] = (nan,) * len(History._fields)
_HOUR_MS: Final = 3_600_000
_ONLINE: Final = (1, 2)  # v1.Channel: ecom, app
_MIT: Final = 2  # v1.Initiation

# 0 as it should be, 1 in part, 2 not at all: results as networks publish them (points.py has the same).
_AVS: Final[dict[str, float]] = {
    **dict.fromkeys("YXDMFHVydxmfhv", 0.0),
    **dict.fromkeys("AZWPBKLOTazwpbklot", 1.0),
    **dict.fromkeys("NCnc", 2.0),
}
_CVV: Final[dict[str, float]] = {"M": 0.0, "m": 0.0, "N": 1.0, "n": 1.0}

_VERDICTS: Final[dict[object, float]] = {"none": 0.0, "possible": 1.0, "likely": 2.0}

# By number of v1.TransStatus: authenticated, attempted, no word of it, failed or rejected.
_AUTHENTICATION: Final[Row] = (nan, 0.0, 3.0, 2.0, 1.0, 2.0, 2.0, 3.0, 2.0)


def row(payment: Payment, facts: Facts, ship_bill_match: bool | None) -> Row:
    """The features of one payment, in the order of `FEATURES`. A straight line: it runs for each payment."""
    channel, home, history = payment.channel, payment.cardholder_region, payment.history
    cross_border = billing_abroad = caller = nan
    if home:
        country, billing = payment.merchant_country, payment.billing
        if country:
            cross_border = country != home
        if billing is not None:
            country = billing[_COUNTRY]
            if country:
                billing_abroad = country != home
    if payment.caller_assessments:
        caller = max([assessment.normalised for assessment in payment.caller_assessments])
    mcc, cvv, avs, status = payment.mcc, payment.cvv_result, payment.avs_result, payment.trans_status
    return (
        (
            payment.amount_minor / MINOR_TO_DOLLAR.get(payment.currency, MINOR_ELSE),
            payment.initiated_at_ms // _HOUR_MS % 24,
            int(mcc) if mcc else nan,
            channel or nan,
            payment.initiation == _MIT,
            payment.funding or nan,
            cross_border,
            billing_abroad,
            nan if ship_bill_match is None else not ship_bill_match,
            payment.attempt_no,
            nan if channel not in _ONLINE else 1.0 if payment.device_id or payment.ip else 0.0,
            _CVV.get(cvv, nan) if cvv else nan,
            _AVS.get(avs, nan) if avs else nan,
            _AUTHENTICATION[status],
            caller,
        )
        + counted(facts)
        + found(facts, home)
        + (_NO_HISTORY if history is None else aged(history))
    )


def aged(history: History) -> Row:
    """Ages and counts of the customer's history."""
    account, change, password, day, year, bought, added, card = history
    return (
        nan if account is None else account,
        nan if change is None else change,
        nan if password is None else password,
        nan if day is None else day,
        nan if year is None else year,
        nan if bought is None else bought,
        nan if added is None else added,
        nan if card is None else card,
    )


def counted(facts: Facts) -> Row:
    """Attempts and different others of card, address, device and e-mail, by window."""
    velocity = facts.velocity
    if velocity is None:
        return _NO_VELOCITY
    card, _, ip, device, email = velocity  # in the order of VelocityKind
    return (
        (_NO_CARD if card is None else _of_card(card))
        + (_NO_SOURCE if ip is None else _of_source(ip))
        + (_NO_SOURCE if device is None else _of_source(device))
        + (_NO_EMAIL if email is None else _of_email(email))
    )


def found(facts: Facts, home: str) -> Row:
    """What the providers know; `home`: the cardholder's country."""
    known = facts.found
    if not known:
        return _NOTHING_FOUND
    get = known.get
    country, hidden, kind = get("ip_country"), get("ip_anonymised"), get("email_domain_type")
    digits, fits, age = get("email_digits_percent"), get("phone_fits_billing"), get("device_on_card_age_days")
    to_card, to_merchant = get("amount_to_card_mean"), get("amount_to_merchant_mean")
    agrees, risk, testing = get("authentication_fits"), get("mcc_risk"), get("card_testing")
    frauds, disputes = get("merchant_fraud_rate_bp"), get("merchant_dispute_rate_bp")
    return (
        country != home if country and home else nan,
        hidden != "none" if hidden else nan,
        kind == "disposable" if kind else nan,
        nan if digits is None else digits,
        nan if fits is None else not fits,
        nan if age is None else age,
        nan if to_card is None else to_card,
        nan if to_merchant is None else to_merchant,
        nan if agrees is None else not agrees,
        nan if risk is None else risk,
        nan if frauds is None else frauds,
        nan if disputes is None else disputes,
        _VERDICTS.get(testing, nan) if testing else nan,
    )


Pack = Callable[[Sequence[tuple[Payment, Facts, bool | None]]], bytes]
"""Rows of payments, facts and matches one behind the other: doubles as this machine has them."""

_READ_OF_PAYMENT: Final = (
    "amount_minor", "currency", "initiated_at_ms", "mcc", "channel", "initiation", "funding",
    "cardholder_region", "merchant_country", "billing.country", "attempt_no", "device_id", "ip", "cvv_result",
    "avs_result", "trans_status", "caller_assessments", *[f"history.{name}" for name in History._fields],
)  # fmt: skip


def pack_by_twin(asked: Sequence[tuple[Payment, Facts, bool | None]]) -> bytes:
    """By `row`, one by one."""
    flat: list[float] = []
    for payment, facts, match in asked:
        flat += row(payment, facts, match)
    return pack(f"={len(flat)}d", *flat)


def make_pack(engines: Any) -> Pack:
    """How rows are made for a model that serves. `engines` is the native module, or None."""
    if engines is None:
        return pack_by_twin
    tables = {
        "minor_to_dollar": MINOR_TO_DOLLAR,
        "minor_else": MINOR_ELSE,
        "cvv": _CVV,
        "avs": _AVS,
        "authentication": _AUTHENTICATION,
        "verdicts": _VERDICTS,
        "history": History._fields,
    }
    made: Pack = engines.Features(len(FEATURES), slots_of(_READ_OF_PAYMENT), tables, row).pack
    return made
