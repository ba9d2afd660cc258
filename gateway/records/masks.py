"""Masks of fields in journal records: two numbers of 64 bits, the second of which old records lack."""

from typing import Final

from issuernetwork.storage.v1 import journal_pb2 as storage

LOW_BITS: Final = 64
"""Bits in `Decision.field_mask`, which is all that readers of before look at; the rest is beside it."""

LOW_MASK: Final = (1 << LOW_BITS) - 1


def put_mask(decision: storage.Decision, mask: int) -> None:
    """Bit n of the mask: field n of the dictionary was released."""
    decision.field_mask, decision.field_mask_high = mask & LOW_MASK, mask >> LOW_BITS


def mask_in(decision: storage.Decision) -> int:
    """The mask of a record, of this version or of one before."""
    return decision.field_mask | decision.field_mask_high << LOW_BITS
