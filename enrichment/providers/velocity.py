"""How often the card, the address and the device were seen lately. Counts only; keys never come here."""

from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Facts
from enrichment.providers import Values, bit

CARD_10M = FIELD_BY_NAME["card_attempts_10m"].number
IP_10M = FIELD_BY_NAME["ip_attempts_10m"].number
DEVICE_10M = FIELD_BY_NAME["device_attempts_10m"].number

VALUES: Values = {
    CARD_10M: lambda known: known.facts.velocity[0][0],
    IP_10M: lambda known: known.facts.velocity[2][0],
    DEVICE_10M: lambda known: known.facts.velocity[3][0],
}

_CARD_10M, _IP_10M, _DEVICE_10M = bit(CARD_10M), bit(IP_10M), bit(DEVICE_10M)
_WHOLE = _CARD_10M | _IP_10M | _DEVICE_10M


def present(facts: Facts) -> int:
    """Mask of the group velocity; 0 while the store has no answer."""
    velocity = facts[0]
    if velocity is None:
        return 0
    if None not in velocity:
        return _WHOLE
    card, _, ip, device = velocity  # in the order of VelocityKind
    return (
        (0 if card is None else _CARD_10M)
        | (0 if ip is None else _IP_10M)
        | (0 if device is None else _DEVICE_10M)
    )
