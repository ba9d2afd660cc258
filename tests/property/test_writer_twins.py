"""The engine writes messages and JSON as its twins do."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sealing.body import json_by_twin
from gateway.sharing.wire import TwinWriter, nested_by_twin, occurrences_by_twin, varint

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(max_size=200),
    "bytes": st.binary(max_size=300),
    "varint": st.one_of(st.integers(-(2**63), 2**64 - 1), st.booleans()),
    "double": st.floats() | st.sampled_from([0.0, -0.0, 1]),
    "texts": st.lists(st.text(max_size=20), max_size=4).map(tuple),
    "chunks": st.lists(st.none() | st.binary(max_size=20), max_size=4).map(tuple),
    "raw": st.binary(max_size=50),
}
FIELD = st.tuples(st.integers(1, 2**29 - 1), st.sampled_from(sorted(VALUES)))
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.text(max_size=40)
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=9), inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


@given(st.lists(FIELD, max_size=6), st.data())
@settings(max_examples=500, deadline=None)
def test_both_writers_write_the_same_bytes(fields: list[tuple[int, str]], data: st.DataObject) -> None:
    values = tuple(data.draw(VALUES[kind]) for _, kind in fields)
    assert engines.Writer(fields).write(values) == TwinWriter(fields).write(values)


@given(st.lists(FIELD, max_size=3), st.lists(FIELD, max_size=3), st.lists(FIELD, max_size=3), st.data())
@settings(max_examples=300, deadline=None)
def test_both_write_a_message_amid_its_fields(
    before: list[tuple[int, str]],
    inner: list[tuple[int, str]],
    after: list[tuple[int, str]],
    data: st.DataObject,
) -> None:
    fields = [*before, (15, "begin"), *inner, (0, "end"), *after]
    values = tuple(data.draw(VALUES[kind]) for _, kind in fields if kind in VALUES)
    assert engines.Writer(fields).write(values) == TwinWriter(fields).write(values)


@pytest.mark.parametrize("fields", [[(1, "begin")], [(0, "end")], [(1, "begin"), (2, "begin"), (0, "end")]])
def test_a_message_within_has_one_beginning_and_one_end(fields: list[tuple[int, str]]) -> None:
    with pytest.raises(ValueError, match="message within"):
        engines.Writer(fields)


@given(st.lists(FIELD, max_size=3), st.integers(1, 2**29 - 1), st.data())
@settings(max_examples=200, deadline=None)
def test_both_write_a_message_within_another(
    fields: list[tuple[int, str]], within: int, data: st.DataObject
) -> None:
    values = tuple(data.draw(VALUES[kind]) for _, kind in fields)
    assert engines.Writer(fields, within).write(values) == TwinWriter(fields, within).write(values)


@given(st.lists(st.binary(max_size=200), max_size=5), st.binary(max_size=6), st.integers(0, 40))
@settings(max_examples=500, deadline=None)
def test_both_split_and_join_a_repeated_field_alike(contents: list[bytes], more: bytes, cut: int) -> None:
    joined = b"".join([b"\x0a" + varint(len(content)) + content for content in contents]) + more
    damaged = joined[: max(len(joined) - cut, 0)]
    found = engines.occurrences(1, damaged)
    assert found == occurrences_by_twin(1, damaged)
    if not more and not cut:
        assert found == contents
    assert engines.nested(1, 2, contents) == nested_by_twin(1, 2, contents)


@given(TREES)
@settings(max_examples=500, deadline=None)
def test_both_write_the_same_json(value: Any) -> None:
    try:
        written = engines.json(value)
    except ValueError:
        pytest.fail("nested deeper than the engine goes") if _depth(value) <= 8 else None
        return
    assert written == json_by_twin(value)
    json.loads(written)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return 1 + max(map(_depth, inner), default=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}])
def test_what_is_no_json_is_refused_without_its_value(value: object) -> None:
    with pytest.raises((ValueError, TypeError)) as refused:
        engines.json(value)
    assert repr(value) not in str(refused.value)


def test_a_value_of_another_type_is_refused() -> None:
    writer = engines.Writer([(1, "text"), (2, "varint")])
    for values in (("a",), (1, 2), ("a", "b"), ("a", 2**64)):
        with pytest.raises((TypeError, OverflowError)):
            writer.write(values)
