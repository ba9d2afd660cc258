"""Fields from number 63 on: shared, recorded in two halves, in the ledger; records of before read alike."""

import hashlib
import re
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichment.fields import FIELD_BY_NAME, MASK_BITS, mask_of, names_of
from gateway.ledger.entry import release_facts
from gateway.programs.documents import load_policy
from gateway.programs.table import ReleaseTable, compile_table
from gateway.records.masks import LOW_BITS, mask_in, put_mask
from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.kit.payments import HARBOR
from tests.unit.sharing.kit import Kit, requests, sample_files
from tests.unit.sharing.opened import released

WIDE = ("correlation_id", "issuer_reference_id", "network_txn_id", "basket_category", "delivery_timeframe")
VALUES = {
    "correlation_id": "order-7",
    "issuer_reference_id": "ref-3",
    "network_txn_id": "MCS8A1B2C3_0229-ABCDEF",
    "basket_category": "groceries",
    "delivery_timeframe": "same_day",
}


@lru_cache(maxsize=1)
def table() -> ReleaseTable:
    """The sample, in which Harbor gets all of them beside the address."""
    files = {**sample_files()}
    program, enrolment = "programs/enhanced-data.yaml", "enrolments/harbor-federal-enhanced-data.yaml"
    for name in (program, enrolment):
        more = "".join(rf"\1- {field}\n" for field in WIDE)
        files[name] = re.sub(r"( +)- email\n", rf"\1- email\n{more}", files[name])
    return compile_table(load_policy(files, version=7))


def asked(count: int = 20) -> list[Any]:
    made = requests(count + 1, iin=HARBOR)[1:]  # the first has zeros for a STAN
    for request in made:
        request.correlation_id, request.issuer_reference_id = "order-7", "ref-3"
        request.original_network_transaction_id = "MCS8A1B2C3_0229-ABCDEF"
        request.order.basket_category, request.order.delivery_timeframe = "groceries", 2
    return made


def test_fields_on_both_sides_of_a_machine_word_are_shared_and_recorded_as_shared() -> None:
    assert {FIELD_BY_NAME[name].number for name in WIDE} == {63, 64, 65, 66, 67}
    kit = Kit(table=table())
    kit.results(*asked())
    found = [(decision, body) for _, decision, body in released(kit) if decision.program == "enhanced-data"]
    assert len(found) > 5
    for decision, body in found:
        assert {name: body["fields"][name] for name in WIDE} == VALUES
        assert set(names_of(mask_in(decision))) == body["fields"].keys()
        # What a reader of before sees: the fields that it knows, and no other.
        assert set(names_of(decision.field_mask)) == {
            name for name in body["fields"] if FIELD_BY_NAME[name].number < LOW_BITS
        }
    assert not kit.faults


def test_one_beyond_that_is_below_quality_is_left_out_and_named() -> None:
    kit = Kit(table=table())
    made = asked()
    for request in made:
        request.original_network_transaction_id = "0" * 15
    answers = kit.answers(*made)
    number = FIELD_BY_NAME["network_txn_id"].number
    found = [one for one in released(kit) if one[1].program == "enhanced-data"]
    assert len(found) > 5
    for _, decision, body in found:
        assert "network_txn_id" not in body["fields"]
        assert [(one.field, one.reason) for one in decision.refusals if one.field == number] == [
            (number, storage.WITHHOLD_REASON_BELOW_QUALITY)
        ]
    told = {(issue.field, issue.code) for answer in answers for issue in answer.field_issues}
    assert told == {("original_network_transaction_id", "placeholder")}


@given(st.integers(0, (1 << MASK_BITS) - 1))
def test_a_mask_comes_back_out_of_a_record_as_it_went_in(mask: int) -> None:
    decision = storage.Decision()
    put_mask(decision, mask)
    assert mask_in(storage.Decision.FromString(decision.SerializeToString())) == mask
    of_before = storage.Decision(field_mask=decision.field_mask)
    assert mask_in(of_before) == mask & ((1 << LOW_BITS) - 1)


def facts(decision: storage.Decision) -> str:
    return release_facts(
        decision, evaluation_id="e", sender_id="s", issuer_id="i", policy_version=7, decided_at_ms=1
    )


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (0b1011, "000000000000000b"),
        ((1 << 63) - 1, "7fffffffffffffff"),
        (1 << 63 | 1, "8000000000000001"),
        (mask_of(["match_key", "issuer_reference_id"]), "10000000000000001"),
    ],
)
def test_the_ledger_writes_a_mask_of_before_as_before(mask: int, text: str) -> None:
    decision = storage.Decision(share_id="share-1", dictionary_version=1)
    put_mask(decision, mask)
    assert f'"field_mask":"{text}"' in facts(decision)
    assert int(text, 16) == mask


def test_the_text_of_a_share_of_before_is_the_one_that_was_hashed_before() -> None:
    decision = storage.Decision(share_id="share-1", field_mask=(1 << 63) - 1, dictionary_version=1)
    digest = hashlib.sha256(facts(decision).encode()).hexdigest()
    assert digest == "3aef70e70290f9b9fb07c76a05ca928e943fa7f535824eedd3b1cf2cad403ef8"
