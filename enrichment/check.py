"""Checks a request by hand: required fields or a typed refusal, bad optional fields dropped and named."""

from enrichment.payment import BadRequest, Payment
from issuernetwork.v1 import enrichment_pb2

__all__ = ["BadRequest", "Payment", "check"]


def check(request: enrichment_pb2.EnrichAuthorizationRequest, now_ms: int) -> Payment | BadRequest:
    """The payment as plain values, or what is wrong with it."""
    raise NotImplementedError
