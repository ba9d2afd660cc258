"""Whatever is done to the rows of a chain is found, and a chain that nobody touched is found whole."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.entry import PREFIX, Tail
from gateway.ledger.heads import Head, chain_heads
from gateway.ledger.merkle import leaf_hash
from gateway.ledger.ports import EntryRow
from gateway.ledger.runs import DELETED, EDITED, INSERTED, REORDERED, TRUNCATED, Finding
from gateway.ledger.verify import Signed, _name, pass_over

CHAIN = "deliveries/0"
SIZE = 24
EVERY = 5


def made() -> tuple[list[EntryRow], list[Signed], Tail]:
    """A chain, with a head after each five entries; the last four entries are signed by none."""
    tail, rows, signed = Tail.first(CHAIN), [], []
    for seq in range(SIZE):
        one = tail.append(f'{{"n":{seq}}}')
        rows.append((seq, one.entry_hash, one.data))
        if tail.size % EVERY == 0:
            [head] = chain_heads({CHAIN: tail})
            signed.append(Signed(head.size, head.root, head.last_hash, len(signed) + 1))
    return rows, signed, tail


def found(rows: Sequence[EntryRow]) -> list[Finding]:
    _, signed, tail = made()
    return _name(CHAIN, pass_over(CHAIN, rows, signed), signed, tail)


def kinds(rows: Sequence[EntryRow]) -> set[str]:
    return {one.kind for one in found(rows)}


def another(row: EntryRow, *, with_hash: bool) -> EntryRow:
    data = row[2][: PREFIX.size] + b'{"n":"another"}'
    return row[0], leaf_hash(data) if with_hash else row[1], data


PLACES = st.integers(min_value=0, max_value=SIZE - 1)


def test_a_chain_that_nobody_touched_is_found_whole() -> None:
    assert found(made()[0]) == []


@given(places=st.sets(PLACES, min_size=1), with_hash=st.booleans())
def test_entries_that_are_edited_are_named_and_nothing_else_is(places: set[int], with_hash: bool) -> None:
    rows = made()[0]
    for place in places:
        rows[place] = another(rows[place], with_hash=with_hash)
    said = found(rows)
    assert {one.kind for one in said} == {EDITED}
    if not with_hash:
        assert {one.first for one in said} == places


@given(places=st.sets(PLACES, min_size=1, max_size=SIZE - 1))
def test_entries_that_are_taken_away_are_named_and_nothing_else_is(places: set[int]) -> None:
    said = found([row for row in made()[0] if row[0] not in places])
    assert {one.kind for one in said} <= {DELETED, TRUNCATED}
    assert {seq for one in said for seq in range(one.first, one.last + 1)} == places


@given(order=st.permutations(range(SIZE)))
def test_entries_in_another_order_are_named_and_nothing_else_is(order: list[int]) -> None:
    rows = made()[0]
    assert kinds([rows[place] for place in order]) == (set() if order == sorted(order) else {REORDERED})


@given(at=st.integers(min_value=0, max_value=SIZE), of=PLACES)
def test_a_copy_of_an_entry_that_is_put_in_again_is_named(at: int, of: int) -> None:
    rows = made()[0]
    assert kinds([*rows[:at], rows[of], *rows[at:]]) <= {INSERTED, REORDERED}
    assert INSERTED in kinds([*rows[:at], rows[of], *rows[at:]])


@given(at=st.integers(min_value=0, max_value=SIZE - 1), with_link=st.booleans())
def test_an_entry_that_nobody_wrote_is_named(at: int, with_link: bool) -> None:
    rows = made()[0]
    previous = Tail.first(CHAIN).last_hash if not at else rows[at - 1][1]
    data = PREFIX.pack(1, at, previous if with_link else b"x" * 32) + b'{"n":"forged"}'
    assert kinds([*rows[:at], (at, leaf_hash(data), data), *rows[at:]]) == {INSERTED}


@given(data=st.data())
def test_any_mixture_of_rows_but_the_true_one_is_found(data: st.DataObject) -> None:
    rows = made()[0]
    pool = [*rows, *[another(row, with_hash=True) for row in rows], (0, leaf_hash(b""), b"")]
    chosen = data.draw(st.lists(st.integers(min_value=0, max_value=len(pool) - 1), max_size=2 * SIZE))
    mixed = [pool[place] for place in chosen]
    assert bool(found(mixed)) == (mixed != rows)


@given(first=st.integers(min_value=0, max_value=SIZE - 1))
def test_a_chain_made_anew_is_found_unless_no_head_and_no_count_is_behind_it(first: int) -> None:
    rows, tail = made()[0], Tail.first(CHAIN)
    again = []
    for seq, _, data in rows:
        one = tail.append('{"n":"another"}' if seq == first else data[PREFIX.size :].decode())
        again.append((seq, one.entry_hash, one.data))
    assert kinds(again) == {EDITED}


def test_a_head_of_no_chain_has_the_root_of_an_empty_tree() -> None:
    head = Head(number=1, at_ms=0, previous=b"", chains=())
    assert (head.size, head.root.hex()[:8]) == (0, "e3b0c442")
