"""Whatever arrives, the check answers with a value, and repeats nothing of what it refused."""

from types import SimpleNamespace

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment import card as cards
from enrichment import check as checks
from enrichment.check import check
from enrichment.formats import StringGroup
from enrichment.payment import NO_FACTS, BadRequest, Issue, Payment
from enrichment.signals import signals
from issuernetwork.v1 import enrichment_pb2
from tests.unit.enrichment.requests import NOW_MS, full_request

MODULES = (cards, checks)
GROUPS = [value for module in MODULES for value in vars(module).values() if isinstance(value, StringGroup)]
GOOD = [
    "4111111111111111",
    "US",
    "USD",
    "a@b.co",
    "+14155550123",
    "1231235959",
    "000123",
    "05",
    "Y",
    "10.0.0.1",
]
# NUL is what the values are joined with: a value must not be able to reach into its neighbour through it.
TEXT = st.one_of(
    st.just(""),
    st.sampled_from(GOOD),
    st.sampled_from(GOOD).map(lambda good: good + "\0"),
    st.text(alphabet="\0\x01a0@.:-+é\u2028 ", max_size=20),
    st.text(max_size=70),
)


@given(st.sampled_from(GROUPS), st.data())
@settings(max_examples=300, deadline=None)
def test_checking_a_group_at_once_says_the_same_as_checking_its_fields_one_by_one(
    group: StringGroup, data: st.DataObject
) -> None:
    names = [field.name for field in group._fields]
    message = SimpleNamespace(**{name: data.draw(TEXT, label=name) for name in names})
    at_once: tuple[list[Issue], list[Issue]] = ([], [])
    singly: tuple[list[Issue], list[Issue]] = ([], [])
    values = group.read(message, *at_once)
    assert list(values) == list(group._one_by_one([getattr(message, name) for name in names], *singly))
    assert at_once == singly


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_request_is_refused_or_goes_on_and_never_raises(data: st.DataObject) -> None:
    blob = bytearray(full_request().SerializeToString())
    for _ in range(data.draw(st.integers(1, 6))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = enrichment_pb2.EnrichAuthorizationRequest.FromString(bytes(blob))
    except DecodeError:
        return
    answer = check(request, NOW_MS)
    if isinstance(answer, Payment):
        known = signals(answer, NO_FACTS)
        assert known.below_quality & ~known.mask == 0
        assert 0 <= known.assessment.normalised <= 999
    else:
        assert answer.issues


SECRETS = st.text(alphabet="ZQX", min_size=6, max_size=80)


@given(SECRETS)
@settings(max_examples=50, deadline=None)
def test_no_issue_repeats_a_value(secret: str) -> None:
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=secret * 12, currency=secret, initiated_at_ms=1, cardholder_region=secret
    )
    request.card.pan = secret
    request.card.par = secret
    refused = check(request, NOW_MS)
    assert isinstance(refused, BadRequest)
    assert secret not in repr(refused)
    accepted = full_request()
    accepted.customer.email = accepted.device.ip = accepted.acquirer.stan = secret
    accepted.customer.billing.country = accepted.authentication.eci = secret
    payment = check(accepted, NOW_MS)
    assert isinstance(payment, Payment)
    assert len(payment.field_issues) == 5
    assert secret not in repr(payment.field_issues)
