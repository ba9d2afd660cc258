"""Simulated payments as a Parquet file to train on: each as the request that the payment service would send.

The request and not a table of features: who trains has the gateway read it, so that what is learnt from is
what is served. Card numbers in it are invented, in the range that no network routes.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from simulator.labels import delay_ms
from simulator.messages import enrich_request
from simulator.payments import SimulatedPayment

ROWS_A_GROUP = 8_192
"""Rows held in memory and written together: some 6 MB."""


def payment_rows(seed: int, payments: Iterable[SimulatedPayment]) -> Iterator[dict[str, Any]]:
    """One row a payment, and what it turned out to be, with the time at which that is reported."""
    for payment in payments:
        reported_ms = payment.reported_at_ms or payment.at_ms + delay_ms(seed, payment.request_id)
        yield {
            "payment_id": payment.payment_id,
            "occurred_at_ms": payment.at_ms,
            "request": enrich_request(payment).SerializeToString(),
            "is_fraud": payment.fraud,
            "fraud_reported_at_ms": reported_ms if payment.fraud else None,
            "segment": payment.kind,
        }


def write_payments(path: Path, seed: int, payments: Iterable[SimulatedPayment]) -> int:
    """Writes the file and returns how many payments it holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("payment_id", pa.string()),
            ("occurred_at_ms", pa.int64()),
            ("request", pa.binary()),
            ("is_fraud", pa.bool_()),
            ("fraud_reported_at_ms", pa.int64()),
            ("segment", pa.string()),
        ]
    )
    written = 0
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for row in payment_rows(seed, payments):
            waiting.append(row)
            if len(waiting) == ROWS_A_GROUP:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                written += len(waiting)
                waiting = []
        writer.write_table(pa.Table.from_pylist(waiting, schema))
    return written + len(waiting)
