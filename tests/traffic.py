"""Moved to `tests.kit.payments`."""

from issuernetwork.v1 import enrichment_pb2 as v1
from tests.kit import payments


def payment(number: int, *, initiated_at_ms: int) -> v1.EnrichAuthorizationRequest:
    """Payment `number`, with a card and references of its own."""
    return payments.payment(number, now_ms=initiated_at_ms)
