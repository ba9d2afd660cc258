"""What the engine counts for velocity is to Python the tuple of tuples that its twin answers with."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichment.families.velocity import OF_KIND, present
from enrichment.payment import Facts
from gateway.backends.embedded.velocity import EmbeddedVelocity
from gateway.backends.embedded.velocity_engine import EngineVelocity
from gateway.runtime.native import engines
from tests.unit.sharing.kit import NOW_MS

if not hasattr(engines, "Counted"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

COUNTS = st.tuples(*[st.integers(0, 2**32 - 1)] * 8)
KINDS = st.lists(st.none() | COUNTS, max_size=9).map(tuple)
FIVE = st.tuples(*[st.none() | COUNTS] * 5)
FEW = st.lists(st.none() | st.just((1,) * 8) | st.just((0, 2) * 4), max_size=3).map(tuple)


@given(KINDS)
def test_it_has_the_length_the_items_and_the_slices_of_the_tuple(kinds: Any) -> None:
    counted = engines.Counted(kinds)
    assert len(counted) == len(kinds)
    assert bool(counted) is bool(kinds)
    assert list(counted) == list(kinds)
    assert [*map(type, counted)] == [*map(type, kinds)]
    assert {type(count) for counts in counted if counts for count in counts} <= {int}
    for place in range(-len(kinds), len(kinds)):
        assert counted[place] == kinds[place]
        assert counted[place:] == kinds[place:]
    assert type(counted[:]) is type(tuple(counted)) is tuple
    assert (None in counted) is (None in kinds)
    assert counted.__hash__() == hash(kinds)
    for beyond in (len(kinds), -len(kinds) - 1):
        with pytest.raises(IndexError):
            counted[beyond]
    with pytest.raises(TypeError):
        counted["0"]


@given(FEW, FEW | st.sampled_from([None, 0, [], [None], "", ((1, 2),)]))
def test_it_compares_as_the_tuple_does_with_tuples_its_like_and_others(kinds: Any, other: Any) -> None:
    counted = engines.Counted(kinds)
    others = [other]
    if isinstance(other, tuple) and other != ((1, 2),):
        others.append(engines.Counted(other))
    for way in (operator.eq, operator.ne):
        for one in others:
            assert way(counted, one) is way(one, counted) is way(kinds, other)
    assert (Facts(counted) == Facts(other)) is (Facts(kinds) == Facts(other))


def test_it_is_ordered_and_unpacked_as_the_tuple_is() -> None:
    low, high = ((1,) * 8,), ((2,) * 8,)
    assert engines.Counted(low) < high
    assert high > engines.Counted(low)
    assert engines.Counted(low) <= engines.Counted(high)
    (counts,) = engines.Counted(low)
    assert counts == (1,) * 8
    with pytest.raises(TypeError):
        engines.Counted(low) < None  # noqa: B015


def test_what_it_has_said_once_it_says_again() -> None:
    counted = engines.Counted((None, (1,) * 8))
    assert counted[1] is counted[1] is tuple(counted)[1]


@given(FIVE)
def test_the_same_is_present_of_it(kinds: Any) -> None:
    assert present(Facts(engines.Counted(kinds))) == present(Facts(kinds))
    assert present(Facts(engines.Counted(kinds))) <= sum(OF_KIND)


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.none() | st.integers(1, 3), max_size=9))))
def test_the_stores_answer_alike_however_many_keys_an_attempt_has(attempts: Any) -> None:
    batch = [
        (NOW_MS + minute * 60_000, [None if key is None else bytes([key]) * 16 for key in keys])
        for minute, keys in attempts
    ]
    answers: list[Any] = []
    for make in (EngineVelocity, EmbeddedVelocity):
        store = make(max_keys=64)
        store.caught_up()
        answers.append(store.touch(batch))
    ours, theirs = answers
    assert ours == theirs
    assert theirs == ours
    assert [tuple(one) for one in ours] == theirs


def test_a_repr_shows_no_count() -> None:
    counted = engines.Counted(((12_345,) * 8,))
    assert repr(counted) == str(counted) == "Counted(****)"
    assert "12345" not in repr(Facts(counted))
