"""Payments of a Parquet file, made whole; docs/reference/replay.md has the column mapping."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from simulator.cards import Card, make_card, public_ip
from simulator.draws import draw, pick
from simulator.payments import (
    ACQUIRERS,
    NO_KEY_REFERENCES_SHARE,
    RING_DEVICES,
    SimulatedPayment,
    TraceNumbers,
)

DEFAULT_MAPPING: Mapping[str, str] = {
    "payment_id": "payment_id",
    "at_ms": "occurred_at_ms",
    "pan": "pan",
    "amount_minor": "amount_minor",
    "currency": "currency",
    "merchant_id": "merchant_id",
    "merchant_name": "merchant_name",
    "mcc": "mcc",
    "merchant_country": "merchant_country",
    "channel": "channel",
    "cardholder_region": "cardholder_country",
    "fraud": "is_fraud",
    "reported_at_ms": "fraud_reported_at_ms",
}
NEEDED = frozenset({"payment_id", "at_ms", "pan", "amount_minor", "currency", "merchant_id"})
PLATFORM_ID = "replay-platform"
"""Merchants of a file are unknown to the policy: the sample policy lets this platform speak for them."""

BATCH_ROWS = 2_048
"""Rows decoded at once: memory stays flat over a file of any length."""

CACHED_HOLDERS = 8_192
_CHANNELS = {"ecom": 1, "app": 2, "moto": 3, "pos": 4}
_POS = 4


class MappingInvalid(ValueError):
    """The mapping names an unknown field, or the file lacks a column that is needed."""


@dataclass(frozen=True, slots=True)
class _Ring:
    devices: tuple[str, ...]
    ips: tuple[str, ...]


def check_mapping(mapping: Mapping[str, str], columns: list[str]) -> dict[str, str]:
    """The columns to read, by our field. Raises MappingInvalid with all faults at once."""
    unknown = sorted(set(mapping) - set(DEFAULT_MAPPING))
    merged = {**DEFAULT_MAPPING, **mapping}
    missing = sorted(field for field in NEEDED | set(mapping) if merged.get(field) not in columns)
    faults = [f"{field}: no such field; use one of {', '.join(DEFAULT_MAPPING)}" for field in unknown]
    faults += [f"{field}: the file has no column {merged[field]!r}" for field in missing if field in merged]
    if faults:
        raise MappingInvalid("\n".join(faults))
    return {field: column for field, column in merged.items() if column in columns}


class ReplayStream:
    """The payments of `path` in the file's order, at most `limit`."""

    def __init__(
        self,
        path: Path,
        traces: TraceNumbers,
        *,
        seed: int,
        limit: int | None = None,
        mapping: Mapping[str, str] | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
        self._columns = check_mapping(mapping or {}, self._file.schema_arrow.names)
        self._traces = traces
        self._seed = seed
        rows = int(self._file.metadata.num_rows)
        self.payments = rows if limit is None else min(limit, rows)
        setup = Random(f"{seed}:ring")
        self._ring = _Ring(
            tuple(f"d-{setup.getrandbits(64):016x}" for _ in range(RING_DEVICES)),
            tuple(public_ip(setup) for _ in range(RING_DEVICES)),
        )
        self._holder = lru_cache(CACHED_HOLDERS)(self._make_holder)

    def __iter__(self) -> Iterator[SimulatedPayment]:
        left = self.payments
        fields, columns = list(self._columns), list(self._columns.values())
        for batch in self._file.iter_batches(batch_size=BATCH_ROWS, columns=columns, use_threads=False):
            values = [batch.column(batch.schema.get_field_index(column)).to_pylist() for column in columns]
            for row in zip(*values, strict=True):
                if left == 0:
                    return
                left -= 1
                yield self._payment(dict(zip(fields, row, strict=True)))

    def _make_holder(self, pan: str, region: str) -> Card:
        card = make_card(self._seed, int(pan[8:15]), pan)
        return replace(card, region=region)

    def _payment(self, row: Mapping[str, Any]) -> SimulatedPayment:
        payment_id = row["payment_id"]
        card = self._holder(row["pan"], row.get("cardholder_region") or "US")
        channel = _CHANNELS.get(row.get("channel") or "ecom", 1)
        fraud = bool(row.get("fraud"))
        ring = fraud and draw(self._seed, "ring", payment_id) < 0.5
        device = pick(self._seed, len(self._ring.devices), "device", payment_id)
        merchant_id = row["merchant_id"]
        return SimulatedPayment(
            payment_id=payment_id,
            attempt_no=1,
            at_ms=row["at_ms"],
            card=card,
            merchant_id=merchant_id,
            platform_id=PLATFORM_ID,
            merchant_name=row.get("merchant_name") or merchant_id,
            mcc=str(row.get("mcc") or 5999).zfill(4),
            merchant_country=row.get("merchant_country") or "US",
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            channel=channel,
            network=1 if card.number % 5 < 3 else 2,
            device_id=""
            if channel == _POS
            else (self._ring.devices[device] if ring else card.devices[device % len(card.devices)]),
            ip=""
            if channel == _POS
            else (self._ring.ips[device] if ring else card.ips[device % len(card.ips)]),
            account_age_days=0 if ring else card.account_age_days,
            transactions_24h=4 if ring else 0,
            acquirer_id=ACQUIRERS[pick(self._seed, len(ACQUIRERS), "acquirer", merchant_id)],
            stan=self._traces.next(),
            fraud=fraud,
            kind="ring" if ring else "lone" if fraud else "everyday",
            keyless=draw(self._seed, "keyless", payment_id) < NO_KEY_REFERENCES_SHARE,
            reported_at_ms=row.get("reported_at_ms") or 0,
        )
