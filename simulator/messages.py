"""Simulated payments in the words of the contract."""

from issuernetwork.v1 import common_pb2, enrichment_pb2
from simulator.draws import draw
from simulator.payments import SimulatedPayment

_BAD_VALUES = {
    "customer.email": "not an address",
    "device.ip": "999.1.2.3",
    "customer.phone_e164": "call me",
    "merchant.mcc": "12",
    "card.par": "short",
}
"""What a careless caller puts into optional fields: the payment must go on without them."""

_TRANS_STATUS = (
    enrichment_pb2.TRANS_STATUS_Y,
    enrichment_pb2.TRANS_STATUS_A,
    enrichment_pb2.TRANS_STATUS_U,
    enrichment_pb2.TRANS_STATUS_N,
)


def enrich_request(payment: SimulatedPayment) -> enrichment_pb2.EnrichAuthorizationRequest:
    """What the payment service sends before the authorization."""
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=payment.request_id,
        payment_intent_id=payment.payment_id,
        attempt_no=payment.attempt_no,
        merchant_id=payment.merchant_id,
        platform_id=payment.platform_id,
        network=payment.network,  # type: ignore[arg-type]  # enums are ints on the wire
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        initiated_at_ms=payment.at_ms,
        channel=payment.channel,  # type: ignore[arg-type]
        initiation=common_pb2.INITIATION_CIT,
        cardholder_region=payment.card.region,
    )
    _fill_card(request.card, payment)
    _fill_acquirer(request.acquirer, payment)
    request.merchant.mcc = payment.mcc
    request.merchant.name = payment.merchant_name[:64]
    request.merchant.country = payment.merchant_country
    _fill_customer(request.customer, payment)
    if payment.device_id:
        request.device.device_id = payment.device_id
        request.device.ip = payment.ip
        request.device.user_agent = payment.card.user_agent
        request.device.browser.time_zone = "America/Chicago"
        request.device.browser.language = "en-US"
        request.device.browser.screen_width = 1920
        request.device.browser.screen_height = 1080
    _fill_authentication(request.authentication, payment)
    if payment.bad_field:
        group, field = payment.bad_field.split(".")
        setattr(getattr(request, group), field, _BAD_VALUES[payment.bad_field])
    return request


def _fill_card(card: enrichment_pb2.Card, payment: SimulatedPayment) -> None:
    holder = payment.card
    if holder.identifier == "pan":
        card.pan = holder.pan
    else:
        card.iin, card.last4, card.last4_source = holder.iin, holder.last4, "fpan"
        if holder.identifier == "card_ref":
            card.card_ref = f"card-{holder.number}-{holder.last4}"
        else:
            card.network_token = holder.network_token
    card.par = holder.par
    card.funding = holder.funding  # type: ignore[assignment]
    card.commercial = holder.commercial


def _fill_acquirer(acquirer: enrichment_pb2.Acquirer, payment: SimulatedPayment) -> None:
    acquirer.acquiring_institution_id = payment.acquirer_id
    acquirer.terminal_id = payment.terminal_id
    acquirer.card_acceptor_id = payment.card_acceptor_id
    if not payment.keyless:
        acquirer.stan = payment.stan
        acquirer.transmission_date_time = payment.transmission_date_time
        acquirer.retrieval_reference_number = payment.retrieval_reference_number


def _fill_customer(customer: enrichment_pb2.Customer, payment: SimulatedPayment) -> None:
    holder = payment.card
    customer.email, customer.phone_e164, customer.name = holder.email, holder.phone, holder.name
    for address in (customer.billing, customer.shipping):
        address.line1, address.city, address.region = holder.line1, holder.city, holder.state
        address.postal_code, address.country = holder.postal_code, "US"
    if payment.kind in ("ring", "lone"):
        customer.shipping.line1, customer.shipping.postal_code = "77 Depot Way", "07001"
    history = customer.history
    history.account_age_days = payment.account_age_days
    history.card_on_file_age_days = min(payment.account_age_days, holder.card_on_file_age_days)
    history.transactions_24h = payment.transactions_24h


def _fill_authentication(authentication: enrichment_pb2.Authentication, payment: SimulatedPayment) -> None:
    checked = draw(0, "checks", payment.payment_id)
    authentication.avs_result = "N" if payment.fraud and checked < 0.5 else "Y"
    authentication.cvv_result = "N" if payment.fraud and checked < 0.3 else "M"
    if payment.channel in (1, 2):
        place = int(checked * 8) if payment.fraud else int(checked * 4) // 3
        authentication.trans_status = _TRANS_STATUS[min(place, 3)]
        authentication.eci = "05" if place == 0 else "07"


def match_references(payment: SimulatedPayment) -> dict[str, str | int]:
    """What the issuer finds in the authorization message: fields of `v1.MatchReferences`."""
    references: dict[str, str | int] = {
        "acquiring_institution_id": payment.acquirer_id,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "iin": payment.card.iin,
        "last4": payment.card.last4,
        "card_acceptor_id": payment.card_acceptor_id,
        "attempted_at_ms": payment.at_ms,
    }
    if not payment.keyless:
        references["stan"] = payment.stan
        references["transmission_date_time"] = payment.transmission_date_time
        references["retrieval_reference_number"] = payment.retrieval_reference_number
    return references
