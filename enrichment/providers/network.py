"""Where the customer is on the network, and with which device."""

from enrichment import quality
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import JsonValue, Payment
from enrichment.quality import Poor

IP = FIELD_BY_NAME["ip"].number
DEVICE_ID = FIELD_BY_NAME["device_id"].number
USER_AGENT = FIELD_BY_NAME["user_agent"].number
BROWSER = FIELD_BY_NAME["browser_fp"].number
GEO = FIELD_BY_NAME["geo"].number


def provide(payment: Payment, values: dict[int, JsonValue], poor: list[Poor]) -> None:
    """Adds the group device."""
    if payment.ip:
        values[IP] = payment.ip
        if not quality.ip_is_public(payment.ip):
            poor.append((IP, quality.NOT_PUBLIC))
    if payment.device_id:
        values[DEVICE_ID] = payment.device_id
        if quality.is_placeholder(payment.device_id):
            poor.append((DEVICE_ID, quality.PLACEHOLDER))
    if payment.user_agent:
        values[USER_AGENT] = payment.user_agent
        if quality.is_not_a_browser(payment.user_agent):
            poor.append((USER_AGENT, quality.NOT_A_BROWSER))
    browser = payment.browser
    if browser is not None:
        values[BROWSER] = {
            "time_zone": browser.time_zone,
            "language": browser.language,
            "screen_width": browser.screen_width,
            "screen_height": browser.screen_height,
        }
    if payment.location is not None:
        latitude, longitude = payment.location
        values[GEO] = {"latitude": latitude, "longitude": longitude}
        if not latitude and not longitude:
            poor.append((GEO, quality.PLACEHOLDER))  # where failed look-ups end up
