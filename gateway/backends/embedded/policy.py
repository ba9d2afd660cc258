"""Policy store in one SQLite file: numbered snapshots, the switches with their rising epoch, their history.

Any process opens it by itself, so that a kill needs no other process. WAL and short transactions: a reader
never waits for a writer, and a writer waits for another at most BUSY_TIMEOUT_MS.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.programs.issues import PolicyInvalid, PolicyIssue
from gateway.programs.switches import (
    EVERY_ISSUER,
    GUARDRAIL_ACTOR,
    MAX_EPOCH,
    SwitchRefused,
    SwitchStoreUnavailable,
    SwitchView,
)
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import Clock

MAX_TEXT_CHARACTERS: Final = 256
"""Of an actor or a reason: they go into the audit, not into a book."""

KILLED_AGAIN: Final = "program: it was killed again since this was asked for; ask anew"

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

# Beside the snapshots, so that a file of an earlier version needs no change.
_ORIGINS: Final = """
create table if not exists snapshot_origins (
    version integer primary key, switch_epoch integer not null, restored_from integer not null
) strict;
"""

_SNAPSHOT_EVENTS: Final = """
select s.version, s.actor, s.reason, s.at_ms, coalesce(o.restored_from, 0), coalesce(o.switch_epoch,
    (select max(epoch) from switch_events where at_ms <= s.at_ms), 0)
from snapshots s left join snapshot_origins o using (version) where s.version < ?
order by s.version desc limit ?
"""

_REASON_OF: Final = {"killed": Reason.KILLED, "paused": Reason.PROGRAM_NOT_ACTIVE}


class PolicyStoreUnavailable(SwitchStoreUnavailable):
    """The file cannot be read or written now."""

    code = "policy_store_unavailable"


class NoSuchSnapshot(GatewayError):
    """No snapshot has this number."""

    code = "no_such_snapshot"


class PolicyMoved(GatewayError):
    """Another snapshot was applied since the one that this one was checked against."""

    code = "policy_moved"


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


@dataclass(frozen=True, slots=True)
class PolicyEvent:
    """One line of the history: a snapshot that was applied, or a switch; what it has not is 0 or empty."""

    what: str
    """applied, rolled back; killed, paused, resumed, or the store's own words for a revival."""
    actor: str
    reason: str
    at_ms: int
    policy_version: int = 0
    restored_from: int = 0
    switch_epoch: int = 0
    program: str = ""
    issuer_id: str = ""


class SqlitePolicyStore(SharedDatabase):
    """Implements `SwitchStore`, and keeps the snapshots. Threads may share one; calls take turns."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA + _ORIGINS
    NEWEST_TABLE = "snapshot_origins"

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self._view = SwitchView(0)
        self._version = 0
        super().__init__(path)

    # Snapshots.

    def apply(
        self,
        files: Mapping[str, str],
        *,
        actor: str,
        reason: str,
        over: int | None = None,
        restored_from: int = 0,
    ) -> int:
        """Stores checked documents as the next snapshot, which is the one in force; its number.

        `over`: number of the snapshot that they were checked against. Raises PolicyMoved where it is no
        longer the one in force.
        """
        _check(actor, reason)
        text = json.dumps(dict(files), sort_keys=True)
        with self._write() as db:
            (last,) = db.execute("select coalesce(max(version), 0) from snapshots").fetchone()
            if over is not None and over != last:
                raise PolicyMoved(
                    f"policy {last} was applied meanwhile: look at `ein plan` again, then apply again"
                )
            row = (last + 1, text, actor, reason, self._clock.wall_ms())
            db.execute("insert into snapshots values (?, ?, ?, ?, ?)", row)
            db.execute(
                "insert into snapshot_origins values"
                " (?, (select coalesce(max(epoch), 0) from switch_events), ?)",
                (last + 1, restored_from),
            )
        return int(last) + 1

    def version(self) -> int:
        """Number of the snapshot in force; 0 where there is none. Cheap where nothing changed."""
        with self._lock, self._faults():
            self._refresh()
            return self._version

    def snapshot(self, version: int) -> StoredSnapshot:
        """Raises NoSuchSnapshot; PolicyInvalid where what is stored is no snapshot."""
        with self._lock, self._faults():
            row = self._db.execute("select * from snapshots where version = ?", (version,)).fetchone()
        if row is None:
            raise NoSuchSnapshot("no snapshot has this number; list them with `ein history`")
        return StoredSnapshot(row[0], _files(version, row[1]), row[2], row[3], row[4])

    def revivals_since(self, version: int) -> frozenset[tuple[str, str]]:
        """Program and issuer of each revival approved since snapshot `version` was applied."""
        with self._lock, self._faults():
            rows = self._db.execute(
                "select program, issuer_id from switch_events where verb like 'revived%' and epoch >"
                " coalesce((select switch_epoch from snapshot_origins where version = ?), 0)",
                (version,),
            ).fetchall()
        return frozenset((program, issuer_id) for program, issuer_id in rows)

    def history(
        self, limit: int, *, before_epoch: int = MAX_EPOCH, before_version: int = MAX_EPOCH
    ) -> list[PolicyEvent]:
        """The newest `limit` events, oldest first, in the order in which they were written.

        Of switches before an epoch and of snapshots before a version, where those are given. Documents are
        not read: what this version no longer accepts stands in it too.
        """
        with self._lock, self._faults():
            # One transaction, so that no event is missing between the two.
            self._db.execute("begin")
            try:
                applied = self._db.execute(_SNAPSHOT_EVENTS, (before_version, limit)).fetchall()
                switched = self._db.execute(
                    "select epoch, program, issuer_id, verb, actor, reason, at_ms from switch_events"
                    " where epoch < ? order by epoch desc limit ?",
                    (before_epoch, limit),
                ).fetchall()
            finally:
                self._db.execute("commit")
        # A snapshot stands behind the last switch that was there when it was applied: clocks may jump. No
        # later snapshot stands before an earlier one, so that a page ends where the next begins.
        epochs = list(accumulate((row[5] for row in applied), min))
        events = [
            ((last, 1, version), PolicyEvent(
                "rolled back" if restored_from else "applied", actor, reason, at_ms,
                policy_version=version, restored_from=restored_from,
            ))
            for last, (version, actor, reason, at_ms, restored_from, _) in zip(epochs, applied, strict=True)
        ] + [
            ((epoch, 0, 0), PolicyEvent(
                verb, actor, reason, at_ms, switch_epoch=epoch, program=program, issuer_id=issuer_id
            ))
            for epoch, program, issuer_id, verb, actor, reason, at_ms in switched
        ]  # fmt: skip
        return [event for _, event in sorted(events, key=lambda one: one[0])[-limit:]]

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
        _check_person(actor)
        with self._write() as db:
            row = db.execute(
                "select state from switches where program = ? and issuer_id = ?", (program, issuer_id)
            ).fetchone()
            if row is not None and row[0] == "killed":
                raise SwitchRefused(
                    "a killed program comes back only with a second person's approval: ask by `ein revive`"
                )
            db.execute("delete from switches where program = ? and issuer_id = ?", (program, issuer_id))
            return self._event(db, program, issuer_id, "resumed", actor, reason)

    def last_kill(self, program: str, issuer_id: str = EVERY_ISSUER) -> int:
        """Epoch of the newest kill of exactly this scope; 0 where there is none."""
        with self._lock, self._faults():
            return _last_kill(self._db, program, issuer_id)

    def revive(
        self,
        program: str,
        issuer_id: str = EVERY_ISSUER,
        *,
        actor: str,
        approver: str,
        reason: str,
        of_kill: int | None = None,
    ) -> int:
        """Takes a kill back. Raises SwitchRefused unless a second person approves.

        `of_kill`: what `last_kill` said when it was asked for. A kill since then stays, and what was taken
        back already is not taken back again. Who the two are is for the caller to have authenticated.
        """
        _check(actor, reason)
        _check(approver, reason)
        _check_person(actor)
        _check_person(approver)
        if actor.strip() == approver.strip():
            raise SwitchRefused("approver: a killed program comes back only with a second person's approval")
        scope = (program, issuer_id)
        with self._write() as db:
            if of_kill is not None and of_kill != _last_kill(db, *scope):
                raise SwitchRefused(KILLED_AGAIN)
            stopped = "select 1 from switches where program = ? and issuer_id = ? and state = 'killed'"
            if of_kill and not db.execute(stopped, scope).fetchone():
                (epoch,) = db.execute("select max(epoch) from switch_events").fetchone()
                return int(epoch)
            db.execute("delete from switches where program = ? and issuer_id = ?", scope)
            return self._event(db, *scope, f"revived, approved by {approver}", actor, reason)

    def _stop(self, program: str, issuer_id: str, state: str, actor: str, reason: str) -> int:
        with self._write() as db:
            return self._stopped(db, program, issuer_id, state, actor, reason)

    def _stopped(
        self, db: sqlite3.Connection, program: str, issuer_id: str, state: str, actor: str, reason: str
    ) -> int:
        """Stops within a transaction; the epoch."""
        _check(actor, reason)
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
        data_version = self._data_version()
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


def _files(version: int, text: str) -> dict[str, str]:
    try:
        files = json.loads(text)
    except ValueError:
        files = None
    if not isinstance(files, dict) or not all(isinstance(one, str) for one in files.values()):
        raise PolicyInvalid(
            [
                PolicyIssue(
                    f"policy {version}", "", "what is stored is not readable", "Apply the documents anew"
                )
            ]
        )
    return files


def _check(actor: str, reason: str) -> None:
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip() or len(text) > MAX_TEXT_CHARACTERS:
            raise SwitchRefused(f"{name} takes 1 to {MAX_TEXT_CHARACTERS} characters")


def _last_kill(db: sqlite3.Connection, program: str, issuer_id: str) -> int:
    (epoch,) = db.execute(
        "select coalesce(max(epoch), 0) from switch_events where verb = 'killed' and program = ?"
        " and issuer_id = ?",
        (program, issuer_id),
    ).fetchone()
    return int(epoch)


def _check_person(actor: str) -> None:
    if actor.startswith(GUARDRAIL_ACTOR):
        raise SwitchRefused("actor: a guardrail pauses, and takes nothing back; that takes a person")
