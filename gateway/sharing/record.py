"""The journal's record of one authorization, but for its decisions: written by hand.

A protobuf message with its fields set one by one takes three times as long, and this is done for every
payment. A test holds both ways to the same message.
"""

from enrichment.signals import Signals
from gateway.sharing.encode import SCHEMA_VERSION
from gateway.sharing.wire import LENGTHS, varint
from gateway.sharing.work import Batch, Work
from issuernetwork.storage.v1 import journal_pb2

# Letters, digits and codes that `check` lets through are ASCII and under 128 characters. Ids may be any text.
_L = LENGTHS


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


def evaluation_of(batch: Batch, work: Work, seen: Signals) -> bytes:
    """The record without decisions. Nothing in it is a clear personal datum."""
    payment = work.payment
    amount = varint(payment.amount_minor)
    initiated = varint(payment.initiated_at_ms)
    currency = payment.currency
    a, b, c, d = (
        payment.network_match_key,
        payment.acquiring_institution_id,
        payment.stan,
        payment.transmission_date_time,
    )
    e, f, g, h = (
        payment.retrieval_reference_number,
        payment.truncated_iin,
        payment.last4,
        payment.card_acceptor_id,
    )
    match = (
        f"\x0a{_L[len(a)]}{a}\x12{_L[len(b)]}{b}\x1a{_L[len(c)]}{c}\x22{_L[len(d)]}{d}\x2a{_L[len(e)]}{e}"
        f"\x3a{_L[len(currency)]}{currency}\x42{_L[len(f)]}{f}\x4a{_L[len(g)]}{g}\x52{_L[len(h)]}{h}"
    ).encode("ascii")
    mcc, region, country = payment.mcc, payment.cardholder_region, payment.merchant_country
    codes = (
        f"\x92\x01{_L[len(currency)]}{currency}\xa2\x01{_L[len(mcc)]}{mcc}"
        f"\xe2\x01{_L[len(region)]}{region}\xea\x01{_L[len(country)]}{country}"
    ).encode("latin-1")
    return (
        b"%b%b\x1a\x10%b\x6a\x10%b%b\x40%b\x50%b\x70%b\x7a%b%b\x30%b\x58%b\x80\x01%b\x88\x01%b\x98\x01%b%b\xd2\x01%b%b%b"
        % (
            _ids(work),
            batch.frame,
            work.digest,
            work.unit_key,
            b"".join([b"\xaa\x01\x10" + key if key else b"\xaa\x01\x00" for key in work.velocity_keys]),
            varint(payment.attempt_no),
            initiated,
            varint(work.unit_source),
            varint(len(match) + 2 + len(amount) + len(initiated)),
            match,
            amount,
            initiated,
            varint(seen.assessment.normalised),
            amount,
            varint(payment.channel),
            codes,
            varint(len(work.answer)),
            work.answer,
            b"" if work.item.withhold is None else b"\xd8\x01\x01",
        )
    )


def _ids(work: Work) -> bytes:
    payment = work.payment
    a, b, c, d, e = (
        work.evaluation_id,
        payment.request_id,
        work.item.sender_id,
        payment.merchant_id,
        payment.platform_id,
    )
    f, g = payment.payment_intent_id, "" if work.issuer is None else work.issuer.issuer_id
    try:
        return (
            f"\x0a{_L[len(a)]}{a}\x12{_L[len(b)]}{b}\x22{_L[len(c)]}{c}\x2a{_L[len(d)]}{d}"
            f"\x32{_L[len(e)]}{e}\x3a{_L[len(f)]}{f}\x4a{_L[len(g)]}{g}"
        ).encode("ascii")
    except (IndexError, UnicodeEncodeError):  # an id that is longer or not ASCII
        return journal_pb2.Evaluation(
            evaluation_id=a,
            request_id=b,
            sender_id=c,
            merchant_id=d,
            platform_id=e,
            payment_intent_id=f,
            issuer_id=g,
        ).SerializeToString()
