"""Payments of a flood: they differ in card, merchant, person and device, and are nearly all of one length."""

from bench.enrich import CARDS
from issuernetwork.v1 import enrichment_pb2 as v1
from simulator.cards import iin_of_share
from tests.kit.everything import MERCHANTS
from tests.kit.payments import payment

DIGITS = 8
MARK = "9" * DIGITS
"""Stands where each call has its own number."""

_GOLDEN = 0.6180339887498949


def request_of(number: int, now_ms: int, iin: str | None) -> v1.EnrichAuthorizationRequest:
    """`iin`: of its card; None: the cards are of all issuers."""
    card = number * 7 % CARDS
    request = payment(
        int(MARK),
        iin=iin or iin_of_share(card * _GOLDEN % 1),
        card=card,
        merchant_id=f"m-{number * 13 % MERCHANTS:04d}",
        now_ms=now_ms,
    )
    request.amount_minor = 1_000 + number % 9_000
    request.customer.email = f"person{10_000 + number}@mailbox-{number % 9}.net"
    request.device.ip = f"81.{100 + number // 100 % 100}.{100 + number % 100}.7"
    request.device.device_id = f"device-{1_000 + number % 4_000}"
    return request
