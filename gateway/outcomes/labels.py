"""Labels: fraud reports and disputes. Checked, matched to the payment, and released under after-programs.

Pure but for its ports. A label that fits no payment is recorded too: it may be matched later by others.
"""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from enrichment import formats
from enrichment.fields import DICTIONARY_VERSION, mask_of, names_of
from gateway.outcomes.matching import (
    MATCH_WINDOW_MS,
    EvaluationRow,
    PaymentIndex,
    is_composite,
    match_keys,
)
from gateway.outcomes.receipts import BAD_ID, ID, PAYMENT_ID, Issue, Verdict, bad_time
from gateway.programs.table import ProgramEntry, Query, ReleaseTable
from gateway.records.masks import mask_in, put_mask
from gateway.records.reasons import Reason, Withhold
from gateway.sealing.body import sealed_body
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import KeyUnavailable, SignatureAlgorithm
from gateway.sealing.pseudonyms import Pseudonyms
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2
from issuernetwork.v1 import feed_pb2 as v1

_is_network_txn_id = formats.matcher(formats.NETWORK_TRANSACTION_ID)
CURRENCY = re.compile(r"[A-Z]{3}")
FRAUD_TYPE = re.compile(r"[A-Za-z0-9]{1,16}")
LAST_MS = 1 << 62
AMOUNT_MINOR_LIMIT = 10**15
"""Above any amount of DE4 (n12), in any currency."""

_REFERENCES = (
    ("network_match_key", ID, BAD_ID),
    ("acquiring_institution_id", re.compile(r"[0-9]{1,11} *"), "DE32: 1 to 11 digits"),
    ("stan", re.compile(r"[0-9]{1,6}"), "DE11: 6 digits"),
    ("transmission_date_time", re.compile(r"[0-9]{10}"), "DE7: MMDDhhmmss in UTC"),
    ("retrieval_reference_number", re.compile(r"[\x20-\x7e]{1,12}"), "DE37: up to 12 characters"),
    ("currency", CURRENCY, "ISO 4217 alphabetic code"),
    ("iin", re.compile(r"[0-9]{6}|[0-9]{8}"), "the first 6 or 8 digits of the card number, never more"),
    ("last4", re.compile(r"[0-9]{4}"), "the last 4 digits of the card number, never more"),
    ("card_acceptor_id", re.compile(r"[\x20-\x7e]{1,15}"), "DE42: up to 15 characters"),
    ("network_transaction_id", ID, BAD_ID),
)
"""Strings of MatchReferences. `fullmatch` of bounded patterns looks at no more than a few characters."""

KEEP_MS = 8 * 24 * 3_600_000
"""A label's sealed body is kept as long as the journals (docs/operating.md, Retention)."""


class Stops(Protocol):
    """The switches as last seen."""

    def stopped(self, program: str, issuer_id: str) -> Reason | None: ...


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports. A recipient speaks for its issuers, a payment service for its own payments."""

    reporter_id: str
    is_recipient: bool


@dataclass(frozen=True, slots=True)
class PolicyNow:
    """What releases depend on at this moment. `stops` None: the switches are stale, nothing is released."""

    table: ReleaseTable | None
    stops: Stops | None
    now_ms: int
    objecting: Container[bytes] = ()
    """Unit keys of cardholders who object."""


class LabelDesk:
    """Takes labels. Keeps nothing: what was seen before comes in as `known`."""

    def __init__(
        self,
        *,
        index: PaymentIndex,
        pseudonyms: Pseudonyms,
        sealer: Sealer,
        signable: Container[str] = frozenset(SignatureAlgorithm),
    ) -> None:
        """`signable`: the algorithms that we have a key for."""
        self._signable = signable
        self._index = index
        self._pseudonyms = pseudonyms
        self._sealer = sealer

    def take(
        self, labels: Sequence[v1.LabelEvent], *, reporter: Reporter, known: set[str], policy: PolicyNow
    ) -> list[Verdict]:
        """One verdict a label, in order. `known` holds ids recorded before; ids of this call are added."""
        return [self._take(label, reporter, known, policy) for label in labels]

    def _take(self, label: v1.LabelEvent, reporter: Reporter, known: set[str], policy: PolicyNow) -> Verdict:
        if not ID.fullmatch(label.label_id):
            return Verdict("", issues=(Issue("label_id", "malformed", BAD_ID),))
        if label.label_id in known:
            return Verdict(label.label_id, duplicate=True)
        refused = _refusals(label, policy.now_ms)
        if refused:
            return Verdict(label.label_id, issues=refused)
        kept, issues = _cleaned(label, policy.now_ms)
        row = self._match(kept, reporter, policy.table)
        fields = _fields(kept)
        # References are of use for finding the payment; none is recorded, and but for the network's own id of
        # it none is handed on.
        kept.ClearField("match")
        label_evaluation_id = self._pseudonyms.evaluation_id(reporter.reporter_id, "label", 0, kept.label_id)
        record = storage.LabelRecord(
            reporter_id=reporter.reporter_id,
            reporter_is_recipient=reporter.is_recipient,
            label=kept,
            matched=row is not None,
            policy_version=0 if policy.table is None else policy.table.version,
            label_evaluation_id=label_evaluation_id,
        )
        if row is not None:
            record.sender_id, record.payment_intent_id = row.sender_id, row.payment_intent_id
            record.attempt_no, record.issuer_id = row.attempt_no, row.issuer_id
            record.evaluation_id = row.evaluation_id
            record.unit_key, record.card_key = row.unit_key, row.card_key
            record.decisions.extend(self._decisions(kept, fields, row, reporter, policy))
        known.add(label.label_id)
        return Verdict(label.label_id, record=record.SerializeToString(), issues=issues)

    def _match(
        self, label: v1.LabelEvent, reporter: Reporter, table: ReleaseTable | None
    ) -> EvaluationRow | None:
        row = None
        if label.share_id:
            share = self._index.share(label.share_id)
            if share is not None and (
                not reporter.is_recipient or share.recipient_id == reporter.reporter_id
            ):
                row = share.evaluation
        if row is None and label.payment_intent_id and not reporter.is_recipient:
            row = self._index.evaluation_of_payment(
                reporter.reporter_id, label.payment_intent_id, label.attempt_no
            )
        if row is None:
            return self._match_references(label, reporter, table)
        return row if _speaks_for(reporter, row, table) or reporter.is_recipient else None

    def _match_references(
        self, label: v1.LabelEvent, reporter: Reporter, table: ReleaseTable | None
    ) -> EvaluationRow | None:
        attempted_at_ms = label.match.attempted_at_ms
        from_ms, to_ms = attempted_at_ms - MATCH_WINDOW_MS, attempted_at_ms + MATCH_WINDOW_MS
        for key in match_keys(label.match):
            if not attempted_at_ms:
                if is_composite(key):
                    continue
                from_ms, to_ms = 0, LAST_MS
            rows = self._index.evaluations_of_key(key, from_ms=from_ms, to_ms=to_ms)
            fitting = {
                (row.sender_id, row.payment_intent_id, row.attempt_no): row
                for row in rows
                if _speaks_for(reporter, row, table)
            }
            if fitting:
                return next(iter(fitting.values())) if len(fitting) == 1 else None
        return None

    def _decisions(
        self,
        label: v1.LabelEvent,
        fields: Mapping[str, object],
        row: EvaluationRow,
        reporter: Reporter,
        policy: PolicyNow,
    ) -> list[storage.Decision]:
        issuer = None if policy.table is None else policy.table.issuers.get(row.issuer_id)
        # A recipient's own report is not sent back to it.
        if issuer is None or (reporter.is_recipient and issuer.recipient_id == reporter.reporter_id):
            return []
        return [self._decide(entry, label, fields, row, reporter, policy) for entry in issuer.after]

    def _decide(
        self,
        entry: ProgramEntry,
        label: v1.LabelEvent,
        fields: Mapping[str, object],
        row: EvaluationRow,
        reporter: Reporter,
        policy: PolicyNow,
    ) -> storage.Decision:
        decision = storage.Decision(
            program=entry.program,
            enrolment_id=entry.enrolment_id,
            contract_id=entry.contract_id,
            purpose=entry.purpose,  # type: ignore[arg-type]
            outcome=storage.DECISION_OUTCOME_WITHHELD,
            dictionary_version=DICTIONARY_VERSION,
            recipient_id=entry.recipient_id,
            profile=entry.profile,
        )
        stopped = (
            Reason.POLICY_STALE
            if policy.stops is None
            else policy.stops.stopped(entry.program, row.issuer_id)
        )
        if stopped is not None:
            decision.withhold_reason = int(stopped)  # type: ignore[assignment]
            return decision
        released = entry.release(_query(row, mask_of(fields), policy))
        if isinstance(released, Withhold):
            decision.withhold_reason = int(released.reason)  # type: ignore[assignment]
            return decision
        decision.consent_id, decision.eligible = released.consent_id, True
        put_mask(decision, released.mask)
        decision.refusals.extend(
            storage.FieldRefusal(field=number, reason=int(reason))  # type: ignore[arg-type]
            for number, reason in released.refusals
        )
        if entry.shadow:
            decision.outcome = storage.DECISION_OUTCOME_SHADOW
            decision.withhold_reason = storage.WITHHOLD_REASON_SHADOW
            return decision
        self._seal(decision, entry, label, fields, row, reporter, policy.now_ms)
        return decision

    def _seal(
        self,
        decision: storage.Decision,
        entry: ProgramEntry,
        label: v1.LabelEvent,
        fields: Mapping[str, object],
        row: EvaluationRow,
        reporter: Reporter,
        now_ms: int,
    ) -> None:
        # Each event of a case is a share of its own: a correction must not be dropped as a repeat.
        share_id = self._pseudonyms.share_id(
            reporter.reporter_id, f"label:{label.label_id}", row.attempt_no, entry.program
        )
        body = sealed_body(
            share_id=share_id,
            issuer_id=row.issuer_id,
            recipient_id=entry.recipient_id,
            program=entry.program,
            purpose=entry.purpose,
            card_token="",
            token_epoch=0,
            match={"keys": list(row.match_keys), "attempted_at_ms": row.initiated_at_ms},
            fields={name: fields[name] for name in names_of(mask_in(decision))},
        )
        try:
            if entry.signing_algorithm not in self._signable:
                raise KeyUnavailable(entry.recipient_id)
            kid, sealed = self._sealer.seal(entry.recipient_id, body, fresh=entry.fresh_content_key)
        except KeyUnavailable:
            decision.withhold_reason = storage.WITHHOLD_REASON_KEY_UNAVAILABLE
            decision.eligible = False
            return
        decision.outcome = storage.DECISION_OUTCOME_RELEASED
        decision.share_id, decision.recipient_kid, decision.sealed = share_id, kid, sealed
        decision.payload_sha256 = sha256(sealed).digest()
        decision.transports.append(common_pb2.TRANSPORT_SSF)
        decision.expires_at_ms = now_ms + KEEP_MS


def _speaks_for(reporter: Reporter, row: EvaluationRow, table: ReleaseTable | None) -> bool:
    if not reporter.is_recipient:
        return row.sender_id == reporter.reporter_id
    issuer = None if table is None else table.issuers.get(row.issuer_id)
    return issuer is not None and issuer.recipient_id == reporter.reporter_id


def _query(row: EvaluationRow, available_mask: int, policy: PolicyNow) -> Query:
    return Query(
        region=row.cardholder_region,
        merchant_id=row.merchant_id,
        platform_id=row.platform_id,
        channel=row.channel,
        mcc=row.mcc,
        amount_minor=row.amount_minor,
        merchant_country=row.merchant_country,
        available_mask=available_mask,
        below_quality_mask=0,
        now_ms=policy.now_ms,
        subject_objected=row.unit_key in policy.objecting or row.card_key in policy.objecting,
    )


_ENUMS = (
    ("kind", v1.LabelKind, True),
    ("source", v1.LabelSource, True),
    ("verb", v1.LabelVerb, True),
    ("state", v1.LabelState, False),
    ("dispute_stage", v1.DisputeStage, False),
)


def _refusals(label: v1.LabelEvent, now_ms: int) -> tuple[Issue, ...]:
    """Faults of required fields."""
    issues = [
        Issue(name, "required", f"one of the values of {enum.DESCRIPTOR.name}")
        for name, enum, required in _ENUMS
        if required and (not getattr(label, name) or getattr(label, name) not in enum.values())
    ]
    if not label.effective_at_ms:
        issues.append(Issue("effective_at_ms", "required", "UTC epoch milliseconds"))
    elif bad_time(label.effective_at_ms, now_ms):
        issues.append(Issue("effective_at_ms", "out_of_range", "UTC epoch milliseconds, not in the future"))
    if not (label.share_id or label.payment_intent_id or label.HasField("match")):
        issues.append(Issue("share_id", "required", "one of share_id, payment_intent_id, match"))
    return tuple(issues)


def _cleaned(label: v1.LabelEvent, now_ms: int) -> tuple[v1.LabelEvent, tuple[Issue, ...]]:
    """The label as it is recorded: bad optional fields dropped and named."""
    kept = v1.LabelEvent()
    kept.CopyFrom(label)
    # Fields of a later contract were checked by nobody: nothing of them is recorded.
    kept.DiscardUnknownFields()
    kept.recorded_at_ms = now_ms
    kept.attempt_no = label.attempt_no or 1
    issues: list[Issue] = []

    def drop(name: str, code: str, mend: str) -> None:
        kept.ClearField(name)
        issues.append(Issue(name, code, mend))

    for name, enum, required in _ENUMS:
        if not required and getattr(kept, name) not in enum.values():
            drop(name, "unknown", f"one of the values of {enum.DESCRIPTOR.name}")
    for name, pattern, mend in (
        ("source_ref", ID, BAD_ID),
        ("share_id", ID, BAD_ID),
        ("payment_intent_id", PAYMENT_ID, BAD_ID),
        ("fraud_type", FRAUD_TYPE, "1 to 16 letters and digits"),
        ("currency", CURRENCY, "ISO 4217 alphabetic code"),
    ):
        if getattr(kept, name) and not pattern.fullmatch(getattr(kept, name)):
            drop(name, "malformed", mend)
    if kept.attempt_no < 0:
        drop("attempt_no", "out_of_range", "from 1")
        kept.attempt_no = 1
    if not 0 <= kept.amount_minor < AMOUNT_MINOR_LIMIT:
        drop("amount_minor", "out_of_range", "minor units, not negative")
    if kept.HasField("match"):
        for name, pattern, mend in _REFERENCES:
            if getattr(kept.match, name) and not pattern.fullmatch(getattr(kept.match, name)):
                kept.match.ClearField(name)
                issues.append(Issue(f"match.{name}", "malformed", mend))
        if bad_time(kept.match.attempted_at_ms, now_ms):
            kept.match.ClearField("attempted_at_ms")
            issues.append(Issue("match.attempted_at_ms", "out_of_range", "UTC epoch milliseconds"))
    if bad_time(kept.reported_at_ms, now_ms):
        drop("reported_at_ms", "out_of_range", "UTC epoch milliseconds, not in the future")
    # Maturity is counted from it: where the source said none, it said it when we learned of it.
    kept.reported_at_ms = kept.reported_at_ms or now_ms
    return kept, tuple(issues)


def _fields(label: v1.LabelEvent) -> dict[str, object]:
    """The label's fields of the dictionary that are there."""
    txn_id = label.match.network_transaction_id
    found: dict[str, object] = {
        "label_state": _word(v1.LabelState, label.state, "LABEL_STATE_"),
        "label_source": _word(v1.LabelSource, label.source, "LABEL_SOURCE_"),
        "dispute_stage": _word(v1.DisputeStage, label.dispute_stage, "DISPUTE_STAGE_"),
        "fraud_type": label.fraud_type,
        "reported_at": label.reported_at_ms,
        "effective_at": label.effective_at_ms,
        "fraud_amount_minor": label.amount_minor,
        "external_ref": label.source_ref,
        "network_txn_id": txn_id if _is_network_txn_id(txn_id) else "",
    }
    return {name: value for name, value in found.items() if value}


class _Enum(Protocol):
    def Name(self, number: int) -> str: ...  # noqa: N802 - protobuf's own name


def _word(enum: _Enum, number: int, prefix: str) -> str:
    return enum.Name(number).removeprefix(prefix).lower() if number else ""
