"""The engine packs a batch of records as its twin does, to the byte."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.embedded.journal_format import (
    pack_batch,
    pack_by_twin,
    pack_segment_header,
    unpack_entries,
)
from gateway.runtime.native import engines

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

WORD = st.integers(0, 2**32 - 1)
# Long ones too: a CRC of many bytes is summed by other instructions than one of few.
PAYLOADS = st.lists(
    st.binary(max_size=200)
    | st.builds(lambda piece, times: piece * times, st.binary(max_size=40), WORD.map(lambda n: n % 400)),
    max_size=8,
)


@given(
    PAYLOADS, WORD, WORD, st.integers(-(2**63), 2**63 - 9), st.integers(-(2**63), 2**63 - 1), st.booleans()
)
@settings(max_examples=500, deadline=None)
def test_both_pack_a_batch_into_the_same_bytes(
    payloads: list[bytes], seed: int, attempt: int, first: int, durable: int, as_tuple: bool
) -> None:
    expected = pack_by_twin(payloads, seed=seed, attempt=attempt, first=first, durable=durable)
    given_as = tuple(payloads) if as_tuple else payloads
    assert engines.pack_batch(given_as, seed=seed, attempt=attempt, first=first, durable=durable) == expected


def test_the_journal_packs_with_the_engine_and_its_frames_read_back() -> None:
    assert pack_batch is engines.pack_batch
    _, seed = pack_segment_header(7, 1_700_000_000_000)
    records = [b"", b"one", bytes(100_000)]
    data = pack_batch(records, seed=seed, attempt=1, first=7, durable=6)
    entries, used, _ = unpack_entries(data, seed=seed, first=7, last=9)
    assert [(entry.position, entry.payload) for entry in entries] == list(enumerate(records, 7))
    assert used == len(data)


@pytest.mark.parametrize(
    ("seed", "attempt", "first", "durable"),
    [(-1, 0, 0, 0), (0, 2**32, 0, 0), (0, 0, 2**63, 0), (0, 0, 0, 2**63), (0, 0, 2**63 - 1, 0)],
)
def test_neither_packs_a_number_that_does_not_fit_into_its_field(
    seed: int, attempt: int, first: int, durable: int
) -> None:
    for pack in (engines.pack_batch, pack_by_twin):
        if pack is pack_by_twin and seed < 0:
            continue  # zlib takes the low 32 bits of any seed; ours is a CRC, which has no more
        with pytest.raises((struct.error, OverflowError)):
            pack([b"a", b"b"], seed=seed, attempt=attempt, first=first, durable=durable)


@pytest.mark.parametrize("payload", ["text", 1, None])
def test_neither_packs_what_is_not_bytes(payload: object) -> None:
    for pack in (engines.pack_batch, pack_by_twin):
        with pytest.raises(TypeError):
            pack([b"a", payload], seed=0, attempt=0, first=0, durable=0)
