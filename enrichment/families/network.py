"""Where the customer is on the network, and with which device."""

from typing import Any

from enrichment import quality
from enrichment.families import Values, bit
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Payment
from enrichment.quality import Poor

IP = FIELD_BY_NAME["ip"].number
DEVICE_ID = FIELD_BY_NAME["device_id"].number
USER_AGENT = FIELD_BY_NAME["user_agent"].number
BROWSER = FIELD_BY_NAME["browser_fp"].number
GEO = FIELD_BY_NAME["geo"].number


def _browser(known: Any) -> dict[str, object]:
    time_zone, language, width, height = known.payment.browser
    return {"time_zone": time_zone, "language": language, "screen_width": width, "screen_height": height}


def _geo(known: Any) -> dict[str, float]:
    latitude, longitude = known.payment.location
    return {"latitude": latitude, "longitude": longitude}


VALUES: Values = {
    IP: "ip",
    DEVICE_ID: "device_id",
    USER_AGENT: "user_agent",
    BROWSER: _browser,
    GEO: _geo,
}

_IP, _DEVICE_ID, _USER_AGENT = bit(IP), bit(DEVICE_ID), bit(USER_AGENT)
_BROWSER, _GEO = bit(BROWSER), bit(GEO)


def present(payment: Payment, poor: list[Poor]) -> int:
    """Mask of the group device."""
    mask = 0
    if payment.ip:
        mask |= _IP
        if not quality.ip_is_public(payment.ip):
            poor.append((IP, quality.NOT_PUBLIC))
    if payment.device_id:
        mask |= _DEVICE_ID
        why = quality.poor_device_id(payment.device_id)
        if why:
            poor.append((DEVICE_ID, why))
    if payment.user_agent:
        mask |= _USER_AGENT
        if quality.is_not_a_browser(payment.user_agent):
            poor.append((USER_AGENT, quality.NOT_A_BROWSER))
    if payment.browser is not None:
        mask |= _BROWSER
    if payment.location is not None:
        mask |= _GEO
        if not any(payment.location):
            poor.append((GEO, quality.PLACEHOLDER))  # where failed look-ups end up
    return mask
