"""Signals and the points score."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from enrichment import quality
from enrichment.contact import HASHED_MASK
from enrichment.fields import FIELD_BY_NAME, names_of
from enrichment.payment import Counts, Facts
from enrichment.scoring.points import BASE_POINTS, RULE_BY_CODE, RULES
from enrichment.signals import Signals, signals
from enrichment.velocity import VelocityKind, velocity_values
from tests.unit.enrichment.requests import EMAIL, PAN, full_request, least_request, payment

SEEN_ONCE: Counts = (1,) * 8
ONCE: tuple[Counts, ...] = (SEEN_ONCE,) * 5
QUIET = Facts(ONCE)
WARMING = Facts(None, (("velocity", "warming"),))


def busy(**attempts: tuple[int, int, int, int]) -> Facts:
    """Facts where some kinds have been seen more often."""
    return Facts(tuple((*attempts.get(kind.name.lower(), (1, 1, 1, 1)), 1, 1, 1, 1) for kind in VelocityKind))


def poor(known: Signals) -> dict[str, str]:
    return {names_of(1 << number)[0]: reason for number, reason in known.quality}


def test_every_value_has_its_bit_and_can_be_written_as_json() -> None:
    known = signals(payment(), QUIET)
    assert known.mask == HASHED_MASK | sum(1 << number for number in known.values)
    assert not {"email_hash", "phone_hash"} & {names_of(1 << number)[0] for number in known.values}
    written = json.loads(json.dumps({names_of(1 << n)[0]: value for n, value in known.values.items()}))
    assert written["email"] == EMAIL
    assert written["channel"] == "ecom"
    assert written["initiation"] == "CIT:recurring"
    assert written["ship_bill_match"] is True
    assert written["geo"] == {"latitude": 39.78, "longitude": -89.65}
    assert written["account_age_days"] == 0
    assert "account_change_age_days" not in written
    assert written["pan"] == PAN
    assert PAN not in repr(known)


@pytest.mark.parametrize("request_of", [full_request, least_request])
def test_values_by_name_are_those_by_number_in_the_order_of_numbers(request_of: Callable[[], Any]) -> None:
    known = signals(payment(request_of()), QUIET)
    by_number = [(names_of(1 << number)[0], known.value(number)) for number in sorted(known.values)]
    assert list(known.named(known.mask & ~HASHED_MASK).items()) == by_number
    for name, value in by_number:
        assert known.named(1 << FIELD_BY_NAME[name].number) == {name: value}


def test_everything_but_labels_and_what_was_not_given_is_filled_by_a_full_request() -> None:
    absent = set(FIELD_BY_NAME) - set(names_of(signals(payment(), QUIET).mask))
    # Behind it stand those that are made of what is looked up.
    absent = {
        name for name in absent if FIELD_BY_NAME[name].number <= FIELD_BY_NAME["delivery_timeframe"].number
    }
    groups = {FIELD_BY_NAME[name].group for name in absent}
    assert groups <= {"fraud", "history"}


def test_the_least_request_has_signals_too() -> None:
    known = signals(payment(least_request()), WARMING)
    assert "score_norm" in names_of(known.mask)
    assert known.omissions == (("velocity", "warming"),)
    assert not {"card_attempts_10m", "email", "ip"} & set(names_of(known.mask))


@pytest.mark.parametrize(
    ("path", "value", "name", "reason"),
    [
        ("device.ip", "10.1.2.3", "ip", quality.NOT_PUBLIC),
        ("device.ip", "fe80::1", "ip", quality.NOT_PUBLIC),
        ("device.ip", "64:ff9b::102:304", "ip", quality.NOT_PUBLIC),
        ("device.device_id", "0000-0000", "device_id", quality.PLACEHOLDER),
        ("device.device_id", "Unknown", "device_id", quality.PLACEHOLDER),
        ("device.user_agent", "curl/8.1", "user_agent", quality.NOT_A_BROWSER),
        ("customer.email", "A@Example.com", "email", quality.TEST_DOMAIN),
        ("customer.phone_e164", "+10000000000", "phone_e164", quality.PLACEHOLDER),
        ("customer.name", "test", "cardholder_name", quality.PLACEHOLDER),
        ("customer.email", "jane@Mailinator.com", "email", quality.DISPOSABLE_DOMAIN),
        ("customer.email", "jane@eu.mailinator.com", "email", quality.DISPOSABLE_DOMAIN),
        ("customer.email", "No-Reply@gmx.net", "email", quality.ROLE_BASED),
        ("customer.phone_e164", "+1415555012", "phone_e164", quality.IMPOSSIBLE_NUMBER),
        ("customer.phone_e164", "+99912345678", "phone_e164", quality.IMPOSSIBLE_NUMBER),
        ("customer.name", "CARD HOLDER", "cardholder_name", quality.PLACEHOLDER),
        ("customer.name", "4111 1111 1111", "cardholder_name", quality.NOT_A_NAME),
        ("device.device_id", "9774D56D682E549C", "device_id", quality.CONSTANT),
        ("device.device_id", "02:00:00:00:00:00", "device_id", quality.CONSTANT),
        ("device.user_agent", "Mozilla/5.0 (X11) HeadlessChrome/120.0", "user_agent", quality.NOT_A_BROWSER),
        ("customer.billing.postal_code", "6270", "billing_address", quality.BAD_POSTAL_CODE),
        ("customer.billing.postal_code", "", "billing_address", quality.BAD_POSTAL_CODE),
        ("customer.shipping.postal_code", "SW1A 1AA", "shipping_address", quality.BAD_POSTAL_CODE),
        ("customer.shipping.country", "GB", "shipping_address", quality.BAD_POSTAL_CODE),
        ("merchant.name", "Test", "merchant_name", quality.PLACEHOLDER),
        ("acquirer.card_acceptor_id", "000000000000000", "acceptor_id", quality.PLACEHOLDER),
        ("acquirer.network_match_key", "none", "match_key", quality.PLACEHOLDER),
        ("correlation_id", "null", "correlation_id", quality.PLACEHOLDER),
        ("original_network_transaction_id", "0" * 15, "network_txn_id", quality.PLACEHOLDER),
        ("customer.billing.country", "", "billing_address", quality.INCOMPLETE),
        ("acquirer.stan", "000000", "stan", quality.PLACEHOLDER),
        ("merchant.mcc", "0000", "mcc", quality.PLACEHOLDER),
        ("card.par", "0" * 29, "par", quality.PLACEHOLDER),
        ("order.basket_category", "N/A", "basket_category", quality.PLACEHOLDER),
        ("authentication.exemption", "None", "sca_exemption", quality.PLACEHOLDER),
        ("authentication.eci", "N2", "eci", quality.UNKNOWN_CODE),
        ("authentication.eci", "10", "eci", quality.UNKNOWN_CODE),
    ],
)
def test_what_software_filled_in_is_below_quality(path: str, value: str, name: str, reason: str) -> None:
    request = full_request()
    *parents, field = path.split(".")
    message = request
    for parent in parents:
        message = getattr(message, parent)
    setattr(message, field, value)
    known = signals(payment(request), QUIET)
    # A hash of a value is as good as the value.
    names = [name, *{"email": ["email_hash"], "phone_e164": ["phone_hash"]}.get(name, [])]
    assert poor(known) == dict.fromkeys(names, reason)
    assert known.below_quality == sum(1 << FIELD_BY_NAME[one].number for one in names)
    assert known.below_quality & known.mask == known.below_quality


@pytest.mark.parametrize(
    ("part", "whole", "name"),
    [
        ("account_change_age_days", "account_age_days", "account_change_age_days"),
        ("password_change_age_days", "account_age_days", "password_change_age_days"),
        ("card_on_file_age_days", "account_age_days", "card_on_file_age_days"),
        ("transactions_24h", "transactions_1y", "txn_count_24h"),
        ("purchases_6m", "transactions_1y", "purchases_6m"),
    ],
)
def test_of_a_history_what_is_more_than_its_whole_is_below_quality(part: str, whole: str, name: str) -> None:
    def told(**given: int) -> dict[str, str]:
        request = full_request()
        request.customer.ClearField("history")
        for one, value in given.items():
            setattr(request.customer.history, one, value)
        return poor(signals(payment(request), QUIET))

    assert told(**{part: 6, whole: 5}) == told(**{part: 1, whole: 0}) == {name: quality.INCONSISTENT}
    assert told(**{part: 5, whole: 5}) == told(**{part: 6}) == told(**{whole: 0}) == {}
    # By EMV 3-D Secure a count of a year ends at 999, and ages do not.
    beyond = {} if whole == "transactions_1y" else {name: quality.INCONSISTENT}
    assert told(**{part: 1_500, whole: 998}) == {name: quality.INCONSISTENT}
    assert told(**{part: 1_500, whole: 999}) == beyond


@pytest.mark.parametrize("eci", [f"0{digit}" for digit in range(10)])
def test_an_indicator_of_the_networks_is_fit_to_be_shared(eci: str) -> None:
    request = full_request()
    request.authentication.eci = eci
    assert signals(payment(request), QUIET).below_quality == 0


def test_a_full_good_request_is_wholly_fit_to_be_shared() -> None:
    assert signals(payment(), QUIET).below_quality == 0


def test_the_score_is_the_sum_of_the_points_of_its_rules() -> None:
    # Full request: opened today, authenticated; nothing else for or against it.
    assessment = signals(payment(), QUIET).assessment
    expected = BASE_POINTS + RULE_BY_CODE["account_today"].points + RULE_BY_CODE["authenticated"].points
    assert assessment.value == expected
    assert assessment.reason_codes == ("account_today",)
    assert assessment.model_id == "points-1"


def test_a_rings_payment_scores_far_above_a_regular_customers() -> None:
    regular = full_request()
    regular.customer.history.account_age_days = 800
    regular.customer.history.card_on_file_age_days = 400
    ring = full_request()
    ring.ClearField("authentication")
    ring.authentication.cvv_result = "N"
    ring.authentication.avs_result = "N"
    ring.customer.shipping.postal_code = "99999"
    ring.amount_minor = 250_000
    low = signals(payment(regular), QUIET).assessment
    high = signals(payment(ring), busy(ip=(9, 20, 20, 20), device=(9, 12, 12, 12))).assessment
    assert low.normalised <= 50
    assert high.normalised >= 900
    assert high.reason_codes == ("ip_burst", "device_burst", "cvv_mismatch", "amount_very_high")


def test_card_testing_shows_by_small_amounts_amid_many_attempts() -> None:
    request = full_request()
    request.amount_minor = 100
    assert "card_testing" in signals(payment(request), busy(ip=(5, 5, 5, 5))).assessment.reason_codes
    assert "card_testing" not in signals(payment(request), QUIET).assessment.reason_codes


def test_while_velocity_is_warming_its_rules_have_no_say() -> None:
    assert signals(payment(), WARMING).assessment == signals(payment(), QUIET).assessment


def test_every_rule_has_words_and_its_own_code() -> None:
    assert len(RULE_BY_CODE) == len(RULES)
    assert all(rule.words and rule.points for rule in RULES)


def test_each_count_is_the_value_of_its_own_field() -> None:
    """Counts by kind as 11 to 18, 21 to 28 and so on: none can be taken for another."""
    counted = tuple(tuple(range(10 * kind + 11, 10 * kind + 19)) for kind in VelocityKind)
    known = signals(payment(), Facts(counted))  # type: ignore[arg-type]
    velocity = FIELD_BY_NAME["card_attempts_10m"].group
    names = [name for name in names_of(known.mask) if FIELD_BY_NAME[name].group == velocity]
    assert {name: known.value(FIELD_BY_NAME[name].number) for name in names} == {
        "card_attempts_10m": 11, "card_attempts_1h": 12,
        "card_attempts_24h": 13, "card_attempts_7d": 14,
        "merchants_per_card_10m": 15, "merchants_per_card_1h": 16,
        "merchants_per_card_24h": 17, "merchants_per_card_7d": 18,
        "ip_attempts_10m": 31, "ip_attempts_1h": 32, "ip_attempts_24h": 33, "ip_attempts_7d": 34,
        "cards_per_ip_10m": 35, "cards_per_ip_1h": 36, "cards_per_ip_24h": 37, "cards_per_ip_7d": 38,
        "device_attempts_10m": 41, "device_attempts_1h": 42,
        "device_attempts_24h": 43, "device_attempts_7d": 44,
        "cards_per_device_10m": 45, "cards_per_device_1h": 46,
        "cards_per_device_24h": 47, "cards_per_device_7d": 48,
        "email_attempts_10m": 51, "email_attempts_1h": 52,
        "email_attempts_24h": 53, "email_attempts_7d": 54,
        "cards_per_email_10m": 55, "cards_per_email_1h": 56,
        "cards_per_email_24h": 57, "cards_per_email_7d": 58,
    }  # fmt: skip


def test_a_kind_that_the_payment_has_not_leaves_out_its_own_fields_alone() -> None:
    known = signals(payment(), Facts((SEEN_ONCE, SEEN_ONCE, None, SEEN_ONCE, None)))
    names = set(names_of(known.mask))
    assert {"card_attempts_7d", "merchants_per_card_24h", "cards_per_device_24h"} <= names
    assert not {"ip_attempts_10m", "cards_per_ip_24h", "email_attempts_24h", "cards_per_email_24h"} & names


def test_an_e_mail_address_is_counted_as_one_however_it_is_written() -> None:
    one, other = full_request(), full_request()
    one.customer.email, other.customer.email = "Jo.Doe@Example.org", "jo.doe@example.ORG"
    kinds = [velocity_values(payment(request))[VelocityKind.EMAIL] for request in (one, other)]
    assert kinds[0] == kinds[1] == "jo.doe@example.org"
    assert velocity_values(payment(least_request()))[VelocityKind.EMAIL] is None


def test_what_is_the_senders_own_is_counted_apart_for_each_sender() -> None:
    checked = payment()
    ours = velocity_values(checked, sender_id="a")
    theirs = velocity_values(checked, sender_id="b")
    assert ours[VelocityKind.MERCHANT] != theirs[VelocityKind.MERCHANT]
    assert ours[VelocityKind.DEVICE] != theirs[VelocityKind.DEVICE]
    assert ours[VelocityKind.CARD] == theirs[VelocityKind.CARD]
    assert velocity_values(payment(least_request()))[VelocityKind.IP] is None
