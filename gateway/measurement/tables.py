"""Tables of the lake: names and types of their columns, alike for every engine. No personal data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Type = Literal["text", "bigint", "boolean"]
Value = str | int | bool
Row = tuple[Value, ...]

DECISIONS = "decisions"
OUTCOMES = "outcomes"
RECEIPTS = "receipts"
LABELS = "labels"

ORIGIN_AUTHORIZATION = "authorization"
ORIGIN_LABEL = "label"
"""Where a decision was made: ahead of an authorization, or about a label after it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A table: its columns in order, none of them null."""

    table: str
    columns: tuple[tuple[str, Type], ...]
    own: tuple[tuple[str, Type], ...] = ()
    """Columns behind the others that no query sees: erasures find rows by them. Files of before lack some."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of what queries see."""
        return tuple(name for name, _ in self.columns)

    @property
    def stored(self) -> tuple[tuple[str, Type], ...]:
        """Everything that a row has."""
        return (*self.columns, *self.own)


_CARD: tuple[tuple[str, Type], ...] = (("card_key", "text"),)
"""The card by its other name, where the payment gave two; `unit_key` is the one that is counted by."""

# `position` is the record's place in its journal: it makes every order total.
_DECISIONS = Schema(
    DECISIONS,
    (
        ("position", "bigint"),
        ("origin", "text"),
        ("evaluation_id", "text"),
        ("sender_id", "text"),
        ("merchant_id", "text"),
        ("payment_intent_id", "text"),
        ("attempt_no", "bigint"),
        ("issuer_id", "text"),
        ("initiated_at_ms", "bigint"),
        ("decided_at_ms", "bigint"),
        ("unit_key", "text"),
        ("unit_source", "bigint"),
        ("score", "bigint"),
        ("amount_minor", "bigint"),
        ("currency", "text"),
        ("channel", "bigint"),
        ("mcc", "text"),
        ("policy_version", "bigint"),
        ("program", "text"),
        ("share_id", "text"),
        ("recipient_id", "text"),
        ("outcome", "bigint"),
        ("withhold_reason", "bigint"),
        ("arm", "bigint"),
        ("variant", "text"),
        ("experiment_id", "text"),
        ("ramp_ppm", "bigint"),
        ("holdout_ppm", "bigint"),
        ("eligible", "boolean"),
    ),
    _CARD,
)

_OUTCOMES = Schema(
    OUTCOMES,
    (
        ("position", "bigint"),
        ("sender_id", "text"),
        ("outcome_id", "text"),
        ("supersedes_outcome_id", "text"),
        ("payment_intent_id", "text"),
        ("attempt_no", "bigint"),
        ("kind", "bigint"),
        ("occurred_at_ms", "bigint"),
        ("reported_at_ms", "bigint"),
        ("recorded_at_ms", "bigint"),
        ("approved", "boolean"),
        ("requested_minor", "bigint"),
        ("approved_minor", "bigint"),
        ("currency", "text"),
        ("response_code", "text"),
        ("stand_in", "boolean"),
        ("issuer_latency_ms", "bigint"),
    ),
)

_RECEIPTS = Schema(
    RECEIPTS,
    (
        ("position", "bigint"),
        ("recipient_id", "text"),
        ("receipt_id", "text"),
        ("share_id", "text"),
        ("match_result", "bigint"),
        ("use_kind", "bigint"),
        ("received_at_ms", "bigint"),
        ("decided_at_ms", "bigint"),
        ("recorded_at_ms", "bigint"),
    ),
)

_LABELS = Schema(
    LABELS,
    (
        ("position", "bigint"),
        ("reporter_id", "text"),
        ("label_id", "text"),
        ("case_id", "text"),
        ("matched", "boolean"),
        ("sender_id", "text"),
        ("payment_intent_id", "text"),
        ("attempt_no", "bigint"),
        ("issuer_id", "text"),
        ("unit_key", "text"),
        ("kind", "bigint"),
        ("source", "bigint"),
        ("verb", "bigint"),
        ("state", "bigint"),
        ("dispute_stage", "bigint"),
        ("amount_minor", "bigint"),
        ("currency", "text"),
        ("effective_at_ms", "bigint"),
        ("reported_at_ms", "bigint"),
        ("recorded_at_ms", "bigint"),
    ),
    _CARD,
)

SCHEMAS: Mapping[str, Schema] = {
    schema.table: schema for schema in (_DECISIONS, _OUTCOMES, _RECEIPTS, _LABELS)
}
