"""The sender learns what of its data is not fit to be shared, by code and remedy; metrics count it."""

from typing import Any

import pytest

from enrichment import quality
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.sharing.items import Tally
from tests.kit.payments import HARBOR
from tests.unit.sharing.kit import Kit, requests
from tests.unit.sharing.opened import released

CASES = [
    ("device.ip", "10.20.30.40", "device.ip", "not_public", {"ip"}),
    ("customer.email", "jane.77@mailinator.com", "customer.email", "disposable_domain", {"email"}),
    ("customer.email", "noreply@northgate.net", "customer.email", "role_based", {"email"}),
    ("customer.name", "Card Holder", "customer.name", "placeholder", {"cardholder_name"}),
    ("customer.billing.postal_code", "9021", "customer.billing.postal_code", "bad_postal_code",
     {"billing_address"}),
    ("device.device_id", "9774d56d682e549c", "device.device_id", "constant", {"device_id"}),
    ("device.user_agent", "axios/1.7.2", "device.user_agent", "not_a_browser", {"user_agent"}),
    ("order.basket_category", "undefined", "order.basket_category", "placeholder", {"basket_category"}),
    ("authentication.exemption", "Default", "authentication.exemption", "placeholder", {"sca_exemption"}),
]  # fmt: skip


def payments(count: int) -> list[Any]:
    """Without number 0, whose STAN and RRN are zeros."""
    return requests(count + 1, iin=HARBOR)[1:]


def put(request: Any, path: str, value: str) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        request = getattr(request, parent)
    setattr(request, name, value)


@pytest.mark.parametrize(("path", "value", "told", "code", "fields"), CASES, ids=lambda one: str(one)[:20])
def test_what_is_not_fit_is_named_with_its_remedy_counted_and_not_shared(
    path: str, value: str, told: str, code: str, fields: set[str]
) -> None:
    kit, tally = Kit(), Tally()
    asked = payments(20)
    for request in asked:
        put(request, path, value)
    for answer in kit.answers(*asked, tally=tally):
        assert [(one.field, one.code, one.mend) for one in answer.field_issues] == [
            (told, code, quality.MEND[code])
        ]
        assert value.encode() not in answer.SerializeToString()
    assert tally.issues == {(told, code): 20}
    shared = [body["fields"] for _, decision, body in released(kit) if decision.program == "enhanced-data"]
    assert len(shared) > 5
    assert all(fields.isdisjoint(one) and "account_age_days" in one for one in shared)
    assert not kit.faults


@pytest.mark.parametrize(("changed_days_ago", "fits"), [(400, True), (401, False)])
def test_a_change_of_an_account_from_before_it_was_opened_is_named_and_the_rest_of_its_history_shared(
    changed_days_ago: int, fits: bool
) -> None:
    kit, asked = Kit(), payments(20)
    for request in asked:
        request.customer.history.account_change_age_days = changed_days_ago
    told = [("customer.history.account_change_age_days", "inconsistent")] * (not fits)
    for answer in kit.answers(*asked):
        assert [(one.field, one.code) for one in answer.field_issues] == told
    shared = [body["fields"] for _, decision, body in released(kit) if decision.program == "enhanced-data"]
    assert len(shared) > 5
    assert all(one["account_age_days"] == 400 for one in shared)
    assert all(("account_change_age_days" in one) is fits for one in shared)


def test_a_dropped_field_and_one_that_is_not_fit_stand_side_by_side() -> None:
    (request,) = payments(1)
    request.customer.phone_e164 = "call me"
    request.device.ip = "192.168.1.1"
    tally = Tally()
    (answer,) = Kit().answers(request, tally=tally)
    expected = [("customer.phone_e164", "malformed"), ("device.ip", "not_public")]
    assert [(one.field, one.code) for one in answer.field_issues] == expected
    assert tally.issues == dict.fromkeys(expected, 1)


def test_a_check_alone_tells_it_too_and_a_repeat_gets_the_same_answer() -> None:
    (request,) = payments(1)
    request.device.ip = "192.168.1.1"
    kit = Kit()
    first, again = (kit.results(request)[0] for _ in range(2))
    assert first == again
    request.request_id, request.validate_only = "another", True
    (answer,) = kit.answers(request)
    assert [one.code for one in answer.field_issues] == ["not_public"]


def test_metrics_count_by_field_and_code_and_hold_no_value() -> None:
    metrics, tally = GatewayMetrics(), Tally()
    asked = payments(3)
    for request in asked:
        request.device.ip = "192.168.1.1"
    asked[0].merchant_id = ""
    Kit().results(*asked, tally=tally)
    metrics.batch(tally, 1, 1)
    samples = {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        if family.name == "ein_field_issues"
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert samples == {("device.ip", "not_public"): 2, ("merchant_id", "missing"): 1}
