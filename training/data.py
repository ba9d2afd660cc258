"""Payments to learn from, out of Parquet: what the simulator writes, or any file that `ein replay` takes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from issuernetwork.v1 import common_pb2, enrichment_pb2
from simulator.replay import check_mapping
from training.served import Known

BATCH_ROWS = 4_096
SIMULATED = ["payment_id", "occurred_at_ms", "request", "is_fraud", "fraud_reported_at_ms", "segment"]
_CHANNELS = {"ecom": 1, "app": 2, "moto": 3, "pos": 4}


def read_payments(path: Path, mapping: Mapping[str, str] | None = None) -> Iterator[Known]:
    """The payments of a file in its order. Raises simulator.replay.MappingInvalid."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
    names = file.schema_arrow.names
    if "request" in names:
        for row in _rows(file, {name: name for name in SIMULATED}):
            yield Known(
                row["payment_id"], row["occurred_at_ms"], row["request"], row["is_fraud"],
                row["fraud_reported_at_ms"], row["segment"],
            )  # fmt: skip
        return
    for row in _rows(file, check_mapping(mapping or {}, names)):
        fraud = bool(row.get("fraud"))
        yield Known(
            row["payment_id"], row["at_ms"], replayed_request(row).SerializeToString(), fraud,
            row.get("reported_at_ms") if fraud else None, row.get("channel") or "ecom",
        )  # fmt: skip


def _rows(file: Any, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns.values()), use_threads=False):
        values = [batch.column(name).to_pylist() for name in columns.values()]
        for row in zip(*values, strict=True):
            yield dict(zip(columns, row, strict=True))


def replayed_request(row: Mapping[str, Any]) -> enrichment_pb2.EnrichAuthorizationRequest:
    """What a file says of a payment, and nothing made up: what is absent there is absent in features."""
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=row["payment_id"],
        payment_intent_id=row["payment_id"],
        attempt_no=1,
        merchant_id=row["merchant_id"],
        network=common_pb2.NETWORK_VISA,
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        initiated_at_ms=row["at_ms"],
        channel=_CHANNELS.get(row.get("channel") or "ecom", 1),  # type: ignore[arg-type]
        cardholder_region=row.get("cardholder_region") or "",
    )
    request.card.pan = row["pan"]
    if row.get("mcc") is not None:
        request.merchant.mcc = str(row["mcc"]).zfill(4)
    request.merchant.country = row.get("merchant_country") or ""
    return request
