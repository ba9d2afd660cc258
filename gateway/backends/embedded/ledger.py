"""The ledger in SQLite: one owner, readers that never wait for it (WAL)."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from gateway.ledger.entry import Tail
from gateway.ledger.merkle import Frontier
from gateway.ledger.ports import CardShare, EntryRow, KeptHead, LedgerChange, LedgerUnavailable
from gateway.programs.subjects import KEYS_A_CASE_MAX
from gateway.records.journal import FIRST

BUSY_TIMEOUT_S: Final = 5.0
"""A checkpoint takes well under a second; nobody else writes."""

FETCH_ROWS: Final = 2000
"""Rows handed over at a time: about a megabyte."""

MAX_IDS: Final = 500
"""Ids asked for in one statement: well below SQLite's 32,766 parameters."""

_SCHEMA: Final = (
    """create table if not exists owner(only_row integer primary key check (only_row = 1),
        fence integer not null) strict""",
    """create table if not exists offsets(
        topic text not null, partition integer not null, position integer not null,
        primary key (topic, partition)) strict, without rowid""",
    """create table if not exists tails(
        chain text primary key, size integer not null, last_hash blob not null, peaks blob not null)
        strict, without rowid""",
    """create table if not exists entries(
        chain text not null, seq integer not null, entry_hash blob not null, data blob not null,
        primary key (chain, seq)) strict, without rowid""",
    """create table if not exists shares(
        share_key blob not null, transport integer not null, chain text not null, seq integer not null,
        primary key (share_key, transport)) strict, without rowid""",
    # release_no rises with time: the oldest are found without an index.
    """create table if not exists releases(
        release_no integer primary key, share_key blob not null unique, facts text not null,
        decided_at_ms integer not null) strict""",
    # By card, for subject access alone: no entry says so, and no chain depends on it.
    """create table if not exists card_shares(
        unit_key blob not null, share_id text not null, primary key (unit_key, share_id))
        strict, without rowid""",
    """create table if not exists card_names(
        token_key blob not null, unit_key blob not null, primary key (token_key, unit_key))
        strict, without rowid""",
    """create index if not exists card_names_of_unit on card_names(unit_key)""",
    """create table if not exists head(only_row integer primary key check (only_row = 1),
        number integer not null, line blob not null) strict""",
)

_TAILS = "select chain, size, last_hash, peaks from tails"
_ROWS = "select seq, entry_hash, data from entries where chain = ? order by seq"
_KNOWN = "select share_key, transport from shares where share_key in ({marks})"
_FACTS = "select share_key, facts from releases where share_key in ({marks})"
_FIND = "select chain, seq from shares where share_key = ? order by transport"
_HEAD = "select number, line from head"
_OFFSET = "select position from offsets where topic = ? and partition = ?"
_UPSERT_OFFSET = """insert into offsets values (?,?,?)
    on conflict (topic, partition) do update set position = excluded.position"""
_UPSERT_TAIL = """insert into tails values (?,?,?,?) on conflict (chain) do update set
    size = excluded.size, last_hash = excluded.last_hash, peaks = excluded.peaks"""
_INSERT_ENTRY = "insert into entries values (?,?,?,?)"
_INSERT_SHARE = "insert into shares values (?,?,?,?)"
_INSERT_CARD_SHARE = "insert or ignore into card_shares values (?,?)"
_INSERT_CARD_NAME = "insert or ignore into card_names values (?,?)"
# The PAR before the tokens that it leads to.
_UNITS_OF_TOKENS = """select unit_key from card_names where token_key in ({marks})
    group by unit_key order by min(token_key <> unit_key)"""
_TOKENS_OF_UNITS = "select distinct token_key from card_names where unit_key in ({marks})"
_SHARES_OF_UNITS = "select share_id from card_shares where unit_key in ({marks})"
_INSERT_RELEASE = "insert or ignore into releases(share_key, facts, decided_at_ms) values (?,?,?)"
_FORGET = """delete from releases where release_no in
    (select release_no from releases order by release_no limit ?2) and decided_at_ms < ?1"""
_UPSERT_HEAD = """insert into head values (1,?,?)
    on conflict (only_row) do update set number = excluded.number, line = excluded.line"""
_TAKE = """insert into owner values (1, 1)
    on conflict (only_row) do update set fence = fence + 1 returning fence"""


def _key(share_id: str) -> bytes:
    # 16 bytes: the ids themselves stand in the entries, and the index stays small.
    return blake2b(share_id.encode(), digest_size=16).digest()


def _card_keys(card: CardShare) -> tuple[bytes, ...]:
    return (card.unit_key, card.card_key) if card.card_key else (card.unit_key,)


def _card_names(card: CardShare) -> list[tuple[bytes, bytes]]:
    """(what joins it to others, unit or card key)."""
    names = [(_key(card.card_token), card.unit_key)] if card.card_token else []
    if card.one_card:
        # What joins a PAR to the card's other names is its own key, kept once for all payments of the two.
        names += [(card.unit_key, key) for key in _card_keys(card)]
    return names


def _tails(raw: sqlite3.Connection) -> dict[str, Tail]:
    try:
        return {
            row[0]: Tail(row[0], row[2], Frontier.unpacked(row[1], row[3]))
            for row in raw.execute(_TAILS).fetchall()
        }
    except ValueError:
        raise LedgerUnavailable("a chain's end was changed: see `ein audit verify`") from None


def _kept_head(raw: sqlite3.Connection) -> KeptHead | None:
    row = raw.execute(_HEAD).fetchone()
    return None if row is None else KeptHead(number=row[0], line=row[1])


def _of_marks(raw: sqlite3.Connection, query: str, keys: Sequence[bytes]) -> list[Any]:
    found: list[Any] = []
    for first in range(0, len(keys), MAX_IDS):
        some = keys[first : first + MAX_IDS]
        found += raw.execute(query.format(marks=",".join("?" * len(some))), some).fetchall()
    return found


@contextmanager
def _faults(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error:
        raise LedgerUnavailable(f"the ledger cannot be {what}: check the state directory's disk") from None


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )


class SqliteLedgerReader:
    """Implements `LedgerReader` on a connection of its own, for one thread."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise LedgerUnavailable("there is no ledger yet: `ein feeds` makes it when it first runs")
        with _faults("opened"):
            self._raw = _open(path, "ro")
            # Everything that this reader says is of one moment, whatever the owner adds meanwhile.
            self._raw.execute("begin")
            self._raw.execute(_HEAD).fetchall()

    def tails(self) -> dict[str, Tail]:
        with _faults("read"):
            return _tails(self._raw)

    def rows(self, chain: str) -> Iterator[EntryRow]:
        with _faults("read"):
            cursor = self._raw.execute(_ROWS, (chain,))
            while rows := cursor.fetchmany(FETCH_ROWS):
                yield from rows

    def chains_of_rows(self) -> list[str]:
        found: list[str] = []
        with _faults("read"):
            # One step a chain: `distinct` would go through all entries.
            while row := self._raw.execute(
                "select chain from entries where chain > ? order by chain limit 1",
                (found[-1] if found else "",),
            ).fetchone():
                found.append(row[0])
        return found

    def find(self, share_id: str) -> list[tuple[str, int]]:
        with _faults("read"):
            return [(row[0], row[1]) for row in self._raw.execute(_FIND, (_key(share_id),))]

    def entry(self, chain: str, seq: int) -> bytes:
        """One entry as it stands; empty where there is none."""
        with _faults("read"):
            row = self._raw.execute(
                "select data from entries where chain = ? and seq = ?", (chain, seq)
            ).fetchone()
        return b"" if row is None else bytes(row[0])

    def hashes(self, chain: str, size: int) -> list[bytes]:
        """Hashes of the first `size` entries as kept, to make a proof from: a second for a million."""
        with _faults("read"):
            rows = self._raw.execute(
                "select entry_hash from entries where chain = ? and seq < ? order by seq", (chain, size)
            )
            return [row[0] for row in rows]

    def kept_head(self) -> KeptHead | None:
        with _faults("read"):
            return _kept_head(self._raw)

    def units_of(self, unit_keys: Sequence[bytes], card_tokens: Sequence[str]) -> list[bytes]:
        # As many as a case may name, the nearest first: a PAR may lead to a token of each wallet and shop.
        units = dict.fromkeys(unit_keys)
        tokens = dict.fromkeys(_key(token) for token in card_tokens)
        new_tokens = list(tokens)
        new_units = list(units)
        with _faults("read"):
            # A payment names its card by a PAR, the next one by its number: a token of both joins them.
            while (new_tokens or new_units) and len(units) <= KEYS_A_CASE_MAX:
                found = _of_marks(self._raw, _UNITS_OF_TOKENS, new_tokens)
                new_units += [row[0] for row in found if row[0] not in units]
                units.update(dict.fromkeys(new_units))
                found = _of_marks(self._raw, _TOKENS_OF_UNITS, new_units)
                new_tokens = [row[0] for row in found if row[0] not in tokens]
                tokens.update(dict.fromkeys(new_tokens))
                new_units = []
        return list(units)[: max(KEYS_A_CASE_MAX, len(unit_keys))]

    def shares_of_units(self, unit_keys: Sequence[bytes]) -> list[str]:
        with _faults("read"):
            return [row[0] for row in _of_marks(self._raw, _SHARES_OF_UNITS, unit_keys)]

    def release(self, share_id: str) -> str | None:
        with _faults("read"):
            rows = _of_marks(self._raw, _FACTS, [_key(share_id)])
        return rows[0][1] if rows else None

    def close(self) -> None:
        self._raw.close()


class SqliteLedgerStore:
    """Implements `LedgerStore`. Owns the file: a second owner is refused, and an earlier one from then on."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        self._owner = os.open(f"{path}.owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._owner)
            raise LedgerUnavailable("another process owns the ledger: stop it first") from None
        try:
            with _faults("opened"):
                self._raw = _open(path, "rwc")
                os.chmod(path, 0o600)
                self._raw.execute("pragma journal_mode = wal")
                # Entries come from durable journals again; what a head is signed over is synced before it.
                self._raw.execute("pragma synchronous = normal")
                for statement in _SCHEMA:
                    self._raw.execute(statement)
                (self._fence,) = self._raw.execute(_TAKE).fetchone()
        except BaseException:
            os.close(self._owner)
            raise

    def reader(self) -> SqliteLedgerReader:
        return SqliteLedgerReader(self._path)

    def offset(self, topic: str, partition: int) -> int:
        rows = self._rows(_OFFSET, (topic, partition))
        return int(rows[0][0]) if rows else FIRST

    def tail(self, chain: str) -> Tail:
        return self.tails().get(chain) or Tail.first(chain)

    def tails(self) -> dict[str, Tail]:
        with self._lock, _faults("read"):
            return _tails(self._raw)

    def known(self, share_ids: Sequence[str]) -> set[tuple[str, int]]:
        ids = {_key(share_id): share_id for share_id in share_ids}
        return {(ids[row[0]], row[1]) for row in self._of_keys(_KNOWN, list(ids))}

    def facts(self, share_ids: Sequence[str]) -> Mapping[str, str]:
        ids = {_key(share_id): share_id for share_id in share_ids}
        return {ids[row[0]]: row[1] for row in self._of_keys(_FACTS, list(ids))}

    def commit(self, change: LedgerChange) -> None:
        tail = change.tail
        with self._transaction() as raw:
            raw.executemany(
                _INSERT_ENTRY, [(tail.chain, one.seq, one.entry_hash, one.data) for one in change.entries]
            )
            raw.executemany(
                _INSERT_SHARE,
                [
                    (_key(one.share_id), one.transport, tail.chain, one.seq)
                    for one in change.entries
                    if one.share_id
                ],
            )
            raw.executemany(
                _INSERT_RELEASE,
                [(_key(one.share_id), one.facts, one.decided_at_ms) for one in change.releases],
            )
            raw.executemany(
                _INSERT_CARD_SHARE,
                [(key, one.share_id) for one in change.cards if one.share_id for key in _card_keys(one)],
            )
            raw.executemany(_INSERT_CARD_NAME, {name for one in change.cards for name in _card_names(one)})
            if change.entries:
                raw.execute(_UPSERT_TAIL, (tail.chain, tail.size, tail.last_hash, tail.tree.packed()))
            raw.execute(_UPSERT_OFFSET, (change.topic, change.partition, change.position))

    def kept_head(self) -> KeptHead | None:
        with self._lock, _faults("read"):
            return _kept_head(self._raw)

    def keep_head(self, head: KeptHead) -> None:
        with self._transaction(durable=True) as raw:
            raw.execute(_UPSERT_HEAD, (head.number, head.line))

    def forget_releases(self, decided_before_ms: int, max_rows: int) -> int:
        with self._transaction() as raw:
            return raw.execute(_FORGET, (decided_before_ms, max_rows)).rowcount

    def close(self) -> None:
        with self._lock:
            self._raw.close()
        os.close(self._owner)

    def _rows(self, query: str, parameters: Sequence[object]) -> list[Any]:
        with self._lock, _faults("read"):
            return self._raw.execute(query, parameters).fetchall()

    def _of_keys(self, query: str, keys: Sequence[bytes]) -> list[Any]:
        with self._lock, _faults("read"):
            return _of_marks(self._raw, query, keys)

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """`durable`: synced, with everything before it."""
        with self._lock, _faults("written"):
            raw = self._raw
            if durable:
                raw.execute("pragma synchronous = full")
            try:
                raw.execute("begin immediate")
                (fence,) = raw.execute("select fence from owner").fetchone()
                if fence != self._fence:
                    raise LedgerUnavailable("another process owns the ledger by now: this one has to end")
                yield raw
                raw.execute("commit")
            except BaseException:
                # A full disk may have rolled it back already.
                if raw.in_transaction:
                    raw.execute("rollback")
                raise
            finally:
                if durable:
                    raw.execute("pragma synchronous = normal")
