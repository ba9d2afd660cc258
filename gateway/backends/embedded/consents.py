"""The registry of consents in one SQLite file: acts, each with its rows, in force from the act's epoch on.

An import stages packs of rows in short transactions, so that no other writer waits for it; one small
transaction gives it its epoch, and with that all of it is in force.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from heapq import nlargest
from itertools import chain
from typing import Any, Final

from gateway.backends.embedded.consents_meanwhile import (
    LOOKED_UP_INSIDE,
    Words,
    kept,
    pack_of,
    packs_of,
    said_since,
    word_of,
)
from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.programs.consent_packs import Pack, columns_of, cut, hash_of, page_of
from gateway.programs.consent_rows import ROW, Place
from gateway.programs.consents import (
    NEWEST_PLACE,
    SAID_A_PAGE_MAX,
    SETTINGS_A_CALL_MAX,
    TEXT_CHARACTERS_MAX,
    ConsentRefused,
    Imported,
    Party,
    Said,
    Setting,
    check_setting,
)
from gateway.programs.model import Tier
from gateway.programs.switches import MAX_EPOCH
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock

PACKS_DELETED: Final = 8
"""At a time, of an import that is given up: some 20 pages of the file."""

IMPORT_OPEN_MAX_MS: Final = 3_600_000
"""An hour: one that was begun earlier was ended by force. The next one gives it up."""

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
create index if not exists settings_by_act on settings (act_id, row_id);
create index if not exists settings_of_party on settings (party, party_id);
drop index if exists settings_of_act;
create index if not exists imports_in_force on acts (epoch) where kind = 'import';
create table if not exists packs (
    pack_id integer primary key, act_id integer not null, last_row integer not null,
    row_count integer not null, low integer not null, high integer not null, rows text not null
) strict;
create index if not exists packs_of_act on packs (act_id, last_row);
create index if not exists packs_of_hash on packs (high, low);
"""
)
"""Rows of imports were settings before there were packs. Workers of then would not see packs, and stand still
without their index: they let nothing be shared until they are started anew."""

_COLUMNS: Final = (
    "s.party, s.party_id, s.tier, s.terms_version, s.evidence, s.valid_from_ms, s.valid_until_ms,"
    " a.epoch, a.actor, a.reason, a.at_ms, s.row_id"
)

_EPOCH: Final = 7
"""Among them."""

# Looked up, since an enum's name and text take as long to come by as the rest of a row.
_PARTIES: Final = {party: party.value for party in Party}
_TIERS: Final = {tier: tier.name for tier in Tier}


def _packed(epoch: str) -> str:
    members = ("party", "party_id", "tier", "terms_version", "valid_from_ms", "valid_until_ms")
    return " || char(31) || ".join((*(f"s.{name}" for name in members), epoch, "s.row_id"))


# One text a page: the interpreter is given up and taken again for each row that a statement gives.
_REST_OF_ACT: Final = f"""
select group_concat(packed, char(30)), count(*) from (
    select {_packed("a.epoch")} as packed
    from acts a cross join settings s on s.act_id = a.act_id and s.row_id > ?
    where a.epoch = ? order by s.row_id limit ?)
"""  # noqa: S608 - no value
# In the order of the nested look-ups, which it spells out: sorting would read an act of a million rows whole.
# Who takes the page in sees that it is in order.
_LATER_ACTS: Final = f"""
select group_concat(packed, char(30)) from (
    select {_packed("a.epoch")} as packed
    from (
        select act_id, epoch from acts where epoch > ? and epoch < ?
        and exists (select 1 from settings e where e.act_id = acts.act_id) order by epoch limit ?
    ) a
    cross join settings s indexed by settings_by_act on s.act_id = a.act_id limit ?)
"""  # noqa: S608 - no value

_NEXT_OF_PACKS: Final = """select act_id, epoch from acts where kind = 'import' and epoch > ? and epoch < ?
    and exists (select 1 from packs p where p.act_id = acts.act_id) order by epoch limit 1"""
_PACKS: Final = """select last_row, row_count, rows from packs where act_id = ? and last_row > ?
    order by last_row"""
_PACKS_OF_HASH: Final = """select p.last_row - p.row_count, p.rows, a.epoch, a.actor, a.reason, a.at_ms
    from packs p join acts a using (act_id) where p.high >= ?1 and p.low <= ?1 and a.epoch is not null"""
_GIVE_UP: Final = """update acts set abandoned = 1
    where kind = 'import' and epoch is null and not abandoned and at_ms <= ?"""
_DEAD_WITH_PACKS: Final = """select act_id from acts where kind = 'import' and epoch is null and abandoned
    and exists (select 1 from packs p where p.act_id = acts.act_id)"""
_STAGE: Final = """insert into packs (act_id, last_row, row_count, low, high, rows)
    select act_id, ?2 + (select coalesce(max(last_row), 0) from packs where act_id = ?1), ?2, ?3, ?4, ?5
    from acts where act_id = ?1 and kind = 'import' and epoch is null and not abandoned"""


class ConsentStoreUnavailable(GatewayError):
    """The file cannot be read or written now."""

    code = "store_unavailable"


class SqliteConsents(SharedDatabase):
    """Implements `ConsentStore`. Threads may share one; calls take turns."""

    UNAVAILABLE = ConsentStoreUnavailable
    NAME = "the registry of consents"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "packs"

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

    def said(
        self, party: Party, party_id: str, *, most: int = SAID_A_PAGE_MAX, before: Place = NEWEST_PLACE
    ) -> list[Said]:
        if not 1 <= most <= SAID_A_PAGE_MAX:
            raise ValueError(f"most: 1 to {SAID_A_PAGE_MAX} rows a page")
        with self._lock, self._faults():
            rows = self._db.execute(
                f"select {_COLUMNS} from settings s join acts a using (act_id)"  # noqa: S608 - no value
                " where s.party = ? and s.party_id = ? and (a.epoch, s.row_id) < (?, ?)"
                " order by a.epoch desc, s.row_id desc limit ?",
                (str(party), party_id, *before, most),
            ).fetchall()
            packs = self._db.execute(_PACKS_OF_HASH, (hash_of(party_id),)).fetchall()
        found = (
            (*columns, *act, row_id)
            for rows_before, text, *act in packs
            if party_id in text
            for row_id, columns in enumerate(columns_of(text), rows_before + 1)
            if columns[:2] == (party, party_id) and (act[0], row_id) < before
        )
        try:
            newest = nlargest(most, chain(rows, found), key=lambda row: (row[_EPOCH], row[-1]))
        except ValueError as fault:
            raise self._damaged() from fault
        return [_said(row) for row in newest]

    def changes(self, after: Place, most: int, before: int | None = None) -> str:
        epoch, row_id = after
        until = MAX_EPOCH if before is None else before
        with self._lock, self._faults():
            if page := self._packs_in_force(epoch, row_id, most):
                return page
            _, of_packs = self._db.execute(_NEXT_OF_PACKS, (epoch, until)).fetchone() or (None, None)
            rest, count = self._db.execute(_REST_OF_ACT, (row_id, epoch, most)).fetchone()
            if count == most:
                return str(rest)
            (later,) = self._db.execute(
                _LATER_ACTS, (epoch, of_packs or until, most, most - count)
            ).fetchone()
            page = ROW.join(part for part in (rest, later) if part)
            return page or (self._packs_in_force(of_packs, 0, most) if of_packs else "")

    def open_import(self) -> int | None:
        with self._lock, self._faults():
            (newest,) = self._db.execute(
                "select max(act_id) from acts where epoch is null and kind = 'import' and not abandoned"
                " and at_ms > ?",
                (self._clock.wall_ms() - IMPORT_OPEN_MAX_MS,),
            ).fetchone()
        return None if newest is None else int(newest)

    def import_epoch(self, import_id: int) -> int | None:
        with self._lock, self._faults():
            row = self._db.execute("select epoch from acts where act_id = ?", (import_id,)).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def import_after(self, epoch: int, before: int) -> tuple[int, int] | None:
        with self._lock, self._faults():
            found = self._db.execute(_NEXT_OF_PACKS, (epoch, before)).fetchone()
        return None if found is None else (int(found[0]), int(found[1]))

    def staged(self, import_id: int, after: int, most: int) -> str:
        with self._lock, self._faults():
            return self._packs(import_id, after, most, epoch=0)

    def start_import(self, *, actor: str, reason: str) -> int:
        check_words(actor, reason)
        self._give_up_dead()
        with self._write() as db:
            row = ("import", actor, reason, self._clock.wall_ms())
            act_id = db.execute(
                "insert into acts (kind, actor, reason, at_ms) values (?, ?, ?, ?)", row
            ).lastrowid
        assert act_id is not None
        return act_id

    def stage(self, import_id: int, settings: Sequence[Setting]) -> None:
        checked = [check_setting(one) for one in settings]
        if not checked:
            raise _no_pack()
        self.stage_pack(import_id, pack_of(checked))

    def stage_pack(self, import_id: int, pack: Pack) -> None:
        if not 1 <= pack.rows <= SETTINGS_A_CALL_MAX:
            raise _no_pack()
        # Thousands of syncs would keep the disk from payments; finish_import syncs all of them.
        with self._write(synced=False) as db:
            if not _stage(db, import_id, pack):
                raise _no_open_import()

    def finish_import(self, import_id: int) -> Imported:
        words: Words = {}
        while self._look_up(import_id, words) > LOOKED_UP_INSIDE:
            pass  # those who said something meanwhile: each round adds to a number that has a limit
        with self._write() as db:
            _check_open(db, import_id)
            said, now_ms = said_since(db, import_id), self._clock.wall_ms()
            for one in said:
                self._look_up_one(db, import_id, one, words)
            stays = kept(said, words, now_ms)
            # Behind all its rows, in its own act: there is no moment at which the file's word holds.
            for pack in packs_of(stays):
                _stage(db, import_id, pack)
            epoch = next_epoch(db)
            db.execute("update acts set epoch = ?, at_ms = ? where act_id = ?", (epoch, now_ms, import_id))
        return Imported(epoch, len(stays))

    def abandon_import(self, import_id: int) -> None:
        with self._write() as db:
            _check_open(db, import_id)
            db.execute("update acts set abandoned = 1 where act_id = ?", (import_id,))
        self._delete_packs(import_id)

    def _give_up_dead(self) -> None:
        """Imports that were ended by force, and what is left of those that were given up."""
        with self._write() as db:
            db.execute(_GIVE_UP, (self._clock.wall_ms() - IMPORT_OPEN_MAX_MS,))
            dead = db.execute(_DEAD_WITH_PACKS).fetchall()
        for (import_id,) in dead:
            self._delete_packs(import_id)

    def _delete_packs(self, import_id: int) -> None:
        gone = PACKS_DELETED
        while gone == PACKS_DELETED:
            with self._write(synced=False) as db:
                gone = db.execute(
                    "delete from packs where pack_id in (select pack_id from packs where act_id = ? limit ?)",
                    (import_id, PACKS_DELETED),
                ).rowcount

    def _look_up(self, import_id: int, words: Words) -> int:
        """What an import says of those who said something since it began: of how many it was not known yet.

        Before its end, and a party at a time: no other writer waits meanwhile.
        """
        known = len(words)
        with self._lock, self._faults():
            said = said_since(self._db, import_id)
        for one in said:
            with self._lock, self._faults():
                self._look_up_one(self._db, import_id, one, words)
        return len(words) - known

    def _look_up_one(self, db: sqlite3.Connection, import_id: int, one: Setting, words: Words) -> None:
        party = (one.party, one.party_id)
        if party in words:
            return
        try:
            words[party] = word_of(db, import_id, *party)
        except ValueError as fault:
            raise self._damaged() from fault

    def _damaged(self) -> ConsentStoreUnavailable:
        return ConsentStoreUnavailable(f"{self.NAME} has a damaged pack; restore its file from a backup")

    def _packs_in_force(self, epoch: int, after: int, most: int) -> str:
        found = self._db.execute("select act_id from acts where epoch = ?", (epoch,)).fetchone()
        return self._packs(found[0], after, most, epoch=epoch) if found else ""

    def _packs(self, act_id: int, after: int, most: int, *, epoch: int) -> str:
        """A page of an act's packs behind a row, cut to what is asked for."""
        pages: list[str] = []
        with closing(self._db.execute(_PACKS, (act_id, after))) as packs:
            for last_row, row_count, text in packs:
                first_row = last_row - row_count + 1
                start = max(after + 1 - first_row, 0)
                end = min(row_count, start + most)
                if pages and end < row_count:
                    break  # cut where it begins a page alone
                whole = text if end - start == row_count else cut(text, start, end)
                pages.append(page_of(whole, epoch, first_row + start))
                most -= end - start
        return ROW.join(pages)


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
        raise _no_open_import()


def _stage(db: sqlite3.Connection, import_id: int, pack: Pack) -> bool:
    """False where there is no such import that is open."""
    return db.execute(_STAGE, (import_id, pack.rows, pack.low, pack.high, pack.text)).rowcount > 0


def _no_pack() -> ConsentRefused:
    return ConsentRefused(f"settings: stage 1 to {SETTINGS_A_CALL_MAX} at a time")


def _no_open_import() -> ConsentRefused:
    return ConsentRefused("import: there is none of this number that is still open; start one anew")


def _insert(db: sqlite3.Connection, act_id: int, settings: Sequence[Setting]) -> None:
    db.executemany(
        "insert into settings values (null, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                act_id, _PARTIES[one.party], one.party_id, _TIERS[one.tier], one.terms_version, one.evidence,
                one.valid_from_ms, one.valid_until_ms,
            )
            for one in settings
        ],
    )  # fmt: skip


def _said(row: tuple[Any, ...]) -> Said:
    party, party_id, tier, terms_version, evidence, valid_from_ms, valid_until_ms, epoch, *words = row
    setting = Setting(
        Party(party), party_id, Tier[tier], terms_version, evidence, valid_from_ms, valid_until_ms
    )
    return Said(setting, epoch, *words)


def check_words(actor: str, reason: str) -> None:
    """Raises ConsentRefused."""
    for name, text in (("actor", actor), ("reason", reason)):
        if not text.strip() or len(text) > TEXT_CHARACTERS_MAX:
            raise ConsentRefused(f"{name}: takes 1 to {TEXT_CHARACTERS_MAX} characters")
