"""What the engine remembers, its twin remembers: the same keys pushed out, the same answers overwritten."""

import struct
import zlib
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sharing.remembered import RING_ANSWERS, TwinRecent

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

# Few keys with the same low bits, so that they crowd into the same slots; 0 marks a free one, and is no key.
KEYS = st.one_of(
    st.integers(1, 40),
    st.integers(1, 12).map(lambda number: number << 40),
    st.integers(2**64 - 12, 2**64 - 1),
)
# Times go back too: clocks are set.
TIMES_MS = st.integers(0, 30) | st.sampled_from([-(2**63), 2**63 - 1])
POSITIONS = st.one_of(
    st.integers(-2, 12),
    st.integers(0, 12).map(lambda number: number + RING_ANSWERS),  # found through the same place
    st.sampled_from([-(2**63), 2**63 - 1]),
)
DIGESTS = st.binary(min_size=16, max_size=16) | st.binary(max_size=20)
ANSWERS = st.binary(max_size=150)
WORKS = st.lists(st.tuples(KEYS, KEYS, POSITIONS, DIGESTS, ANSWERS), max_size=6)
ROUNDS = st.lists(st.tuples(TIMES_MS, WORKS), max_size=12)
TEXTS = st.text(max_size=4)


class Recorded(NamedTuple):
    """What a work has of what is recorded."""

    request_key: int
    attempt_key: int
    position: int
    digest: bytes
    answer: bytes


@given(ROUNDS, st.sampled_from([1, 4, 16, 64]), st.integers(0, 600), TIMES_MS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_both_find_the_same_positions_and_answers(
    rounds: list[tuple[int, Any]], slots: int, ring_bytes: int, since_ms: int, by_work: bool
) -> None:
    engine, twin = engines.Recent(slots, ring_bytes), TwinRecent(slots, ring_bytes)
    keys, positions = {1, 2**64 - 1}, {-1, 0, 1, 5}
    for at_ms, works in rounds:
        if by_work:
            engine.recorded_works(at_ms, [Recorded(*work) for work in works], [work[2] for work in works])
        else:
            engine.recorded_all(at_ms, works)
        twin.recorded_all(at_ms, works)
        keys |= {key for work in works for key in work[:2]}
        positions |= {work[2] for work in works}
        for key in keys:
            assert engine.position(key, since_ms) == twin.position(key, since_ms)
        for position in positions:
            assert engine.answer(position) == twin.answer(position)


@pytest.mark.parametrize("make", [engines.Recent, TwinRecent])
def test_what_only_looks_like_the_front_of_an_answer_is_none(make: Any) -> None:
    recent = make(16, 200)
    recent.recorded_all(0, [(1, 2, 4, bytes(16), b"x" * 10), (3, 4, 5, bytes(16), b"true")])
    assert recent.answer(5) == (bytes(16), b"true")
    # Written over both, with a front of position 5 where the old one stood; its CRC is that of other bytes.
    forged = struct.pack("<q16sII", 5, bytes(16), 4, zlib.crc32(b"true")) + b"lies"
    recent.recorded_all(1, [(5, 6, 6, bytes(16), b"x" * 10 + forged.ljust(130, b"x"))])
    assert recent.answer(5) is None


@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(-(2**31), 2**31), TEXTS), max_size=8), TIMES_MS)
@settings(max_examples=300, deadline=None)
def test_a_look_finds_what_was_recorded_under_its_own_keys_and_nothing_else(
    asked: list[tuple[str, str, int, str]], since_ms: int
) -> None:
    for recent in (engines.Recent(1 << 12, 4096), TwinRecent(1 << 12, 4096)):
        requests: dict[tuple[str, str], int] = {}
        attempts: set[tuple[str, str, int]] = set()
        for position, (sender, intent, attempt_no, request) in enumerate(asked):
            look = (sender, intent, attempt_no, request)
            request_key, attempt_key, found, seen = recent.look(*look, since_ms)
            assert found == requests.get((sender, request))
            assert seen == ((sender, intent, attempt_no) in attempts)
            assert recent.look(*look, since_ms)[:2] == (request_key, attempt_key)
            recent.recorded_all(since_ms, [(request_key, attempt_key, position, bytes(16), b"")])
            requests[sender, request] = position
            attempts.add((sender, intent, attempt_no))


def test_keys_are_this_memory_s_own_and_never_0() -> None:
    first, second = engines.Recent(16, 0), engines.Recent(16, 0)
    looked = first.look("shop-1", "intent-1", 1, "request-1", 0)
    assert looked[:2] != second.look("shop-1", "intent-1", 1, "request-1", 0)[:2]
    assert 0 not in looked[:2]


@pytest.mark.parametrize(("slots", "ring_bytes"), [(0, 0), (3, 0), (1 << 27, 0), (4, 1 << 31)])
def test_sizes_that_make_no_table_are_refused(slots: int, ring_bytes: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        engines.Recent(slots, ring_bytes)


def test_works_without_a_position_are_refused() -> None:
    with pytest.raises(ValueError, match="positions"):
        engines.Recent(16, 64).recorded_works(0, [Recorded(1, 2, 3, b"", b"")], [])


@pytest.mark.parametrize("work", [(1, 2), (1, 2, 3, "digest", b""), (-1, 2, 3, b"", b""), None])
def test_what_is_no_record_is_refused_by_both(work: Any) -> None:
    for recent in (engines.Recent(16, 64), TwinRecent(16, 64)):
        with pytest.raises((TypeError, ValueError, OverflowError, struct.error)):
            recent.recorded_all(0, [work])
