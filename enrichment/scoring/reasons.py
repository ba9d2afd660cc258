"""Why a model holds a payment for risky, in codes and words that an issuer's analyst can check.

A model says how much each feature added; the code is what is true of the payment in that feature. Codes that
the points have too mean the same here. What a feature added without a true sentence to say is left unsaid.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from enrichment.scoring.features import FEATURES
from enrichment.scoring.points import MAX_REASONS, RULE_BY_CODE

LEAST_SHARE: Final = 0.05
"""Of all that speaks against a payment: what adds less than a twentieth is no reason worth reading."""

MODEL_REASONS: Final[Mapping[str, str]] = {
    "amount_tiny": "amount under 5 dollars, or its like, as cards are tried out with",
    "amount_unusual": "fraud is more frequent at this amount",
    "hour_unusual": "fraud is more frequent at this time of day",
    "merchant_category": "fraud is more frequent with merchants of this category",
    "channel_risk": "fraud is more frequent by this channel",
    "card_kind": "fraud is more frequent with cards of this kind",
    "not_authenticated": "cardholder was not authenticated",
    "card_busy": "more than one attempt with this card in 24 hours",
    "ip_busy": "more than one attempt from this address in 24 hours",
    "device_busy": "more than one attempt from this device in 24 hours",
    "customer_busy": "3 or more transactions of this customer in 24 hours",
    "card_merchants": "this card at 4 or more merchants in 24 hours",
    "ip_cards": "5 or more cards from this address in 24 hours",
    "device_cards": "3 or more cards from this device in 24 hours",
    "email_cards": "2 or more cards with this e-mail address in 24 hours",
    "email_busy": "more than one attempt with this e-mail address in 24 hours",
    "email_disposable": "e-mail address is of a host of throw-away mailboxes",
    "email_digits": "half of the e-mail address's name or more is digits",
    "ip_abroad": "address on the network is in another country than the cardholder",
    "ip_hidden": "address on the network is a proxy's, a VPN's, Tor's or a host's",
    "phone_elsewhere": "telephone number is of another country than the bill",
    "device_new_on_card": "device was not seen with this card before today",
    "amount_above_card": "3 times this card's usual amount or more",
    "amount_above_merchant": "3 times this merchant's usual amount or more",
    "authentication_odd": "results of the authentication do not go together",
    "merchant_rates": "merchant's frauds or disputes are half a percent of its payments or more",
    "card_testing_pattern": "cards are being tried out from this device or at this merchant",
    "few_purchases": "at most 2 purchases in 6 months",
    "card_new": "card on file for less than 7 days",
}
"""Codes that only models give, and what each says."""

WORDS: Final[Mapping[str, str]] = {
    **{code: rule.words for code, rule in RULE_BY_CODE.items()},
    **MODEL_REASONS,
}
"""Every code and what it says."""

_Read = Mapping[str, float]
_Say = Callable[[_Read], str]


def _amount(read: _Read) -> str:
    amount = read["amount_dollars"]
    if amount < 5 and (read["ip_1h"] >= 5 or read["device_1h"] >= 4):
        return "card_testing"
    if amount < 5:
        return "amount_tiny"
    if amount >= 500:
        return "amount_very_high" if amount >= 2000 else "amount_high"
    return "amount_unusual"


def _card(read: _Read) -> str:
    if read["card_10m"] >= 3:
        return "card_burst" if read["card_10m"] >= 6 else "card_repeat"
    if read["card_24h"] >= 12:
        return "card_day"
    if read["merchants_per_card_24h"] >= 4:
        return "card_merchants"
    return "card_busy" if read["card_24h"] > 1 else ""


def _ip(read: _Read) -> str:
    if read["ip_1h"] >= 5:
        return "ip_burst" if read["ip_1h"] >= 12 else "ip_repeat"
    if read["cards_per_ip_24h"] >= 5:
        return "ip_cards"
    return "ip_busy" if read["ip_24h"] > 1 else ""


def _device(read: _Read) -> str:
    if read["device_1h"] >= 4:
        return "device_burst" if read["device_1h"] >= 10 else "device_repeat"
    if read["cards_per_device_24h"] >= 3:
        return "device_cards"
    return "device_busy" if read["device_24h"] > 1 else ""


def _email(read: _Read) -> str:
    if read["cards_per_email_24h"] >= 2:
        return "email_cards"
    return "email_busy" if read["email_24h"] > 1 else ""


def _rates(read: _Read) -> str:
    high = read["merchant_fraud_rate_bp"] >= 50 or read["merchant_dispute_rate_bp"] >= 50
    return "merchant_rates" if high else ""


def _account_age(read: _Read) -> str:
    age = read["account_age_days"]
    return "account_today" if age < 1 else "account_new" if age < 7 else "account_young" if age < 30 else ""


def _account_change(read: _Read) -> str:
    changed = read["account_change_age_days"] == 0 or read["password_change_age_days"] == 0
    return "account_changed" if changed and read["account_age_days"] != 0 else ""


def _authentication(read: _Read) -> str:
    status = read["authentication"]
    return "authentication_failed" if status == 3 else "not_authenticated" if status == 2 else ""


def _caller(read: _Read) -> str:
    score = read["caller_score"]
    return "caller_score_very_high" if score >= 900 else "caller_score_high" if score >= 700 else ""


def _where(name: str, least: float, code: str) -> _Say:
    return lambda read: code if read[name] >= least else ""


def _at_most(name: str, most: float, code: str) -> _Say:
    return lambda read: code if read[name] <= most else ""


def _always(code: str) -> _Say:
    return lambda read: code


# Features whose contributions are one reason, and what it says of a payment; "" where nothing is true.
FAMILIES: Final[tuple[tuple[tuple[str, ...], _Say], ...]] = (
    (("amount_dollars",), _amount),
    (("hour_utc",), _always("hour_unusual")),
    (("mcc", "mcc_risk"), _where("mcc", 0, "merchant_category")),
    (("channel",), lambda read: "mail_or_telephone" if read["channel"] == 3 else "channel_risk"),
    (("merchant_initiated",), lambda read: ""),
    (("funding",), _where("funding", 0, "card_kind")),
    (("cross_border",), _where("cross_border", 1, "cross_border")),
    (("billing_abroad",), _where("billing_abroad", 1, "billing_abroad")),
    (("ship_bill_mismatch",), _where("ship_bill_mismatch", 1, "ship_bill_mismatch")),
    (("attempt_no",), _where("attempt_no", 3, "retry")),
    (("device_known",), _at_most("device_known", 0, "device_missing")),
    (("cvv_mismatch",), _where("cvv_mismatch", 1, "cvv_mismatch")),
    (("avs_mismatch",), lambda read: ("", "avs_partial", "avs_mismatch")[int(read["avs_mismatch"])]
        if read["avs_mismatch"] >= 0 else ""),
    (("authentication",), _authentication),
    (("caller_score",), _caller),
    (("card_10m", "card_1h", "card_24h", "card_7d", "merchants_per_card_24h"), _card),
    (("ip_10m", "ip_1h", "ip_24h", "cards_per_ip_24h"), _ip),
    (("device_10m", "device_1h", "device_24h", "cards_per_device_24h"), _device),
    (("email_24h", "cards_per_email_24h"), _email),
    (("ip_abroad",), _where("ip_abroad", 1, "ip_abroad")),
    (("ip_hidden",), _where("ip_hidden", 1, "ip_hidden")),
    (("email_disposable",), _where("email_disposable", 1, "email_disposable")),
    (("email_digits_percent",), _where("email_digits_percent", 50, "email_digits")),
    (("phone_elsewhere",), _where("phone_elsewhere", 1, "phone_elsewhere")),
    (("device_on_card_age_days",), _at_most("device_on_card_age_days", 0, "device_new_on_card")),
    (("amount_to_card_mean",), _where("amount_to_card_mean", 300, "amount_above_card")),
    (("amount_to_merchant_mean",), _where("amount_to_merchant_mean", 300, "amount_above_merchant")),
    (("authentication_odd",), _where("authentication_odd", 1, "authentication_odd")),
    (("merchant_fraud_rate_bp", "merchant_dispute_rate_bp"), _rates),
    (("card_testing_verdict",), _where("card_testing_verdict", 2, "card_testing_pattern")),
    (("account_age_days",), _account_age),
    (("account_change_age_days", "password_change_age_days"), _account_change),
    (("transactions_24h",), _where("transactions_24h", 3, "customer_busy")),
    (("transactions_1y", "purchases_6m"), _at_most("purchases_6m", 2, "few_purchases")),
    (("add_card_attempts_24h",), _where("add_card_attempts_24h", 3, "cards_added")),
    (("card_on_file_age_days",), lambda read: "card_new" if read["card_on_file_age_days"] < 7 else ""),
)  # fmt: skip

_PLACES: Final = tuple((tuple(FEATURES.index(name) for name in names), say) for names, say in FAMILIES)


def reasons(row: Sequence[float], contributions: Sequence[float]) -> tuple[str, ...]:
    """Up to four codes, what added most first. `contributions`: by feature, in log-odds; more is riskier."""
    added = [(sum([contributions[place] for place in places]), say) for places, say in _PLACES]
    added = [one for one in added if one[0] > 0]
    least = LEAST_SHARE * sum([one[0] for one in added])
    added.sort(key=_amount_added, reverse=True)
    read = dict(zip(FEATURES, row, strict=True))
    codes: list[str] = []
    for amount, say in added:
        if amount < least or len(codes) == MAX_REASONS:
            break
        code = say(read)
        if code and code not in codes:
            codes.append(code)
    return tuple(codes)


def _amount_added(one: tuple[float, _Say]) -> float:
    return one[0]
