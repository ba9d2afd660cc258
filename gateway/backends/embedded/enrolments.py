"""Invitations and submissions of issuers in the policy's SQLite file, with an event for each act."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from gateway.backends.embedded.policy import MAX_TEXT_CHARACTERS, PolicyStoreUnavailable
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.programs.enrolling import (
    OPEN_INVITES_MAX,
    PROVE_MS,
    SUBMISSIONS_MAX,
    EnrolmentRefused,
    Invitation,
    Stage,
    Submission,
)
from gateway.runtime.clock import Clock

_SCHEMA: Final = """
create table if not exists invitations (
    invite_id integer primary key autoincrement, recipient_id text not null,
    token_sha256 text not null unique, invited_by text not null, at_ms integer not null,
    expires_at_ms integer not null,
    used_by integer not null default 0, withdrawn_at_ms integer not null default 0
) strict;
create table if not exists submissions (
    submission_id integer primary key autoincrement, recipient_id text not null,
    invite_id integer not null, by text not null, document text not null, thumbprints text not null,
    nonce_sha256 text not null,
    stage text not null, tries integer not null default 0, at_ms integer not null
) strict;
create table if not exists enrolment_events (
    event_id integer primary key autoincrement, verb text not null, recipient_id text not null,
    subject_id integer not null, actor text not null, reason text not null, thumbprints text not null,
    at_ms integer not null
) strict;
"""
_SUBMISSION = """select submission_id, recipient_id, invite_id, by, document, thumbprints, nonce_sha256,
    stage, tries, at_ms from submissions"""
_INVITATION = """select invite_id, recipient_id, invited_by, at_ms, expires_at_ms, used_by, withdrawn_at_ms
    from invitations"""


class SqliteEnrolments(SharedDatabase):
    """Implements `EnrolmentStore`. Threads may share one; calls take turns."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "enrolment_events"

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def invite(
        self, recipient_id: str, token_sha256: str, *, by: str, reason: str, life_ms: int
    ) -> Invitation:
        _check_reason(reason)
        now_ms = self._clock.wall_ms()
        waiting = (
            "select count(*) from invitations where used_by = 0 and withdrawn_at_ms = 0 and expires_at_ms > ?"
        )
        with self._write() as db:
            if db.execute(waiting, (now_ms,)).fetchone()[0] >= OPEN_INVITES_MAX:
                raise EnrolmentRefused(f"invitations: {OPEN_INVITES_MAX} wait; withdraw some first")
            cursor = db.execute(
                "insert into invitations (recipient_id, token_sha256, invited_by, at_ms, expires_at_ms)"
                " values (?, ?, ?, ?, ?)",
                (recipient_id, token_sha256, by, now_ms, now_ms + life_ms),
            )
            assert cursor.lastrowid is not None
            _event(db, "invite", recipient_id, cursor.lastrowid, by, reason, (), now_ms)
            row = db.execute(f"{_INVITATION} where invite_id = ?", (cursor.lastrowid,)).fetchone()
        return Invitation(*row)

    def invitation(self, token_sha256: str) -> Invitation | None:
        with self._lock, self._faults():
            row = self._db.execute(f"{_INVITATION} where token_sha256 = ?", (token_sha256,)).fetchone()
        return None if row is None else Invitation(*row)

    def withdraw(self, recipient_id: str, *, by: str, reason: str) -> int:
        _check_reason(reason)
        now_ms = self._clock.wall_ms()
        with self._write() as db:
            gone = [
                invite_id
                for (invite_id,) in db.execute(
                    "select invite_id from invitations where recipient_id = ? and used_by = 0"
                    " and withdrawn_at_ms = 0 and expires_at_ms > ?",
                    (recipient_id, now_ms),
                ).fetchall()
            ]
            for invite_id in gone:
                db.execute(
                    "update invitations set withdrawn_at_ms = ? where invite_id = ?", (now_ms, invite_id)
                )
                _event(db, "withdraw_invite", recipient_id, invite_id, by, reason, (), now_ms)
        return len(gone)

    def submit(
        self, recipient_id: str, *, invite_id: int, by: str, document: str, thumbprints: tuple[str, ...],
        nonce_sha256: str,
    ) -> Submission:  # fmt: skip
        now_ms = self._clock.wall_ms()
        recent = "select count(*) from submissions where recipient_id = ? and at_ms > ?"
        with self._write() as db:
            if invite_id:
                row = db.execute(f"{_INVITATION} where invite_id = ?", (invite_id,)).fetchone()
                if row is None or not Invitation(*row).usable(now_ms):
                    raise EnrolmentRefused(
                        "invitation: it is used, withdrawn or out of date: ask for another"
                    )
            if db.execute(recent, (recipient_id, now_ms - PROVE_MS)).fetchone()[0] >= SUBMISSIONS_MAX:
                raise EnrolmentRefused(f"submissions: {SUBMISSIONS_MAX} in an hour: wait, then send one")
            cursor = db.execute(
                "insert into submissions values (null, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                (
                    recipient_id, invite_id, by, document, json.dumps(thumbprints), nonce_sha256,
                    str(Stage.SUBMITTED), now_ms,
                ),
            )  # fmt: skip
            assert cursor.lastrowid is not None
            _event(db, "submit_keys", recipient_id, cursor.lastrowid, by, "", thumbprints, now_ms)
            return _get(db, cursor.lastrowid)

    def get(self, submission_id: int) -> Submission | None:
        with self._lock, self._faults():
            row = self._db.execute(f"{_SUBMISSION} where submission_id = ?", (submission_id,)).fetchone()
        return None if row is None else _submission(row)

    def tried(self, submission_id: int) -> int:
        with self._write() as db:
            db.execute("update submissions set tries = tries + 1 where submission_id = ?", (submission_id,))
            return _get(db, submission_id).tries

    def proven(self, submission_id: int) -> Submission:
        now_ms = self._clock.wall_ms()
        with self._write() as db:
            one = _get(db, submission_id)
            if one.stage is not Stage.SUBMITTED:
                return one
            if one.invite_id:
                row = db.execute(f"{_INVITATION} where invite_id = ?", (one.invite_id,)).fetchone()
                if not Invitation(*row).usable(now_ms):
                    raise EnrolmentRefused(
                        "invitation: it is used, withdrawn or out of date: ask for another"
                    )
                db.execute(
                    "update invitations set used_by = ? where invite_id = ?", (submission_id, one.invite_id)
                )
            _stage(db, submission_id, Stage.PROVEN)
            _event(db, "prove_keys", one.recipient_id, submission_id, one.by, "", one.thumbprints, now_ms)
            return _get(db, submission_id)

    def in_force(self, submission_id: int, *, by: str) -> Submission:
        now_ms = self._clock.wall_ms()
        with self._write() as db:
            one = _get(db, submission_id)
            if one.stage is Stage.IN_FORCE:
                return one
            before = _current(db, one.recipient_id)
            check_may_come(one, before)
            db.execute(
                "update submissions set stage = ? where recipient_id = ? and stage = ?",
                (str(Stage.REPLACED), one.recipient_id, str(Stage.IN_FORCE)),
            )
            _stage(db, submission_id, Stage.IN_FORCE)
            verb = "enrol" if before is None else "rotate_keys"
            _event(db, verb, one.recipient_id, submission_id, by, "", one.thumbprints, now_ms)
            return _get(db, submission_id)

    def revocable(self, recipient_id: str) -> Submission:
        with self._lock, self._faults():
            return _revocable(self._db, recipient_id)

    def revoke(self, recipient_id: str, *, by: str, reason: str) -> Submission:
        _check_reason(reason)
        with self._write() as db:
            one = _revocable(db, recipient_id)
            if one.stage is Stage.REVOKED:
                return one
            _stage(db, one.submission_id, Stage.REVOKED)
            now_ms = self._clock.wall_ms()
            _event(db, "revoke_keys", recipient_id, one.submission_id, by, reason, one.thumbprints, now_ms)
            return _get(db, one.submission_id)

    def current(self, recipient_id: str) -> Submission | None:
        with self._lock, self._faults():
            return _current(self._db, recipient_id)

    def pinned(self, recipient_id: str) -> frozenset[str] | None:
        known = """select stage, thumbprints from submissions
            where recipient_id = ? and stage in (?, ?, ?) order by submission_id"""
        stages = (str(Stage.IN_FORCE), str(Stage.REPLACED), str(Stage.REVOKED))
        with self._lock, self._faults():
            rows = self._db.execute(known, (recipient_id, *stages)).fetchall()
        if not rows:
            return None
        return frozenset(
            thumbprint
            for stage, thumbprints in rows
            if stage == Stage.IN_FORCE
            for thumbprint in json.loads(thumbprints)
        )

    def newest(self) -> Mapping[str, Submission]:
        with self._lock, self._faults():
            rows = self._db.execute(f"{_SUBMISSION} order by submission_id").fetchall()
        return {one.recipient_id: one for one in map(_submission, rows)}


def check_may_come(one: Submission, current: Submission | None) -> None:
    """Raises EnrolmentRefused for what was not proven, or is older than what is in force."""
    if one.stage is not Stage.PROVEN:
        raise EnrolmentRefused("submission: its keys are not proven, or it was replaced or revoked")
    if current is not None and current.submission_id > one.submission_id:
        raise EnrolmentRefused("submission: a later one of this recipient is in force")


def _get(db: sqlite3.Connection, submission_id: int) -> Submission:
    row = db.execute(f"{_SUBMISSION} where submission_id = ?", (submission_id,)).fetchone()
    if row is None:
        raise EnrolmentRefused("submission: there is none of this number")
    return _submission(row)


def _current(db: sqlite3.Connection, recipient_id: str) -> Submission | None:
    row = db.execute(
        f"{_SUBMISSION} where recipient_id = ? and stage = ?", (recipient_id, str(Stage.IN_FORCE))
    ).fetchone()
    return None if row is None else _submission(row)


def _revocable(db: sqlite3.Connection, recipient_id: str) -> Submission:
    """What is in force; or what was revoked last, where nothing came after it."""
    stages = f"{_SUBMISSION} where recipient_id = ? and stage in (?, ?) order by submission_id desc limit 1"
    row = db.execute(stages, (recipient_id, str(Stage.IN_FORCE), str(Stage.REVOKED))).fetchone()
    if row is None:
        raise EnrolmentRefused("recipient_id: none of its keys is in force; `ein issuer list` shows")
    return _submission(row)


def _submission(row: tuple[Any, ...]) -> Submission:
    submission_id, recipient_id, invite_id, by, document, thumbprints, nonce, stage, tries, at_ms = row
    return Submission(
        submission_id, recipient_id, invite_id, by, document, tuple(json.loads(thumbprints)), nonce,
        Stage(stage), tries, at_ms,
    )  # fmt: skip


def _stage(db: sqlite3.Connection, submission_id: int, stage: Stage) -> None:
    db.execute("update submissions set stage = ? where submission_id = ?", (str(stage), submission_id))


def _event(
    db: sqlite3.Connection, verb: str, recipient_id: str, subject_id: int, actor: str, reason: str,
    thumbprints: tuple[str, ...], at_ms: int,
) -> None:  # fmt: skip
    db.execute(
        "insert into enrolment_events values (null, ?, ?, ?, ?, ?, ?, ?)",
        (verb, recipient_id, subject_id, actor, reason, " ".join(thumbprints), at_ms),
    )


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > MAX_TEXT_CHARACTERS:
        raise EnrolmentRefused(f"reason takes 1 to {MAX_TEXT_CHARACTERS} characters")
