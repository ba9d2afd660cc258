"""Follows the journals into the lake: at least once, restartable, each round all or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.measurement.flatten import Rows, flatten
from gateway.measurement.ports import Batch, LakeWriter, Source
from gateway.measurement.tables import DECISIONS, LABELS, SCHEMAS
from gateway.records import journal

MAX_RECORDS_A_ROUND = 5_000
"""Records read from one source at once: about 10 MB of evaluations, and a file worth writing."""

SOURCES = (
    Source("gateway", journal.EVALUATIONS),
    Source("gateway", journal.OUTCOMES),
    Source("feeds", journal.RECEIPTS),
    Source("feeds", journal.LABELS),
)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round moved. `full`: more was waiting than one round takes."""

    records: int
    full: bool


class Tail:
    """Moves what is new in the journals into the lake, one round at a time."""

    def __init__(
        self,
        *,
        readers: Mapping[str, journal.JournalReader],
        writer: LakeWriter,
        erased: Mapping[bytes, int] = {},
        max_records: int = MAX_RECORDS_A_ROUND,
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._erased = erased
        self._max_records = max_records
        self._offsets = dict(writer.offsets())

    def step(self) -> Round:
        """One round. Raises what the journals raise; nothing of the round is then in the lake."""
        rows: Rows = {table: [] for table in SCHEMAS}
        reached: dict[Source, int] = {}
        records, full = 0, False
        for source in SOURCES:
            after = self._offsets.get(source, journal.FIRST)
            entries = self._readers[source.journal].read(
                source.topic, after, self._max_records, partition=source.partition
            )
            if entries:
                flatten(source.topic, entries, rows)
                reached[source] = entries[-1].position
                records += len(entries)
                full = full or len(entries) == self._max_records
        if reached:
            self._leave_out(rows)
            self._writer.append(Batch(rows=rows, offsets=reached))
            self._offsets.update(reached)
        return Round(records=records, full=full)

    def _leave_out(self, rows: Rows) -> None:
        """What was decided about a card before its erasure, and comes only now."""
        if not self._erased:
            return
        erased = {key.hex(): until_ms for key, until_ms in self._erased.items()}
        for table, time_column in ((DECISIONS, "decided_at_ms"), (LABELS, "recorded_at_ms")):
            names = [name for name, _ in SCHEMAS[table].stored]
            unit, card, at = (names.index(name) for name in ("unit_key", "card_key", time_column))
            rows[table][:] = [
                row
                for row in rows[table]
                if int(row[at]) >= max(erased.get(str(row[unit]), 0), erased.get(str(row[card]), 0))
            ]


def records_behind(
    readers: Mapping[str, journal.JournalReader], offsets: Mapping[Source, int]
) -> dict[Source, int]:
    """How many records of each source are not in the lake yet."""
    return {
        source: max(
            0,
            readers[source.journal].end(source.topic, partition=source.partition)
            - offsets.get(source, journal.FIRST),
        )
        for source in SOURCES
    }
