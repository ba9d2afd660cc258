"""The feeds' database file: connections, and how its log is moved into it (docs/decisions/0014)."""

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.feeds.ports import StoreUnavailable

BUSY_TIMEOUT_S = 5.0
"""A checkpoint of the log takes well under a second; nobody else writes."""

WAL_RESTART_BYTES = 16 * 1024 * 1024
"""Beyond this the log starts again from its beginning: 1 s of 1,000 payments/s. It soon stops growing:
what grows costs each sync a commit of the file system's journal as well."""

RESTART_WAIT_MS = 20
"""Commits wait as long for readers to end, which a look-up does in one; a backup reads for minutes: then the
log grows meanwhile."""

PAGE_BYTES = 1024
"""Keys are random: each row touches a page of its own, which goes to the log whole: small ones halve it."""

WAL_FRAME_BYTES = PAGE_BYTES + 24  # https://sqlite.org/fileformat2.html#wal_file_format

PRAGMAS = (
    f"page_size={PAGE_BYTES}",
    "journal_mode=wal",
    "synchronous=full",
    "wal_autocheckpoint=0",
    "cache_size=-32768",
    # What is deleted is overwritten with zeroes. At all times: a row that was moved to another page, as
    # inserts move them, would else be left where it was. Some 10 us of 100 of an answer.
    "secure_delete=on",
)

Row = tuple[Any, ...]


class Connection:
    """One SQLite connection, used by any thread under a lock."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        try:
            self.raw = sqlite3.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
            )
        except sqlite3.Error:
            raise StoreUnavailable(
                "the feeds' database cannot be opened: check the state directory"
            ) from None
        self.lock = threading.Lock()

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[Row]:
        try:
            with self.lock:
                # fetchall: an unfinished cursor would keep the log from ever being truncated.
                return self.raw.execute(query, parameters).fetchall()
        except sqlite3.Error:
            raise StoreUnavailable("the feeds' database cannot be read: check the disk") from None

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """`durable` False: kept when the process ends, and over a power cut from the next commit on."""
        try:
            with self.lock:
                if not durable:
                    self.raw.execute("pragma synchronous=normal")
                try:
                    self.raw.execute("begin immediate")
                    yield self.raw
                    self.raw.execute("commit")
                except BaseException:
                    # A full disk may have rolled it back already.
                    if self.raw.in_transaction:
                        self.raw.execute("rollback")
                    raise
                finally:
                    if not durable:
                        self.raw.execute("pragma synchronous=full")
        except sqlite3.Error:
            raise StoreUnavailable("the feeds' database cannot be written: check the disk") from None

    def close(self) -> None:
        with self.lock:
            self.raw.close()


def checkpoint(path: Path, writer: Connection, database: int) -> None:
    """Moves the log into the database on a connection of its own, so that no commit waits for it.

    `writer` is the one that commits; `database` is a descriptor of the file that stays open.
    """
    other = Connection(path, read_only=False)
    try:
        [(_, frames, _)] = other.rows("pragma wal_checkpoint(passive)")
        # Not the file's size, which never shrinks: frames are counted from the log's last start.
        if frames * WAL_FRAME_BYTES > WAL_RESTART_BYTES:
            # A checkpoint that comes to the log's end syncs the database: some 50 ms unless done already.
            os.fdatasync(database)
            # What came meanwhile, so that the last finds next to nothing.
            other.rows("pragma wal_checkpoint(passive)")
            os.fdatasync(database)
            # Commits wait for this one, for our lock: SQLite's own wait looks again after 1 to 50 ms.
            other.rows(f"pragma busy_timeout = {RESTART_WAIT_MS}")
            with writer.lock:
                other.rows("pragma wal_checkpoint(restart)")
    finally:
        other.close()
