"""The cards of the last day, as the gateway's journal has them: pseudonyms alone, in constant memory."""

from dataclasses import dataclass
from typing import Final

from gateway.programs.arm_moves import CardSample
from gateway.records.journal import EVALUATIONS, FIRST, JournalReader
from issuernetwork.storage.v1 import journal_pb2

DAY_MS: Final = 24 * 3_600_000

MAX_RECORDS: Final = 2_000_000
"""Read at most, the newest: a day of 23 payments/s. Where there are more, it is said how far they reach."""

READ_RECORDS: Final = 1_000
"""At a time: a few megabytes."""


@dataclass(frozen=True, slots=True)
class RecentCards:
    """Cards since `since_ms`, wall time of the first decision counted; 0 where there is none."""

    sample: CardSample
    since_ms: int
    evaluations: int


def recent_cards(
    reader: JournalReader, *, now_ms: int, max_records: int = MAX_RECORDS, sample: CardSample | None = None
) -> RecentCards:
    """Distinct `unit_key`s of the last 24 hours by issuer. Raises JournalCorrupt."""
    sample = CardSample() if sample is None else sample
    from_ms, since_ms, counted = now_ms - DAY_MS, 0, 0
    after = _first_of_day(reader, from_ms, max(FIRST, reader.end(EVALUATIONS) - max_records))
    while entries := reader.read(EVALUATIONS, after, READ_RECORDS):
        for entry in entries:
            record = journal_pb2.Evaluation.FromString(entry.payload)
            if record.decided_at_ms < from_ms:
                continue
            counted += 1
            since_ms = since_ms or record.decided_at_ms
            if record.unit_key and record.issuer_id:
                sample.add(record.issuer_id, record.unit_key)
        after = entries[-1].position
    return RecentCards(sample, since_ms, counted)


def _first_of_day(reader: JournalReader, from_ms: int, after: int) -> int:
    """A position before which nothing of the day lies, by halves: records are in order of time."""
    first, last = after, reader.end(EVALUATIONS)
    while last - first > READ_RECORDS:
        middle = (first + last) // 2
        entries = reader.read(EVALUATIONS, middle, 1)
        if not entries:
            break
        if journal_pb2.Evaluation.FromString(entries[0].payload).decided_at_ms < from_ms:
            first = middle
        else:
            last = middle
    return first
