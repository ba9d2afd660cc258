"""Bad input: a typed refusal or a named issue, never the value, and the payment goes on."""

from collections.abc import Callable
from typing import Any

import pytest

from enrichment.check import check
from enrichment.fields import FIELDS, WELL_FORMED
from enrichment.payment import BadRequest, Payment
from tests.unit.enrichment.requests import NOW_MS, full_request, least_request

Request = Any
CANARY = "CANARY-7f3a"


def put(path: str, value: Any) -> Callable[[Request], None]:
    """A change of one field."""

    def change(request: Request) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            request = getattr(request, parent)
        setattr(request, name, value)

    return change


def drop(path: str) -> Callable[[Request], None]:
    """A change that takes a field away."""

    def change(request: Request) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            request = getattr(request, parent)
        request.ClearField(name)

    return change


def both(*changes: Callable[[Request], None]) -> Callable[[Request], None]:
    """One change after the other."""

    def change(request: Request) -> None:
        for one in changes:
            one(request)

    return change


def by_par(par: str, iin: str, last4: str) -> Callable[[Request], None]:
    """The card by its PAR alone."""
    return both(drop("card"), put("card.par", par), put("card.iin", iin), put("card.last4", last4))


REFUSED = [
    ("request_id", "missing", drop("request_id")),
    ("request_id", "too_long", put("request_id", CANARY * 9)),
    ("request_id", "control_character", put("request_id", CANARY + "\n")),
    ("request_id", "control_character", put("request_id", "\0")),
    ("payment_intent_id", "missing", drop("payment_intent_id")),
    ("payment_intent_id", "too_long", put("payment_intent_id", CANARY * 9)),
    ("merchant_id", "missing", drop("merchant_id")),
    ("merchant_id", "control_character", put("merchant_id", CANARY + "\x1b[0m")),
    ("amount_minor", "out_of_range", put("amount_minor", -1)),
    ("amount_minor", "out_of_range", put("amount_minor", 10**12)),
    ("currency", "missing", drop("currency")),
    ("currency", "unknown_code", put("currency", "ZZZ")),
    ("currency", "malformed", put("currency", "usd")),
    ("currency", "too_long", put("currency", CANARY)),
    ("initiated_at_ms", "missing", drop("initiated_at_ms")),
    ("initiated_at_ms", "out_of_range", put("initiated_at_ms", -5)),
    ("initiated_at_ms", "out_of_range", put("initiated_at_ms", NOW_MS + 60_001)),
    ("card", "missing", drop("card")),
    ("card", "missing", put("card.pan", "")),
    ("card.pan", "malformed", put("card.pan", "9010010100000009")),
    ("card.pan", "malformed", put("card.pan", "123456789012")),
    ("card.pan", "too_long", put("card.pan", "9" * 20)),
    ("card.pan", "malformed", put("card.pan", "٩" * 16)),
    ("card.iin", "missing", put("card.card_ref", CANARY)),
    ("card.last4", "missing", put("card.network_token", "4" * 16)),
    ("card.card_ref", "too_long", put("card.card_ref", CANARY * 9)),
    ("card.network_token", "malformed", put("card.network_token", CANARY)),
    ("card.par", "malformed", by_par(CANARY, "90100101", "0007")),
    ("card.iin", "missing", by_par("Q" * 29, "", "0007")),
    ("card.last4", "missing", by_par("Q" * 29, "90100101", "")),
    ("card.pan", "malformed", both(put("card.pan", CANARY), put("card.par", "Q" * 29))),
]

BROWSER = "device.browser"
DROPPED = [
    ("attempt_no", "out_of_range", put("attempt_no", -1), "attempt_no", 1),
    ("network", "unknown_code", put("network", 77), "network", 0),
    ("channel", "unknown_code", put("channel", 99), "channel", 0),
    ("initiation", "unknown_code", put("initiation", -1), "initiation", 0),
    ("card.funding", "unknown_code", put("card.funding", 4), "funding", 0),
    ("card.par", "malformed", put("card.par", CANARY), "par", ""),
    ("card.last4_source", "too_long", put("card.last4_source", CANARY * 2), "last4_source", ""),
    ("card.iin", "inconsistent", put("card.iin", "411111"), "iin", "90100101"),
    ("platform_id", "too_long", put("platform_id", CANARY * 9), "platform_id", ""),
    ("mit_reason", "too_long", put("mit_reason", CANARY * 9), "mit_reason", ""),
    ("cardholder_region", "unknown_code", put("cardholder_region", "ZZ"), "cardholder_region", ""),
    ("correlation_id", "too_long", put("correlation_id", CANARY * 9), "correlation_id", ""),
    ("issuer_reference_id", "control_character", put("issuer_reference_id", CANARY + "\n"),
     "issuer_reference_id", ""),
    ("original_network_transaction_id", "malformed", put("original_network_transaction_id", CANARY),
     "original_network_transaction_id", ""),
    ("original_network_transaction_id", "too_long", put("original_network_transaction_id", CANARY * 3),
     "original_network_transaction_id", ""),
    ("order.basket_category", "too_long", put("order.basket_category", CANARY * 9), "basket_category", ""),
    ("order.delivery_timeframe", "unknown_code", put("order.delivery_timeframe", 7), "delivery_timeframe", 0),
    ("acquirer.acquiring_institution_id", "too_long", put("acquirer.acquiring_institution_id", "1" * 12),
     "acquiring_institution_id", ""),
    ("acquirer.stan", "malformed", put("acquirer.stan", "12345"), "stan", ""),
    ("acquirer.transmission_date_time", "malformed", put("acquirer.transmission_date_time", "0230000000"),
     "transmission_date_time", ""),
    ("acquirer.transmission_date_time", "malformed", put("acquirer.transmission_date_time", "1231240000"),
     "transmission_date_time", ""),
    ("acquirer.retrieval_reference_number", "malformed", put("acquirer.retrieval_reference_number", "x"),
     "retrieval_reference_number", ""),
    ("acquirer.terminal_id", "too_long", put("acquirer.terminal_id", CANARY), "terminal_id", ""),
    ("acquirer.card_acceptor_id", "malformed", put("acquirer.card_acceptor_id", "é"), "card_acceptor_id", ""),
    ("acquirer.network_match_key", "too_long", put("acquirer.network_match_key", CANARY * 9),
     "network_match_key", ""),
    ("merchant.mcc", "malformed", put("merchant.mcc", "54A1"), "mcc", ""),
    ("merchant.name", "control_character", put("merchant.name", CANARY + "\x7f"), "merchant_name", ""),
    ("merchant.country", "malformed", put("merchant.country", "us"), "merchant_country", ""),
    ("customer.email", "malformed", put("customer.email", CANARY), "email", ""),
    ("customer.email", "malformed", put("customer.email", "a..b@gmx.net"), "email", ""),
    ("customer.email", "too_long", put("customer.email", "a@" + "b." * 130 + "net"), "email", ""),
    ("customer.email", "malformed", put("customer.email", "a" * 65 + "@gmx.net"), "email", ""),
    ("customer.phone_e164", "malformed", put("customer.phone_e164", "415-555"), "phone_e164", ""),
    ("customer.name", "too_long", put("customer.name", CANARY * 9), "cardholder_name", ""),
    ("customer.billing.country", "unknown_code", put("customer.billing.country", "XX"), None, None),
    ("customer.shipping.postal_code", "too_long", put("customer.shipping.postal_code", CANARY * 2),
     None, None),
    ("customer.history.account_age_days", "out_of_range", put("customer.history.account_age_days", -3),
     None, None),
    ("customer.history.purchases_6m", "out_of_range", put("customer.history.purchases_6m", 2**31 - 1),
     None, None),
    ("customer.history.transactions_1y", "out_of_range", put("customer.history.transactions_1y", 1_000_001),
     None, None),
    ("customer.history.add_card_attempts_24h", "out_of_range",
     put("customer.history.add_card_attempts_24h", -1), None, None),
    ("device.ip", "malformed", put("device.ip", "256.1.1.1"), "ip", ""),
    ("device.ip", "malformed", put("device.ip", "0177.0.0.1"), "ip", ""),
    ("device.ip", "malformed", put("device.ip", "2130706433"), "ip", ""),
    ("device.ip", "malformed", put("device.ip", "1::2::3"), "ip", ""),
    ("device.device_id", "too_long", put("device.device_id", CANARY * 9), "device_id", ""),
    ("device.user_agent", "too_long", put("device.user_agent", CANARY * 50), "user_agent", ""),
    ("device.user_agent", "control_character", put("device.user_agent", CANARY + "\r\n"), "user_agent", ""),
    (f"{BROWSER}.time_zone", "too_long", put(f"{BROWSER}.time_zone", CANARY * 9), None, None),
    (f"{BROWSER}.language", "malformed", put(f"{BROWSER}.language", "e!"), None, None),
    (f"{BROWSER}.screen_width", "out_of_range", put(f"{BROWSER}.screen_width", -1), None, None),
    ("device.coarse_location", "out_of_range", put("device.coarse_location.latitude", 91.0),
     "location", None),
    ("device.coarse_location", "out_of_range", put("device.coarse_location.longitude", float("nan")),
     "location", None),
    ("authentication.eci", "too_long", put("authentication.eci", "055"), "eci", ""),
    ("authentication.trans_status", "unknown_code", put("authentication.trans_status", 9), "trans_status", 0),
    ("authentication.ds_trans_id", "malformed", put("authentication.ds_trans_id", CANARY), "ds_trans_id", ""),
    ("authentication.avs_result", "malformed", put("authentication.avs_result", "!"), "avs_result", ""),
    ("authentication.cvv_result", "too_long", put("authentication.cvv_result", "123"), "cvv_result", ""),
    ("authentication.exemption", "too_long", put("authentication.exemption", CANARY * 9), "exemption", ""),
    ("caller_assessments.value", "out_of_range", lambda request: setattr(
        request.caller_assessments[0], "value", 100.0), "caller_assessments", ()),
]  # fmt: skip


def names(cases: list[Any]) -> list[str]:
    return [f"{number}-{case[0]}-{case[1]}" for number, case in enumerate(cases)]


@pytest.mark.parametrize(("path", "code", "change"), REFUSED, ids=names(REFUSED))
def test_a_bad_required_field_refuses_the_request_by_name_and_without_its_value(
    path: str, code: str, change: Callable[[Request], None]
) -> None:
    request = least_request()
    change(request)
    answer = check(request, NOW_MS)
    assert isinstance(answer, BadRequest)
    assert (path, code) in {issue[:2] for issue in answer.issues}
    assert all(issue[2] for issue in answer.issues)
    assert CANARY not in repr(answer)


@pytest.mark.parametrize(("path", "code", "change", "attribute", "value"), DROPPED, ids=names(DROPPED))
def test_a_bad_optional_field_is_dropped_and_named_and_the_payment_goes_on(
    path: str, code: str, change: Callable[[Request], None], attribute: str | None, value: object
) -> None:
    request = full_request()
    change(request)
    payment = check(request, NOW_MS)
    assert isinstance(payment, Payment)
    assert [issue[:2] for issue in payment.field_issues] == [(path, code)]
    assert payment.field_issues[0][2]
    assert CANARY not in repr(payment.field_issues)
    if attribute is not None:
        assert getattr(payment, attribute) == value


def test_every_field_whose_rule_is_its_form_is_refused_or_dropped_where_it_breaks_it() -> None:
    named = {f"{case[0]}." for case in (*REFUSED, *DROPPED)}
    formed = {one.source for one in FIELDS if one.quality == WELL_FORMED and one.source}
    assert {path for path in formed if not any(one.startswith(f"{path}.") for one in named)} == set()


def test_a_full_request_has_no_issue_and_keeps_every_field() -> None:
    payment = check(full_request(), NOW_MS)
    assert isinstance(payment, Payment)
    assert payment.field_issues == []
    missing = {
        name
        for name in Payment.__struct_fields__
        if getattr(payment, name) in ("", None, 0, ()) and name not in ("field_issues", "read")
    }
    assert missing == {"network_token", "card_ref", "commercial", "validate_only"}
    assert payment.history is not None
    assert payment.history.account_age_days == 0
    assert payment.history.account_change_age_days is None
    assert payment.location == (39.78, -89.65)


def test_a_request_as_small_as_the_contract_allows_is_accepted() -> None:
    payment = check(least_request(), NOW_MS)
    assert isinstance(payment, Payment)
    assert (payment.attempt_no, payment.iin, payment.last4) == (1, "90100101", "0007")


def test_a_platform_id_that_had_to_be_dropped_takes_the_region_with_it_so_that_nothing_is_shared() -> None:
    request = full_request()
    request.platform_id = "p" * 65
    payment = check(request, NOW_MS)
    assert isinstance(payment, Payment)
    assert payment.cardholder_region == ""


def test_of_more_than_four_assessments_the_first_four_are_kept() -> None:
    request = full_request()
    for _ in range(4):
        request.caller_assessments.add().CopyFrom(request.caller_assessments[0])
    payment = check(request, NOW_MS)
    assert isinstance(payment, Payment)
    assert len(payment.caller_assessments) == 4
    assert [issue[:2] for issue in payment.field_issues] == [("caller_assessments", "too_many")]


@pytest.mark.parametrize(
    "change",
    [
        {"value": 100.0},
        {"value": float("nan")},
        {"scale_max": float("inf")},
        {"scale_min": 99.0},
        {"normalised": 1000},
        {"assessor": "x" * 65},
        {"reason_codes": ["a"] * 5},
        {"reason_codes": ["\n"]},
    ],
)
def test_an_assessment_that_is_off_its_scale_is_dropped_whole(change: dict[str, Any]) -> None:
    request = full_request()
    for name, value in change.items():
        if name == "reason_codes":
            request.caller_assessments[0].reason_codes[:] = value
        else:
            setattr(request.caller_assessments[0], name, value)
    payment = check(request, NOW_MS)
    assert isinstance(payment, Payment)
    assert payment.caller_assessments == ()
    assert len(payment.field_issues) == 1


@pytest.mark.parametrize(("skew_ms", "accepted"), [(60_000, True), (60_001, False), (-(10**11), True)])
def test_sixty_seconds_ahead_are_accepted_and_old_times_always(skew_ms: int, accepted: bool) -> None:
    request = least_request()
    request.initiated_at_ms = NOW_MS + skew_ms
    assert isinstance(check(request, NOW_MS), Payment) is accepted


def test_an_ipv6_address_comes_out_in_one_form_and_a_mapped_one_as_ipv4() -> None:
    for given, kept in (("2A02:FF40:0:0::1", "2a02:ff40::1"), ("::ffff:81.2.69.142", "81.2.69.142")):
        request = full_request()
        request.device.ip = given
        payment = check(request, NOW_MS)
        assert isinstance(payment, Payment)
        assert payment.ip == kept


def test_a_fifteen_digit_card_number_stands_with_six_digits_beside_its_last_four() -> None:
    request = least_request()
    request.card.pan = "371449635398431"
    payment = check(request, NOW_MS)
    assert isinstance(payment, Payment)
    assert (payment.iin, payment.truncated_iin) == ("37144963", "371449")


@pytest.mark.parametrize(
    ("fields", "unit"),
    [
        ({"pan": "9010010100000007", "par": "Q" * 28 + "7"}, (1, "Q" * 28 + "7")),
        ({"pan": "9010010100000007", "par": "Q" * 29}, (2, "9010010100000007")),
        ({"pan": "9010010100000007"}, (2, "9010010100000007")),
        ({"par": "Q" * 29, "iin": "90100101", "last4": "0007"}, (1, "Q" * 29)),
        ({"card_ref": "ref-1", "iin": "901001", "last4": "0007"}, (3, "ref-1")),
        ({"network_token": "4" * 16, "iin": "90100101", "last4": "0007"}, (4, "4" * 16)),
    ],
)
def test_the_unit_is_the_account_before_the_number_before_the_reference(
    fields: dict[str, str], unit: tuple[int, str]
) -> None:
    request = least_request()
    request.ClearField("card")
    for name, value in fields.items():
        setattr(request.card, name, value)
    payment = check(request, NOW_MS)
    assert isinstance(payment, Payment)
    assert payment.unit == unit
