"""What left by look-up just before the process ended: counted after the fact, from the journal."""

from gateway.feeds.ports import OutboxItem
from gateway.records.journal import DELIVERIES, JournalReader
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_LOOKUP

RECOUNT_RECORDS = 2000
"""Records of the last 50 ms before a crash, at the highest rate many times over."""


def last_looked_up(journal: JournalReader) -> list[OutboxItem]:
    """The look-ups among the newest records of the feeds' journal; their bytes are left out."""
    after = max(-1, journal.end(DELIVERIES) - RECOUNT_RECORDS)
    records = [
        storage.DeliveryRecord.FromString(entry.payload)
        for entry in journal.read(DELIVERIES, after, RECOUNT_RECORDS)
    ]
    return [
        OutboxItem(
            share_id=one.share_id, transport=one.transport, recipient_id=one.recipient_id,
            program=one.program, issuer_id=one.issuer_id, evaluation_id="", stream_id="",
            stream_seq=0, jti=one.jti, set_bytes=b"",
        )
        for one in records
        if one.event == storage.DELIVERY_EVENT_SENT and one.transport == TRANSPORT_LOOKUP
    ]  # fmt: skip
