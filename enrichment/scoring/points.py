"""A transparent score: named rules, each with its points, summed and clamped.

An analyst can recompute it by hand from the reasons. Thresholds are plain judgement, set before any data was
looked at and tuned to none; a model comes later beside it, as another assessor.
"""

from dataclasses import dataclass
from typing import Final

from enrichment.codes import MINOR_DIGITS
from enrichment.payment import Assessment, Counts, Facts, History, Payment

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

MINOR_ELSE: Final = 100
"""Of a currency that is near a dollar and has cents."""

MINOR_TO_DOLLAR: Final[dict[str, int]] = {
    currency: 10 ** MINOR_DIGITS.get(currency, 2) * _UNITS_TO_DOLLAR.get(currency, 1)
    for currency in {*MINOR_DIGITS, *_UNITS_TO_DOLLAR}
}

_ECOM, _APP, _MOTO, _POS = 1, 2, 3, 4  # v1.Channel
_MIT = 2  # v1.Initiation
_AUTHENTICATED, _NOT_AUTHENTICATED, _ATTEMPTED, _REJECTED = 1, 2, 4, 7  # v1.TransStatus Y, N, A, R


# Rules that apply are kept as a mask: bit n is the nth of `RULES`.
_BIT: Final[dict[str, int]] = {rule.code: 1 << at for at, rule in enumerate(RULES)}
_CARD_BURST, _CARD_REPEAT, _CARD_DAY = _BIT["card_burst"], _BIT["card_repeat"], _BIT["card_day"]
_IP_BURST, _IP_REPEAT = _BIT["ip_burst"], _BIT["ip_repeat"]
_DEVICE_BURST, _DEVICE_REPEAT = _BIT["device_burst"], _BIT["device_repeat"]
_CARD_TESTING, _CVV_MISMATCH = _BIT["card_testing"], _BIT["cvv_mismatch"]
_SHIP_BILL_MISMATCH = _BIT["ship_bill_mismatch"]
_ACCOUNT_TODAY, _ACCOUNT_NEW, _ACCOUNT_YOUNG = (
    _BIT["account_today"],
    _BIT["account_new"],
    _BIT["account_young"],
)
_ACCOUNT_OLD, _ACCOUNT_CHANGED = _BIT["account_old"], _BIT["account_changed"]
_CARDS_ADDED, _REGULAR_CUSTOMER = _BIT["cards_added"], _BIT["regular_customer"]
_CARD_ON_FILE = _BIT["card_on_file"]
_AMOUNT_VERY_HIGH, _AMOUNT_HIGH = _BIT["amount_very_high"], _BIT["amount_high"]
_DEVICE_MISSING, _BILLING_ABROAD, _CROSS_BORDER = (
    _BIT["device_missing"], _BIT["billing_abroad"], _BIT["cross_border"]
)  # fmt: skip
_MAIL_OR_TELEPHONE, _CARD_PRESENT = _BIT["mail_or_telephone"], _BIT["card_present"]
_MERCHANT_INITIATED, _RETRY = _BIT["merchant_initiated"], _BIT["retry"]
_CALLER_VERY_HIGH, _CALLER_HIGH = _BIT["caller_score_very_high"], _BIT["caller_score_high"]

# Results of address verification as networks publish them, national and international codes together.
_AVS: Final[dict[str, int]] = {
    **dict.fromkeys("NCnc", _BIT["avs_mismatch"]),
    **dict.fromkeys("AZWPBKLOTazwpbklot", _BIT["avs_partial"]),
}
_TRANS_STATUS: Final[dict[int, int]] = {
    _AUTHENTICATED: _BIT["authenticated"],
    _NOT_AUTHENTICATED: _BIT["authentication_failed"],
    _REJECTED: _BIT["authentication_failed"],
    _ATTEMPTED: _BIT["authentication_attempted"],
}


def dollars(amount_minor: int, currency: str) -> int:
    """The amount in dollars, roughly: good for tiers and for nothing else.

    >>> dollars(12_345, "USD"), dollars(15_000, "JPY")
    (123, 100)
    """
    return amount_minor // MINOR_TO_DOLLAR.get(currency, MINOR_ELSE)


def score(payment: Payment, facts: Facts, *, ship_bill_match: bool | None) -> Assessment:
    """The assessment of ours: raw 0 to 100, normalised 0 to 999, up to 4 reasons, strongest first."""
    # One straight line, since it runs for every payment: what is absent costs one look.
    rules = 0
    velocity = facts[0]
    amount = payment.amount_minor // MINOR_TO_DOLLAR.get(payment.currency, MINOR_ELSE)
    if amount >= 500:
        rules = _AMOUNT_VERY_HIGH if amount >= 2000 else _AMOUNT_HIGH
    if velocity is not None:
        rules |= _velocity(velocity, amount)
    if payment.cvv_result in ("N", "n"):
        rules |= _CVV_MISMATCH
    if payment.avs_result:
        rules |= _AVS.get(payment.avs_result, 0)
    if payment.trans_status:
        rules |= _TRANS_STATUS.get(payment.trans_status, 0)
    if ship_bill_match is False:
        rules |= _SHIP_BILL_MISMATCH
    if payment.history is not None:
        rules |= _history(payment.history)

    channel, initiation = payment.channel, payment.initiation
    if initiation == _MIT:
        rules |= _MERCHANT_INITIATED
    elif not (payment.device_id or payment.ip) and channel in (_ECOM, _APP):
        rules |= _DEVICE_MISSING
    if channel == _MOTO:
        rules |= _MAIL_OR_TELEPHONE
    elif channel == _POS:
        rules |= _CARD_PRESENT
    home = payment.cardholder_region
    if home:
        billing = payment.billing
        if billing is not None and billing.country != home and billing.country:
            rules |= _BILLING_ABROAD
        country = payment.merchant_country
        if country != home and country:
            rules |= _CROSS_BORDER
    if payment.attempt_no >= 3:
        rules |= _RETRY
    if payment.caller_assessments:
        highest = max([assessment.normalised for assessment in payment.caller_assessments])
        if highest >= 700:
            rules |= _CALLER_VERY_HIGH if highest >= 900 else _CALLER_HIGH
    return _by_rules.get(rules) or _assessment(rules)


_by_rules: dict[int, Assessment] = {}


def _assessment(rules: int) -> Assessment:
    """What the rules that apply come to, and nothing else: the same rules give the same object."""
    apply = [rule for at, rule in enumerate(RULES) if rules >> at & 1]
    total = BASE_POINTS + sum([rule.points for rule in apply])
    against = [rule for rule in apply if rule.points > 0]
    raw = min(max(total, SCALE_MIN), SCALE_MAX)
    against.sort(key=_strength)  # stable: equal points keep the order of the rules above
    made = Assessment(
        ASSESSOR,
        "points",
        MODEL_ID,
        raw,
        SCALE_MIN,
        SCALE_MAX,
        True,
        raw * MAX_NORMALISED // SCALE_MAX,
        tuple([rule.code for rule in against[:MAX_REASONS]]),
    )
    if len(_by_rules) >= ASSESSMENTS_CACHED:
        _by_rules.clear()
    _by_rules[rules] = made
    return made


def _strength(rule: Rule) -> int:
    return -rule.points


def _velocity(velocity: tuple[Counts | None, ...], amount_dollars: int) -> int:
    card, _, ip, device, _ = velocity
    card_10m, card_24h = (0, 0) if card is None else (card[0], card[2])
    rules = 0
    if card_10m >= 3:
        rules = _CARD_BURST if card_10m >= 6 else _CARD_REPEAT
    if card_24h >= 12:
        rules |= _CARD_DAY
    ip_1h = 0 if ip is None else ip[1]
    device_1h = 0 if device is None else device[1]
    if ip_1h >= 5 or device_1h >= 4:
        if ip_1h >= 5:
            rules |= _IP_BURST if ip_1h >= 12 else _IP_REPEAT
        if device_1h >= 4:
            rules |= _DEVICE_BURST if device_1h >= 10 else _DEVICE_REPEAT
        if amount_dollars < 5:
            rules |= _CARD_TESTING
    return rules


def _history(history: History) -> int:
    age, account_change, password_change, _, _, purchases, cards_added, card_on_file = history
    rules = 0
    if age is not None:
        if age < 30:
            rules = _ACCOUNT_TODAY if age < 1 else _ACCOUNT_NEW if age < 7 else _ACCOUNT_YOUNG
        elif age >= 365:
            rules = _ACCOUNT_OLD
    # An account of today has changed today by being opened: counted once.
    if (account_change == 0 or password_change == 0) and age != 0:
        rules |= _ACCOUNT_CHANGED
    if cards_added is not None and cards_added >= 3:
        rules |= _CARDS_ADDED
    if purchases is not None and purchases >= 10:
        rules |= _REGULAR_CUSTOMER
    if card_on_file is not None and card_on_file >= 180:
        rules |= _CARD_ON_FILE
    return rules
