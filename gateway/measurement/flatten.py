"""Journal records to rows of the lake: one row a decision, an outcome, a receipt, a label.

What is sealed, the answer and every reference by which a payment could be found again stay behind.
"""

from collections.abc import Callable, Mapping

from google.protobuf.message import DecodeError

from gateway.measurement.tables import (
    DECISIONS,
    LABELS,
    ORIGIN_AUTHORIZATION,
    ORIGIN_LABEL,
    OUTCOMES,
    RECEIPTS,
    Row,
    Value,
)
from gateway.records import journal
from gateway.records.errors import GatewayError
from issuernetwork.storage.v1 import journal_pb2 as storage

Rows = dict[str, list[Row]]
"""Rows by table."""


class RecordUnreadable(GatewayError):
    """A journal record does not parse: a newer version wrote it, or the file is damaged."""

    code = "record_unreadable"


def _decision(
    origin: str, position: int, about: tuple[Value, ...], decision: storage.Decision, card_key: bytes
) -> Row:
    return (
        position,
        origin,
        *about,
        decision.program,
        decision.share_id,
        decision.recipient_id,
        decision.outcome,
        decision.withhold_reason,
        decision.arm,
        decision.variant,
        decision.experiment_id,
        decision.ramp_ppm,
        decision.holdout_ppm,
        decision.eligible,
        card_key.hex(),
    )


_NO_DECISION = storage.Decision()
"""Stands for an authorization without a program, so that it is counted: its program is empty."""


def flatten_evaluation(position: int, payload: bytes, rows: Rows) -> None:
    record = storage.Evaluation.FromString(payload)
    about: tuple[Value, ...] = (
        record.evaluation_id,
        record.sender_id,
        record.merchant_id,
        record.payment_intent_id,
        max(record.attempt_no, 1),
        record.issuer_id,
        record.initiated_at_ms,
        record.decided_at_ms,
        record.unit_key.hex(),
        record.unit_source,
        record.score,
        record.amount_minor,
        record.currency,
        record.channel,
        record.mcc,
        record.policy_version,
    )
    rows[DECISIONS].extend(
        _decision(ORIGIN_AUTHORIZATION, position, about, decision, record.card_key)
        for decision in record.decisions or (_NO_DECISION,)
    )


def flatten_outcome(position: int, payload: bytes, rows: Rows) -> None:
    record = storage.OutcomeRecord.FromString(payload)
    outcome = record.outcome
    rows[OUTCOMES].append(
        (
            position,
            record.sender_id,
            outcome.outcome_id,
            outcome.supersedes_outcome_id,
            outcome.payment_intent_id,
            max(outcome.attempt_no, 1),
            outcome.kind,
            outcome.occurred_at_ms,
            outcome.reported_at_ms or outcome.occurred_at_ms,
            record.recorded_at_ms,
            outcome.approved,
            outcome.requested_minor,
            outcome.approved_minor,
            outcome.currency,
            outcome.response_code,
            outcome.stand_in,
            outcome.issuer_latency_ms,
        )
    )


def flatten_receipt(position: int, payload: bytes, rows: Rows) -> None:
    record = storage.ReceiptRecord.FromString(payload)
    receipt = record.receipt
    rows[RECEIPTS].append(
        (
            position,
            record.recipient_id,
            receipt.receipt_id,
            receipt.share_id,
            receipt.match,
            receipt.use,
            receipt.received_at_ms,
            receipt.decided_at_ms,
            receipt.recorded_at_ms,
        )
    )


def flatten_label(position: int, payload: bytes, rows: Rows) -> None:
    record = storage.LabelRecord.FromString(payload)
    label = record.label
    rows[LABELS].append(
        (
            position,
            record.reporter_id,
            label.label_id,
            label.source_ref or label.label_id,
            record.matched,
            record.sender_id,
            record.payment_intent_id,
            max(record.attempt_no, 1),
            record.issuer_id,
            record.unit_key.hex(),
            label.kind,
            label.source,
            label.verb,
            label.state,
            label.dispute_stage,
            label.amount_minor,
            label.currency,
            label.effective_at_ms,
            label.reported_at_ms,
            label.recorded_at_ms,
            record.card_key.hex(),
        )
    )
    about: tuple[Value, ...] = (
        record.label_evaluation_id,
        record.sender_id,
        "",
        record.payment_intent_id,
        max(record.attempt_no, 1),
        record.issuer_id,
        label.effective_at_ms,
        label.recorded_at_ms,
        record.unit_key.hex(),
        0,
        0,
        label.amount_minor,
        label.currency,
        0,
        "",
        record.policy_version,
    )
    rows[DECISIONS].extend(
        _decision(ORIGIN_LABEL, position, about, decision, record.card_key) for decision in record.decisions
    )


FLATTEN: Mapping[str, Callable[[int, bytes, Rows], None]] = {
    journal.EVALUATIONS: flatten_evaluation,
    journal.OUTCOMES: flatten_outcome,
    journal.RECEIPTS: flatten_receipt,
    journal.LABELS: flatten_label,
}


def flatten(topic: str, entries: list[journal.Entry], rows: Rows) -> None:
    """Adds the rows of `entries` to `rows`. Raises RecordUnreadable."""
    add = FLATTEN[topic]
    for entry in entries:
        try:
            add(entry.position, entry.payload, rows)
        except DecodeError:
            raise RecordUnreadable(
                f"{topic}: record {entry.position} does not parse; run the version that wrote it"
            ) from None
