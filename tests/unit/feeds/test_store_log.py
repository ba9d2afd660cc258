"""The log of the feeds' database: moved into it beside commits, and begun anew only when it is long."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded import delivery_database as database
from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.feeds.ports import FanOutChange
from gateway.records.journal import EVALUATIONS
from tests.unit.feeds.records import BASE_MS, quick_store

LONG_BYTES = 64 * 1024
RESTART = "pragma wal_checkpoint(restart)"
LOCKS = Path("/proc/locks")


def _commit(store: SqliteDeliveryStore, position: int, *, record_bytes: int) -> None:
    store.commit_fan_out(
        FanOutChange(
            topic=EVALUATIONS, partition=0, position=position, at_ms=BASE_MS, records=[bytes(record_bytes)]
        )
    )


def test_only_a_long_log_begins_anew_however_large_its_file_has_become(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Commits wait while a log begins anew, so that it must not come with every checkpoint.
    monkeypatch.setattr(database, "WAL_RESTART_BYTES", LONG_BYTES)
    asked: list[str] = []
    rows = database.Connection.rows

    def recorded(self: database.Connection, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        asked.append(query)
        return rows(self, query, parameters)

    monkeypatch.setattr(database.Connection, "rows", recorded)
    store = quick_store(tmp_path / "feeds.sqlite3")
    log = tmp_path / "feeds.sqlite3-wal"
    _commit(store, 0, record_bytes=2 * LONG_BYTES)
    _commit(store, 1, record_bytes=100)
    store.checkpoint()
    assert asked.count(RESTART) == 1, "the long log did not begin anew"

    _commit(store, 2, record_bytes=100)
    store.checkpoint()

    assert log.stat().st_size > LONG_BYTES
    assert asked.count(RESTART) == 1, "a short log began anew"
    store.close()


@pytest.mark.skipif(not LOCKS.exists(), reason="locks are seen by Linux's /proc/locks")
def test_a_checkpoint_keeps_the_lock_that_other_processes_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAL_RESTART_BYTES", 0)
    path = tmp_path / "feeds.sqlite3"
    store = quick_store(path)
    _commit(store, 0, record_bytes=100)

    store.checkpoint()

    inode = path.stat().st_ino
    held = [line.split() for line in LOCKS.read_text().splitlines()]
    assert any(fields[1] == "POSIX" and fields[5].endswith(f":{inode}") for fields in held)
    store.close()
