"""Rows: fixed, total, and without anything of a person; reasons say what is true; drift is measured right."""

from itertools import pairwise
from math import isnan, log, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichment.payment import Facts, Payment
from enrichment.providers.network import FILLS
from enrichment.reader import read_by_twin
from enrichment.scoring import drift, points
from enrichment.scoring.features import FEATURES, MONOTONE, row
from enrichment.scoring.reasons import FAMILIES, WORDS, reasons
from gateway.server.providers.build import build_providers
from gateway.server.providers.settings import ProvidersSettings
from issuernetwork.v1 import enrichment_pb2
from tests.kit.payments import payment
from tests.unit.docs.pages import REFERENCE, first_names, section

NOW_MS = 1_790_000_000_000
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8)
PROVIDED_FEATURES = FEATURES[FEATURES.index("ip_abroad") : FEATURES.index("card_testing_verdict") + 1]
RATES = ("merchant_fraud_rate_bp", "merchant_dispute_rate_bp")
READ_OF_PROVIDERS = (
    "ip_country", "ip_anonymised", "email_domain_type", "email_digits_percent", "phone_fits_billing",
    "device_on_card_age_days", "amount_to_card_mean", "amount_to_merchant_mean", "authentication_fits",
    "mcc_risk", "merchant_fraud_rate_bp", "merchant_dispute_rate_bp", "card_testing",
)  # fmt: skip


def read(change: Any = lambda request: None, request: Any = None) -> Payment:
    request = request or payment(1, now_ms=NOW_MS)
    change(request)
    found = read_by_twin(request.SerializeToString(), NOW_MS)
    assert isinstance(found, Payment), found
    return found


def named(found: Payment, facts: Facts = Facts(), match: bool | None = None) -> dict[str, float]:  # noqa: B008
    return dict(zip(FEATURES, row(found, facts, match), strict=True))


def test_a_payment_with_nothing_optional_has_a_row_that_says_absent() -> None:
    bare = enrichment_pb2.EnrichAuthorizationRequest(
        request_id="r", payment_intent_id="i", attempt_no=1, merchant_id="m", amount_minor=1_000,
        currency="USD", initiated_at_ms=NOW_MS,
    )  # fmt: skip
    bare.card.pan = payment(1).card.pan
    found = named(read(request=bare))
    present = {name for name, value in found.items() if not isnan(value)}
    assert present == {"amount_dollars", "hour_utc", "merchant_initiated", "attempt_no"}
    assert (found["amount_dollars"], found["hour_utc"]) == (10.0, NOW_MS // 3_600_000 % 24)


def test_a_full_payment_has_the_numbers_that_were_sent() -> None:
    def change(request: Any) -> None:
        request.amount_minor, request.currency = 30_000, "JPY"
        request.merchant.country = "GB"
        request.customer.billing.country = "FR"
        request.authentication.trans_status = 2
        request.authentication.cvv_result, request.authentication.avs_result = "N", "A"
        request.customer.history.account_age_days = 3

    facts = Facts((COUNTS, COUNTS, tuple(10 * one for one in COUNTS), None, COUNTS))  # type: ignore[arg-type]
    found = named(read(change), facts, match=False)
    assert found["amount_dollars"] == 200.0
    assert (found["cross_border"], found["billing_abroad"], found["ship_bill_mismatch"]) == (1, 1, 1)
    assert (found["authentication"], found["cvv_mismatch"], found["avs_mismatch"]) == (3, 1, 1)
    assert [found[f"card_{window}"] for window in ("10m", "1h", "24h", "7d")] == [1, 2, 3, 4]
    assert (found["merchants_per_card_24h"], found["cards_per_ip_24h"], found["ip_1h"]) == (7, 70, 20)
    assert (found["email_24h"], found["cards_per_email_24h"]) == (3, 7)
    assert isnan(found["device_1h"])
    assert isnan(found["cards_per_device_24h"])
    assert found["account_age_days"] == 3


def test_what_providers_found_is_in_the_row_and_what_they_did_not_is_absent() -> None:
    found = {
        "ip_country": "FR", "ip_anonymised": "tor", "email_domain_type": "disposable",
        "email_digits_percent": 40, "phone_fits_billing": False, "device_on_card_age_days": 0,
        "amount_to_card_mean": 450, "authentication_fits": True, "mcc_risk": 3, "card_testing": "likely",
    }  # fmt: skip
    values = named(read(), Facts(None, (), found, 0))
    assert (values["ip_abroad"], values["ip_hidden"], values["email_disposable"]) == (1, 1, 1)
    assert (values["email_digits_percent"], values["phone_elsewhere"]) == (40, 1)
    assert (values["device_on_card_age_days"], values["amount_to_card_mean"]) == (0, 450)
    assert (values["authentication_odd"], values["mcc_risk"], values["card_testing_verdict"]) == (0, 3, 2)
    nothing = named(read(), Facts(None, (), dict.fromkeys(READ_OF_PROVIDERS), 0))
    assert all(isnan(nothing[name]) for name in PROVIDED_FEATURES)
    assert isnan(values["amount_to_merchant_mean"])
    assert isnan(values["merchant_fraud_rate_bp"])
    quiet = named(read(), Facts(None, (), {"ip_country": "US", "ip_anonymised": "none"}, 0))
    assert (quiet["ip_abroad"], quiet["ip_hidden"]) == (0, 0)
    assert isnan(quiet["card_testing_verdict"])


def test_what_providers_say_they_give_is_what_the_row_reads() -> None:
    providers = build_providers(ProvidersSettings(), folder=Path(), copies=Path()).budgeted
    given = {name for one in providers for name in one.provider.gives} | {*FILLS, *RATES}
    for name in READ_OF_PROVIDERS:
        assert name in given


def test_every_value_is_a_number_and_names_are_unique() -> None:
    found = row(read(), Facts((COUNTS,) * 5), True)
    assert len(found) == len(FEATURES) == len(set(FEATURES)) == len(MONOTONE)
    assert all(isinstance(value, int | float) for value in found)


# Of one draw each: what a row may hold where a sentence could be true or not.
VALUES = (nan, 0.0, 1.0, 2.0, 3.0, 12.0, 700.0, 5_000.0)
places = st.lists(st.integers(0, len(VALUES) - 1), min_size=len(FEATURES), max_size=len(FEATURES))


def values_of(chosen: list[int]) -> dict[str, float]:
    return {
        name: VALUES[place] if VALUES[place] < 3 or name != "avs_mismatch" else nan
        for name, place in zip(FEATURES, chosen, strict=True)
    }


@given(places, st.lists(st.integers(-3, 9), min_size=len(FEATURES), max_size=len(FEATURES)))
def test_reasons_are_at_most_four_known_codes_each_once_and_strongest_first(
    chosen: list[int], contributions: list[int]
) -> None:
    found = values_of(chosen)
    codes = reasons(tuple(found.values()), contributions)
    assert len(codes) <= points.MAX_REASONS
    assert len(set(codes)) == len(codes)
    assert set(codes) <= set(WORDS)
    added: dict[str, int] = {}
    for names, say in FAMILIES:
        amount = sum(contributions[FEATURES.index(name)] for name in names)
        added[say(found)] = max(amount, added.get(say(found), 0))
    assert all(added[one] >= added[next_] for one, next_ in pairwise(codes)), codes
    assert all(added[one] > 0 for one in codes)


def test_every_feature_is_of_one_family_of_reasons() -> None:
    assert sorted(name for names, _ in FAMILIES for name in names) == sorted(FEATURES)


@pytest.mark.parametrize(
    ("values", "feature", "code"),
    [
        ({"card_10m": 6}, "card_1h", "card_burst"),
        ({"card_10m": 3}, "card_1h", "card_repeat"),
        ({"card_10m": 1, "card_24h": 12}, "card_1h", "card_day"),
        ({"card_10m": 1, "card_24h": 1}, "card_1h", ""),
        ({"ip_1h": 12}, "ip_10m", "ip_burst"),
        ({"device_1h": 9}, "device_10m", "device_repeat"),
        ({"amount_dollars": 4.99, "device_1h": 4}, "amount_dollars", "card_testing"),
        ({"amount_dollars": 2_000}, "amount_dollars", "amount_very_high"),
        ({"account_age_days": 6}, "account_age_days", "account_new"),
        ({"account_age_days": 400}, "account_age_days", ""),
        ({"cross_border": 0}, "cross_border", ""),
        ({"avs_mismatch": 2}, "avs_mismatch", "avs_mismatch"),
        ({"caller_score": 900}, "caller_score", "caller_score_very_high"),
        ({}, "device_known", ""),
    ],
)
def test_a_code_that_the_points_have_too_means_the_same(
    values: dict[str, float], feature: str, code: str
) -> None:
    found = [values.get(name, nan) for name in FEATURES]
    contributions = [1.0 if name == feature else 0.0 for name in FEATURES]
    assert reasons(found, contributions) == ((code,) if code else ())


def test_the_page_has_every_code_with_its_words() -> None:
    text = (REFERENCE / "score.md").read_text()
    for code in first_names(section(text, "Reason codes")):
        assert f"| `{code}` | {WORDS[code]} |" in text
    spoken = {
        code for code in WORDS if code not in points.RULE_BY_CODE or points.RULE_BY_CODE[code].points > 0
    }
    assert first_names(section(text, "Reason codes")) == spoken


def test_psi_is_what_its_formula_says() -> None:
    trained = drift.Distribution((1.0,), (0.5, 0.4, 0.1))
    counts = drift.counted(trained.edges, [0.0] * 20 + [2.0] * 70 + [nan] * 10)
    assert counts == [20, 70, 10]
    expected = (0.2 - 0.5) * log(0.2 / 0.5) + (0.7 - 0.4) * log(0.7 / 0.4)
    assert drift.psi(trained, counts) == pytest.approx(expected)
    assert drift.psi(trained, [0, 0, 0]) == 0.0


@given(st.lists(st.one_of(st.just(nan), st.floats(-5, 5), st.sampled_from([0.0, 1.0])), max_size=200))
def test_rows_as_they_were_have_no_drift_and_what_was_never_seen_has(values: list[float]) -> None:
    trained = drift.distribution(values)
    assert len(trained.shares) == len(trained.edges) + 2
    assert drift.psi(trained, drift.counted(trained.edges, values)) == pytest.approx(0.0, abs=1e-9)
    if len(values) > 1:
        beyond = drift.counted(trained.edges, [1e6] * len(values))
        assert drift.psi(trained, beyond) > drift.SHIFTED
