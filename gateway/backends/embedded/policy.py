"""Policy store in one SQLite file: numbered snapshots, and the switches with their rising epoch.

Any process opens it by itself, so that a kill needs no other process. WAL and short transactions: a reader
never waits for a writer, and a writer waits for another at most BUSY_TIMEOUT_MS.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from gateway.programs.switches import EVERY_ISSUER, SwitchRefused, SwitchStoreUnavailable, SwitchView
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import Clock

BUSY_TIMEOUT_MS: Final = 400
"""Longest wait for another writer: leaves a kill the better part of its second."""

MAX_TEXT_CHARACTERS: Final = 256
"""Of an actor or a reason: they go into the audit, not into a book."""

_SCHEMA: Final = """
create table if not exists snapshots (
    version integer primary key, files text not null, actor text not null, reason text not null,
    at_ms integer not null
) strict;
create table if not exists switches (
    program text not null, issuer_id text not null, state text not null check (state in ('killed', 'paused')),
    epoch integer not null, actor text not null, reason text not null, at_ms integer not null,
    primary key (program, issuer_id)
) strict;
create table if not exists switch_events (
    epoch integer primary key, program text not null, issuer_id text not null, verb text not null,
    actor text not null, reason text not null, at_ms integer not null
) strict;
"""

_REASON_OF: Final = {"killed": Reason.KILLED, "paused": Reason.PROGRAM_NOT_ACTIVE}


class PolicyStoreUnavailable(SwitchStoreUnavailable):
    """The file cannot be read or written now."""

    code = "policy_store_unavailable"


class NoSuchSnapshot(GatewayError):
    """No snapshot has this number."""

    code = "no_such_snapshot"


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """Documents as they were applied: file name to text."""

    version: int
    files: Mapping[str, str]
    actor: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Switch:
    """One stop, with who set it and why."""

    program: str
    issuer_id: str
    state: str
    epoch: int
    actor: str
    reason: str
    at_ms: int


class SqlitePolicyStore:
    """Implements `SwitchStore`, and keeps the snapshots. Threads may share one; calls take turns."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen_data_version = -1
        self._view = SwitchView(0)
        self._version = 0
        with self._faults():
            self._db = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
            )
            self._db.execute("pragma journal_mode = wal")
            # A switch that was told to be in effect has to outlive a power cut.
            self._db.execute("pragma synchronous = full")
            if not self._db.execute("select 1 from sqlite_master where name = 'switch_events'").fetchone():
                self._db.executescript(f"begin immediate; {_SCHEMA} commit;")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # Snapshots.

    def apply(self, files: Mapping[str, str], *, actor: str, reason: str) -> int:
        """Stores checked documents as the next snapshot, which is the one in force; its number."""
        _check(actor, reason)
        text = json.dumps(dict(files), sort_keys=True)
        with self._write() as db:
            (version,) = db.execute("select coalesce(max(version), 0) + 1 from snapshots").fetchone()
            row = (version, text, actor, reason, self._clock.wall_ms())
            db.execute("insert into snapshots values (?, ?, ?, ?, ?)", row)
        return int(version)

    def version(self) -> int:
        """Number of the snapshot in force; 0 where there is none. Cheap where nothing changed."""
        with self._lock, self._faults():
            self._refresh()
            return self._version

    def snapshot(self, version: int) -> StoredSnapshot:
        """Raises NoSuchSnapshot."""
        with self._lock, self._faults():
            row = self._db.execute("select * from snapshots where version = ?", (version,)).fetchone()
        if row is None:
            raise NoSuchSnapshot("no snapshot has this number; list them with `ein programs`")
        return StoredSnapshot(row[0], json.loads(row[1]), row[2], row[3], row[4])

    # Switches.

    def epoch(self) -> int:
        return self.view().epoch

    def view(self) -> SwitchView:
        with self._lock, self._faults():
            self._refresh()
            return self._view

    def switches(self) -> list[Switch]:
        """All stops, with who and why, in order of program and issuer."""
        with self._lock, self._faults():
            rows = self._db.execute("select * from switches order by program, issuer_id").fetchall()
        return [Switch(*row) for row in rows]

    def kill(self, program: str, issuer_id: str = EVERY_ISSUER, *, actor: str, reason: str) -> int:
        return self._stop(program, issuer_id, "killed", actor, reason)

    def pause(self, program: str, issuer_id: str = EVERY_ISSUER, *, actor: str, reason: str) -> int:
        return self._stop(program, issuer_id, "paused", actor, reason)

    def resume(self, program: str, issuer_id: str = EVERY_ISSUER, *, actor: str, reason: str) -> int:
        _check(actor, reason)
        with self._write() as db:
            row = db.execute(
                "select state from switches where program = ? and issuer_id = ?", (program, issuer_id)
            ).fetchone()
            if row is not None and row[0] == "killed":
                raise SwitchRefused("a killed program comes back only with a second person's approval")
            db.execute("delete from switches where program = ? and issuer_id = ?", (program, issuer_id))
            return self._event(db, program, issuer_id, "resumed", actor, reason)

    def revive(
        self, program: str, issuer_id: str = EVERY_ISSUER, *, actor: str, approver: str, reason: str
    ) -> int:
        """Takes a kill back. Raises SwitchRefused unless a second person approves.

        Who the two are is for the caller to have authenticated.
        """
        _check(actor, reason)
        _check(approver, reason)
        if actor.strip() == approver.strip():
            raise SwitchRefused("approver: a killed program comes back only with a second person's approval")
        with self._write() as db:
            db.execute("delete from switches where program = ? and issuer_id = ?", (program, issuer_id))
            return self._event(db, program, issuer_id, f"revived, approved by {approver}", actor, reason)

    def _stop(self, program: str, issuer_id: str, state: str, actor: str, reason: str) -> int:
        _check(actor, reason)
        with self._write() as db:
            epoch = self._event(db, program, issuer_id, state, actor, reason)
            # A pause leaves a kill as it is: what was killed comes back in one way only.
            db.execute(
                "insert into switches values (?, ?, ?, ?, ?, ?, ?) on conflict do update set"
                " state = excluded.state, epoch = excluded.epoch, actor = excluded.actor,"
                " reason = excluded.reason, at_ms = excluded.at_ms where switches.state <> 'killed'",
                (program, issuer_id, state, epoch, actor, reason, self._clock.wall_ms()),
            )
        return epoch

    def _event(
        self, db: sqlite3.Connection, program: str, issuer_id: str, verb: str, actor: str, reason: str
    ) -> int:
        row = (program, issuer_id, verb, actor, reason, self._clock.wall_ms())
        cursor = db.execute("insert into switch_events values (null, ?, ?, ?, ?, ?, ?)", row)
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _refresh(self) -> None:
        """Reads again only what another connection, or our own write, has changed."""
        (data_version,) = self._db.execute("pragma data_version").fetchone()
        if data_version == self._seen_data_version:
            return
        # One transaction, so that epoch and stops belong together.
        self._db.execute("begin")
        try:
            (epoch,) = self._db.execute("select coalesce(max(epoch), 0) from switch_events").fetchone()
            stops = self._db.execute("select program, issuer_id, state from switches").fetchall()
            (version,) = self._db.execute("select coalesce(max(version), 0) from snapshots").fetchone()
        finally:
            self._db.execute("commit")
        self._view = SwitchView(
            epoch, {(program, issuer_id): _REASON_OF[state] for program, issuer_id, state in stops}
        )
        self._version = version
        self._seen_data_version = data_version

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._faults():
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
            raise PolicyStoreUnavailable(
                "the policy store does not answer; check the state directory's disk and permissions"
            ) from fault


def _check(actor: str, reason: str) -> None:
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip() or len(text) > MAX_TEXT_CHARACTERS:
            raise SwitchRefused(f"{name} takes 1 to {MAX_TEXT_CHARACTERS} characters")
