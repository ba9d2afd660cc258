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

    unit_keys: frozenset[str]
    payments: frozenset[tuple[str, str]]
    """(sender_id, payment_intent_id)."""
    share_ids: frozenset[str]

    def keep(self, table: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a table that stay."""
        if table in (DECISIONS, LABELS):
            gone = pc.is_in(batch.column("unit_key"), pa.array(sorted(self.unit_keys), pa.string()))
        elif table == RECEIPTS:
            gone = pc.is_in(batch.column("share_id"), pa.array(sorted(self.share_ids), pa.string()))
        elif table == OUTCOMES:
            names = zip(*(batch.column(name).to_pylist() for name in _PAYMENT), strict=True)
            gone = pa.array([name in self.payments for name in names], pa.bool_())
        else:
            return batch
        return batch.filter(pc.invert(gone))


def erased_of(unit_keys: Iterable[str], decision_files: Sequence[str]) -> Erased:
    """Payments and shares of these cards, by the decisions about them."""
    units = frozenset(unit_keys)
    wanted = pa.array(sorted(units), pa.string())
    payments: set[tuple[str, str]] = set()
    share_ids: set[str] = set()
    for path in decision_files:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            columns = ["unit_key", *_PAYMENT, "share_id"]
            for batch in file.iter_batches(MERGE_CHUNK_ROWS, columns=columns, use_threads=False):
                found = batch.filter(pc.is_in(batch.column("unit_key"), wanted))
                rows = [found.column(name).to_pylist() for name in (*_PAYMENT, "share_id")]
                payments.update(zip(rows[0], rows[1], strict=True))
                share_ids.update(share_id for share_id in rows[2] if share_id)
    return Erased(units, frozenset(payments), frozenset(share_ids))
