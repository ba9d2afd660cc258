"""Frames and headers as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.embedded.journal_format import (
    FRAME_HEADER_BYTES,
    FRAME_MARKER,
    SEGMENT_HEADER_BYTES,
    Commit,
    SegmentHeader,
    pack_batch,
    pack_commit,
    pack_segment_header,
    scan_tail,
    segment_base,
    segment_name,
    unpack_commit,
    unpack_entries,
    unpack_segment_header,
)
from gateway.records.journal import JournalCorrupt

HEADER, SEED = pack_segment_header(10, 1_700_000_000_000)
SEGMENT = SegmentHeader(10, 1_700_000_000_000, SEED)
RECORDS = st.lists(st.binary(max_size=80) | st.just(FRAME_MARKER * 3), min_size=1, max_size=6)


def frames(
    payloads: list[bytes], *, attempt: int = 1, first: int = 10, durable: int = 9, seed: int = SEED
) -> bytes:
    return pack_batch(payloads, seed=seed, attempt=attempt, first=first, durable=durable)


@given(RECORDS)
def test_a_batch_reads_back_as_it_was(payloads: list[bytes]) -> None:
    data = frames(payloads)
    entries, used, _ = unpack_entries(data, seed=SEED, first=10, last=9 + len(payloads))
    assert [(entry.position, entry.payload) for entry in entries] == list(enumerate(payloads, 10))
    assert used == len(data)
    assert scan_tail(HEADER + data, SEGMENT).records == payloads


@given(RECORDS, st.data())
def test_no_flipped_bit_passes(payloads: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(frames(payloads))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    try:
        entries, used, needed = unpack_entries(bytes(whole), seed=SEED, first=10, last=9 + len(payloads))
    except JournalCorrupt:
        pass
    else:
        # A longer length asks for bytes that are not there, which the reader calls corrupt.
        assert len(entries) < len(payloads)
        assert used + needed > len(whole)
    assert scan_tail(HEADER + whole, SEGMENT).records == []


@given(RECORDS, st.data())
def test_a_batch_that_is_cut_short_is_nothing(payloads: list[bytes], data: st.DataObject) -> None:
    before, whole = frames([b"kept"]), frames(payloads, attempt=2, first=11, durable=10)
    cut = data.draw(st.integers(0, len(whole) - 1))
    tail = scan_tail(HEADER + before + whole[:cut], SEGMENT)
    assert tail.records == [b"kept"]
    assert tail.durable in (9, 10)


def test_the_remains_of_a_failed_write_do_not_join_with_the_next_batch() -> None:
    failed, following = frames([b"a", b"b", b"c"], attempt=1), frames([b"d", b"e", b"f"], attempt=2)
    at = 2 * (FRAME_HEADER_BYTES + 1)
    assert scan_tail(HEADER + failed[:at] + following[at:], SEGMENT).records == []


def test_a_frame_that_lies_in_a_payload_is_not_a_frame() -> None:
    _, seed = pack_segment_header(10, 1_600_000_000_000)
    smuggled = frames([b"x"], first=11, durable=99, seed=seed)
    torn = frames([smuggled, b"more"])[:-1]
    assert scan_tail(HEADER + torn, SEGMENT).durable == 9


def test_a_later_frame_tells_what_had_been_durable_before_it() -> None:
    first, second = bytearray(frames([b"acknowledged"])), frames([b"next"], attempt=2, first=11, durable=10)
    first[-1] ^= 1
    tail = scan_tail(HEADER + first + second, SEGMENT)
    assert tail.records == []
    assert tail.durable == 10


@pytest.mark.parametrize("at", range(SEGMENT_HEADER_BYTES))
def test_a_damaged_segment_header_is_corrupt(at: int) -> None:
    damaged = bytearray(HEADER)
    damaged[at] ^= 1
    with pytest.raises(JournalCorrupt):
        unpack_segment_header(bytes(damaged))
    with pytest.raises(JournalCorrupt):
        unpack_segment_header(HEADER[:at])


@given(st.integers(-1, 2**62), st.integers(0, 2**62), st.integers(0, 23))
def test_a_commit_reads_back_and_a_torn_one_does_not(durable: int, base: int, at: int) -> None:
    data = bytearray(pack_commit(Commit(durable, base)))
    assert unpack_commit(bytes(data)) == Commit(durable, base)
    assert unpack_commit(bytes(data[:at])) is None
    data[at] ^= 0x80
    assert unpack_commit(bytes(data)) is None


def test_names_of_segments_sort_by_position_and_others_are_none() -> None:
    assert segment_name(64) == "00000000000000000064.journal"
    assert segment_base(segment_name(64)) == 64
    for name in ("commit", "64.journal", segment_name(64) + ".new", "x" * 20 + ".journal"):
        assert segment_base(name) is None
