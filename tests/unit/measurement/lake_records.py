"""Journal records for lake tests, with only what a test cares about spelt out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.backends.embedded.lake import DuckLake, Manifest, ParquetWriter
from gateway.measurement.tail import SOURCES, Tail
from gateway.records import journal
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2, feed_pb2, outcomes_pb2

TREATMENT, HOLDOUT = common_pb2.ARM_TREATMENT, common_pb2.ARM_HOLDOUT


class MemoryJournals:
    """Journals held in memory, one list a topic."""

    def __init__(self) -> None:
        self.topics: dict[str, list[bytes]] = {source.topic: [] for source in SOURCES}

    def add(self, topic: str, *records: object) -> None:
        self.topics[topic] += [record.SerializeToString() for record in records]  # type: ignore[attr-defined]

    def read(self, topic: str, after: int, max_records: int, *, partition: int = 0) -> list[journal.Entry]:
        found = self.topics[topic][after + 1 : after + 1 + max_records]
        return [journal.Entry(after + 1 + index, payload) for index, payload in enumerate(found)]

    def end(self, topic: str, *, partition: int = 0) -> int:
        return len(self.topics[topic]) - 1

    @property
    def readers(self) -> Mapping[str, journal.JournalReader]:
        return {"gateway": self, "feeds": self}


class Lab:
    """A lake in a folder, fed from journals in memory."""

    def __init__(self, folder: Path, *, max_records: int = 5_000) -> None:
        self.folder = folder
        self.journals = MemoryJournals()
        self.clock = SimClock(wall_ms=10_000)
        self._max_records = max_records
        self.open()

    def open(self) -> None:
        self.manifest = Manifest(self.folder / "measure.sqlite3", create=True)
        self.writer = ParquetWriter(
            directory=self.folder / "lake", manifest=self.manifest, disk=RealDisk(), clock=self.clock
        )
        self.lake = DuckLake(directory=self.folder / "lake", manifest=self.manifest, writer=self.writer)
        self.tail = Tail(readers=self.journals.readers, writer=self.writer, max_records=self._max_records)

    def close(self) -> None:
        self.lake.close()
        self.manifest.close()

    def catch_up(self) -> None:
        while self.tail.step().records:
            pass

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "lake").iterdir())


def decision(
    *,
    program: str = "risk-score",
    arm: common_pb2.Arm = TREATMENT,
    eligible: bool = True,
    outcome: storage.DecisionOutcome | None = None,
    reason: storage.WithholdReason = storage.WITHHOLD_REASON_HOLDOUT,
    share_id: str = "",
    ramp_ppm: int = 1_000_000,
) -> storage.Decision:
    if outcome is None:
        outcome = (
            storage.DECISION_OUTCOME_RELEASED
            if arm == TREATMENT and eligible
            else storage.DECISION_OUTCOME_WITHHELD
        )
    released = outcome == storage.DECISION_OUTCOME_RELEASED
    return storage.Decision(
        program=program,
        arm=arm,
        eligible=eligible,
        outcome=outcome,
        withhold_reason=storage.WITHHOLD_REASON_UNSPECIFIED if released else reason,
        share_id=share_id,
        experiment_id=f"{program}/1",
        ramp_ppm=ramp_ppm,
        holdout_ppm=500_000,
        sealed=b"sealed",
    )


def evaluation(
    payment: str,
    *decisions: storage.Decision,
    card: str = "c",
    attempt_no: int = 1,
    request: str = "",
    decided_at_ms: int = 1_000,
    issuer_id: str = "bank",
    card_key: bytes = b"",
) -> storage.Evaluation:
    return storage.Evaluation(
        evaluation_id=f"e-{payment}-{attempt_no}{request}",
        sender_id="psp",
        payment_intent_id=payment,
        attempt_no=attempt_no,
        issuer_id=issuer_id,
        unit_key=card.encode().ljust(16, b"\0"),
        card_key=card_key,
        decided_at_ms=decided_at_ms,
        decisions=decisions,
    )


def outcome(
    payment: str,
    *,
    approved: bool,
    attempt_no: int = 1,
    outcome_id: str = "",
    recorded_at_ms: int = 2_000,
    supersedes: str = "",
    kind: outcomes_pb2.OutcomeKind = outcomes_pb2.OUTCOME_KIND_AUTHORIZATION,
    sender_id: str = "psp",
) -> storage.OutcomeRecord:
    return storage.OutcomeRecord(
        sender_id=sender_id,
        outcome=outcomes_pb2.OutcomeEvent(
            outcome_id=outcome_id or f"o-{payment}-{attempt_no}",
            payment_intent_id=payment,
            attempt_no=attempt_no,
            kind=kind,
            approved=approved,
            supersedes_outcome_id=supersedes,
        ),
        recorded_at_ms=recorded_at_ms,
    )


def receipt(
    share_id: str, use: feed_pb2.ReceiptUse, *, match: feed_pb2.MatchResult = feed_pb2.MATCH_RESULT_UNIQUE
) -> storage.ReceiptRecord:
    return storage.ReceiptRecord(
        recipient_id="bank",
        receipt=feed_pb2.Receipt(
            receipt_id=f"r-{share_id}-{use}", share_id=share_id, use=use, match=match, recorded_at_ms=3_000
        ),
    )


def fraud_label(
    payment: str,
    *,
    label_id: str,
    verb: feed_pb2.LabelVerb = feed_pb2.LABEL_VERB_REPORTED,
    state: feed_pb2.LabelState = feed_pb2.LABEL_STATE_CONFIRMED,
    reported_at_ms: int = 4_000,
    decisions: Sequence[storage.Decision] = (),
) -> storage.LabelRecord:
    return storage.LabelRecord(
        reporter_id="bank",
        matched=True,
        sender_id="psp",
        payment_intent_id=payment,
        attempt_no=1,
        issuer_id="bank",
        label_evaluation_id=f"le-{label_id}",
        decisions=decisions,
        label=feed_pb2.LabelEvent(
            label_id=label_id,
            source_ref=f"case-{payment}",
            kind=feed_pb2.LABEL_KIND_FRAUD,
            source=feed_pb2.LABEL_SOURCE_ISSUER,
            verb=verb,
            state=state,
            reported_at_ms=reported_at_ms,
            recorded_at_ms=reported_at_ms,
        ),
    )
