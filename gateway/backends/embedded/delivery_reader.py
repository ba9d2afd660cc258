"""Reads what the feeds keep, beside the one who writes it and never waiting for them (WAL)."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

from gateway.backends.embedded import delivery_sql as sql
from gateway.backends.embedded.delivery_database import Connection, Row
from gateway.feeds.ports import MAX_CANDIDATES, Notice, OutboxItem
from gateway.outcomes.matching import EvaluationRow, StoredShare
from issuernetwork.v1.common_pb2 import TRANSPORT_LOOKUP

KEY_SEPARATOR = "\n"
"""Between the keys of an evaluation as kept: no key kind holds one."""


def key_of(match_key: str) -> bytes:
    """A match key as it is kept."""
    # 16 bytes: the references themselves need not be kept, and the index stays small.
    return blake2b(match_key.encode(), digest_size=16).digest()


def item_of(row: Row) -> OutboxItem:
    """Of the columns of an item, and its bytes or null."""
    return OutboxItem(
        share_id=row[0], transport=row[1], recipient_id=row[2], program=row[3], issuer_id=row[4],
        evaluation_id=row[5], stream_id=row[6], stream_seq=row[7], jti=row[8], withdrawn=bool(row[9]),
        state=row[10], sent_count=row[11], error_count=row[12], set_bytes=row[13] or b"",
    )  # fmt: skip


def evaluation_of(row: Row) -> EvaluationRow:
    return EvaluationRow(
        evaluation_key=row[0], evaluation_id=row[1], sender_id=row[2], merchant_id=row[3],
        platform_id=row[4], payment_intent_id=row[5], attempt_no=row[6], issuer_id=row[7],
        unit_key=row[8], initiated_at_ms=row[9], channel=row[10], mcc=row[11],
        amount_minor=row[12], currency=row[13], cardholder_region=row[14], merchant_country=row[15],
        match_keys=tuple(row[16].split(KEY_SEPARATOR)) if row[16] else (),
        card_key=row[17],
    )  # fmt: skip


class SqliteDeliveryReader:
    """Implements `DeliveryReader` on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._connection = Connection(path, read_only=True)

    def lookup(
        self, recipient_id: str, match_key: str, *, from_ms: int, to_ms: int, now_ms: int
    ) -> list[tuple[int, OutboxItem]]:
        rows = self._connection.rows(
            sql.LOOKUP,
            (key_of(match_key), from_ms, to_ms, recipient_id, now_ms, TRANSPORT_LOOKUP, MAX_CANDIDATES),
        )
        return [(row[14], item_of(row)) for row in rows]

    def share(self, share_id: str) -> StoredShare | None:
        rows = self._connection.rows(sql.SHARE, (share_id,))
        if not rows:
            return None
        found = rows[0]
        return StoredShare(
            share_id=share_id, program=found[18], issuer_id=found[19], recipient_id=found[20],
            evaluation=evaluation_of(found),
        )  # fmt: skip

    def evaluation_of_payment(
        self, sender_id: str, payment_intent_id: str, attempt_no: int
    ) -> EvaluationRow | None:
        rows = self._connection.rows(sql.OF_PAYMENT, (sender_id, payment_intent_id, attempt_no))
        return evaluation_of(rows[0]) if rows else None

    def evaluations_of_key(self, match_key: str, *, from_ms: int, to_ms: int) -> list[EvaluationRow]:
        rows = self._connection.rows(sql.OF_KEY, (key_of(match_key), from_ms, to_ms, MAX_CANDIDATES))
        return [evaluation_of(row) for row in rows]

    def evaluations_of_cards(self, card_keys: Sequence[bytes], after_key: int, up_to_key: int) -> list[int]:
        query = sql.OF_CARDS.format(marks=",".join("?" * len(card_keys)))
        rows = self._connection.rows(query, (after_key, up_to_key, *card_keys, *card_keys))
        return [int(row[0]) for row in rows]

    def notices(self, case_id: int) -> list[Notice]:
        return [
            Notice(
                case_id=row[0], recipient_id=row[1], share_id=row[2], shares=row[3], told_at_ms=row[4],
                answered_at_ms=row[5], error_code=row[6],
            )
            for row in self._connection.rows(sql.NOTICES, (case_id,))
        ]  # fmt: skip

    def erasure(self, case_id: int) -> tuple[int, int] | None:
        """(evaluations forgotten, when) of an erasure; None where its rows are not gone yet."""
        rows = self._connection.rows(sql.ERASURE, (case_id,))
        return (rows[0][0], rows[0][1]) if rows else None

    def close(self) -> None:
        self._connection.close()
