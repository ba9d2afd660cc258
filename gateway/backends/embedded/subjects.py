"""Cardholders' cases in the file of the registry of consents: acts of the same order, with the same epoch."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from gateway.backends.embedded.consents import ACTS, ConsentStoreUnavailable, check_words, next_epoch
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.programs.consents import ID_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, check_text
from gateway.programs.subjects import (
    UNIT_KEY_BYTES,
    CaseEvent,
    CaseKind,
    CaseState,
    SubjectRefused,
    ToldByHand,
    check_keys,
    check_move,
    check_under_way,
)
from gateway.runtime.clock import Clock

_SCHEMA: Final = (
    ACTS
    + """
create table if not exists case_keys (
    case_id integer not null, unit_key blob not null, primary key (case_id, unit_key)
) strict, without rowid;
create index if not exists case_keys_of_card on case_keys (unit_key);
create table if not exists case_events (
    event_id integer primary key, act_id integer not null, case_id integer not null, kind text not null,
    state text not null
) strict;
create index if not exists case_events_of_case on case_events (case_id, event_id);
create index if not exists case_events_of_act on case_events (act_id);
create table if not exists case_told (
    act_id integer primary key, case_id integer not null, recipient_id text not null, evidence text not null
) strict;
create index if not exists case_told_of_case on case_told (case_id);
"""
)

TOLD_ACT: Final = "erasure told"
"""Kind of the act by which a recipient was told by hand."""

_EVENTS: Final = """select e.event_id, e.case_id, e.kind, e.state,
    (select group_concat(hex(k.unit_key), '') from case_keys k where k.case_id = e.case_id),
    a.epoch, a.actor, a.reason, a.at_ms
    from case_events e join acts a using (act_id) where {where} order by e.event_id limit ?"""

_TOLD: Final = """select t.case_id, t.recipient_id, t.evidence, a.epoch, a.actor, a.reason, a.at_ms
    from case_told t join acts a using (act_id) where t.case_id = ? and not exists (
        select 1 from case_told later
        where later.case_id = t.case_id and later.recipient_id = t.recipient_id and later.act_id > t.act_id
    ) order by t.recipient_id"""

_OPEN_COUNTS: Final = """select kind, count(*) from case_events e
    where state = 'received' and not exists (select 1 from case_events later
    where later.case_id = e.case_id and later.event_id > e.event_id) group by kind"""

_ALL: Final = -1
"""SQLite's number for no limit."""


class SqliteSubjects(SharedDatabase):
    """Implements `SubjectStore`. Threads may share one; calls take turns."""

    UNAVAILABLE = ConsentStoreUnavailable
    NAME = "the registry of consents"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "case_told"

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(path)

    def open(
        self, kinds: Sequence[CaseKind], unit_keys: Sequence[bytes], *, actor: str, reason: str
    ) -> tuple[list[int], int]:
        keys = check_keys(unit_keys)
        check_words(actor, reason)
        with self._write() as db:
            act_id, epoch = self._act(db, str(kinds[-1]), actor, reason)
            (last,) = db.execute("select coalesce(max(case_id), 0) from case_keys").fetchone()
            case_ids = list(range(last + 1, last + 1 + len(kinds)))
            for case_id, kind in zip(case_ids, kinds, strict=True):
                db.executemany("insert into case_keys values (?, ?)", [(case_id, key) for key in keys])
                _insert(db, act_id, case_id, kind, CaseState.RECEIVED)
        return case_ids, epoch

    def move(self, case_id: int, state: CaseState, *, actor: str, reason: str) -> int:
        check_words(actor, reason)
        with self._write() as db:
            kind, before = _stands(db, case_id)
            check_move(kind, before, state)
            act_id, epoch = self._act(db, f"{kind} {state}", actor, reason)
            _insert(db, act_id, case_id, kind, state)
        return epoch

    def tell(self, case_id: int, recipient_id: str, evidence: str, *, actor: str, reason: str) -> int:
        check_words(actor, reason)
        check_text("recipient", recipient_id, ID_CHARACTERS_MAX)
        check_text("evidence", evidence, TEXT_CHARACTERS_MAX)
        with self._write() as db:
            check_under_way(*_stands(db, case_id))
            act_id, epoch = self._act(db, TOLD_ACT, actor, reason)
            db.execute("insert into case_told values (?, ?, ?, ?)", (act_id, case_id, recipient_id, evidence))
        return epoch

    def told(self, case_id: int) -> list[ToldByHand]:
        with self._lock, self._faults():
            rows = self._db.execute(_TOLD, (case_id,)).fetchall()
        return [
            ToldByHand(
                case_id=row[0], recipient_id=row[1], evidence=row[2], epoch=row[3], actor=row[4],
                reason=row[5], at_ms=row[6],
            )
            for row in rows
        ]  # fmt: skip

    def case(self, case_id: int) -> list[CaseEvent]:
        return self._events("e.case_id = ?", (case_id,), _ALL)[0]

    def of_card(self, unit_keys: Sequence[bytes]) -> list[CaseEvent]:
        marks = ",".join("?" * len(unit_keys))
        where = f"e.case_id in (select case_id from case_keys where unit_key in ({marks}))"  # noqa: S608
        return self._events(where, tuple(unit_keys), _ALL)[0]

    def events(self, after: int, most: int) -> tuple[list[CaseEvent], int]:
        return self._events("e.event_id > ?", (after,), most, after)

    def open_counts(self) -> dict[str, int]:
        """Cases by kind that something is still to come of: objections to decide, erasures to certify."""
        counts = {str(kind): 0 for kind in CaseKind}
        with self._lock, self._faults():
            counts.update(self._db.execute(_OPEN_COUNTS).fetchall())
        return counts

    def _events(
        self, where: str, parameters: tuple[object, ...], most: int, last: int = 0
    ) -> tuple[list[CaseEvent], int]:
        with self._lock, self._faults():
            rows = self._db.execute(_EVENTS.format(where=where), (*parameters, most)).fetchall()
        return [_event(row) for row in rows], rows[-1][0] if rows else last

    def _act(self, db: sqlite3.Connection, kind: str, actor: str, reason: str) -> tuple[int, int]:
        epoch = next_epoch(db)
        act_id = db.execute(
            "insert into acts (epoch, kind, actor, reason, at_ms) values (?, ?, ?, ?, ?)",
            (epoch, kind, actor, reason, self._clock.wall_ms()),
        ).lastrowid
        assert act_id is not None
        return act_id, epoch


def _stands(db: sqlite3.Connection, case_id: int) -> tuple[CaseKind, CaseState]:
    """What a case is and how far it has come. Raises SubjectRefused where there is none."""
    row = db.execute(
        "select kind, state from case_events where case_id = ? order by event_id desc limit 1", (case_id,)
    ).fetchone()
    if row is None:
        raise SubjectRefused("case: there is none of this number; see `ein subject show`")
    return CaseKind(row[0]), CaseState(row[1])


def _insert(db: sqlite3.Connection, act_id: int, case_id: int, kind: CaseKind, state: CaseState) -> None:
    db.execute("insert into case_events values (null, ?, ?, ?, ?)", (act_id, case_id, str(kind), str(state)))


def _event(row: tuple[Any, ...]) -> CaseEvent:
    event_id, case_id, kind, state, keys, epoch, actor, reason, at_ms = row
    raw = bytes.fromhex(keys)
    return CaseEvent(
        case_id=case_id, kind=CaseKind(kind), state=CaseState(state),
        unit_keys=tuple(raw[at : at + UNIT_KEY_BYTES] for at in range(0, len(raw), UNIT_KEY_BYTES)),
        event_id=event_id, epoch=epoch, actor=actor, reason=reason, at_ms=at_ms,
    )  # fmt: skip
