"""Takes the rows of erased cards out of Parquet files: of the cards themselves, and of their payments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gateway.backends.embedded.lake_merge import MERGE_CHUNK_ROWS
from gateway.measurement.tables import DECISIONS, LABELS, OUTCOMES, RECEIPTS

_PAYMENT: Final = ("sender_id", "payment_intent_id")


@dataclass(frozen=True, slots=True)
class Erased:
    """What rows of an erased card are known by."""

    card_keys: frozenset[str]
    payments: frozenset[tuple[str, str]]
    """(sender_id, payment_intent_id)."""
    share_ids: frozenset[str]

    def keep(self, table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a table that stay."""
        if table in (DECISIONS, LABELS):
            gone = _of_cards(batch, pa.array(sorted(self.card_keys), pa.string()))
        elif table == RECEIPTS:
            gone = pc.is_in(batch.column("share_id"), pa.array(sorted(self.share_ids), pa.string()))
        elif table == OUTCOMES:
            names = zip(*(batch.column(name).to_pylist() for name in _PAYMENT), strict=True)
            gone = pa.array([name in self.payments for name in names], pa.bool_())
        else:
            return batch
        return batch.filter(pc.invert(gone))


def _of_cards(batch: pa.RecordBatch, card_keys: pa.Array) -> pa.Array:
    """Which rows are about these cards, by either name."""
    gone = pc.is_in(batch.column("unit_key"), card_keys)
    if "card_key" not in batch.schema.names:  # a file of before has it not
        return gone
    return pc.or_(gone, pc.is_in(batch.column("card_key"), card_keys))


def erased_of(card_keys: Iterable[str], decision_files: Sequence[str]) -> Erased:
    """Payments and shares of these cards, by the decisions about them."""
    cards = frozenset(card_keys)
    wanted = pa.array(sorted(cards), pa.string())
    payments: set[tuple[str, str]] = set()
    share_ids: set[str] = set()
    for path in decision_files:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            columns = ["unit_key", "card_key", *_PAYMENT, "share_id"]
            for batch in file.iter_batches(MERGE_CHUNK_ROWS, columns=columns, use_threads=False):
                found = batch.filter(_of_cards(batch, wanted))
                rows = [found.column(name).to_pylist() for name in (*_PAYMENT, "share_id")]
                payments.update(zip(rows[0], rows[1], strict=True))
                share_ids.update(share_id for share_id in rows[2] if share_id)
    return Erased(cards, frozenset(payments), frozenset(share_ids))
