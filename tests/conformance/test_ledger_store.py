"""What every LedgerStore has to hold. A backend joins by one line in BACKENDS."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.ledger import SqliteLedgerStore
from gateway.ledger.entry import Tail
from gateway.ledger.ports import CardShare, KeptHead, LedgerChange, LedgerUnavailable, Release
from gateway.programs.subjects import KEYS_A_CASE_MAX
from gateway.records.journal import DELIVERIES, EVALUATIONS, FIRST

BACKENDS: dict[str, Callable[[Path], Any]] = {
    "sqlite": lambda path: SqliteLedgerStore(path / "ledger.sqlite3")
}
CHAIN = "deliveries/0"


@pytest.fixture(params=sorted(BACKENDS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Opens the store; opening it again closes the one before, as a restart does."""
    held: list[Any] = []

    def reopen() -> Any:
        while held:
            held.pop().close()
        held.append(BACKENDS[request.param](tmp_path))
        return held[0]

    yield reopen
    while held:
        held.pop().close()


def change(tail: Tail, *numbers: int, position: int, releases: tuple[int, ...] = ()) -> LedgerChange:
    return LedgerChange(
        topic=DELIVERIES,
        partition=0,
        position=position,
        entries=[tail.append(f'{{"n":{n}}}', share_id=f"s{n}", transport=3) for n in numbers],
        releases=[Release(share_id=f"s{n}", facts=f"facts-{n}", decided_at_ms=n) for n in releases],
        tail=tail,
    )


def rows(store: Any, chain: str = CHAIN) -> list[tuple[int, bytes, bytes]]:
    reader = store.reader()
    try:
        return list(reader.rows(chain))
    finally:
        reader.close()


def test_a_change_is_kept_whole_with_its_offset_across_a_restart(opened: Callable[[], Any]) -> None:
    store = opened()
    assert (store.offset(DELIVERIES, 0), store.tail(CHAIN).size) == (FIRST, 0)
    tail = store.tail(CHAIN)
    made = change(tail, 1, 2, position=7, releases=(4, 5))
    store.commit(made)
    store = opened()
    assert store.offset(DELIVERIES, 0) == 7
    assert store.offset(EVALUATIONS, 0) == FIRST
    assert store.tail(CHAIN) == tail
    assert rows(store) == [(one.seq, one.entry_hash, one.data) for one in made.entries]
    assert store.known(["s1", "s2", "s3"]) == {("s1", 3), ("s2", 3)}
    assert store.facts(["s4", "s5", "s6"]) == {"s4": "facts-4", "s5": "facts-5"}


def test_a_change_that_fails_leaves_nothing_behind(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit(change(store.tail(CHAIN), 1, position=1))
    with pytest.raises(LedgerUnavailable):
        # Its first entry is new, its second one is there already.
        store.commit(change(store.tail(CHAIN), 2, 1, position=9, releases=(8,)))
    assert store.offset(DELIVERIES, 0) == 1
    assert (store.tail(CHAIN).size, len(rows(store)), store.facts(["s8"])) == (1, 1, {})
    store.commit(change(store.tail(CHAIN), 2, position=2))


def test_chains_are_apart(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit(change(store.tail(CHAIN), 1, position=1))
    store.commit(change(store.tail("evaluations/0"), 2, 3, position=2))
    assert {name: tail.size for name, tail in store.tails().items()} == {CHAIN: 1, "evaluations/0": 2}
    reader = store.reader()
    assert reader.chains_of_rows() == [CHAIN, "evaluations/0"]
    assert reader.find("s3") == [("evaluations/0", 1)]
    assert reader.find("s9") == []
    assert reader.hashes("evaluations/0", 1) == [rows(store, "evaluations/0")[0][1]]
    assert reader.entry("evaluations/0", 1) == rows(store, "evaluations/0")[1][2]
    assert reader.entry("evaluations/0", 9) == b""
    reader.close()


def test_many_ids_are_asked_for_at_once(opened: Callable[[], Any]) -> None:
    store = opened()
    numbers = tuple(range(1200))
    store.commit(change(store.tail(CHAIN), *numbers, position=1, releases=numbers))
    assert len(store.known([f"s{n}" for n in numbers])) == 1200
    assert len(store.facts([f"s{n}" for n in numbers])) == 1200
    assert store.known([]) == set()


def test_facts_are_kept_once_and_forgotten_by_age(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit(change(store.tail(CHAIN), position=1, releases=(1, 2, 3)))
    store.commit(change(store.tail(CHAIN), position=2, releases=(2, 4)))
    assert store.forget_releases(3, 1) == 1
    assert store.forget_releases(3, 100) == 1
    assert store.facts(["s1", "s2", "s3", "s4"]) == {"s3": "facts-3", "s4": "facts-4"}


def test_the_newest_head_takes_the_place_of_the_one_before(opened: Callable[[], Any]) -> None:
    store = opened()
    assert store.kept_head() is None
    for number in (1, 2):
        store.keep_head(KeptHead(number=number, line=b"line-%d" % number))
    assert opened().kept_head() == KeptHead(number=2, line=b"line-2")


def test_a_reader_stays_at_its_moment(opened: Callable[[], Any]) -> None:
    store = opened()
    store.commit(change(store.tail(CHAIN), 1, position=1))
    reader = store.reader()
    store.commit(change(store.tail(CHAIN), 2, position=2))
    assert (len(list(reader.rows(CHAIN))), reader.tails()[CHAIN].size) == (1, 1)
    reader.close()


def test_a_second_owner_is_refused(opened: Callable[[], Any], tmp_path: Path) -> None:
    opened()
    with pytest.raises(LedgerUnavailable):
        SqliteLedgerStore(tmp_path / "ledger.sqlite3")


def test_a_card_is_found_by_every_name_that_its_shares_have_in_common(opened: Callable[[], Any]) -> None:
    store = opened()
    names = [
        ("s1", b"by-number", "t1"),
        ("s2", b"by-par", "t1"),
        ("s3", b"by-par", "t2"),
        ("s4", b"else", "t9"),
    ]
    cards = [CardShare(share_id=s, unit_key=unit, card_token=token) for s, unit, token in names]
    cards.append(CardShare(share_id="s5", unit_key=b"by-reference"))
    cards.append(CardShare(share_id="", unit_key=b"by-par", card_key=b"by-token", one_card=True))
    cards.append(CardShare(share_id="s6", unit_key=b"other-par", card_key=b"other-number", one_card=True))
    cards.append(CardShare(share_id="s7", unit_key=b"other-par", card_key=b"a-reference"))
    made = replace(change(store.tail(CHAIN), position=1, releases=(1,)), cards=cards)
    store.commit(made)
    store.commit(replace(made, position=2))
    reader = store.reader()
    for units, tokens in (
        ([b"by-number"], []),
        ([b"by-par"], []),
        ([], ["t2"]),
        ([b"by-number"], ["t1"]),
        ([b"by-token"], []),
    ):
        found = reader.units_of(units, tokens)
        assert set(found) == {b"by-number", b"by-par", b"by-token"}
        assert sorted(reader.shares_of_units(found)) == ["s1", "s2", "s3"]
    assert reader.units_of([], ["unknown"]) == []
    assert reader.units_of([b"never-seen"], []) == [b"never-seen"]
    assert reader.shares_of_units([b"by-reference"]) == ["s5"]
    assert reader.units_of([b"other-number"], []) == [b"other-number", b"other-par"]
    assert reader.shares_of_units([b"other-number"]) == ["s6"]
    assert reader.shares_of_units([b"other-par"]) == ["s6", "s7"]
    # A reference may be of many cards: it finds what was shared under it, and leads to no other name.
    assert reader.units_of([b"a-reference"], []) == [b"a-reference"]
    assert reader.shares_of_units([b"a-reference"]) == ["s7"]
    assert (reader.release("s1"), reader.release("s2")) == ("facts-1", None)
    reader.close()


def test_of_a_card_with_more_tokens_than_a_case_has_room_for_the_par_is_among_the_names(
    opened: Callable[[], Any],
) -> None:
    store = opened()
    par, number = b"\xff" * 16, b"\xfe" * 16
    keys = [number, *(n.to_bytes(16, "big") for n in range(KEYS_A_CASE_MAX + 50))]
    cards = [CardShare(share_id="", unit_key=par, card_key=key, one_card=True) for key in keys]
    store.commit(replace(change(store.tail(CHAIN), position=1), cards=cards))
    reader = store.reader()
    found = reader.units_of([number], [])
    assert (len(found), found[:2]) == (KEYS_A_CASE_MAX, [number, par])
    reader.close()
