"""Payments of a flood: they differ in card, merchant, person and device, and are nearly all of one length.
All cards are of the issuer that takes two programs (`tests/kit/everything.py`).
"""

from bench.enrich import CARDS
from issuernetwork.v1 import enrichment_pb2 as v1
from tests.kit.everything import MERCHANTS
from tests.kit.payments import NORTHGATE, payment

DIGITS = 8
MARK = "9" * DIGITS
"""Stands where each call has its own number."""


def request_of(number: int, now_ms: int) -> v1.EnrichAuthorizationRequest:
    """A payment, with the mark in its ids."""
    request = payment(
        int(MARK),
        iin=NORTHGATE,
        card=number * 7 % CARDS,
        merchant_id=f"m-{number * 13 % MERCHANTS:04d}",
        now_ms=now_ms,
    )
    request.amount_minor = 1_000 + number % 9_000
    request.customer.email = f"person{10_000 + number}@mailbox-{number % 9}.net"
    request.device.ip = f"81.{100 + number // 100 % 100}.{100 + number % 100}.7"
    request.device.device_id = f"device-{1_000 + number % 4_000}"
    return request
