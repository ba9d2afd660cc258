"""Bad input: each case spoils one thing in a good request and says what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass

from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1

SECRET = "do-not-echo-7731"
"""Stands in each spoiled value, so that an answer or log that carries a value is seen."""

REFUSED, DROPPED, PASSED = "refused", "dropped", "passed"


def good_request(
    number: int = 1, *, initiated_at_ms: int = 1_735_700_000_000
) -> v1.EnrichAuthorizationRequest:
    """A complete request for a card of northgate-bank, at a merchant that takes part."""
    return v1.EnrichAuthorizationRequest(
        request_id=f"req-{number}",
        payment_intent_id=f"pi-{number}",
        attempt_no=1,
        merchant_id="m-0001",
        platform_id="plat-1",
        network=common.NETWORK_VISA,
        amount_minor=4_250,
        currency="USD",
        initiated_at_ms=initiated_at_ms,
        channel=common.CHANNEL_ECOM,
        initiation=common.INITIATION_CIT,
        card=v1.Card(pan="9010010158835080", funding=common.FUNDING_CREDIT),
        acquirer=v1.Acquirer(
            acquiring_institution_id="400552",
            stan=f"{number % 1_000_000:06d}",
            transmission_date_time="0101120000",
            retrieval_reference_number=f"{number:012d}",
            terminal_id="TERM0001",
            card_acceptor_id="ACCEPTOR0000001",
        ),
        merchant=v1.Merchant(mcc="5732", name="Shop One", country="US"),
        customer=v1.Customer(
            email="ada@mailbox.internal",
            phone_e164="+12025550143",
            name="Ada Example",
            billing=v1.Address(
                line1="1 Main St", city="Springfield", region="IL", postal_code="62701", country="US"
            ),
            shipping=v1.Address(
                line1="1 Main St", city="Springfield", region="IL", postal_code="62701", country="US"
            ),
            history=v1.CustomerHistory(account_age_days=400, purchases_6m=12),
        ),
        device=v1.Device(
            ip="44.128.7.23",
            device_id="device-000001",
            user_agent="Mozilla/5.0",
            browser=v1.Browser(
                time_zone="America/Chicago", language="en-US", screen_width=1920, screen_height=1080
            ),
            coarse_location=v1.CoarseLocation(latitude=39.78, longitude=-89.65),
        ),
        authentication=v1.Authentication(
            eci="05", trans_status=v1.TRANS_STATUS_Y, avs_result="Y", cvv_result="M"
        ),
        cardholder_region="US",
    )


@dataclass(frozen=True, slots=True)
class Case:
    """`field` is what the answer must name; `expected` is REFUSED, DROPPED or PASSED."""

    name: str
    expected: str
    field: str
    spoil: Callable[[v1.EnrichAuthorizationRequest], object]


def _set(path: str, value: object) -> Callable[[v1.EnrichAuthorizationRequest], object]:
    *parents, leaf = path.split(".")

    def spoil(request: v1.EnrichAuthorizationRequest) -> None:
        target: object = request
        for parent in parents:
            target = getattr(target, parent)
        setattr(target, leaf, value)

    return spoil


def _clear(path: str) -> Callable[[v1.EnrichAuthorizationRequest], object]:
    return lambda request: request.ClearField(path)  # type: ignore[arg-type]


def _card(**identifier: object) -> Callable[[v1.EnrichAuthorizationRequest], object]:
    return lambda request: request.card.CopyFrom(v1.Card(**identifier))  # type: ignore[arg-type]


LONG = SECRET * 64

REQUIRED = (
    Case("request_id missing", REFUSED, "request_id", _clear("request_id")),
    Case("request_id oversize", REFUSED, "request_id", _set("request_id", LONG)),
    Case("request_id with control characters", REFUSED, "request_id", _set("request_id", SECRET + "\x00")),
    Case("payment_intent_id missing", REFUSED, "payment_intent_id", _clear("payment_intent_id")),
    Case("payment_intent_id oversize", REFUSED, "payment_intent_id", _set("payment_intent_id", LONG)),
    Case("merchant_id missing", REFUSED, "merchant_id", _clear("merchant_id")),
    Case("merchant_id oversize", REFUSED, "merchant_id", _set("merchant_id", LONG)),
    Case("amount_minor negative", REFUSED, "amount_minor", _set("amount_minor", -1)),
    Case("amount_minor beyond DE4", REFUSED, "amount_minor", _set("amount_minor", 2**62)),
    Case("currency missing", REFUSED, "currency", _clear("currency")),
    Case("currency unknown", REFUSED, "currency", _set("currency", "ZZQ")),
    Case("currency malformed", REFUSED, "currency", _set("currency", SECRET)),
    Case("initiated_at_ms missing", REFUSED, "initiated_at_ms", _clear("initiated_at_ms")),
    Case("initiated_at_ms negative", REFUSED, "initiated_at_ms", _set("initiated_at_ms", -5)),
    Case("initiated_at_ms far ahead", REFUSED, "initiated_at_ms", _set("initiated_at_ms", 4_102_444_800_000)),
    Case("card missing", REFUSED, "card", _clear("card")),
    Case("card without identifier", REFUSED, "card", _card(iin="90100101", last4="5080")),
    Case("pan with a wrong check digit", REFUSED, "card.pan", _card(pan="9010010158835081")),
    Case("pan too short", REFUSED, "card.pan", _card(pan="901001015883")),
    Case("pan with letters", REFUSED, "card.pan", _card(pan=SECRET)),
    Case("card_ref without iin", REFUSED, "card.iin", _card(card_ref=SECRET, last4="5080")),
    Case("card_ref without last4", REFUSED, "card.last4", _card(card_ref=SECRET, iin="90100101")),
    Case("card_ref oversize", REFUSED, "card.card_ref", _card(card_ref=LONG, iin="90100101", last4="5080")),
    Case(
        "network_token malformed",
        REFUSED,
        "card.network_token",
        _card(network_token=SECRET, iin="90100101", last4="5080"),
    ),
    Case("attempt_no negative", DROPPED, "attempt_no", _set("attempt_no", -3)),
)

OPTIONAL = (
    Case("platform_id oversize", DROPPED, "platform_id", _set("platform_id", LONG)),
    Case("mit_reason oversize", DROPPED, "mit_reason", _set("mit_reason", LONG)),
    Case("iin malformed beside a pan", DROPPED, "card.iin", _set("card.iin", SECRET)),
    Case("last4 malformed beside a pan", DROPPED, "card.last4", _set("card.last4", SECRET)),
    Case("par malformed", DROPPED, "card.par", _set("card.par", SECRET)),
    Case(
        "DE32 malformed",
        DROPPED,
        "acquirer.acquiring_institution_id",
        _set("acquirer.acquiring_institution_id", SECRET),
    ),
    Case("DE11 malformed", DROPPED, "acquirer.stan", _set("acquirer.stan", SECRET)),
    Case(
        "DE7 malformed",
        DROPPED,
        "acquirer.transmission_date_time",
        _set("acquirer.transmission_date_time", SECRET),
    ),
    Case(
        "DE7 impossible",
        DROPPED,
        "acquirer.transmission_date_time",
        _set("acquirer.transmission_date_time", "1399256199"),
    ),
    Case(
        "DE37 malformed",
        DROPPED,
        "acquirer.retrieval_reference_number",
        _set("acquirer.retrieval_reference_number", LONG),
    ),
    Case("DE41 malformed", DROPPED, "acquirer.terminal_id", _set("acquirer.terminal_id", LONG)),
    Case("DE42 malformed", DROPPED, "acquirer.card_acceptor_id", _set("acquirer.card_acceptor_id", LONG)),
    Case("mcc malformed", DROPPED, "merchant.mcc", _set("merchant.mcc", SECRET)),
    Case("merchant name oversize", DROPPED, "merchant.name", _set("merchant.name", LONG)),
    Case("merchant country malformed", DROPPED, "merchant.country", _set("merchant.country", SECRET)),
    Case("email malformed", DROPPED, "customer.email", _set("customer.email", SECRET)),
    Case("email oversize", DROPPED, "customer.email", _set("customer.email", LONG + "@mail.example")),
    Case("phone malformed", DROPPED, "customer.phone_e164", _set("customer.phone_e164", SECRET)),
    Case("name oversize", DROPPED, "customer.name", _set("customer.name", LONG)),
    Case("billing line oversize", DROPPED, "customer.billing.line1", _set("customer.billing.line1", LONG)),
    Case(
        "billing country malformed",
        DROPPED,
        "customer.billing.country",
        _set("customer.billing.country", SECRET),
    ),
    Case(
        "shipping postal code oversize",
        DROPPED,
        "customer.shipping.postal_code",
        _set("customer.shipping.postal_code", LONG),
    ),
    Case(
        "account age negative",
        DROPPED,
        "customer.history.account_age_days",
        _set("customer.history.account_age_days", -1),
    ),
    Case("ip malformed", DROPPED, "device.ip", _set("device.ip", SECRET)),
    Case("ip as one number", DROPPED, "device.ip", _set("device.ip", "2130706433")),
    Case("device id oversize", DROPPED, "device.device_id", _set("device.device_id", LONG)),
    Case("user agent oversize", DROPPED, "device.user_agent", _set("device.user_agent", LONG)),
    Case("time zone oversize", DROPPED, "device.browser.time_zone", _set("device.browser.time_zone", LONG)),
    Case(
        "screen width negative",
        DROPPED,
        "device.browser.screen_width",
        _set("device.browser.screen_width", -1),
    ),
    Case(
        "latitude out of range",
        DROPPED,
        "device.coarse_location",
        _set("device.coarse_location.latitude", 91.0),
    ),
    Case("eci malformed", DROPPED, "authentication.eci", _set("authentication.eci", SECRET)),
    Case(
        "ds_trans_id malformed",
        DROPPED,
        "authentication.ds_trans_id",
        _set("authentication.ds_trans_id", SECRET),
    ),
    Case(
        "avs result malformed",
        DROPPED,
        "authentication.avs_result",
        _set("authentication.avs_result", SECRET),
    ),
    Case(
        "cvv result malformed",
        DROPPED,
        "authentication.cvv_result",
        _set("authentication.cvv_result", SECRET),
    ),
    Case("exemption oversize", DROPPED, "authentication.exemption", _set("authentication.exemption", LONG)),
    Case("region malformed", DROPPED, "cardholder_region", _set("cardholder_region", SECRET)),
    Case("network unknown", DROPPED, "network", _set("network", 77)),
    Case("channel unknown", DROPPED, "channel", _set("channel", 77)),
    Case("initiation unknown", DROPPED, "initiation", _set("initiation", 77)),
    Case("funding unknown", DROPPED, "card.funding", _set("card.funding", 77)),
    Case(
        "trans_status unknown",
        DROPPED,
        "authentication.trans_status",
        _set("authentication.trans_status", 77),
    ),
    Case(
        "too many assessments",
        DROPPED,
        "caller_assessments",
        lambda r: [r.caller_assessments.add(assessor="own", scale_max=1.0, value=0.5) for _ in range(5)],
    ),
    Case(
        "assessment off its scale",
        DROPPED,
        "caller_assessments",
        lambda r: r.caller_assessments.add(assessor="own", scale_max=1.0, value=7.0),
    ),
    Case(
        "optional parts all missing",
        PASSED,
        "",
        lambda r: [
            r.ClearField(name) for name in ("acquirer", "merchant", "customer", "device", "authentication")
        ],
    ),
    Case("zero amount verifies an account", PASSED, "", _set("amount_minor", 0)),
    Case("an old payment is a replay", PASSED, "", _set("initiated_at_ms", 1_000_000_000_000)),
)

CASES = REQUIRED + OPTIONAL
