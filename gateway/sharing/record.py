"""The journal's record of one authorization."""

from enrichment.signals import Signals
from gateway.sharing.encode import SCHEMA_VERSION
from gateway.sharing.wire import make_writer
from gateway.sharing.work import Batch, Work
from issuernetwork.storage.v1 import journal_pb2

_EVALUATION = make_writer(
    [(1, "text"), (2, "text"), (3, "bytes"), (4, "text"), (5, "text"), (6, "text"), (7, "text"),
     (8, "varint"), (9, "text"), (10, "varint"), (13, "bytes"), (14, "varint"),
     (15, "begin"), (1, "text"), (2, "text"), (3, "text"), (4, "text"), (5, "text"), (6, "varint"),
     (7, "text"), (8, "text"), (9, "text"), (10, "text"), (11, "varint"), (0, "end"),
     (16, "varint"), (17, "varint"), (18, "text"), (19, "varint"), (20, "text"), (21, "chunks"),
     (26, "bytes"), (27, "varint"), (28, "text"), (29, "text"), (0, "raw"), (0, "raw")]
)  # fmt: skip
"""storage.v1.Evaluation: fields of a payment (v1.MatchReferences within), of the batch, and decisions."""


def frame_of(batch: Batch) -> bytes:
    """What all records of a batch have in common."""
    frame = journal_pb2.Evaluation(
        received_at_ms=batch.now_ms,
        decided_at_ms=batch.now_ms,
        policy_version=batch.table.version,
        schema_version=SCHEMA_VERSION,
        switch_epoch=0 if batch.view is None else batch.view.epoch,
    )
    return frame.SerializeToString()


def record_of(batch: Batch, work: Work, seen: Signals, decisions: bytes) -> bytes:
    """The record with its decisions. Nothing in it is a clear personal datum."""
    payment = work.payment
    return _EVALUATION.write(
        (
            work.evaluation_id,
            payment.request_id,
            work.digest,
            work.item.sender_id,
            payment.merchant_id,
            payment.platform_id,
            payment.payment_intent_id,
            payment.attempt_no,
            "" if work.issuer is None else work.issuer.issuer_id,
            payment.initiated_at_ms,
            work.unit_key,
            work.unit_source,
            payment.network_match_key,
            payment.acquiring_institution_id,
            payment.stan,
            payment.transmission_date_time,
            payment.retrieval_reference_number,
            payment.amount_minor,
            payment.currency,
            payment.truncated_iin,
            payment.last4,
            payment.card_acceptor_id,
            payment.initiated_at_ms,
            seen.assessment.normalised,
            payment.amount_minor,
            payment.currency,
            payment.channel,
            payment.mcc,
            work.velocity_keys,
            work.answer,
            work.item.withhold is not None,
            payment.cardholder_region,
            payment.merchant_country,
            batch.frame,
            decisions,
        )
    )
