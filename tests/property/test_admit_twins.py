"""The engine admits what its twin admits, names it the same, and tells the same repeats."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.admit import Admitter
from gateway.sharing.assess import match, unmatched
from gateway.sharing.items import Item, Tally
from gateway.sharing.remembered import WINDOW_MS, Earlier, Remembered
from gateway.sharing.work import NOT_LOOKED_AT, Batch
from issuernetwork.v1 import enrichment_pb2
from tests.kit.payments import HARBOR, LAKESIDE, NORTHGATE, payment
from tests.property.test_reader_twins import spoil
from tests.unit.sharing.kit import NOW_MS, ListJournal, Macs, sample_table

if not hasattr(engines, "Admitter"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

PAR = "V0010013022298169667504231315"


def admitter_of(native: Any, faults: list[Any]) -> tuple[Admitter, Remembered]:
    remembered = Remembered(ListJournal(), slots=1 << 12, ring_bytes=1 << 16, native=native)
    pseudonyms = Pseudonyms(Macs(), native=native)
    return Admitter(pseudonyms, remembered, lambda *fault: faults.append(fault), native=native), remembered


def batch_of(size: int) -> Batch:
    return Batch(
        now_ms=NOW_MS, table=sample_table(), view=None, fresh=True, tally=Tally(), expires_at_ms=0,
        results=[None] * size,
    )  # fmt: skip


def admitted(admitter: Admitter, items: list[Item]) -> tuple[Batch, list[Any]]:
    """With what the next stage adds: the engine may say it before."""
    batch = batch_of(len(items))
    found = [(at, type(fault)) for at, fault in admitter.admit(batch, items)]
    match(batch, iter(unmatched(batch)))
    return batch, found


def seen(batch: Batch) -> Any:
    """All of a batch but the keys of requests and attempts, which are each memory's own."""
    works = [
        (
            work.index, work.item, work.payment.request_id, work.payment.validate_only, work.digest,
            work.duplicate, work.unit_source, work.unit_key, work.card_source, work.card_key,
            work.velocity_keys, work.evaluation_id, work.issuer and work.issuer.issuer_id,
            work.ship_bill_match,
        )
        for work in batch.works
    ]  # fmt: skip
    again = [(index, item, of.request_id, answer) for index, item, of, answer in batch.again]
    return (
        works, [work.index for work in batch.asked], batch.touches, batch.results, batch.tally,
        [(index, of.index) for index, of in batch.repeats], again, len(batch.first), len(batch.attempts),
    )  # fmt: skip


@st.composite
def requests(draw: Any) -> enrichment_pb2.EnrichAuthorizationRequest:
    request = payment(
        draw(st.integers(0, 3)), iin=draw(st.sampled_from([HARBOR, NORTHGATE, LAKESIDE, "90109999"])),
        card=draw(st.integers(0, 2)), now_ms=NOW_MS,
    )  # fmt: skip
    if draw(st.booleans()):
        request.payment_intent_id = draw(st.sampled_from(["i-1", "i-2"]))
        request.attempt_no = draw(st.integers(0, 2))
    request.amount_minor = draw(st.sampled_from([100, 100, 200]))
    request.validate_only = draw(st.integers(0, 9)) == 0
    kind = draw(st.sampled_from(["pan", "pan", "network_token", "card_ref"]))
    if kind != "pan":
        token = request.card.pan
        setattr(request.card, kind, token if kind == "network_token" else "ref-1")
        request.card.ClearField("pan")
        request.card.iin, request.card.last4 = draw(st.sampled_from([token[:6], token[:8]])), token[-4:]
    if draw(st.integers(0, 3)) == 0:
        request.card.par = PAR
    if draw(st.integers(0, 5)) == 0:
        request.customer.email = draw(st.sampled_from(["", "A.b@Example.net", "ä@example.net"]))
        request.device.ip = draw(st.sampled_from(["", "2001:DB8::1", "::ffff:192.0.2.1"]))
    if draw(st.integers(0, 2)) == 0:
        which = draw(st.sampled_from(["billing", "shipping"]))
        change = draw(st.sampled_from(["none", "case", "other", "empty"]))
        place = getattr(request.customer, which)
        if change == "none":
            request.customer.ClearField(which)
        elif change == "empty":
            place.CopyFrom(enrichment_pb2.Address())
        else:
            place.line1 = place.line1.upper() if change == "case" else "2 Street"
    if draw(st.integers(0, 9)) == 0:
        spoil(request, draw(st.data()))
    return request


ITEMS = st.lists(
    st.builds(
        Item,
        st.sampled_from(["shop-1", "shöp-2"]),
        requests().map(lambda request: request.SerializeToString()) | st.just(b"\xff"),
    ),
    max_size=7,
)


@given(rounds=st.lists(ITEMS, max_size=3), unrecorded=st.booleans())
@settings(max_examples=400, deadline=None)
def test_both_admit_the_same(rounds: list[list[Item]], unrecorded: bool) -> None:
    raised: list[Any] = []
    twins = [admitter_of(native, raised) for native in (engines, None)]
    position = 0
    for items in rounds:
        batches = []
        for admitter, remembered in twins:
            batch, faults = admitted(admitter, items)
            batches.append((seen(batch), faults))
            keyed = [work for work in batch.works if not work.payment.validate_only]
            if unrecorded and keyed:
                last, keyed = keyed[-1], keyed[:-1]
                answered = last.item.sender_id, last.payment.request_id, Earlier(last.digest, b"answer")
                remembered.unrecorded(*answered, now_ms=NOW_MS)
            for one in keyed:
                one.answer = b"told"
            remembered.recorded_all(NOW_MS, keyed, [position + one.index for one in keyed])
        assert batches[0] == batches[1]
        position += len(items)
    assert not raised


def test_the_engine_leaves_no_ordinary_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is slower, and no test of answers would tell."""
    admitter, _ = admitter_of(engines, [])
    monkeypatch.setattr(Admitter, "_admit", lambda *given: 1 / 0)
    items = [Item("shop-1", payment(number, now_ms=NOW_MS).SerializeToString()) for number in range(40)]
    batch, faults = admitted(admitter, items)
    assert len(batch.works) == 40
    assert not faults


def test_the_engine_says_of_addresses_what_needs_no_second_look() -> None:
    alike, other, lacking, empty = (payment(number, now_ms=NOW_MS) for number in range(4))
    other.customer.shipping.line1 = "2 Street"
    lacking.customer.ClearField("billing")
    empty.customer.shipping.CopyFrom(enrichment_pb2.Address())
    admitter, _ = admitter_of(engines, [])
    batch = batch_of(4)
    items = [Item("shop-1", one.SerializeToString()) for one in (alike, other, lacking, empty)]
    assert list(admitter.admit(batch, items)) == []
    assert [work.ship_bill_match for work in batch.works] == [True, NOT_LOOKED_AT, None, None]


def test_behind_an_unusual_payment_the_engine_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    admitter, _ = admitter_of(engines, [])
    asked = [payment(number, now_ms=NOW_MS) for number in range(5)]
    asked[2].validate_only = True
    left = []
    by_twin = Admitter._admit

    def counted(self: Admitter, batch: Batch, until: int, rest: Any) -> None:
        left.append(until)
        by_twin(self, batch, until, rest)

    monkeypatch.setattr(Admitter, "_admit", counted)
    batch, _ = admitted(admitter, [Item("shop-1", one.SerializeToString()) for one in asked])
    assert [work.index for work in batch.works] == [0, 1, 2, 3, 4]
    assert left == [3]


def test_the_engine_admits_again_once_what_was_not_recorded_is_out_of_the_window() -> None:
    _, remembered = admitter_of(engines, [])
    for number in range(3):
        remembered.unrecorded("shop-1", f"r-{number}", Earlier(b"", b""), now_ms=NOW_MS)
    assert remembered.of_engine(NOW_MS + WINDOW_MS) is None
    assert remembered.of_engine(NOW_MS + WINDOW_MS + 1) is not None


def test_where_the_engine_panics_the_twin_takes_in_the_rest() -> None:
    raised: list[Any] = []
    admitter, _ = admitter_of(engines, raised)
    engine = admitter._engine

    class Panics:
        def admit(self, items: list[Item], *given: Any) -> int:
            engine.admit(items[:2], *given)
            raise engines.PanicException("admit")

    admitter._engine = Panics()
    items = [Item("shop-1", payment(number, now_ms=NOW_MS).SerializeToString()) for number in range(5)]
    batch, faults = admitted(admitter, items)
    assert [work.index for work in batch.works] == [0, 1, 2, 3, 4]
    assert not faults
    assert [stage for stage, _ in raised] == ["plan"]


@given(st.from_regex("[0-9]{0,9}", fullmatch=True))
@settings(max_examples=300, deadline=None)
def test_both_find_the_same_issuer(iin: str) -> None:
    table = sample_table()
    made = table.issuers_of_engine(engines)
    assert made.of(iin) is table.issuer_of(iin)
    for start in table._starts:
        assert made.of(start) is table.issuer_of(start)
        assert made.of(start[:6]) is table.issuer_of(start[:6])


def test_ranges_that_belong_to_nobody_in_particular_are_refused() -> None:
    for starts, owners in ((["2", "1"], [None] * 3), (["1"], [None])):
        with pytest.raises(ValueError, match="starts in order"):
            engines.Issuers(starts, owners)
