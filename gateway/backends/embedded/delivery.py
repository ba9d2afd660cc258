"""What the feeds keep, in SQLite: one writer, readers that never wait for it (WAL)."""

import fcntl
import os
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.backends.embedded import delivery_sql as sql
from gateway.backends.embedded.delivery_database import PRAGMAS, Connection, checkpoint
from gateway.backends.embedded.delivery_reader import KEY_SEPARATOR, SqliteDeliveryReader, item_of, key_of
from gateway.feeds.ports import (
    ACKNOWLEDGED,
    LAST_MS,
    REFUSED,
    Acknowledgement,
    DeliveryChange,
    FanOutChange,
    Notice,
    OutboxItem,
    ShareRow,
    StoreUnavailable,
)
from gateway.feeds.records import ERASURE_PREFIX, UNANSWERED_CODE
from gateway.outcomes.matching import EvaluationRow
from gateway.records.journal import FIRST
from issuernetwork.v1.common_pb2 import TRANSPORT_LOOKUP, TRANSPORT_MESSAGE, TRANSPORT_SSF

ANY_TRANSPORT = 0
"""In place of a transport: counts a share once, however it left."""


class SqliteDeliveryStore:
    """Implements `DeliveryStore`. Owns the file: a second owner is refused."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._owner = os.open(f"{path}.owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._owner)
            raise StoreUnavailable("another process owns the feeds' database: stop it first") from None
        self._connection = Connection(path, read_only=False)
        os.chmod(path, 0o600)
        # Open to the end: whoever closes a file loses all of the process's locks on it (fcntl(2)).
        self._database = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        for pragma in PRAGMAS:
            self._connection.rows(f"pragma {pragma}")
        with self._connection.transaction() as raw:
            sql.create(raw)

    def reader(self) -> SqliteDeliveryReader:
        """A reader of this store, for one thread."""
        return SqliteDeliveryReader(self._path)

    def offset(self, topic: str, partition: int) -> int:
        rows = self._connection.rows(sql.OFFSET, (topic, partition))
        return int(rows[0][0]) if rows else FIRST

    def known_shares(self, share_ids: Sequence[str]) -> set[str]:
        return self._present(sql.KNOWN_SHARES, share_ids) | self._present(sql.KNOWN_TOMBSTONES, share_ids)

    def _present(self, query: str, ids: Sequence[str], *before: object) -> set[str]:
        if not ids:
            return set()
        marks = ",".join("?" * len(ids))
        return {str(row[0]) for row in self._connection.rows(query.format(marks=marks), (*before, *ids))}

    def next_seq(self, stream_id: str) -> int:
        rows = self._connection.rows(sql.NEXT_SEQ, (stream_id,))
        return int(rows[0][0]) if rows else 1

    def first_free_seq(self) -> int:
        rows = self._connection.rows(sql.FIRST_FREE_SEQ)
        return int(rows[0][0]) if rows else 1

    def skip_places(self, count: int) -> int:
        """Moves every stream `count` places behind the furthest one; the first place from now on."""
        with self._connection.transaction() as raw:
            raw.execute(sql.SKIP_PLACES, (count,))
        return self.first_free_seq()

    def commit_fan_out(self, change: FanOutChange) -> None:
        with self._connection.transaction() as raw:
            raw.executemany(
                sql.INSERT_EVALUATION, [_evaluation_values(row, change.at_ms) for row in change.evaluations]
            )
            raw.executemany(
                sql.INSERT_KEY,
                [(key_of(key), row.evaluation_key) for row in change.evaluations for key in row.match_keys],
            )
            queued = {item.share_id for item in change.items if not item.withdrawn}
            raw.executemany(
                sql.INSERT_SHARE, [_share_values(row, row.share_id in queued) for row in change.shares]
            )
            raw.executemany(sql.INSERT_SET, [(item.jti, item.set_bytes) for item in change.items])
            expiry = {row.share_id: row.expires_at_ms for row in change.shares}
            raw.executemany(
                sql.INSERT_ITEM, [_item_values(item, expiry, change.at_ms) for item in change.items]
            )
            raw.executemany(sql.UPSERT_STREAM, _streams(change))
            raw.executemany(sql.UPSERT_SCOPE, _scopes(change))
            raw.executemany(sql.INSERT_NOTICE, [_notice_values(one) for one in change.notices])
            raw.execute("delete from unconfirmed")
            raw.executemany("insert into unconfirmed(record) values (?)", [(r,) for r in change.records])
            raw.execute(sql.UPSERT_OFFSET, (change.topic, change.partition, change.position))

    def unconfirmed_records(self) -> list[bytes]:
        return [row[0] for row in self._connection.rows(sql.UNCONFIRMED)]

    def pending(self, stream_id: str, max_items: int) -> list[OutboxItem]:
        return [item_of(row) for row in self._connection.rows(sql.PENDING, (stream_id, max_items))]

    def open_of_shares(self, stream_id: str, share_ids: Sequence[str]) -> list[OutboxItem]:
        if not share_ids:
            return []
        query = sql.OPEN_OF_SHARES.format(marks=",".join("?" * len(share_ids)))
        return [item_of(row) for row in self._connection.rows(query, (stream_id, TRANSPORT_SSF, *share_ids))]

    def apply(self, change: DeliveryChange) -> None:
        # One item once, however many asked for it in the same gather.
        sent = list({(item.share_id, item.transport): item for item in change.sent}.values())
        with self._connection.transaction() as raw:
            for answer in change.answers:
                _answer(raw, answer, change.at_ms)
            for item in change.withdrawn:
                _withdraw(raw, item)
            closed = [answer.item for answer in change.answers if answer.final] + list(change.withdrawn)
            _let_go(raw, [item.share_id for item in closed])
            _note_sent(raw, sent)

    def note_sent(self, items: Sequence[OutboxItem]) -> None:
        sent = list({(item.share_id, item.transport): item for item in items}.values())
        # Counts alone, and the journal has them: the next commit's sync takes them along.
        with self._connection.transaction(durable=False) as raw:
            _note_sent(raw, sent)

    def scopes(self) -> list[tuple[str, str]]:
        return [(str(row[0]), str(row[1])) for row in self._connection.rows(sql.SCOPES)]

    def open_items(
        self, program: str, issuer_id: str, max_items: int, *, queued_before_ms: int = LAST_MS
    ) -> list[OutboxItem]:
        rows = self._connection.rows(sql.OPEN_ITEMS, (program, issuer_id, queued_before_ms, max_items))
        return [item_of(row) for row in rows]

    def open_consents(self) -> list[tuple[str, str, str]]:
        return [(row[0], row[1], row[2]) for row in self._connection.rows(sql.OPEN_CONSENTS)]

    def open_of_consent(
        self, merchant_id: str, platform_id: str, consent_id: str, max_items: int
    ) -> list[OutboxItem]:
        agreement = sql.agreement_of(merchant_id, platform_id, consent_id)
        rows = self._connection.rows(sql.OPEN_OF_CONSENT, (agreement, max_items))
        return [item_of(row) for row in rows]

    def open_of_cards(
        self, card_keys: Sequence[bytes], max_items: int, *, queued_before_ms: int = LAST_MS
    ) -> list[OutboxItem]:
        query = sql.OPEN_OF_CARDS.format(marks=",".join("?" * len(card_keys)))
        rows = self._connection.rows(
            query, (queued_before_ms, *card_keys, queued_before_ms, *card_keys, max_items)
        )
        return [item_of(row) for row in rows]

    def known_reports(self, kind: str, reporter_id: str, report_ids: Sequence[str]) -> set[str]:
        return self._present(sql.KNOWN_REPORTS, report_ids, kind, reporter_id)

    def keep_reports(self, kind: str, reporter_id: str, report_ids: Sequence[str], *, at_ms: int) -> None:
        rows = [(kind, reporter_id, report_id, at_ms) for report_id in report_ids]
        with self._connection.transaction() as raw:
            raw.executemany(sql.INSERT_REPORT, rows)

    def forget_reports(self, recorded_before_ms: int, max_rows: int) -> int:
        with self._connection.transaction() as raw:
            return raw.execute(sql.FORGET_REPORTS, (recorded_before_ms, max_rows)).rowcount

    def expire(self, now_ms: int, max_rows: int) -> int:
        with self._connection.transaction() as raw:
            over = raw.execute(sql.EXPIRED_LOOKUPS, (TRANSPORT_LOOKUP, now_ms, max_rows)).fetchall()
            raw.executemany(sql.CLOSE_ITEM, over)
            closed = [(share_id,) for share_id, _ in over]
            raw.executemany(sql.DROP_CLOSED_SETS, closed)
            _let_go(raw, [share_id for share_id, _ in over])
        return len(over)

    def forget(self, recorded_before_ms: int, max_rows: int) -> int:
        with self._connection.transaction() as raw:
            rows = raw.execute(sql.OLDEST, (recorded_before_ms, max_rows)).fetchall()
            _forget(raw, rows)
        return len(rows)

    def forget_evaluations(self, evaluation_keys: Sequence[int]) -> None:
        with self._connection.transaction() as raw:
            for key in evaluation_keys:
                _forget(raw, raw.execute(sql.MATCH_KEYS_OF, (key,)).fetchall())

    def forgotten(self, case_id: int, rows: int, *, at_ms: int) -> None:
        with self._connection.transaction() as raw:
            raw.execute(sql.INSERT_ERASURE, (case_id, rows, at_ms))

    def erased_up_to(self) -> int:
        return int(self._connection.rows(sql.ERASED_UP_TO)[0][0])

    def note_key_uses(self, kids: Sequence[str], *, at_ms: int) -> None:
        """Open tokens by these signing keys were seen at `at_ms`."""
        with self._connection.transaction() as raw:
            raw.executemany(sql.UPSERT_KEY_USE, [(kid, at_ms) for kid in kids])

    def checkpoint(self) -> None:
        """Moves the log into the database beside the commits."""
        checkpoint(self._path, self._connection, self._database)

    def close(self) -> None:
        self._connection.close()
        os.close(self._database)
        os.close(self._owner)


def _forget(raw: sqlite3.Connection, rows: Sequence[tuple[int, str]]) -> None:
    """Evaluations by their keys and match keys, with all that hangs on them."""
    raw.executemany(
        sql.FORGET_KEY, [(key_of(key), row[0]) for row in rows for key in row[1].split(KEY_SEPARATOR)]
    )
    for statement in (sql.FORGET_SETS, sql.FORGET_ITEMS, sql.FORGET_SHARES, sql.FORGET_EVALUATION):
        raw.executemany(statement, [(row[0],) for row in rows])


def _answer(raw: sqlite3.Connection, answer: Acknowledgement, at_ms: int) -> None:
    item = answer.item
    if not answer.final:
        raw.execute(sql.COUNT_ERROR, (item.share_id, item.transport, item.jti))
        return
    state = REFUSED if answer.error_code else ACKNOWLEDGED
    raw.execute(sql.MARK_ANSWERED, (state, item.share_id, item.transport, item.jti))
    raw.execute(sql.DROP_SET, (item.jti, item.share_id))
    if item.share_id.startswith(ERASURE_PREFIX):
        # Who passed it over has not answered, and will not be asked again.
        answered_at_ms = 0 if answer.error_code == UNANSWERED_CODE else at_ms
        raw.execute(sql.ANSWER_NOTICE, (answered_at_ms, answer.error_code, item.share_id))


def _withdraw(raw: sqlite3.Connection, item: OutboxItem) -> None:
    if item.stream_seq:
        raw.execute(sql.INSERT_SET, (item.jti, item.set_bytes))
        raw.execute(sql.WITHDRAW_STREAM, (item.jti, item.share_id, item.transport))
    else:
        raw.execute(sql.WITHDRAW_LOOKUP, (item.share_id, item.transport))
    raw.execute(sql.DROP_CLOSED_SETS, (item.share_id,))


def _let_go(raw: sqlite3.Connection, share_ids: Sequence[str]) -> None:
    """Of what was there for the sake of items that are answered, withdrawn or over now."""
    closed = [(share_id,) for share_id in share_ids]
    for statement in (sql.NOT_QUEUED, sql.FORGET_OUTLIVING, sql.FORGET_ANSWERED):
        raw.executemany(statement, closed)


def _note_sent(raw: sqlite3.Connection, sent: Sequence[OutboxItem]) -> None:
    _count_left(raw, [item for item in sent if not item.withdrawn])
    raw.executemany(sql.MARK_SENT, [(item.share_id, item.transport) for item in sent])


def _count_left(raw: sqlite3.Connection, data: Sequence[OutboxItem]) -> None:
    """Counts what leaves for the first time. A tombstone is not among `data`: it tells nothing."""
    first: Counter[tuple[str, str, int]] = Counter()
    for item in data:
        if raw.execute(sql.FIRST_SENT, (item.share_id, item.transport)).fetchone():
            first[item.program, item.issuer_id, item.transport] += 1
            if raw.execute(sql.FIRST_LEAVE, (item.share_id,)).rowcount:
                first[item.program, item.issuer_id, ANY_TRANSPORT] += 1
    raw.executemany(sql.UPSERT_SCOPE, [(*scope, count) for scope, count in first.items()])


def _evaluation_values(row: EvaluationRow, at_ms: int) -> tuple[object, ...]:
    return (
        row.evaluation_key, row.evaluation_id, row.sender_id, row.merchant_id, row.platform_id,
        row.payment_intent_id, row.attempt_no, row.issuer_id, row.unit_key, row.initiated_at_ms,
        row.channel, row.mcc, row.amount_minor, row.currency, row.cardholder_region,
        row.merchant_country, KEY_SEPARATOR.join(row.match_keys), at_ms,
        row.card_key,
    )  # fmt: skip


def _share_values(row: ShareRow, queued: bool) -> tuple[object, ...]:
    # Of an unknown merchant there is no consent that could lapse; whoever objects is found all the same.
    agreement = sql.agreement_of(row.merchant_id, row.platform_id, row.consent_id) if row.merchant_id else 0
    taken_back_by = (
        (True, agreement, row.unit_key, row.card_key, row.merchant_id, row.platform_id)
        if queued
        else (False, 0, b"", b"", "", "")
    )
    # What goes by message left with the answer.
    return (
        row.share_id, row.evaluation_key, row.program, row.issuer_id, row.recipient_id, row.expires_at_ms,
        TRANSPORT_MESSAGE in row.transports, row.consent_id, *taken_back_by,
    )  # fmt: skip


def _notice_values(one: Notice) -> tuple[object, ...]:
    return (one.share_id, one.case_id, one.recipient_id, one.shares, one.told_at_ms)


def _item_values(item: OutboxItem, expiry: dict[str, int], at_ms: int) -> tuple[object, ...]:
    return (
        item.share_id, item.transport, item.recipient_id, item.program, item.issuer_id, item.evaluation_id,
        item.stream_id, item.stream_seq, item.jti, item.withdrawn, item.state,
        0 if item.withdrawn and item.transport == TRANSPORT_LOOKUP else 1,
        expiry.get(item.share_id, 0), at_ms,
    )  # fmt: skip


def _streams(change: FanOutChange) -> list[tuple[str, str, int]]:
    recipients = {item.stream_id: item.recipient_id for item in change.items if item.stream_id}
    return [(stream_id, recipients[stream_id], seq) for stream_id, seq in change.next_seqs.items()]


def _scopes(change: FanOutChange) -> list[tuple[str, str, int, int]]:
    left = Counter[tuple[str, str, int]]()
    for row in change.shares:
        by_message = TRANSPORT_MESSAGE in row.transports
        left[row.program, row.issuer_id, ANY_TRANSPORT] += by_message
        left[row.program, row.issuer_id, TRANSPORT_MESSAGE] += by_message
    return [(*scope, count) for scope, count in left.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyLeft:
    """What had left: shares by any transport, and by each. A share may have left by several."""

    shares: int = 0
    message: int = 0
    lookup: int = 0
    ssf: int = 0


def shares_already_left(path: Path, program: str, issuer_id: str | None = None) -> AlreadyLeft:
    """Shares of a program, and of one issuer or of all (None), whose data had left.

    Reads only, so that `ein kill` can ask with the feeds up or down, and where they never ran.
    """
    if not path.exists():
        return AlreadyLeft()
    connection = Connection(path, read_only=True)
    try:
        counts: dict[int, int] = dict(connection.rows(sql.LEFT, (program, issuer_id, issuer_id)))
    finally:
        connection.close()
    return AlreadyLeft(
        shares=counts.get(ANY_TRANSPORT, 0),
        message=counts.get(TRANSPORT_MESSAGE, 0),
        lookup=counts.get(TRANSPORT_LOOKUP, 0),
        ssf=counts.get(TRANSPORT_SSF, 0),
    )
