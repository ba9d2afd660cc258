"""A SQLite file that any process of ours may write, in short transactions that outlive a power cut."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from gateway.records.errors import GatewayError

BUSY_TIMEOUT_MS: Final = 400
"""Longest wait for another writer: leaves a kill the better part of its second."""

SCHEMA_TIMEOUT_MS: Final = 60_000
"""Longest wait for another process that makes the tables: the indexes of a million rows take some 4 s."""


class SharedDatabase:
    """Base of the stores in such files. WAL: a reader never waits for a writer.

    Threads may share one; calls take turns.
    """

    UNAVAILABLE: ClassVar[type[GatewayError]]
    """What is raised where the file cannot be read or written now."""

    NAME: ClassVar[str]
    SCHEMA: ClassVar[str]
    NEWEST_TABLE: ClassVar[str]
    """Of the schema: where it is there, everything is."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._seen_data_version = -1
        with self._faults():
            self._db = sqlite3.connect(
                path, timeout=SCHEMA_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
            )
            self._db.execute("pragma journal_mode = wal")
            # What was told to be in effect has to outlive a power cut.
            self._db.execute("pragma synchronous = full")
            known = "select 1 from sqlite_master where name = ?"
            if not self._db.execute(known, (self.NEWEST_TABLE,)).fetchone():
                self._db.executescript(f"begin immediate; {self.SCHEMA} commit;")
            self._db.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _data_version(self) -> int:
        """Changes with another connection's writes; ours set `_seen_data_version` back."""
        (data_version,) = self._db.execute("pragma data_version").fetchone()
        return int(data_version)

    @contextmanager
    def _write(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction. One that is not `synced` outlives a power cut from the next that is on."""
        with self._lock, self._faults():
            self._db.execute(f"pragma synchronous = {'full' if synced else 'normal'}")
            self._db.execute("begin immediate")
            try:
                yield self._db
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")
            # data_version does not move for a connection's own writes.
            self._seen_data_version = -1

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as fault:
            raise self.UNAVAILABLE(
                f"{self.NAME} does not answer; check the state directory's disk and permissions"
            ) from fault
