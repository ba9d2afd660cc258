"""Whatever is done to entries or heads is named, by its kind and its place."""

import pytest

from gateway.ledger.entry import PREFIX, Tail
from gateway.ledger.heads import Head, HeadInvalid, signed_line
from gateway.ledger.merkle import leaf_hash
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signer import LocalSigner
from tests.unit.ledger.kit import CHAIN, Ledger, changed

SIZE = 20


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """Twenty entries under four heads, five each."""
    for first in range(0, SIZE, 5):
        ledger.share(*range(first, first + 5))
    assert ledger.verify().intact
    return ledger


# Edited.


@pytest.mark.parametrize("seq", [0, 7, SIZE - 1])
def test_an_entry_that_is_edited_is_named(full: Ledger, seq: int) -> None:
    full.sql(
        "update entries set data = ? where chain = ? and seq = ?", changed(full.entries()[seq]), CHAIN, seq
    )
    assert full.found() == [("edited", CHAIN, seq, seq)]


@pytest.mark.parametrize("seq", [0, 7, SIZE - 2])
def test_an_entry_that_is_edited_with_its_hash_is_named(full: Ledger, seq: int) -> None:
    full.put(seq, changed(full.entries()[seq]))
    assert full.found() == [("edited", CHAIN, seq, seq)]


def test_the_last_entry_edited_with_its_hash_is_found_by_the_head(full: Ledger) -> None:
    full.put(SIZE - 1, changed(full.entries()[-1]))
    assert full.found() == [("edited", CHAIN, 15, 19)]


def test_a_link_that_is_edited_is_named_at_its_own_place(full: Ledger) -> None:
    data = full.entries()[7]
    full.put(7, data[:9] + b"x" * 32 + data[PREFIX.size :])
    assert full.found() == [("edited", CHAIN, 7, 7)]


def test_an_entry_that_is_no_entry_any_more_is_named(full: Ledger) -> None:
    full.put(7, b"short")
    assert full.found() == [("edited", CHAIN, 7, 7)]


def test_a_chain_made_anew_from_an_edit_on_is_found_by_the_first_head_that_it_does_not_fit(
    full: Ledger,
) -> None:
    full.put(7, changed(full.entries()[7]))
    full.relink(8)
    assert full.found() == [("edited", CHAIN, 5, 9)]


def test_entries_of_another_chain_do_not_fit(full: Ledger) -> None:
    """The first entry of each chain names the chain."""
    stolen = Tail.first("evaluations/0").append("{}").data
    full.put(0, stolen)
    assert full.found() == [("edited", CHAIN, 0, 0)]


# Deleted.


@pytest.mark.parametrize("seq", [0, 7])
def test_an_entry_that_is_deleted_is_named(full: Ledger, seq: int) -> None:
    full.sql("delete from entries where chain = ? and seq = ?", CHAIN, seq)
    assert full.found() == [("deleted", CHAIN, seq, seq)]


def test_entries_that_are_deleted_with_the_rest_moved_up_are_named(full: Ledger) -> None:
    full.sql("delete from entries where chain = ? and seq between 7 and 9", CHAIN)
    full.shift(10, -3)
    assert full.found() == [("deleted", CHAIN, 7, 9)]


def test_an_entry_deleted_and_everything_behind_it_made_anew_is_found_by_heads_and_count(
    full: Ledger,
) -> None:
    full.sql("delete from entries where chain = ? and seq = 7", CHAIN)
    full.shift(8, -1)
    full.relink(7)
    assert full.found() == [("edited", CHAIN, 5, 9), ("truncated", CHAIN, 19, 19)]


# Inserted.


def test_an_entry_that_is_inserted_is_named(full: Ledger) -> None:
    entries = full.entries()
    forged = PREFIX.pack(1, 7, leaf_hash(entries[6])) + changed(entries[7])[PREFIX.size :]
    full.shift(7, 1)
    full.put(7, forged)
    assert full.found() == [("inserted", CHAIN, 7, 7)]


def test_an_entry_inserted_before_the_last_is_told_from_it_by_the_head(full: Ledger) -> None:
    entries = full.entries()
    full.shift(SIZE - 1, 1)
    full.put(SIZE - 1, changed(entries[-1]))
    assert full.found() == [("inserted", CHAIN, SIZE - 1, SIZE - 1)]


def test_an_entry_of_before_that_is_inserted_again_is_named(full: Ledger) -> None:
    entries = full.entries()
    full.shift(12, 1)
    full.put(12, entries[3])
    assert full.found() == [("inserted", CHAIN, 3, 3)]


def test_an_entry_added_behind_the_last_is_named(full: Ledger) -> None:
    tail = full.store.tail(CHAIN)
    full.put(SIZE, tail.append('{"kind":"share"}').data)
    assert full.found() == [("inserted", CHAIN, SIZE, SIZE)]


# Reordered.


@pytest.mark.parametrize(("one", "other", "named"), [(6, 7, {7}), (3, 12, {3, 12})])
def test_entries_that_change_places_are_named(full: Ledger, one: int, other: int, named: set[int]) -> None:
    entries = full.entries()
    full.put(one, entries[other])
    full.put(other, entries[one])
    found = full.found()
    assert {kind for kind, *_ in found} == {"reordered"}
    assert {first for _, _, first, _ in found} in (named, {one}, {other})


# Truncated.


@pytest.mark.parametrize("size", [0, 5, 13, SIZE - 1])
def test_a_chain_that_is_cut_short_is_named(full: Ledger, size: int) -> None:
    full.sql("delete from entries where chain = ? and seq >= ?", CHAIN, size)
    assert full.found() == [("truncated", CHAIN, size, SIZE - 1)]


def test_a_chain_cut_short_in_all_of_the_store_is_found_by_the_heads(full: Ledger) -> None:
    """With its count, so that the store itself is whole."""
    entries = full.entries()
    tail = Tail.first(CHAIN)
    for data in entries[:13]:
        tail.append(data[PREFIX.size :].decode())
    full.sql("delete from entries where chain = ? and seq >= 13", CHAIN)
    full.sql(
        "update tails set size = 13, last_hash = ?, peaks = ? where chain = ?",
        tail.last_hash, tail.tree.packed(), CHAIN,
    )  # fmt: skip
    assert full.found() == [("truncated", CHAIN, 13, SIZE - 1)]


def test_an_entry_that_no_head_has_yet_is_missed_by_the_count_alone(full: Ledger) -> None:
    full.send(SIZE)
    full.keeper.follow()
    assert full.verify().unsigned_entries == 1
    full.sql("delete from entries where chain = ? and seq = ?", CHAIN, SIZE)
    assert full.found() == [("truncated", CHAIN, SIZE, SIZE)]


# Heads.


@pytest.mark.parametrize("kept", [0, 2, 3])
def test_heads_that_are_cut_short_are_named(full: Ledger, kept: int) -> None:
    full.rewrite_heads(lambda lines: lines[:kept])
    assert full.found() == [("truncated", "heads", kept + 1, 4)]


def test_heads_and_store_cut_alike_are_found_by_a_head_kept_elsewhere(full: Ledger) -> None:
    anchor = full.lines()[-1]
    entries = full.entries()
    tail = Tail.first(CHAIN)
    for data in entries[:10]:
        tail.append(data[PREFIX.size :].decode())
    full.sql("delete from entries where chain = ? and seq >= 10", CHAIN)
    full.sql(
        "update tails set size = 10, last_hash = ?, peaks = ? where chain = ?",
        tail.last_hash, tail.tree.packed(), CHAIN,
    )  # fmt: skip
    full.rewrite_heads(lambda lines: lines[:2])
    full.sql("update head set number = 2, line = ?", full.lines()[-1])
    assert full.found() == [], "nobody can tell from what is left here"
    assert full.found(anchors=[anchor]) == [("truncated", "heads", 3, 4), ("truncated", CHAIN, 10, 19)]


def test_a_store_set_back_to_a_copy_of_before_is_found_by_the_heads(full: Ledger) -> None:
    full.sql("update head set number = 3, line = ?", full.lines()[2])
    assert full.found() == [("inserted", "heads", 4, 4)]


def test_a_head_that_is_edited_is_named(full: Ledger) -> None:
    full.rewrite_heads(lambda lines: [lines[0], lines[1].replace(b'"size":10', b'"size":11'), *lines[2:]])
    assert full.found() == [("edited", "heads", 2, 2)]


def test_a_head_that_another_key_signed_is_named(full: Ledger) -> None:
    other = SigningKey("sig-1", SignatureAlgorithm.ES256, p256_private_key(UnsafeSeededEntropy(2)))
    forged = signed_line(Head(number=2, at_ms=1, previous=b"p" * 32, chains=()), LocalSigner(other), iss="x")
    full.rewrite_heads(lambda lines: [lines[0], forged, *lines[2:]])
    assert full.found() == [("edited", "heads", 2, 2)]


def test_heads_deleted_inserted_again_or_in_another_order_are_named(full: Ledger) -> None:
    lines = full.lines()
    for change, expected in (
        ([0, 2, 3], ("deleted", 2, 2)),
        ([1, 2, 3], ("deleted", 1, 1)),
        ([0, 1, 1, 2, 3], ("inserted", 2, 2)),
        ([0, 2, 1, 3], ("reordered", 3, 3)),
    ):
        full.rewrite_heads(lambda _, change=change: [lines[place] for place in change])  # type: ignore[misc]
        kind, first, last = expected
        found = full.found()
        assert found in ([(kind, "heads", first, last)], [(kind, "heads", first - 1, last - 1)]), change


def test_an_anchor_that_we_did_not_sign_is_refused(full: Ledger) -> None:
    anchor = full.lines()[-1]
    with pytest.raises(HeadInvalid):
        full.verify(anchors=[anchor.replace(b'"number":4', b'"number":9')])


def test_an_anchor_of_another_history_is_named(
    full: Ledger, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Ledger(tmp_path_factory.mktemp("other"))
    other.share(100)
    other.share(101)
    anchor = other.lines()[1]
    other.close()
    found = full.found(anchors=[anchor])
    assert ("edited", "heads", 2, 2) in found
    assert any(place == CHAIN for _, place, _, _ in found)
