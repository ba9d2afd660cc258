"""The registry of consents in one SQLite file: acts, each with its rows, in force from the act's epoch on.

An import stages its rows in short transactions, so that no other writer waits for it; one small transaction
gives it its epoch, and with that all of it is in force.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.programs.consents import (
    SETTINGS_A_CALL_MAX,
    TEXT_CHARACTERS_MAX,
    ConsentRefused,
    Party,
    Said,
    Setting,
    check_setting,
)
from gateway.programs.model import Tier
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock

ACTS: Final = """
create table if not exists acts (
    act_id integer primary key autoincrement, epoch integer unique, kind text not null, actor text not null,
    reason text not null, at_ms integer not null, abandoned integer not null default 0
) strict;
"""
"""Of the whole registry: what merchants and platforms said, and what cardholders asked for (`subjects`)."""

_SCHEMA: Final = (
    ACTS
    + """
create table if not exists settings (
    row_id integer primary key, act_id integer not null, party text not null, party_id text not null,
    tier text not null, terms_version text not null, evidence text not null, valid_from_ms integer not null,
    valid_until_ms integer not null
) strict;
create index if not exists settings_of_act on settings (act_id, row_id);
create index if not exists settings_of_party on settings (party, party_id);
"""
)

_COLUMNS: Final = (
    "s.party, s.party_id, s.tier, s.terms_version, s.evidence, s.valid_from_ms, s.valid_until_ms,"
    " a.epoch, a.actor, a.reason, a.at_ms, s.row_id"
)


class ConsentStoreUnavailable(GatewayError):
    """The file cannot be read or written now."""

    code = "store_unavailable"


class SqliteConsents(SharedDatabase):
    """Implements `ConsentStore`. Threads may share one; calls take turns."""

    UNAVAILABLE = ConsentStoreUnavailable
    NAME = "the registry of consents"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "settings"

    def __init__(self, path: str, clock: Clock) -> None:
        self._clock = clock
        self._epoch = 0
        super().__init__(path)

    def epoch(self) -> int:
        """Cheap where nothing changed since the last call."""
        with self._lock, self._faults():
            data_version = self._data_version()
            if data_version != self._seen_data_version:
                (self._epoch,) = self._db.execute("select coalesce(max(epoch), 0) from acts").fetchone()
                self._seen_data_version = data_version
            return self._epoch

    def put(self, settings: Sequence[Setting], *, actor: str, reason: str) -> int:
        check_words(actor, reason)
        if not 1 <= len(settings) <= SETTINGS_A_CALL_MAX:
            raise ConsentRefused(f"settings: send 1 to {SETTINGS_A_CALL_MAX}; import more from a file")
        checked = [check_setting(one) for one in settings]
        with self._write() as db:
            epoch = next_epoch(db)
            row = (epoch, "put", actor, reason, self._clock.wall_ms())
            act_id = db.execute(
                "insert into acts (epoch, kind, actor, reason, at_ms) values (?, ?, ?, ?, ?)", row
            ).lastrowid
            assert act_id is not None
            _insert(db, act_id, checked)
        return epoch

    def said(self, party: Party, party_id: str) -> list[Said]:
        with self._lock, self._faults():
            rows = self._db.execute(
                f"select {_COLUMNS} from settings s join acts a using (act_id)"  # noqa: S608 - no value
                " where s.party = ? and s.party_id = ? and a.epoch is not null order by a.epoch, s.row_id",
                (str(party), party_id),
            ).fetchall()
        return [_said(row) for row in rows]

    def changes(self, after: tuple[int, int], most: int) -> tuple[list[Said], tuple[int, int]]:
        epoch, row_id = after
        rows: list[tuple[Any, ...]] = []
        with self._lock, self._faults():
            acts = self._db.execute(
                "select act_id, epoch from acts where epoch >= ? order by epoch", (epoch,)
            ).fetchall()
            for act_id, act_epoch in acts:
                rows += self._db.execute(
                    f"select {_COLUMNS} from settings s join acts a using (act_id)"  # noqa: S608 - no value
                    " where s.act_id = ? and s.row_id > ? order by s.row_id limit ?",
                    (act_id, row_id if act_epoch == epoch else 0, most - len(rows)),
                ).fetchall()
                if len(rows) >= most:
                    break
        if not rows:
            return [], after
        return [_said(row) for row in rows], (rows[-1][7], rows[-1][11])

    def start_import(self, *, actor: str, reason: str) -> int:
        check_words(actor, reason)
        with self._write() as db:
            row = ("import", actor, reason, self._clock.wall_ms())
            act_id = db.execute(
                "insert into acts (kind, actor, reason, at_ms) values (?, ?, ?, ?)", row
            ).lastrowid
        assert act_id is not None
        return act_id

    def stage(self, import_id: int, settings: Sequence[Setting]) -> None:
        if len(settings) > SETTINGS_A_CALL_MAX:
            raise ConsentRefused(f"settings: stage at most {SETTINGS_A_CALL_MAX} at a time")
        checked = [check_setting(one) for one in settings]
        with self._write() as db:
            _check_open(db, import_id)
            _insert(db, import_id, checked)

    def finish_import(self, import_id: int) -> int:
        with self._write() as db:
            _check_open(db, import_id)
            epoch = next_epoch(db)
            db.execute(
                "update acts set epoch = ?, at_ms = ? where act_id = ?",
                (epoch, self._clock.wall_ms(), import_id),
            )
        return epoch

    def abandon_import(self, import_id: int) -> None:
        with self._write() as db:
            _check_open(db, import_id)
            db.execute("update acts set abandoned = 1 where act_id = ?", (import_id,))
        gone = SETTINGS_A_CALL_MAX
        while gone == SETTINGS_A_CALL_MAX:
            with self._write() as db:
                gone = db.execute(
                    "delete from settings where row_id in"
                    " (select row_id from settings where act_id = ? limit ?)",
                    (import_id, SETTINGS_A_CALL_MAX),
                ).rowcount


def next_epoch(db: sqlite3.Connection) -> int:
    """Of the act that is being written."""
    (epoch,) = db.execute("select coalesce(max(epoch), 0) + 1 from acts").fetchone()
    return int(epoch)


def _check_open(db: sqlite3.Connection, import_id: int) -> None:
    row = db.execute(
        "select 1 from acts where act_id = ? and kind = 'import' and epoch is null and not abandoned",
        (import_id,),
    ).fetchone()
    if row is None:
        raise ConsentRefused("import: there is none of this number that is still open; start one anew")


def _insert(db: sqlite3.Connection, act_id: int, settings: Sequence[Setting]) -> None:
    db.executemany(
        "insert into settings values (null, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                act_id, str(one.party), one.party_id, one.tier.name, one.terms_version, one.evidence,
                one.valid_from_ms, one.valid_until_ms,
            )
            for one in settings
        ],
    )  # fmt: skip


def _said(row: tuple[Any, ...]) -> Said:
    party, party_id, tier, terms_version, evidence, valid_from_ms, valid_until_ms, epoch, *words, _ = row
    setting = Setting(
        Party(party), party_id, Tier[tier], terms_version, evidence, valid_from_ms, valid_until_ms
    )
    return Said(setting, epoch, *words)


def check_words(actor: str, reason: str) -> None:
    """Raises ConsentRefused."""
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip() or len(text) > TEXT_CHARACTERS_MAX:
            raise ConsentRefused(f"{name}: takes 1 to {TEXT_CHARACTERS_MAX} characters")
