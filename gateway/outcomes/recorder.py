"""Records outcomes once: checked, repeats dropped, one append and sync a call. Pure but for its ports."""

from collections.abc import Sequence
from typing import Protocol

from gateway.outcomes.outcomes import check_outcome
from gateway.records.journal import FIRST, OUTCOMES, JournalReader, JournalWriter
from gateway.runtime.clock import Clock
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import outcomes_pb2

KNOWN_SLOTS = 1 << 20
"""Outcome ids known as recorded: 500,000 at half load, in 24 MiB; consumers drop what repeats later."""

TAIL_RECORDS = KNOWN_SLOTS // 2
"""Records of the journal read back after a restart."""

_KEY_BITS = (1 << 64) - 1


class KnownIds(Protocol):
    """64-bit keys of what was recorded, in constant memory: it may forget, and never knows too much."""

    def get(self, key: int, *, since_ms: int) -> int | None: ...

    def put(self, key: int, position: int, at_ms: int) -> None: ...


def _key(sender_id: str, outcome_id: str) -> int:
    """This process's own, since hashes of strings are seeded. Never 0, which stands for an empty slot."""
    return hash((sender_id, outcome_id)) & _KEY_BITS or 1


class OutcomeRecorder:
    """Records outcomes once. `record` runs on one thread at a time."""

    def __init__(self, journal: JournalWriter, clock: Clock, known: KnownIds) -> None:
        self._journal = journal
        self._clock = clock
        self._known = known

    def replay(self, reader: JournalReader) -> None:
        """Learns what the journal holds already."""
        after = max(FIRST, reader.end(OUTCOMES) - TAIL_RECORDS)
        while entries := reader.read(OUTCOMES, after, 1_000):
            for entry in entries:
                record = journal_pb2.OutcomeRecord.FromString(entry.payload)
                key = _key(record.sender_id, record.outcome.outcome_id)
                self._known.put(key, entry.position, record.recorded_at_ms)
            after = entries[-1].position

    def record(
        self, calls: Sequence[tuple[str, Sequence[outcomes_pb2.OutcomeEvent]]]
    ) -> list[outcomes_pb2.ReportOutcomesResponse]:
        """One answer a call, once all of it is durable: one append and sync. Raises the journal's errors."""
        now_ms = self._clock.wall_ms()
        payloads: list[bytes] = []
        keys: list[int] = []
        taken: set[int] = set()
        answers = []
        for sender_id, outcomes in calls:
            answer = outcomes_pb2.ReportOutcomesResponse()
            for event in outcomes:
                checked = check_outcome(event, now_ms)
                result = answer.results.add()
                for name, code, mend in checked.issues:
                    result.field_issues.add(field=name, code=code, mend=mend)
                if checked.outcome is None:
                    result.status = outcomes_pb2.REPORT_STATUS_REFUSED
                    continue
                key = _key(sender_id, checked.outcome.outcome_id)
                if key in taken or self._known.get(key, since_ms=0) is not None:
                    result.status = outcomes_pb2.REPORT_STATUS_DUPLICATE
                    continue
                taken.add(key)
                keys.append(key)
                result.status = outcomes_pb2.REPORT_STATUS_RECORDED
                payloads.append(
                    journal_pb2.OutcomeRecord(
                        sender_id=sender_id, outcome=checked.outcome, recorded_at_ms=now_ms
                    ).SerializeToString()
                )
            answers.append(answer)
        if payloads:
            for key, position in zip(keys, self._journal.append(OUTCOMES, payloads), strict=True):
                self._known.put(key, position, now_ms)
        return answers
