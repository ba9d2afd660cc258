"""Payments for tests: valid, distinct, of chosen issuers, without the simulator's population."""

import time
from itertools import count

from issuernetwork.v1 import enrichment_pb2

NORTHGATE, HARBOR, MERIDIAN, SUMMIT, LAKESIDE = "90100101", "90200202", "90300303", "90400404", "90900909"
"""IINs of the sample policy's issuers; Lakeside is in no program."""

ENOUGH = 40
"""Payments of distinct cards of which some are in treatment: all in a holdout of half is one in 10^12."""

_callers = count(1)


def caller(name: str) -> str:
    """A prefix that no other caller of this run has: an address in memory is given out again."""
    return f"{name}{next(_callers)}"


def pan(iin: str, number: int) -> str:
    """A 16-digit card number of `iin` with its check digit (ISO/IEC 7812-1, Luhn)."""
    body = f"{iin}{number % 10_000_000:07d}"
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def payment(
    number: int,
    *,
    iin: str = NORTHGATE,
    card: int | None = None,
    now_ms: int | None = None,
    merchant_id: str = "m-0001",
    prefix: str = "p",
) -> enrichment_pb2.EnrichAuthorizationRequest:
    """A full request; the same number gives the same bytes where `now_ms` is given."""
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=f"{prefix}-r-{number}",
        payment_intent_id=f"{prefix}-i-{number}",
        attempt_no=1,
        merchant_id=merchant_id,
        platform_id="plat-1",
        network=1,
        amount_minor=1_000 + number % 9_000,
        currency="USD",
        initiated_at_ms=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
        channel=1,
        initiation=1,
        cardholder_region="US",
    )
    request.card.pan = pan(iin, number if card is None else card)
    request.card.funding = 1
    request.acquirer.acquiring_institution_id = "400123"
    request.acquirer.stan = f"{number % 1_000_000:06d}"
    request.acquirer.transmission_date_time = "1120235959"
    request.acquirer.retrieval_reference_number = f"{number:012d}"
    request.acquirer.terminal_id = "T0000001"
    request.acquirer.card_acceptor_id = "ACCEPTOR0000001"
    request.merchant.mcc = "5411"
    request.merchant.name = "Example Shop"
    request.merchant.country = "US"
    request.customer.email = f"person{number}@mailbox-{number % 9}.net"
    request.customer.phone_e164 = "+12025550123"
    request.customer.name = "Some Body"
    address = {"line1": "1 Road", "city": "Town", "region": "CA", "postal_code": "90210", "country": "US"}
    for place in (request.customer.billing, request.customer.shipping):
        for name, value in address.items():
            setattr(place, name, value)
    request.customer.history.account_age_days = 400
    request.customer.history.transactions_24h = 1
    request.customer.history.card_on_file_age_days = 200
    request.device.ip = f"81.{number // 62_500 % 200}.{number // 250 % 250}.{number % 250 + 1}"
    request.device.device_id = f"device-{number % 5_000}"
    request.device.user_agent = (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"
    )
    request.device.browser.time_zone = "America/Los_Angeles"
    request.device.browser.language = "en-US"
    request.device.browser.screen_width = 1920
    request.device.browser.screen_height = 1080
    request.authentication.eci = "05"
    request.authentication.avs_result = "Y"
    request.authentication.cvv_result = "M"
    return request
