"""The engine reads of a record what its twin does, and leaves to it what is unusual."""

import gc
import sys
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.feeds.reading import EvaluationSeen, decision_seen
from gateway.records.rows import make_read_row
from gateway.runtime.native import engines
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2

if not hasattr(engines, "RowReader"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

BY_ENGINE = make_read_row(EvaluationSeen, storage.Evaluation)
BY_TWIN = make_read_row(EvaluationSeen, storage.Evaluation, None)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
OF_TYPE = {
    "text": TEXT,
    "bytes": st.binary(max_size=20),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
}


def message(kind: Any, depth: int = 3) -> st.SearchStrategy[Any]:
    """Any message of that kind, with fields that nobody reads too."""
    members = {}
    for field in kind.DESCRIPTOR.fields:
        if field.message_type is not None:
            if depth == 0 or field.message_type.GetOptions().map_entry:
                continue
            one: st.SearchStrategy[Any] = message(field.message_type._concrete_class, depth - 1)
        elif field.enum_type is not None:
            one = st.sampled_from([value.number for value in field.enum_type.values])
        else:
            one = OF_CPP[field.cpp_type](field)
        members[field.name] = st.lists(one, max_size=3) if field.is_repeated else one
    return st.fixed_dictionaries({}, optional=members).map(lambda found: kind(**found))


def _text_or_bytes(field: Any) -> st.SearchStrategy[Any]:
    return OF_TYPE["text" if field.type == field.TYPE_STRING else "bytes"]


OF_CPP: dict[int, Any] = {
    1: lambda field: OF_TYPE["int32"],
    2: lambda field: OF_TYPE["int64"],
    3: lambda field: st.integers(0, 2**32 - 1),
    4: lambda field: st.integers(0, 2**64 - 1),
    5: lambda field: st.floats(allow_nan=False),
    6: lambda field: st.floats(allow_nan=False, width=32),
    7: lambda field: st.booleans(),
    9: _text_or_bytes,
}
EVALUATIONS = message(storage.Evaluation)


@given(EVALUATIONS)
@settings(max_examples=400, deadline=None)
def test_both_read_the_same_of_every_record(record: storage.Evaluation) -> None:
    data = record.SerializeToString()
    found = BY_ENGINE(data)
    assert found == BY_TWIN(data)
    assert type(found) is EvaluationSeen
    assert list(found.decisions) == [decision_seen(decision) for decision in record.decisions]
    assert found.issuer_id == record.issuer_id


def read(by: Any, data: bytes) -> Any:
    try:
        return by(data)
    except DecodeError:
        return DecodeError


@given(EVALUATIONS, EVALUATIONS, st.data())
@settings(max_examples=400, deadline=None)
def test_both_read_the_same_of_what_is_unusual(
    record: storage.Evaluation, other: storage.Evaluation, data: st.DataObject
) -> None:
    first, second = record.SerializeToString(), other.SerializeToString()
    # As the format has it: the last of a single value stands, and messages are merged.
    assert read(BY_ENGINE, first + second) == read(BY_TWIN, first + second)
    cut = first[: data.draw(st.integers(0, len(first)))]
    assert read(BY_ENGINE, cut) == read(BY_TWIN, cut)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\x01\xff", b"\x08\x01", b"\x00\x01", b"\x0b\x0c", b"\x40" + b"\xff" * 9 + b"\x01",
        b"\x40\xff\xff\xff\xff\x7f", b"\x40" + b"\xff" * 10, b"\xff" * 12,
    ],
    ids=["no text", "other type", "number 0", "group", "minus one", "beyond 32 bits", "too long", "no tag"],
)  # fmt: skip
def test_bytes_that_nobody_writes_are_read_as_the_library_reads_them(data: bytes) -> None:
    assert read(BY_ENGINE, data) == read(BY_TWIN, data)


def test_transports_are_read_packed_and_one_by_one() -> None:
    transports = [common_pb2.TRANSPORT_SSF, common_pb2.TRANSPORT_LOOKUP]
    record = storage.Evaluation(decisions=[storage.Decision(transports=transports)])
    one_by_one = b"".join(b"\xc8\x01" + bytes([number]) for number in transports)
    data = b"\xc2\x01" + bytes([len(one_by_one)]) + one_by_one
    for written in (record.SerializeToString(), data):
        for by in (BY_ENGINE, BY_TWIN):
            assert by(written).decisions[0].transports == tuple(transports)


def test_what_was_read_shows_nothing_of_the_payment() -> None:
    match = {"iin": "541333", "last4": "0007", "stan": "123456"}
    record = storage.Evaluation(evaluation_id="e-1", unit_key=b"unit", match=match)
    record.decisions.add(share_id="s-1", sealed=b"sealed", match_keys=["net:1"])
    found = BY_ENGINE(record.SerializeToString())
    assert repr(found) == "EvaluationSeen(evaluation_id='e-1')"
    assert repr(found.decisions) == "(DecisionSeen(share_id='s-1'),)"
    assert repr(found.match) == "MatchSeen(****)"


def test_a_row_is_known_to_the_collector_and_one_given_up_half_way_holds_nothing() -> None:
    found = BY_ENGINE(storage.Evaluation(evaluation_id="e-1").SerializeToString())
    assert all(map(gc.is_tracked, (found, found.match)))
    twice = b"\x0a\x01a\x0a\x01b"  # of a single value: the twin reads it
    BY_ENGINE(twice)
    before = sys.getallocatedblocks()
    for _ in range(1_000):
        BY_ENGINE(twice)
    assert sys.getallocatedblocks() - before < 500
