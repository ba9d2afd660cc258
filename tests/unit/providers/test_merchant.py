"""How a merchant's kind of business is judged, and how its payments turned out."""

import pytest

from enrichment.provider import UNAVAILABLE
from enrichment.providers.merchant import _KINDS, RATE_PAYMENTS_MIN, RISK_BY_MCC, Merchant, rate_bp
from tests.unit.providers.columns import one


@pytest.mark.parametrize(
    ("mcc", "risk"), [("5411", 0), ("7995", 3), ("5732", 2), ("5541", 1), ("1711", 1), ("5816", 3)]
)
def test_a_code_has_the_class_of_its_kind_of_business(mcc: str, risk: int) -> None:
    assert one(Merchant(), mcc=mcc, sender_id="s", merchant_id="m") == {"mcc_risk": risk}


def test_every_code_of_the_table_has_four_digits_and_every_kind_a_class() -> None:
    assert {len(mcc) for mcc in RISK_BY_MCC} == {4}
    assert set(RISK_BY_MCC.values()) == {0, 1, 2, 3}
    assert len({words for words, _, _ in _KINDS}) == len(_KINDS)


def test_a_rate_needs_enough_payments_and_is_rounded_to_the_nearest() -> None:
    assert rate_bp(5, RATE_PAYMENTS_MIN - 1) is None
    assert rate_bp(5, RATE_PAYMENTS_MIN) == 100
    assert (rate_bp(1, 15_000), rate_bp(1, 25_000), rate_bp(0, 10_000)) == (1, 0, 0)
    assert rate_bp(10_000, 10_000) == 10_000


def test_rates_are_of_the_senders_own_merchant_and_absent_for_others() -> None:
    provider = Merchant(rates_named=True)
    assert provider.lacking == UNAVAILABLE
    provider.use({("s", "m"): (12, None)})
    assert provider.lacking == ""
    assert one(provider, mcc="", sender_id="s", merchant_id="m") == {"merchant_fraud_rate_bp": 12}
    assert one(provider, mcc="", sender_id="t", merchant_id="m") == {}


def test_without_a_table_the_rates_are_no_fields_of_this_provider() -> None:
    assert Merchant().gives == ("mcc_risk",)
    assert Merchant().lacking == ""
