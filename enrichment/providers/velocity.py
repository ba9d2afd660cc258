"""How often the card, the address and the device were seen lately. Counts only; keys never come here."""

from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Facts, JsonValue
from enrichment.velocity import VelocityKind

CARD_10M = FIELD_BY_NAME["card_attempts_10m"].number
IP_10M = FIELD_BY_NAME["ip_attempts_10m"].number
DEVICE_10M = FIELD_BY_NAME["device_attempts_10m"].number

_SHARED = ((VelocityKind.CARD, CARD_10M), (VelocityKind.IP, IP_10M), (VelocityKind.DEVICE, DEVICE_10M))


def provide(facts: Facts, values: dict[int, JsonValue]) -> None:
    """Adds the group velocity; nothing while the store has no answer."""
    if facts.velocity is None:
        return
    for kind, number in _SHARED:
        counts = facts.velocity[kind]
        if counts is not None:
            values[number] = counts[0]
