"""A transparent score: named rules, each with its points, summed and clamped.

An analyst can recompute it by hand from the reasons. Thresholds are plain judgement, set before any data was
looked at and tuned to none; a model comes later beside it, as another assessor.
"""

from dataclasses import dataclass
from typing import Final

from enrichment.codes import MINOR_DIGITS
from enrichment.payment import Assessment, Facts, History, Payment

MODEL_ID: Final = "points-1"
ASSESSOR: Final = "ein"
SCALE_MIN: Final = 0
SCALE_MAX: Final = 100
MAX_NORMALISED: Final = 999
MAX_REASONS: Final = 4
ASSESSMENTS_CACHED: Final = 4096  # combinations of rules; real traffic has some hundreds
BASE_POINTS: Final = 10  # what a payment with nothing known against it or for it has


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason: its code, what it says to an issuer's analyst, and its points (negative speaks for it)."""

    code: str
    words: str
    points: int


RULES: Final[tuple[Rule, ...]] = (
    Rule("card_burst", "6 or more attempts with this card in 10 minutes", 25),
    Rule("card_repeat", "3 to 5 attempts with this card in 10 minutes", 10),
    Rule("card_day", "12 or more attempts with this card in 24 hours", 10),
    Rule("ip_burst", "12 or more attempts from this address in 1 hour", 25),
    Rule("ip_repeat", "5 to 11 attempts from this address in 1 hour", 12),
    Rule("device_burst", "10 or more attempts from this device in 1 hour", 25),
    Rule("device_repeat", "4 to 9 attempts from this device in 1 hour", 12),
    Rule("card_testing", "very small amount amid many attempts from one address or device", 15),
    Rule("cvv_mismatch", "card verification value did not match", 20),
    Rule("avs_mismatch", "neither street nor postal code matched", 12),
    Rule("avs_partial", "only street or postal code matched", 4),
    Rule("authentication_failed", "cardholder authentication failed or was rejected", 20),
    Rule("authenticated", "cardholder was authenticated by the issuer", -15),
    Rule("authentication_attempted", "authentication was attempted", -4),
    Rule("ship_bill_mismatch", "goods go to another address than the bill", 10),
    Rule("account_today", "account opened less than 1 day ago", 15),
    Rule("account_new", "account opened 1 to 6 days ago", 10),
    Rule("account_young", "account opened 7 to 29 days ago", 5),
    Rule("account_old", "account opened a year ago or more", -5),
    Rule("account_changed", "account or password changed less than 1 day ago", 8),
    Rule("cards_added", "3 or more attempts to add a card in 24 hours", 10),
    Rule("regular_customer", "10 or more purchases in 6 months", -4),
    Rule("card_on_file", "card on file for 180 days or more", -5),
    Rule("amount_very_high", "amount of 2,000 dollars or more, or its like", 16),
    Rule("amount_high", "amount of 500 dollars or more, or its like", 8),
    Rule("device_missing", "online payment without any device data", 8),
    Rule("billing_abroad", "billing country is not the cardholder's", 8),
    Rule("cross_border", "merchant is abroad", 3),
    Rule("mail_or_telephone", "order by mail or telephone", 4),
    Rule("card_present", "card present at a point of sale", -6),
    Rule("merchant_initiated", "started by the merchant under an agreement", -5),
    Rule("retry", "third or later attempt at this payment", 5),
    Rule("caller_score_very_high", "the payment service's own score is 900 or more of 999", 18),
    Rule("caller_score_high", "the payment service's own score is 700 to 899 of 999", 9),
)

RULE_BY_CODE: Final[dict[str, Rule]] = {rule.code: rule for rule in RULES}

# Coarse units to a dollar, where one unit is far from one: an order of magnitude is all that tiers need.
_UNITS_TO_DOLLAR: Final[dict[str, int]] = {
    "ARS": 1000,
    "BRL": 5,
    "CLP": 900,
    "CNY": 7,
    "COP": 4000,
    "CZK": 20,
    "DKK": 7,
    "HKD": 8,
    "HUF": 350,
    "IDR": 16000,
    "INR": 80,
    "ISK": 140,
    "JPY": 150,
    "KRW": 1300,
    "MXN": 20,
    "NOK": 10,
    "PHP": 55,
    "PLN": 4,
    "PYG": 7500,
    "RUB": 90,
    "SEK": 10,
    "THB": 35,
    "TRY": 35,
    "TWD": 30,
    "VND": 25000,
    "ZAR": 20,
}

_MINOR_TO_DOLLAR: Final[dict[str, int]] = {
    currency: 10 ** MINOR_DIGITS.get(currency, 2) * _UNITS_TO_DOLLAR.get(currency, 1)
    for currency in {*MINOR_DIGITS, *_UNITS_TO_DOLLAR}
}

_ECOM, _APP, _MOTO, _POS = 1, 2, 3, 4  # v1.Channel
_MIT = 2  # v1.Initiation
_AUTHENTICATED, _NOT_AUTHENTICATED, _ATTEMPTED, _REJECTED = 1, 2, 4, 7  # v1.TransStatus Y, N, A, R

# Results of address verification as networks publish them, national and international codes together.
_AVS_NONE: Final = frozenset("NC")
_AVS_PARTIAL: Final = frozenset("AZWPBKLOT")
_NO_COUNTS: Final = (0, 0, 0)


def dollars(amount_minor: int, currency: str) -> int:
    """The amount in dollars, roughly: good for tiers and for nothing else.

    >>> dollars(12_345, "USD"), dollars(15_000, "JPY")
    (123, 100)
    """
    return amount_minor // _MINOR_TO_DOLLAR.get(currency, 100)


def score(payment: Payment, facts: Facts, *, ship_bill_match: bool | None) -> Assessment:
    """The assessment of ours: raw 0 to 100, normalised 0 to 999, up to 4 reasons, strongest first."""
    codes: list[str] = []
    amount = dollars(payment.amount_minor, payment.currency)
    if facts.velocity is not None:
        _velocity(facts, amount, codes)
    _authentication(payment, codes)
    if ship_bill_match is False:
        codes.append("ship_bill_mismatch")
    if payment.history is not None:
        _history(payment.history, codes)
    if amount >= 500:
        codes.append("amount_very_high" if amount >= 2000 else "amount_high")
    _context(payment, codes)

    found = tuple(codes)
    kept = _by_codes.get(found)
    if kept is None:
        kept = _assessment(found)
        if len(_by_codes) >= ASSESSMENTS_CACHED:
            _by_codes.clear()
        _by_codes[found] = kept
    return kept


_by_codes: dict[tuple[str, ...], Assessment] = {}


def _assessment(codes: tuple[str, ...]) -> Assessment:
    """What the rules that apply come to, and nothing else: the same codes give the same object."""
    total = BASE_POINTS + sum(RULE_BY_CODE[code].points for code in codes)
    against = [code for code in codes if RULE_BY_CODE[code].points > 0]
    raw = min(max(total, SCALE_MIN), SCALE_MAX)
    against.sort(key=_strength)  # stable: equal points keep the order of the rules above
    return Assessment(
        ASSESSOR,
        "points",
        MODEL_ID,
        raw,
        SCALE_MIN,
        SCALE_MAX,
        True,
        raw * MAX_NORMALISED // SCALE_MAX,
        tuple(against[:MAX_REASONS]),
    )


def _strength(code: str) -> int:
    return -RULE_BY_CODE[code].points


def _velocity(facts: Facts, amount_dollars: int, codes: list[str]) -> None:
    card, _, ip, device = facts.velocity or (None,) * 4
    card, ip, device = card or _NO_COUNTS, ip or _NO_COUNTS, device or _NO_COUNTS
    if card[0] >= 3:
        codes.append("card_burst" if card[0] >= 6 else "card_repeat")
    if card[2] >= 12:
        codes.append("card_day")
    if ip[1] >= 5:
        codes.append("ip_burst" if ip[1] >= 12 else "ip_repeat")
    if device[1] >= 4:
        codes.append("device_burst" if device[1] >= 10 else "device_repeat")
    if amount_dollars < 5 and (ip[1] >= 5 or device[1] >= 4):
        codes.append("card_testing")


def _authentication(payment: Payment, codes: list[str]) -> None:
    if payment.cvv_result in ("N", "n"):
        codes.append("cvv_mismatch")
    avs = payment.avs_result.upper()
    if avs in _AVS_NONE:
        codes.append("avs_mismatch")
    elif avs in _AVS_PARTIAL:
        codes.append("avs_partial")
    status = payment.trans_status
    if status == _AUTHENTICATED:
        codes.append("authenticated")
    elif status in (_NOT_AUTHENTICATED, _REJECTED):
        codes.append("authentication_failed")
    elif status == _ATTEMPTED:
        codes.append("authentication_attempted")


def _history(history: History, codes: list[str]) -> None:
    age = history.account_age_days
    if age is not None:
        if age < 30:
            codes.append("account_today" if age < 1 else "account_new" if age < 7 else "account_young")
        elif age >= 365:
            codes.append("account_old")
    # An account of today has changed today by being opened: counted once.
    if age != 0 and (history.account_change_age_days == 0 or history.password_change_age_days == 0):
        codes.append("account_changed")
    if (history.add_card_attempts_24h or 0) >= 3:
        codes.append("cards_added")
    if (history.purchases_6m or 0) >= 10:
        codes.append("regular_customer")
    if (history.card_on_file_age_days or 0) >= 180:
        codes.append("card_on_file")


def _context(payment: Payment, codes: list[str]) -> None:
    channel = payment.channel
    if channel in (_ECOM, _APP):
        if not (payment.device_id or payment.ip) and payment.initiation != _MIT:
            codes.append("device_missing")
    elif channel == _MOTO:
        codes.append("mail_or_telephone")
    elif channel == _POS:
        codes.append("card_present")
    if payment.initiation == _MIT:
        codes.append("merchant_initiated")
    home = payment.cardholder_region
    if home:
        if payment.billing is not None and payment.billing.country not in ("", home):
            codes.append("billing_abroad")
        if payment.merchant_country not in ("", home):
            codes.append("cross_border")
    if payment.attempt_no >= 3:
        codes.append("retry")
    if payment.caller_assessments:
        highest = max([assessment.normalised for assessment in payment.caller_assessments])
        if highest >= 700:
            codes.append("caller_score_very_high" if highest >= 900 else "caller_score_high")
