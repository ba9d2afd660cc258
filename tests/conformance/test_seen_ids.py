"""The port `SeenIds`: an id is taken once by whoever shares the store, for a time, and within a limit."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.backends.embedded.seen_ids import SeenIdsUnavailable, SqliteSeenIds, begin_seen_ids
from gateway.sealing.inbound import SeenIds, TokenRefused
from tests.kit.seen_ids import MemorySeenIds

BEGAN_MS, NOW_MS, MOST = 1_000, 2_000, 3
Open = Callable[[], SeenIds]


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Whoever calls gets a store of its own over the same ids."""
    if request.param == "memory":
        held = MemorySeenIds(BEGAN_MS)
        yield lambda: held
        return
    stores: list[SqliteSeenIds] = []

    def one() -> SeenIds:
        stores.append(SqliteSeenIds(tmp_path / "seen.sqlite3", began_ms=BEGAN_MS + len(stores)))
        return stores[-1]

    yield one
    for store in stores:
        store.close()


def take(
    store: SeenIds, jti: str = "a", party: str = "bank", until_ms: int = NOW_MS + 10, now_ms: int = NOW_MS
) -> str:
    """The check that it was refused by; empty where it was taken."""
    try:
        store.take(party, jti, until_ms=until_ms, now_ms=now_ms, most=MOST)
    except TokenRefused as refused:
        return refused.check
    return ""


def test_an_id_is_taken_once_whoever_is_asked(opened: Open) -> None:
    first, second = opened(), opened()
    assert (first.began_ms, second.began_ms) == (BEGAN_MS, BEGAN_MS)
    assert [take(first), take(first), take(second)] == ["", "replay", "replay"]
    assert [take(second, "b"), take(first, party="other")] == ["", ""]


def test_an_id_is_forgotten_when_its_time_is_over_and_not_before(opened: Open) -> None:
    store = opened()
    take(store)
    assert take(store, now_ms=NOW_MS + 9) == "replay"
    assert take(store, now_ms=NOW_MS + 10) == ""


def test_a_party_has_a_limit_of_its_own(opened: Open) -> None:
    store = opened()
    assert [take(store, str(number)) for number in range(MOST + 1)] == ["", "", "", "busy"]
    assert take(store, "0") == "replay", "what was taken is called so, full or not"
    assert take(store, party="other") == ""
    assert take(store, "later", now_ms=NOW_MS + 10) == ""


def test_of_many_that_take_one_id_at_once_one_has_it(tmp_path: Path) -> None:
    stores = [SqliteSeenIds(tmp_path / "seen.sqlite3", began_ms=0) for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        for jti in ("a", "b", "c"):
            checks = list(threads.map(lambda n, jti=jti: take(stores[n % 2], jti), range(8)))
            assert sorted(checks) == ["", *["replay"] * 7]
    for store in stores:
        store.close()


def test_the_file_of_a_new_installation_takes_at_once_and_keeps_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "seen.sqlite3"
    begin_seen_ids(path)
    later = SqliteSeenIds(path, began_ms=time.time_ns())
    assert later.began_ms == 0
    later.close()


def test_where_the_file_does_not_answer_nothing_is_taken(tmp_path: Path) -> None:
    store = SqliteSeenIds(tmp_path / "seen.sqlite3", began_ms=0)
    store._db.execute("drop table seen")
    with pytest.raises(SeenIdsUnavailable):
        take(store)
    store.close()
