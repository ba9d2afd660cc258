"""Requests for approval in the policy's SQLite file, beside what they are about."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from gateway.backends.embedded.policy import MAX_TEXT_CHARACTERS, PolicyStoreUnavailable
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.programs.approvals import OPEN_MAX, Approval, ApprovalRefused, Kind, Verdict, decided
from gateway.runtime.clock import Clock

_SCHEMA: Final = """
create table if not exists approvals (
    approval_id integer primary key autoincrement, kind text not null, subject text not null,
    reason text not null, requested_by text not null, requested_at_ms integer not null,
    verdict text not null, decided_by text not null, decided_at_ms integer not null,
    done_at_ms integer not null
) strict;
create table if not exists approval_events (
    event_id integer primary key autoincrement, approval_id integer not null, verb text not null,
    actor text not null, at_ms integer not null
) strict;
"""

# A file of an earlier version has requests without events. Two processes may open it at once.
_EVENTS_OF_BEFORE: Final = """
insert into approval_events (approval_id, verb, actor, at_ms) select * from (
    select approval_id, iif(verdict = 'alone', 'alone', 'asked'), requested_by, requested_at_ms as at_ms
    from approvals
    union all select approval_id, verdict, decided_by, decided_at_ms from approvals where decided_at_ms > 0
    union all select approval_id, 'done', decided_by, done_at_ms from approvals
    where verdict = 'approved' and done_at_ms > 0
) where not exists (select 1 from approval_events) order by at_ms, approval_id;
"""


class SqliteApprovals(SharedDatabase):
    """Implements `ApprovalStore`. Threads may share one; calls take turns."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA + _EVENTS_OF_BEFORE
    NEWEST_TABLE = "approval_events"

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def request(self, kind: Kind, subject: Mapping[str, str], *, by: str, reason: str) -> Approval:
        now_ms = self._clock.wall_ms()
        with self._write() as db:
            waiting = [one for one in self._all(db) if _waits(one, now_ms)]
            for one in waiting:
                if one.kind is kind and dict(one.subject) == dict(subject):
                    raise ApprovalRefused(f"approval: request {one.approval_id} asks for the same and waits")
            if len(waiting) >= OPEN_MAX:
                raise ApprovalRefused(f"approval: {OPEN_MAX} requests wait: decide some first")
            return self._get(db, self._insert(db, kind, subject, by, reason, Verdict.OPEN))

    def alone(self, kind: Kind, subject: Mapping[str, str], *, by: str, reason: str) -> None:
        with self._write() as db:
            self._insert(db, kind, subject, by, reason, Verdict.ALONE)

    def _insert(
        self,
        db: sqlite3.Connection,
        kind: Kind,
        subject: Mapping[str, str],
        by: str,
        reason: str,
        verdict: Verdict,
    ) -> int:
        if not reason.strip() or len(reason) > MAX_TEXT_CHARACTERS:
            raise ApprovalRefused(f"reason takes 1 to {MAX_TEXT_CHARACTERS} characters")
        now_ms = self._clock.wall_ms()
        done_at_ms = now_ms if verdict is Verdict.ALONE else 0
        text = json.dumps(dict(subject), sort_keys=True)
        cursor = db.execute(
            "insert into approvals values (null, ?, ?, ?, ?, ?, ?, '', 0, ?)",
            (
                str(kind),
                text,
                reason,
                by,
                now_ms,
                str(verdict),
                done_at_ms,
            ),
        )
        assert cursor.lastrowid is not None
        _event(db, cursor.lastrowid, "alone" if verdict is Verdict.ALONE else "asked", by, now_ms)
        return cursor.lastrowid

    def get(self, approval_id: int) -> Approval:
        with self._lock, self._faults():
            return self._get(self._db, approval_id)

    def all(self) -> list[Approval]:
        with self._lock, self._faults():
            return self._all(self._db)

    def decide(self, approval_id: int, *, by: str, approve: bool) -> Approval:
        with self._write() as db:
            before = self._get(db, approval_id)
            made = decided(before, by=by, approve=approve, now_ms=self._clock.wall_ms())
            if made != before:
                db.execute(
                    "update approvals set verdict = ?, decided_by = ?, decided_at_ms = ?"
                    " where approval_id = ?",
                    (str(made.verdict), made.decided_by, made.decided_at_ms, approval_id),
                )
                _event(db, approval_id, str(made.verdict), by, made.decided_at_ms)
        return made

    def done(self, approval_id: int) -> None:
        with self._write() as db:
            now_ms, before = self._clock.wall_ms(), self._get(db, approval_id)
            if not before.done_at_ms:
                db.execute("update approvals set done_at_ms = ? where approval_id = ?", (now_ms, approval_id))
                _event(db, approval_id, "done", before.decided_by, now_ms)

    def _get(self, db: sqlite3.Connection, approval_id: int) -> Approval:
        row = db.execute("select * from approvals where approval_id = ?", (approval_id,)).fetchone()
        if row is None:
            raise ApprovalRefused("approval: there is no request of this number; `ein approvals` lists them")
        return _approval(row)

    def _all(self, db: sqlite3.Connection) -> list[Approval]:
        return [_approval(row) for row in db.execute("select * from approvals order by approval_id")]


def _event(db: sqlite3.Connection, approval_id: int, verb: str, actor: str, at_ms: int) -> None:
    """What the ledger reads: a row of `approvals` changes, an event never does."""
    db.execute(
        "insert into approval_events values (null, ?, ?, ?, ?)",
        (approval_id, verb, actor, at_ms),
    )


def _waits(one: Approval, now_ms: int) -> bool:
    return one.verdict is Verdict.OPEN and now_ms < one.expires_at_ms


def _approval(row: tuple[Any, ...]) -> Approval:
    approval_id, kind, subject, reason, requested_by, requested_at_ms, verdict, by, at_ms, done_at_ms = row
    return Approval(
        approval_id, Kind(kind), json.loads(subject), reason, requested_by, requested_at_ms, Verdict(verdict),
        by, at_ms, done_at_ms,
    )  # fmt: skip
