"""Checks a request by hand: required fields or a typed refusal, bad optional fields dropped and named.

By hand, since a generic validator costs more than everything else in the request path together (36 µs against
a few). No issue ever carries a value.
"""

import ipaddress
import math
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

from enrichment import formats
from enrichment.card import read_card
from enrichment.formats import (
    CONTROL_CHARACTER,
    MALFORMED,
    MISSING,
    OUT_OF_RANGE,
    TOO_MANY,
    StringField,
    StringGroup,
    known_enum,
    text,
)
from enrichment.payment import Address, Assessment, BadRequest, Browser, History, Issue, Payment
from issuernetwork.v1 import enrichment_pb2

__all__ = ["BadRequest", "Payment", "check"]

MAX_REQUEST_BYTES: Final = 64 * 1024
"""A whole message beyond this is refused before it is parsed; a full request has under 2 KiB."""

MAX_SKEW_AHEAD_MS: Final = 60_000  # the contract's clock skew; old times are accepted, for replays
MAX_AMOUNT_MINOR: Final = 10**12 - 1  # DE4 is n12
MAX_ASSESSMENTS: Final = 4
MAX_REASON_CODES: Final = 4
MAX_AGE_DAYS: Final = 36_525  # a hundred years
MAX_HISTORY_COUNT: Final = 1_000_000
MAX_SCREEN_PIXELS: Final = 32_767
MAX_NORMALISED: Final = 999

_HEAD = StringGroup(
    "",
    StringField("request_id", formats.ID, required=True),
    StringField("payment_intent_id", formats.ID, required=True),
    StringField("merchant_id", formats.ID, required=True),
    StringField("currency", formats.CURRENCY, required=True),
    StringField("platform_id", formats.ID),
    StringField("mit_reason", text(32)),
    StringField("cardholder_region", formats.COUNTRY),
    StringField("correlation_id", formats.ID),
    StringField("issuer_reference_id", formats.ID),
    StringField("original_network_transaction_id", formats.NETWORK_TRANSACTION_ID),
)
_HEAD_NUMBERS = attrgetter(
    "attempt_no", "network", "amount_minor", "initiated_at_ms", "channel", "initiation", "validate_only"
)
_ACQUIRER = StringGroup(
    "acquirer.",
    StringField("acquiring_institution_id", formats.digits(1, 11)),
    StringField("stan", formats.digits(6)),
    StringField("transmission_date_time", formats.TRANSMISSION_DATE_TIME),
    StringField("retrieval_reference_number", formats.alphanumeric(12)),
    StringField("terminal_id", formats.printable(8)),
    StringField("card_acceptor_id", formats.printable(15)),
    StringField("network_match_key", formats.printable(64)),
)
_MERCHANT = StringGroup(
    "merchant.",
    StringField("mcc", formats.digits(4)),
    StringField("name", text(64)),
    StringField("country", formats.COUNTRY),
)
_CUSTOMER = StringGroup(
    "customer.",
    StringField("email", formats.EMAIL),
    StringField("phone_e164", formats.PHONE),
    StringField("name", text(64)),
)
_ADDRESS_FIELDS = (
    StringField("line1", text(128)),
    StringField("city", text(64)),
    StringField("region", text(32)),
    StringField("postal_code", text(16)),
    StringField("country", formats.COUNTRY),
)
_BILLING = StringGroup("customer.billing.", *_ADDRESS_FIELDS)
_SHIPPING = StringGroup("customer.shipping.", *_ADDRESS_FIELDS)
# Long, so `str.isprintable` looks for its control characters instead of the pattern: three times as fast.
USER_AGENT: Final = replace(text(512), pattern=r"[^\x00]{1,512}+")
_DEVICE = StringGroup(
    "device.",
    StringField("ip", formats.IP),
    StringField("device_id", formats.ID),
    StringField("user_agent", USER_AGENT),
)
_BROWSER = StringGroup(
    "device.browser.",
    StringField("time_zone", text(64)),
    StringField("language", formats.LANGUAGE),
)
_AUTHENTICATION = StringGroup(
    "authentication.",
    StringField("eci", formats.alphanumeric(2)),
    StringField("ds_trans_id", formats.UUID),
    StringField("avs_result", formats.alphanumeric(1)),
    StringField("cvv_result", formats.alphanumeric(1)),
    StringField("exemption", formats.EXEMPTION),
)
_ORDER = StringGroup("order.", StringField("basket_category", text(64)))
_ASSESSMENT = StringGroup(
    "caller_assessments.",
    StringField("assessor", formats.ID),
    StringField("type", formats.ID),
    StringField("model_id", formats.ID),
)
GROUPS: Final = (
    _HEAD, _ACQUIRER, _MERCHANT, _CUSTOMER, _BILLING, _SHIPPING, _DEVICE, _BROWSER, _AUTHENTICATION, _ORDER,
)  # fmt: skip
"""Every group of strings in a request but the card's."""

_ASSESSMENT_NUMBERS = attrgetter("value", "scale_min", "scale_max", "high_is_risky", "normalised")

HISTORY: Final = (
    ("account_age_days", MAX_AGE_DAYS),
    ("account_change_age_days", MAX_AGE_DAYS),
    ("password_change_age_days", MAX_AGE_DAYS),
    ("transactions_24h", MAX_HISTORY_COUNT),
    ("transactions_1y", MAX_HISTORY_COUNT),
    ("purchases_6m", MAX_HISTORY_COUNT),
    ("add_card_attempts_24h", MAX_HISTORY_COUNT),
    ("card_on_file_age_days", MAX_AGE_DAYS),
)
_NAMES: Final = tuple(name for name, _ in HISTORY)
_HISTORY_VALUES = attrgetter(*_NAMES)

# Highest number of each enum of the contract; a higher or negative one is from a contract we do not know.
MAX_NETWORK: Final = 5
MAX_CHANNEL: Final = 4
MAX_INITIATION: Final = 2
MAX_TRANS_STATUS: Final = 8
MAX_DELIVERY_TIMEFRAME: Final = 6

_NO_CUSTOMER: Final = ("", "", "", None, None, None)
_NO_DEVICE: Final = ("", "", "", None, None)
_NO_ORDER: Final = ("", 0)


def check(request: enrichment_pb2.EnrichAuthorizationRequest, now_ms: int) -> Payment | BadRequest:
    """The payment as plain values, or every required field that is missing or malformed.

    `now_ms` is wall time. The caller has looked at MAX_REQUEST_BYTES before parsing; the parser has refused
    invalid UTF-8.
    """
    issues: list[Issue] = []
    refusals: list[Issue] = []
    request_id, payment_intent_id, merchant_id, currency, platform_id, mit_reason, region, *references = (
        _HEAD.read(request, issues, refusals)
    )
    attempt_no, network, amount_minor, initiated_at_ms, channel, initiation, validate_only = _HEAD_NUMBERS(
        request
    )
    if not 0 <= amount_minor <= MAX_AMOUNT_MINOR:
        refusals.append(("amount_minor", OUT_OF_RANGE, "send 0 to 999999999999 minor units"))
    if not 0 < initiated_at_ms <= now_ms + MAX_SKEW_AHEAD_MS:
        refusals.append(_time_refusal(initiated_at_ms))
    card = read_card(request.card, issues, refusals)
    if refusals or card is None:
        return BadRequest(tuple(refusals))

    if attempt_no <= 0:
        if attempt_no:
            issues.append(("attempt_no", OUT_OF_RANGE, "count attempts from 1"))
        attempt_no = 1
    if not (
        0 <= network <= MAX_NETWORK and 0 <= channel <= MAX_CHANNEL and 0 <= initiation <= MAX_INITIATION
    ):
        network = known_enum("network", network, MAX_NETWORK, issues)
        channel = known_enum("channel", channel, MAX_CHANNEL, issues)
        initiation = known_enum("initiation", initiation, MAX_INITIATION, issues)
    if not platform_id and request.platform_id:
        # The platform's own setting may forbid sharing and can no longer be found: an unknown region denies.
        region = ""
    has = request.HasField
    values: tuple[Any, ...] = (
        request_id,
        payment_intent_id,
        attempt_no,
        merchant_id,
        platform_id,
        network,
        amount_minor,
        currency,
        initiated_at_ms,
        channel,
        initiation,
        mit_reason,
        *references,
        *(_order(request.order, issues) if has("order") else _NO_ORDER),
        *card,
        *_ACQUIRER.read(request.acquirer, issues, refusals),
        *_MERCHANT.read(request.merchant, issues, refusals),
        *(_customer(request.customer, issues) if has("customer") else _NO_CUSTOMER),
        *(_device(request.device, issues) if has("device") else _NO_DEVICE),
        *_authentication(request.authentication, issues),
        region,
        assessments(request.caller_assessments, issues) if request.caller_assessments else (),
        validate_only,
        issues,
    )
    return Payment(*values)


def _time_refusal(initiated_at_ms: int) -> Issue:
    if initiated_at_ms == 0:
        return "initiated_at_ms", MISSING, "send UTC epoch milliseconds"
    return "initiated_at_ms", OUT_OF_RANGE, "send UTC epoch milliseconds, at most 60 s ahead of our clock"


def _customer(message: Any, issues: list[Issue]) -> tuple[Any, ...]:
    """email, phone, name, billing, shipping, history."""
    email, phone, name = _CUSTOMER.read(message, issues, issues)
    has = message.HasField
    billing = _address(_BILLING, message.billing, issues)
    if not has("shipping"):
        shipping = None
    elif billing is not None and not issues and message.shipping == message.billing:
        shipping = billing  # found good a moment ago: comparing is a fifth of checking
    else:
        shipping = _address(_SHIPPING, message.shipping, issues)
    return (
        email,
        phone,
        name,
        billing,
        shipping,
        _history(message.history, issues) if has("history") else None,
    )


def _address(group: StringGroup, message: Any, issues: list[Issue]) -> Address | None:
    values = group.read(message, issues, issues)
    return Address._make(values) if any(values) else None


def _history(message: Any, issues: list[Issue]) -> History:
    given: tuple[int, ...] = _HISTORY_VALUES(message)
    values: list[int | None] = list(given)
    if 0 in given:
        # Proto3 reads an unset number as 0; only presence tells "today" from "not known".
        has = message.HasField
        values = [value if value or has(name) else None for value, name in zip(given, _NAMES, strict=True)]
    if max(given) <= MAX_AGE_DAYS and min(given) >= 0:  # the lowest of the limits: nearly always so
        return History._make(values)
    for at, (name, highest) in enumerate(HISTORY):
        value = values[at]
        if value is not None and not 0 <= value <= highest:
            issues.append((f"customer.history.{name}", OUT_OF_RANGE, f"send 0 to {highest}"))
            values[at] = None
    return History._make(values)


def _device(message: Any, issues: list[Issue]) -> tuple[Any, ...]:
    """ip, device_id, user_agent, browser, location."""
    ip, device_id, user_agent = _DEVICE.read(message, issues, issues)
    if ":" in ip:
        ip = _ipv6(ip, issues)
    if not user_agent.isprintable() and formats.has_control(user_agent):
        issues.append(("device.user_agent", CONTROL_CHARACTER, USER_AGENT.mend))
        user_agent = ""
    return (
        ip,
        device_id,
        user_agent,
        _browser(message.browser, issues),
        _location(message.coarse_location, issues) if message.HasField("coarse_location") else None,
    )


def _ipv6(value: str, issues: list[Issue]) -> str:
    """RFC 5952 form, or the IPv4 address inside an IPv4-mapped one."""
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        issues.append(("device.ip", MALFORMED, formats.IP.mend))
        return ""
    return str(address.ipv4_mapped or address)


def _browser(message: Any, issues: list[Issue]) -> Browser | None:
    time_zone, language = _BROWSER.read(message, issues, issues)
    width, height = message.screen_width, message.screen_height
    if not (0 <= width <= MAX_SCREEN_PIXELS and 0 <= height <= MAX_SCREEN_PIXELS):
        issues.append(("device.browser.screen_width", OUT_OF_RANGE, f"send 1 to {MAX_SCREEN_PIXELS} pixels"))
        width = height = 0
    return Browser(time_zone, language, width, height) if time_zone or language or width or height else None


def _location(message: Any, issues: list[Issue]) -> tuple[float, float] | None:
    found = coarse(message.latitude, message.longitude)
    if found is None:
        issues.append(("device.coarse_location", OUT_OF_RANGE, "send degrees: latitude ±90, longitude ±180"))
    return found


def coarse(latitude: float, longitude: float) -> tuple[float, float] | None:
    """Degrees to about a kilometre; None where there is no such place."""
    # A comparison with NaN is false, so NaN is out of range too.
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return round(latitude, 2), round(longitude, 2)


def _authentication(message: Any, issues: list[Issue]) -> tuple[Any, ...]:
    """eci, trans_status, ds_trans_id, avs_result, cvv_result, exemption."""
    eci, ds_trans_id, avs_result, cvv_result, exemption = _AUTHENTICATION.read(message, issues, issues)
    status = message.trans_status
    if not 0 <= status <= MAX_TRANS_STATUS:
        status = known_enum("authentication.trans_status", status, MAX_TRANS_STATUS, issues)
    return eci, status, ds_trans_id, avs_result, cvv_result, exemption


def _order(message: Any, issues: list[Issue]) -> tuple[Any, ...]:
    """basket_category, delivery_timeframe."""
    (category,) = _ORDER.read(message, issues, issues)
    timeframe = message.delivery_timeframe
    return category, known_enum("order.delivery_timeframe", timeframe, MAX_DELIVERY_TIMEFRAME, issues)


def assessments(messages: Any, issues: list[Issue]) -> tuple[Assessment, ...]:
    """The caller's own scores that are usable."""
    if len(messages) > MAX_ASSESSMENTS:
        issues.append(
            ("caller_assessments", TOO_MANY, f"send at most {MAX_ASSESSMENTS}; the rest was dropped")
        )
    kept = [_assessment(message, issues) for message in messages[:MAX_ASSESSMENTS]]
    return tuple([assessment for assessment in kept if assessment is not None])


def _assessment(message: Any, issues: list[Issue]) -> Assessment | None:
    """One score of the caller's own; None, and named, unless all of it is usable: half a score misleads."""
    found: list[Issue] = []
    assessor, kind, model_id = _ASSESSMENT.read(message, found, found)
    value, low, high, high_is_risky, normalised = _ASSESSMENT_NUMBERS(message)
    codes = tuple(message.reason_codes)
    # An infinite end makes the scale meaningless; a comparison with NaN is false.
    if not (-math.inf < low <= value <= high < math.inf and low < high):
        found.append(("caller_assessments.value", OUT_OF_RANGE, "send scale_min < scale_max, value between"))
    if not 0 <= normalised <= MAX_NORMALISED:
        found.append(("caller_assessments.normalised", OUT_OF_RANGE, f"send 0 to {MAX_NORMALISED}"))
    if len(codes) > MAX_REASON_CODES or not all(map(_REASON_CODE, codes)):
        found.append(
            ("caller_assessments.reason_codes", MALFORMED, "send at most 4 codes of 1 to 32 printable")
        )
    if found:
        issues.extend(found)
        return None
    return Assessment(assessor, kind, model_id, value, low, high, high_is_risky, normalised, codes)


_REASON_CODE = formats.matcher(formats.printable(32))
