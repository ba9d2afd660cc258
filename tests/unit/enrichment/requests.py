"""A full and a least request, for the tests of enrichment."""

from enrichment.check import check
from enrichment.payment import Payment
from issuernetwork.v1 import enrichment_pb2

NOW_MS = 1_700_000_000_000
PAN = "9010010100000007"
EMAIL = "jane.doe@post.gmx.net"


def full_request() -> enrichment_pb2.EnrichAuthorizationRequest:
    """Every field set, every one good."""
    request = least_request()
    request.attempt_no = 2
    request.platform_id = "plat-1"
    request.network = 1
    request.channel = 1
    request.initiation = 1
    request.mit_reason = "recurring"
    request.cardholder_region = "US"
    request.correlation_id, request.issuer_reference_id = "order-7", "ref-northgate-3"
    request.original_network_transaction_id = "MCS8A1B2C3_0229-ABCDEF"
    request.order.basket_category, request.order.delivery_timeframe = "groceries", 2
    request.card.par = "Q1" + "90100101" * 3 + "007"
    request.card.funding = 1
    request.card.last4_source = "fpan"
    acquirer = request.acquirer
    acquirer.acquiring_institution_id = "123456"
    acquirer.stan = "000123"
    acquirer.transmission_date_time = "0229235959"
    acquirer.retrieval_reference_number = "412345678901"
    acquirer.terminal_id = "TERM0001"
    acquirer.card_acceptor_id = "ACCEPTOR0000001"
    acquirer.network_match_key = "visa-1"
    request.merchant.mcc, request.merchant.name, request.merchant.country = "5411", "Corner Shop", "US"
    customer = request.customer
    customer.email, customer.phone_e164, customer.name = EMAIL, "+14155550123", "Jane Doe"
    for address in (customer.billing, customer.shipping):
        address.line1, address.city, address.region = "1 Main Street", "Springfield", "IL"
        address.postal_code, address.country = "62701", "US"
    history = customer.history
    history.account_age_days = 0
    history.transactions_24h = 1
    history.purchases_6m = 9
    device = request.device
    device.ip, device.device_id, device.user_agent = "81.2.69.142", "dev-1a2b", "Mozilla/5.0 (X11; Linux)"
    device.browser.time_zone, device.browser.language = "America/Chicago", "en-US"
    device.browser.screen_width, device.browser.screen_height = 1440, 900
    device.coarse_location.latitude, device.coarse_location.longitude = 39.781, -89.65
    authentication = request.authentication
    authentication.eci, authentication.trans_status = "05", 1
    authentication.ds_trans_id = "f25084f0-5b16-4c0a-ae5d-b24808a95e4b"
    authentication.avs_result, authentication.cvv_result = "Y", "M"
    authentication.exemption = "low_value"
    request.caller_assessments.add(
        assessor="psp", type="model", model_id="m1", value=12, scale_min=0, scale_max=99, high_is_risky=True,
        normalised=120, reason_codes=["A"],
    )  # fmt: skip
    return request


def least_request() -> enrichment_pb2.EnrichAuthorizationRequest:
    """What is required, and nothing else."""
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id="request-1",
        payment_intent_id="intent-1",
        merchant_id="merchant-1",
        amount_minor=12_345,
        currency="USD",
        initiated_at_ms=NOW_MS,
    )
    request.card.pan = PAN
    return request


def payment(request: enrichment_pb2.EnrichAuthorizationRequest | None = None) -> Payment:
    """A checked payment."""
    checked = check(request or full_request(), NOW_MS)
    assert isinstance(checked, Payment), checked
    return checked
