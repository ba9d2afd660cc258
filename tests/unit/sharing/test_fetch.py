"""Fetch: each provider within its budget, and whatever goes wrong with one costs its own fields."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from enrichment.provider import KEYS, OVER_BUDGET, OVER_DEADLINE, PERSONAL, REASONS, UNAVAILABLE, Columns
from enrichment.signals import PROVIDED
from gateway.runtime.clock import SimClock
from gateway.sharing.fetch import Budgeted
from gateway.sharing.items import Tally
from gateway.sharing.patience import ASIDE_MS, STRIKES
from tests.unit.sharing.kit import Kit, requests

BUDGET_US = 2_000


class Answering:
    """A provider that says what the test says."""

    name = "answering"
    version = "1"
    gives = ("ip_asn", "ip_anonymised", "ip_country", "a_hint")

    def __init__(self, answer: Callable[[Columns], Any], wants: Sequence[str] = ("ip",)) -> None:
        self.wants = wants
        self.answer = answer
        self.asked: list[Columns] = []

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[Any]]:
        self.asked.append(batch)
        found: Mapping[str, Sequence[Any]] = self.answer(batch)
        return found


class AtOnce:
    """A provider beside, without a thread: the answer is there, is late, or nobody is asked."""

    def __init__(self, provider: Answering) -> None:
        self.provider = provider
        self.late = self.busy = False
        self.batch = Columns({}, 0)

    def ask(self, batch: Columns) -> bool:
        self.batch = batch
        return not self.busy

    def answer(self, within_ns: int) -> Any:
        assert within_ns <= BUDGET_US * 1_000
        found = self.provider.fetch(self.batch)
        if found is None:
            raise ValueError("no columns")
        return None if self.late else found


def asn(batch: Columns) -> dict[str, list[int]]:
    return {"ip_asn": [64_500 + at for at in range(batch.size)], "a_hint": list(range(batch.size))}


def facts_of(kit: Kit, monkeypatch: pytest.MonkeyPatch, count: int = 3, **options: Any) -> list[Any]:
    """The facts of each payment of one batch."""
    seen = []
    from gateway.sharing import gateway

    real = gateway.signals

    def spy(payment: Any, facts: Any) -> Any:
        seen.append(facts)
        return real(payment, facts)

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "signals", spy)
        kit.results(*requests(count, **options))
    return seen


def kit_of(provider: Answering, *, beside: AtOnce | None = None) -> Kit:
    return Kit(providers=[Budgeted(provider, BUDGET_US, beside)])


def test_what_a_provider_says_is_in_the_facts_by_name_and_in_the_mask_where_it_is_a_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kit = kit_of(Answering(asn))
    found = facts_of(kit, monkeypatch)
    assert [dict(one.found) for one in found] == [{"ip_asn": 64_500 + at, "a_hint": at} for at in range(3)]
    assert {one.mask for one in found} == {PROVIDED["ip_asn"]}
    assert {one.omissions for one in found} == {()}


def test_what_is_not_known_of_a_payment_has_no_name_and_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    kit = kit_of(Answering(lambda batch: {"ip_asn": [None, 7, None]}))
    found = facts_of(kit, monkeypatch)
    assert [dict(one.found) for one in found] == [{}, {"ip_asn": 7}, {}]
    assert [one.mask for one in found] == [0, PROVIDED["ip_asn"], 0]


def _raises(batch: Columns) -> Any:
    raise OSError("81.2.69.142 refused")


BROKEN = {
    "it raises": _raises,
    "no columns": lambda batch: None,
    "another length": lambda batch: {"ip_asn": [1] * (batch.size + 1)},
    "a name that it does not give": lambda batch: {"email": ["x"] * batch.size},
    "a column that is none": lambda batch: {"ip_asn": 3},
}
NONSENSE = {
    "a mapping for a number": lambda batch: {"ip_asn": [{}] * batch.size},
    "a text for a number": lambda batch: {"ip_asn": ["7"] * batch.size},
    "a bool for a number": lambda batch: {"ip_asn": [True] * batch.size},
    "a number beyond its field": lambda batch: {"ip_asn": [2**32] * batch.size},
    "no number": lambda batch: {"ip_asn": [float("nan")] * batch.size},
    "one of many": lambda batch: {"ip_asn": [*[7] * (batch.size - 1), -1]},
    "a word of another list": lambda batch: {"ip_anonymised": ["mixnet"] * batch.size},
    "a country of three letters": lambda batch: {"ip_country": ["DEU"] * batch.size},
    "a country and a line end": lambda batch: {"ip_country": ["DE\n"] * batch.size},
}


# Values of our own providers are not looked at: mypy and their own tests do.
@pytest.mark.parametrize(
    ("how", "beside"), [(how, False) for how in BROKEN] + [(how, True) for how in {**BROKEN, **NONSENSE}]
)
def test_a_broken_provider_costs_its_own_fields(
    how: str, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, whole = Answering({**BROKEN, **NONSENSE}[how]), Answering(lambda batch: {})
    whole.name, whole.gives = "whole", ("email_domain_type",)
    whole.answer = lambda batch: {"email_domain_type": ["free"] * batch.size}
    budgeted = Budgeted(broken, BUDGET_US, AtOnce(broken) if beside else None)
    kit = Kit(providers=[budgeted, Budgeted(whole, BUDGET_US)])
    found = facts_of(kit, monkeypatch)
    assert [dict(one.found) for one in found] == [{"email_domain_type": "free"}] * 3
    assert {one.omissions for one in found} == {(("answering", UNAVAILABLE),)}
    assert len(kit.journal.payloads) == 3, "every payment is evaluated"
    assert [stage for stage, _ in kit.faults] == ["provider answering"]


def test_the_answer_names_the_provider_and_the_reason_and_the_tally_counts_them() -> None:
    kit, tally = kit_of(Answering(_raises)), Tally()
    answers = kit.answers(*requests(3), tally=tally)
    told = {(one.provider, one.reason) for answer in answers for one in answer.omissions}
    assert told == {("answering", UNAVAILABLE)}
    assert tally.omitted == {("answering", UNAVAILABLE): 3}


def slow(clock: SimClock, by_ms: int) -> Callable[[Columns], Any]:
    def answer(batch: Columns) -> Any:
        clock.advance_ms(by_ms)
        return asn(batch)

    return answer


def test_one_late_answer_is_used_and_many_in_a_row_put_the_provider_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = Answering(asn)
    kit = kit_of(provider)
    provider.answer = slow(kit.clock, 1 + BUDGET_US // 1_000)
    for number in range(STRIKES):
        (one,) = facts_of(kit, monkeypatch, 1, prefix=f"late-{number}")
        assert "ip_asn" in one.found, "it is late, and it is there"
    (one,) = facts_of(kit, monkeypatch, 1, prefix="aside")
    assert (dict(one.found), one.omissions) == ({}, (("answering", OVER_BUDGET),))
    assert len(provider.asked) == STRIKES
    kit.clock.advance_ms(ASIDE_MS)
    kit.renew()
    provider.answer = asn
    (one,) = facts_of(kit, monkeypatch, 1, prefix="again")
    assert (len(provider.asked), one.omissions) == (STRIKES + 1, ())
    provider.answer = slow(kit.clock, 1 + BUDGET_US // 1_000)
    (one,) = facts_of(kit, monkeypatch, 1, prefix="once")
    (one,) = facts_of(kit, monkeypatch, 1, prefix="more")
    assert "ip_asn" in one.found, "in time once: it takes as many again"


def test_a_provider_that_is_still_broken_after_its_while_is_put_aside_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = Answering(_raises)
    kit = kit_of(provider)
    for number in range(STRIKES):
        facts_of(kit, monkeypatch, 1, prefix=f"broken-{number}")
    for while_ in range(3):
        kit.clock.advance_ms(ASIDE_MS)
        kit.renew()
        for number in range(4):
            (one,) = facts_of(kit, monkeypatch, 1, prefix=f"after-{while_}-{number}")
            assert one.omissions == (("answering", UNAVAILABLE),)
        assert len(provider.asked) == STRIKES + while_ + 1


@pytest.mark.parametrize("how", ["late", "busy"])
def test_a_provider_beside_that_is_late_is_left_out(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Answering(lambda batch: {"ip_asn": [7] * batch.size})
    beside = AtOnce(provider)
    kit = kit_of(provider, beside=beside)
    setattr(beside, how, True)
    found = facts_of(kit, monkeypatch)
    assert [dict(one.found) for one in found] == [{}] * 3
    assert {one.omissions for one in found} == {(("answering", OVER_BUDGET),)}
    setattr(beside, how, False)
    found = facts_of(kit, monkeypatch, prefix="in-time")
    assert {one.omissions for one in found} == {()}


def test_a_provider_beside_sees_what_it_wants_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Answering(lambda batch: {}, wants=("mcc", "card_key"))
    other = Answering(lambda batch: {}, wants=tuple(KEYS))
    other.name = "other"
    beside = AtOnce(provider)
    kit = Kit(providers=[Budgeted(provider, BUDGET_US, beside), Budgeted(other, BUDGET_US)])
    kit.results(*requests(3))
    (seen,) = provider.asked
    assert set(seen) == {"mcc", "card_key"}
    assert all(type(column) is tuple for column in seen.values()), "it cannot change what others see"
    assert repr(seen) == "Columns(<masked>)"


def test_every_fact_key_can_be_read_and_none_is_a_card_number(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Answering(lambda batch: {}, wants=tuple(KEYS))
    kit = kit_of(provider)
    kit.results(*requests(3))
    (seen,) = provider.asked
    assert set(seen) == set(KEYS)
    assert {len(column) for column in seen.values()} == {3}
    pans = {request.card.pan for request in requests(3)}
    assert not pans & {str(value) for column in seen.values() for value in column}
    assert PERSONAL - set(KEYS) == set()
    for key in ("card_key", "merchant_key", "ip_key", "device_key"):
        assert all(type(value) is int and 0 < value < 2**64 for value in seen[key])
    assert len(set(seen["card_key"])) == 3
    assert len(set(seen["merchant_key"])) == 1


def test_repeats_and_requests_that_only_ask_are_no_providers_business() -> None:
    provider = Answering(asn)
    kit = kit_of(provider)
    (request,) = requests(1)
    kit.results(request, request)
    request.request_id, request.validate_only = "another", True
    kit.results(request)
    assert [batch.size for batch in provider.asked] == [1]


def test_a_word_of_a_third_party_for_why_it_lacks_is_not_told_on(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Answering(lambda batch: {"ip_asn": [7] * batch.size})
    provider.lacking = "81.2.69.142 is not known"  # type: ignore[attr-defined]
    kit = kit_of(provider, beside=AtOnce(provider))
    (one,) = facts_of(kit, monkeypatch, 1)
    assert one.omissions == (("answering", UNAVAILABLE),)
    assert dict(one.found), "what it does say is used"
    assert UNAVAILABLE in REASONS


def test_who_may_take_longer_than_a_payment_has_left_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Answering(lambda batch: {"ip_asn": [7] * batch.size})
    kit = kit_of(provider, beside=AtOnce(provider))
    fetch, until = kit.gateway._fetch.fetch, [0]
    kit.gateway._fetch = type("Hurried", (), {"fetch": lambda self, batch, _: fetch(batch, until[0])})()  # type: ignore[assignment]
    now_ns = kit.clock.monotonic_ns()
    for left_us, reasons in ((BUDGET_US - 1, {OVER_DEADLINE}), (BUDGET_US, set()), (None, set())):
        until[0] = 0 if left_us is None else now_ns + left_us * 1_000
        (one,) = facts_of(kit, monkeypatch, 1, prefix=str(left_us))
        assert {why for _, why in one.omissions} == reasons
    assert len(provider.asked) == 2


def test_a_fault_of_the_fetch_itself_costs_what_providers_know_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kit, tally = kit_of(Answering(asn)), Tally()
    kit.gateway._fetch._read = _raises
    (answer,) = kit.answers(*requests(1), tally=tally)
    assert [(one.provider, one.reason) for one in answer.omissions] == [("answering", UNAVAILABLE)]
    assert answer.assessments, "it is evaluated"
    assert (len(kit.journal.payloads), tally.faults) == (1, 1)
    (facts,) = facts_of(kit, monkeypatch, 1, prefix="counted")
    assert facts.velocity is not None
