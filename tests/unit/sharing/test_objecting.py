"""A cardholder who objects is shared nothing about, whatever name a payment gives the card."""

from typing import Any

import pytest

from enrichment.payment import Payment
from enrichment.reader import make_read
from gateway.programs.consent_rows import MEMBER, registered
from gateway.programs.documents import load_policy
from gateway.programs.model import Tier
from gateway.programs.subjects import CaseEvent, CaseKind, CaseState
from gateway.programs.table import compile_table
from gateway.runtime.native import engines
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.objecting import UNIT_KINDS, names_of
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2
from issuernetwork.v1 import enrichment_pb2 as v1
from tests.kit.payments import MERIDIAN, payment
from tests.unit.sharing.kit import NOW_MS, SHARED, WITHHELD, Kit, Macs, sample_files, shared_one

PAR = "Q1234567890123456789012345678"


def step(state: CaseState, *unit_keys: bytes) -> CaseEvent:
    return CaseEvent(
        case_id=1, kind=CaseKind.OBJECTION, state=state, unit_keys=unit_keys, epoch=1, actor="a", reason="r",
        at_ms=1,
    )  # fmt: skip


def key_of(kind: str, value: str) -> bytes:
    return Pseudonyms(Macs()).card_key(kind, value, "shop-1")


def true_reasons(kit: Kit) -> set[int]:
    return {decision.withhold_reason for decision in kit.journal.records()[-1].decisions}


def with_par(request: Any) -> Any:
    other = v1.EnrichAuthorizationRequest()
    other.CopyFrom(request)
    other.card.par = PAR
    return other


def test_nothing_is_shared_about_a_card_whose_holder_objects_and_the_caller_is_not_told() -> None:
    kit = Kit()
    request = shared_one(kit)
    kit.subjects.take([step(CaseState.RECEIVED, key_of("pan", request.card.pan))])
    (answer,) = kit.answers(request)
    assert {decision.status for decision in answer.decisions} == {WITHHELD}
    assert storage.WITHHOLD_REASON_SUBJECT_OBJECTED in true_reasons(kit)
    assert common_pb2.PUBLIC_REASON_NOT_SHARED in {one.public_reason for one in answer.decisions}


@pytest.mark.parametrize("known_by", ["pan", "par"])
def test_an_objection_by_one_name_holds_where_the_payment_gives_several(known_by: str) -> None:
    kit = Kit()
    request = with_par(shared_one(kit))
    value = PAR if known_by == "par" else request.card.pan
    kit.subjects.take([step(CaseState.RECEIVED, key_of(known_by, value))])
    kit.answers(request)
    assert storage.WITHHOLD_REASON_SUBJECT_OBJECTED in true_reasons(kit)


def test_a_record_has_the_key_of_each_name_that_the_payment_gave_its_card() -> None:
    kit = Kit()
    request = shared_one(kit)
    kit.answers(request)
    record = kit.journal.records()[-1]
    assert (record.unit_key, record.card_key) == (key_of("pan", request.card.pan), b"")
    other = with_par(request)
    other.request_id, other.payment_intent_id = "with-par", "with-par"
    kit.answers(other)
    record = kit.journal.records()[-1]
    assert (record.unit_key, record.card_key) == (key_of("par", PAR), key_of("pan", request.card.pan))
    assert record.card_source == common_pb2.UNIT_SOURCE_PAN
    referred = v1.EnrichAuthorizationRequest()
    referred.CopyFrom(other)
    referred.request_id, referred.payment_intent_id = "with-ref", "with-ref"
    pan, referred.card.card_ref = request.card.pan, "card-of-ours"
    referred.card.iin, referred.card.last4 = pan[:8], pan[-4:]
    kit.answers(referred)
    record = kit.journal.records()[-1]
    assert (record.unit_key, record.card_key) == (
        key_of("par", PAR),
        key_of("card_ref", "card-of-ours"),
    )
    assert record.card_source == common_pb2.UNIT_SOURCE_CARD_REF


FILLED_IN = "0" * 29


@pytest.mark.parametrize("native", [None, engines], ids=["python", "rust"])
@pytest.mark.parametrize("named", ["pan", "network_token", "card_ref", ""])
def test_a_par_that_software_filled_in_is_the_unit_only_where_nothing_else_names_the_card(
    native: Any, named: str
) -> None:
    request = payment(1, now_ms=NOW_MS)
    pan = request.card.pan
    request.card.Clear()
    if named != "pan":
        request.card.iin, request.card.last4 = pan[:8], pan[-4:]
    if named:
        setattr(request.card, named, pan)
    for par, unit in ((FILLED_IN, named or "par"), (PAR, "par")):
        request.card.par = par
        read = make_read(native)(request.SerializeToString(), NOW_MS)
        assert isinstance(read, Payment)
        source, unit_key, *_ = names_of(Pseudonyms(Macs(), native=native), read, "shop-1")
        assert UNIT_KINDS[source] == unit
        assert unit_key == key_of(unit, par if unit == "par" else pan)


def test_another_card_is_shared_as_before() -> None:
    kit = Kit()
    request = shared_one(kit)
    kit.subjects.take([step(CaseState.RECEIVED, key_of("pan", request.card.pan[:-1]))])
    (answer,) = kit.answers(request)
    assert SHARED in {decision.status for decision in answer.decisions}


def test_a_repeat_gets_no_elements_while_the_holder_objects() -> None:
    kit = Kit()
    request = shared_one(kit, iin=MERIDIAN)
    (before,) = kit.answers(request)
    assert [decision for decision in before.decisions if decision.elements]
    (again,) = kit.answers(request)
    assert again == before
    key = key_of("pan", request.card.pan)
    kit.subjects.take([step(CaseState.RECEIVED, key)])
    (after,) = kit.answers(request)
    assert not [decision for decision in after.decisions if decision.elements]
    kit.subjects.take([step(CaseState.REFUSED, key)])
    (last,) = kit.answers(request)
    assert last == before


def test_a_repeat_gets_no_elements_once_the_merchant_has_opted_out() -> None:
    kit = Kit(table=compile_table(load_policy(sample_files(), version=7)))
    request = shared_one(kit, iin=MERIDIAN)
    (before,) = kit.answers(request)
    assert [decision for decision in before.decisions if decision.elements]
    rows = registered()
    said = ("merchant", request.merchant_id, Tier.OPTED_OUT.name, "1", 0, 1 << 62, 1, 1)
    rows.take(MEMBER.join(map(str, said)))
    kit.table.consents.follow(rows)
    (after,) = kit.answers(request)
    assert not [decision for decision in after.decisions if decision.elements]
