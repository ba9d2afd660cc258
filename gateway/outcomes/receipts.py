"""Receipts: what a recipient did with a share. Checked, deduplicated and joined to the payment; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.outcomes.matching import PaymentIndex
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1

MAX_ITEMS = 1000
"""Items of one report (feed.proto)."""

ID = re.compile(r"[\x21-\x7e]{1,64}")
"""What recipients and sources choose as ids: printable ASCII, at most 64 (feed.proto)."""

PAYMENT_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}")
"""Ids of payments, as Enrich takes them: any text without control characters, at most 64."""

SKEW_AHEAD_MS = 60_000
"""Clocks may run this much ahead (docs/reference/errors.md, field issues)."""


@dataclass(frozen=True, slots=True)
class Issue:
    """A field at fault: its name, a machine code, how to mend it. Never its value."""

    field: str
    code: str
    mend: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about one reported item. `record` is set where it is to be journalled."""

    report_id: str
    record: bytes | None = None
    duplicate: bool = False
    issues: tuple[Issue, ...] = ()


UNKNOWN_SHARE = Issue("share_id", "unknown", "name a share that was delivered to you")
BAD_ID = "1 to 64 printable ASCII characters"


def bad_time(value: int, now_ms: int) -> bool:
    return value < 0 or value > now_ms + SKEW_AHEAD_MS


def take_receipts(
    receipts: Sequence[v1.Receipt],
    *,
    recipient_id: str,
    index: PaymentIndex,
    known: set[str],
    now_ms: int,
    signed_by: storage.SignedBy | None = None,
) -> list[Verdict]:
    """One verdict a receipt, in order. `known` holds ids recorded before; ids of this call are added to it.

    A share that does not exist and a share of another recipient read alike. `signed_by`: the token that they
    came in; the first that is to be recorded keeps it whole, the others its hash.
    """
    verdicts = []
    for receipt in receipts:
        verdict = _take(receipt, recipient_id, index, known, now_ms, signed_by)
        verdicts.append(verdict)
        if verdict.record is not None and signed_by is not None and signed_by.token:
            signed_by = _without_token(signed_by)
    return verdicts


def _without_token(signed_by: storage.SignedBy) -> storage.SignedBy:
    return storage.SignedBy(
        token_sha256=signed_by.token_sha256, kid=signed_by.kid, key_thumbprint=signed_by.key_thumbprint
    )


def _take(
    receipt: v1.Receipt, recipient_id: str, index: PaymentIndex, known: set[str], now_ms: int,
    signed_by: storage.SignedBy | None,
) -> Verdict:  # fmt: skip
    if not ID.fullmatch(receipt.receipt_id):
        return Verdict("", issues=(Issue("receipt_id", "malformed", BAD_ID),))
    if receipt.receipt_id in known:
        return Verdict(receipt.receipt_id, duplicate=True)
    issues: list[Issue] = []
    if receipt.use not in v1.ReceiptUse.values() or not receipt.use:
        issues.append(Issue("use", "required", "one of the values of ReceiptUse"))
    if not ID.fullmatch(receipt.share_id):
        issues.append(Issue("share_id", "malformed", BAD_ID))
    if issues:
        return Verdict(receipt.receipt_id, issues=tuple(issues))
    share = index.share(receipt.share_id)
    if share is None or share.recipient_id != recipient_id:
        return Verdict(receipt.receipt_id, issues=(UNKNOWN_SHARE,))
    kept = v1.Receipt()
    kept.CopyFrom(receipt)
    # Fields of a later contract were checked by nobody: nothing of them is recorded.
    kept.DiscardUnknownFields()
    kept.recorded_at_ms = now_ms
    if kept.match not in v1.MatchResult.values():
        kept.match = v1.MATCH_RESULT_UNSPECIFIED
        issues.append(Issue("match", "unknown", "one of the values of MatchResult"))
    for name in ("received_at_ms", "decided_at_ms"):
        if bad_time(getattr(kept, name), now_ms):
            kept.ClearField(name)
            issues.append(Issue(name, "out_of_range", "UTC epoch milliseconds, not in the future"))
    known.add(receipt.receipt_id)
    record = storage.ReceiptRecord(
        recipient_id=recipient_id,
        receipt=kept,
        sender_id=share.evaluation.sender_id,
        payment_intent_id=share.evaluation.payment_intent_id,
        attempt_no=share.evaluation.attempt_no,
        issuer_id=share.issuer_id,
        program=share.program,
        signed_by=signed_by,
    ).SerializeToString()
    return Verdict(receipt.receipt_id, record=record, issues=tuple(issues))
