"""Journal records of deliveries, ids of signed tokens, and the tombstone that takes an item's place."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from gateway.feeds.ports import QUEUED, OutboxItem
from gateway.records.reasons import Reason
from gateway.sealing.keys import Signer
from gateway.sealing.set import erasure_set, withdrawn_set
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_SSF

TOMBSTONE_SUFFIX = ".w"
"""A share's data has the share's own id as `jti`; its tombstone has another, so that no receiver drops it."""

REFUSED_REASON = "refused"
"""Reason of a tombstone whose data the recipient would not take. Others are `expired` or of `Reason`."""

EXPIRED_REASON = "expired"
"""Reason of a tombstone whose data nobody fetched for too long."""

RESTORED_REASON = "restored"
"""Reason of a tombstone of places that were skipped after a restore."""

UNANSWERED_CODE = "unanswered"
"""In place of an error code of the recipient: it answered later items, and this one never."""

NOT_SHARED_REASON = "not_shared"
"""Reason of a tombstone that would tell of the cardholder, and of those that it hides among."""

_READ_ALIKE = frozenset({Reason.SUBJECT_OBJECTED, Reason.MERCHANT_OPTED_OUT, Reason.MERCHANT_CONSENT_MISSING})

VOID_PREFIX = "void-"
"""Of the share id of such a tombstone: there is no share."""

ERASURE_PREFIX = "erasure-"
"""Of the id of an order to erase, which stands in place of a share's: behind it 26 letters as a share has."""

SHARES_A_NOTICE_MAX = 500
"""Shares of one order: some 16 KiB of it, far below what receivers take for one token."""

SignerOf = Callable[[str], Signer]
"""Signer of a recipient's stream: the algorithm is the stream's."""


def told_reason(reason: Reason) -> str:
    """What a tombstone says: consents and objections read alike, so that nobody learns who objected."""
    return NOT_SHARED_REASON if reason in _READ_ALIKE else reason.name.lower()


def stream_of(recipient_id: str) -> str:
    return f"stream-{recipient_id}"


def tombstone_jti(share_id: str) -> str:
    return share_id + TOMBSTONE_SUFFIX


def share_of_jti(jti: str) -> str:
    """The share that a token is about; for an unknown `jti` some string that is no share's id."""
    return jti.removesuffix(TOMBSTONE_SUFFIX)


def delivery_record(
    item: OutboxItem,
    event: storage.DeliveryEvent,
    *,
    at_ms: int,
    error_code: str = "",
    void_from_seq: int = 0,
) -> bytes:
    """One step of one delivery, as the journal keeps it."""
    # Set one by one: the constructor's keywords take several times as long.
    record = storage.DeliveryRecord()
    record.share_id = item.share_id
    record.recipient_id = item.recipient_id
    record.program = item.program
    record.issuer_id = item.issuer_id
    record.transport = item.transport  # type: ignore[assignment]
    record.event = event
    record.stream_id = item.stream_id
    record.stream_seq = item.stream_seq
    record.jti = item.jti
    record.at_ms = at_ms
    if item.set_bytes:
        record.set_sha256 = sha256(item.set_bytes).digest()
    record.error_code = error_code
    record.void_from_seq = void_from_seq
    return record.SerializeToString()


def withdrawn_item(
    item: OutboxItem, reason: str, *, signer_of: SignerOf, iss: str, now_ms: int
) -> OutboxItem:
    """The item as a tombstone: signed at its own place of a stream; a look-up only closes."""
    if not item.stream_seq:
        return replace(item, withdrawn=True, set_bytes=b"")
    jti = tombstone_jti(item.share_id)
    signed = withdrawn_set(
        signer_of(item.recipient_id),
        iss=iss,
        recipient_id=item.recipient_id,
        issued_at_ms=now_ms,
        jti=jti,
        evaluation_id=item.evaluation_id,
        share_id=item.share_id,
        issuer_id=item.issuer_id,
        program=item.program,
        stream_seq=item.stream_seq,
        reason=reason,
    )
    return replace(item, jti=jti, set_bytes=signed, withdrawn=True, state=QUEUED, sent_count=0, error_count=0)


def void_item(
    before: OutboxItem, first_seq: int, last_seq: int, *, signer_of: SignerOf, iss: str, now_ms: int
) -> OutboxItem:
    """One tombstone for all places that a restore skips on a stream: those before the item `before`."""
    share_id = f"{VOID_PREFIX}{first_seq}-{last_seq}-{before.stream_id}"
    jti = tombstone_jti(share_id)
    signed = withdrawn_set(
        signer_of(before.recipient_id),
        iss=iss,
        recipient_id=before.recipient_id,
        issued_at_ms=now_ms,
        jti=jti,
        evaluation_id=before.evaluation_id,
        share_id=share_id,
        issuer_id=before.issuer_id,
        program=before.program,
        stream_seq=last_seq,
        reason=RESTORED_REASON,
        void_from_seq=first_seq,
    )
    return replace(
        before,
        share_id=share_id,
        jti=jti,
        set_bytes=signed,
        stream_seq=last_seq,
        withdrawn=True,
        state=QUEUED,
    )


def erasure_item(
    name: str,
    share_ids: Sequence[str],
    *,
    recipient_id: str,
    stream_seq: int,
    signer_of: SignerOf,
    iss: str,
    now_ms: int,
) -> OutboxItem:
    """An order to erase, at a place of its own. It leaves whatever is stopped: it takes data back.

    `name` is the order's own: no two recipients can tell by it that they were told of the same card.
    """
    stream_id = stream_of(recipient_id)
    share_id = erasure_id = f"{ERASURE_PREFIX}{name}"
    jti = tombstone_jti(share_id)
    signed = erasure_set(
        signer_of(recipient_id), iss=iss, recipient_id=recipient_id, issued_at_ms=now_ms, jti=jti,
        erasure_id=erasure_id, share_ids=share_ids, stream_seq=stream_seq,
    )  # fmt: skip
    return OutboxItem(
        share_id=share_id, transport=TRANSPORT_SSF, recipient_id=recipient_id, program="", issuer_id="",
        evaluation_id=erasure_id, stream_id=stream_id, stream_seq=stream_seq, jti=jti, set_bytes=signed,
        withdrawn=True,
    )  # fmt: skip
