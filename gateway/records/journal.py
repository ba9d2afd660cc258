"""Ports of the journals: one writer a directory, any number of readers without locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.records.errors import GatewayError

EVALUATIONS = "evaluations"
OUTCOMES = "outcomes"
DELIVERIES = "deliveries"
RECEIPTS = "receipts"
LABELS = "labels"
FINDINGS = "findings"

GATEWAY_TOPICS = (EVALUATIONS, OUTCOMES)
FEEDS_TOPICS = (DELIVERIES, RECEIPTS, LABELS)

FIRST = -1
"""Position before the first record: `read(..., after=FIRST)` starts at the oldest kept."""


class JournalUnavailable(GatewayError):
    """Nothing of the batch was recorded: a disk full, or a writer that has failed before."""

    code = "journal_unavailable"


class JournalUndetermined(GatewayError):
    """The batch was handed over and its fate is not known: it may be durable or not."""

    code = "journal_undetermined"


class JournalCorrupt(GatewayError):
    """A record that had been durable cannot be read back. Never mended by leaving it out."""

    code = "journal_corrupt"


@dataclass(frozen=True, slots=True)
class Entry:
    """One record with its position, which rises by one within a topic and partition."""

    position: int
    payload: bytes


class JournalWriter(Protocol):
    """Appends to the topics of one directory. One process owns it."""

    def append(self, topic: str, payloads: Sequence[bytes], *, partition: int = 0) -> list[int]:
        """Records a batch, in order, and returns its positions once all of it is durable (one sync).

        Raises JournalUnavailable when nothing was recorded, JournalUndetermined when that is not known.
        """
        ...

    def close(self) -> None: ...


class JournalReader(Protocol):
    """Reads what is durable, in order. Keeps no state of the consumer: that is the consumer's own."""

    def read(self, topic: str, after: int, max_records: int, *, partition: int = 0) -> list[Entry]:
        """Up to `max_records` entries behind position `after`, oldest first; empty when there is no more.

        Where retention has removed what follows `after`, starts at the oldest kept. Raises JournalCorrupt.
        """
        ...

    def end(self, topic: str, *, partition: int = 0) -> int:
        """Position of the last durable record; FIRST when there is none."""
        ...
