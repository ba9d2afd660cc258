"""Whatever a request holds, what is shared of it keeps to the schema, and the sender learns what is not."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment import quality
from enrichment.contact import HASHED_MASK
from enrichment.fields import FIELDS
from enrichment.payment import Facts, Payment
from enrichment.reader import read_by_twin
from enrichment.signals import signals
from tests.bad_input import good_request
from tests.property.test_reader_twins import WORDS, spoil
from tests.unit.docs.fields_page import schema
from tests.unit.docs.test_schemas import faults
from tests.unit.enrichment.requests import NOW_MS, full_request, least_request

SCHEMA = schema()
COUNTS = st.sampled_from([None, ((1,) * 8,) * 5, ((2, 3, 4, 5, 1, 1, 2, 8), None, None, (1,) * 8, None)])


@given(st.sampled_from([full_request, least_request, good_request]), COUNTS, st.data())
@settings(max_examples=600, deadline=None)
def test_a_value_that_may_leave_keeps_to_the_schema_and_one_that_may_not_is_named(
    make: Any, counts: Any, data: st.DataObject
) -> None:
    request = make()
    spoil(request, data)
    payment = read_by_twin(request.SerializeToString(), NOW_MS + 10**12)
    if not isinstance(payment, Payment):
        return
    known = signals(payment, Facts(counts))
    assert list(faults(known.named(known.mask & ~HASHED_MASK), SCHEMA, SCHEMA)) == []
    poor = {FIELDS[number]: reason for number, reason in known.quality}
    assert known.below_quality == sum(1 << field.number for field in poor)
    assert all(reason in quality.RULES[field.quality] for field, reason in poor.items())
    told = known.issues[len(payment.field_issues) :]
    assert [(path, code) for path, code, _ in told] == [
        (field.source + quality.WITHIN.get(reason, ""), reason)
        for field, reason in poor.items()
        if field.source
    ]
    assert known.issues[: len(payment.field_issues)] == payment.field_issues
    # No remedy holds what was sent.
    assert {mend for _, _, mend in told} <= set(quality.MEND.values())


def test_the_words_that_requests_are_spoiled_with_meet_every_reason() -> None:
    found = set()
    for word in WORDS:
        request = full_request()
        customer, device = request.customer, request.device
        customer.email = customer.name = customer.phone_e164 = device.device_id = device.ip = word
        device.user_agent = customer.billing.postal_code = request.correlation_id = word
        customer.shipping.country = request.authentication.eci = word
        customer.history.account_change_age_days = customer.history.account_age_days + 1
        payment = read_by_twin(request.SerializeToString(), NOW_MS)
        assert isinstance(payment, Payment)
        found |= {reason for _, reason in signals(payment, Facts()).quality}
    assert found == quality.MEND.keys()
