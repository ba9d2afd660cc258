"""Payments for tests: valid, distinct, of chosen issuers, without the simulator's population."""

from issuernetwork.v1 import enrichment_pb2 as v1
from tests.bad_input import good_request

NORTHGATE, HARBOR, MERIDIAN, SUMMIT = "90100101", "90200202", "90300303", "90400404"


def pan(iin: str, number: int) -> str:
    """A 16-digit card number of `iin` with a valid check digit (ISO/IEC 7812-1, Luhn)."""
    body = f"{iin}{number % 10_000_000:07d}"
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def payment(number: int, *, iin: str = NORTHGATE, initiated_at_ms: int) -> v1.EnrichAuthorizationRequest:
    """Payment `number`, with a card, device and references of its own."""
    request = good_request(number, initiated_at_ms=initiated_at_ms)
    request.card.pan = pan(iin, number)
    request.device.device_id = f"device-{number}"
    request.customer.email = f"person{number}@mailbox.internal"
    return request
