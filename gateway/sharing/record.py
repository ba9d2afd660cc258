"""The journal's record of one authorization."""

from operator import attrgetter
from typing import Final

from enrichment.payment import Payment
from enrichment.reader import BEGIN, END
from enrichment.signals import Signals
from gateway.sharing.encode import SCHEMA_VERSION
from gateway.sharing.wire import make_writer
from gateway.sharing.work import Batch, Work

# Of storage.v1.Evaluation: what is the payment's own (v1.MatchReferences within), and by which field of it.
PAYMENT: Final = (
    (2, "request_id"), (5, "merchant_id"), (6, "platform_id"), (7, "payment_intent_id"), (8, "attempt_no"),
    (10, "initiated_at_ms"),
    (15, BEGIN), (1, "network_match_key"), (2, "acquiring_institution_id"), (3, "stan"),
    (4, "transmission_date_time"), (5, "retrieval_reference_number"), (6, "amount_minor"), (7, "currency"),
    (8, "truncated_iin"), (9, "last4"), (10, "card_acceptor_id"), (11, "initiated_at_ms"), (0, END),
    (17, "amount_minor"), (18, "currency"), (19, "channel"), (20, "mcc"), (28, "cardholder_region"),
    (29, "merchant_country"),
)  # fmt: skip

_NUMBERS = {"attempt_no", "initiated_at_ms", "amount_minor", "channel"}
_OWN = make_writer(
    [
        (number, name if name in (BEGIN, END) else "varint" if name in _NUMBERS else "text")
        for number, name in PAYMENT
    ]
)
_own_values = attrgetter(*[name for _, name in PAYMENT if name not in (BEGIN, END)])

EVALUATION = make_writer(
    [(1, "text"), (3, "bytes"), (4, "text"), (9, "text"), (13, "bytes"), (14, "varint"), (16, "varint"),
     (21, "chunks"), (26, "bytes"), (27, "varint"), (30, "bytes"), (31, "varint"),
     (0, "raw"), (0, "raw"), (0, "raw")]
)  # fmt: skip
"""storage.v1.Evaluation: what came of the request; then, written before, the payment's own fields, the
batch's and the decisions."""


_FRAME = make_writer([(11, "varint"), (12, "varint"), (22, "varint"), (23, "varint"), (25, "varint")])
"""The same: when it was received and decided, policy, schema, epoch of the switches."""


def frame_of(batch: Batch) -> bytes:
    """What all records of a batch have in common."""
    epoch = 0 if batch.view is None else batch.view.epoch
    return _FRAME.write((batch.now_ms, batch.now_ms, batch.table.version, SCHEMA_VERSION, epoch))


def record_of(batch: Batch, work: Work, seen: Signals, decisions: bytes) -> bytes:
    """The record with its decisions. Nothing in it is a clear personal datum."""
    sender_id, _, withhold = work.item
    return EVALUATION.write(
        (
            work.evaluation_id,
            work.digest,
            sender_id,
            "" if work.issuer is None else work.issuer.issuer_id,
            work.unit_key,
            work.unit_source,
            seen.assessment.normalised,
            work.velocity_keys,
            work.answer,
            withhold is not None,
            work.card_key,
            work.card_source,
            work.payment.written or payment_part(work.payment),
            batch.frame,
            decisions,
        )
    )


def payment_part(payment: Payment) -> bytes:
    """The fields of a payment in its record, where its reader has not written them."""
    return _OWN.write(_own_values(payment))
