"""How often the card, the address, the device and the e-mail were seen lately, and with how many others.

Counts only; keys never come here.
"""

from collections.abc import Callable
from typing import Any, Final

from enrichment.families import Values
from enrichment.fields import FIELD_BY_NAME, mask_of
from enrichment.payment import Facts
from enrichment.velocity import VelocityKind

_WINDOWS: Final = ("10m", "1h", "24h", "7d")
"""In the order of `Counts`: attempts in each, then different others in each."""

_FIELDS: Final[dict[VelocityKind, tuple[tuple[str, int], ...]]] = {
    VelocityKind.CARD: (
        *[(f"card_attempts_{window}", at) for at, window in enumerate(_WINDOWS)],
        ("merchants_per_card_24h", 6),
    ),
    VelocityKind.MERCHANT: (),
    VelocityKind.IP: (("ip_attempts_10m", 0), ("cards_per_ip_24h", 6)),
    VelocityKind.DEVICE: (("device_attempts_10m", 0), ("cards_per_device_24h", 6)),
    VelocityKind.EMAIL: (("email_attempts_24h", 2), ("cards_per_email_24h", 6)),
}
"""Of each kind: its fields, and where in its counts their value is."""


PLACES: Final = {
    FIELD_BY_NAME[name].number: (kind, at) for kind, fields in _FIELDS.items() for name, at in fields
}
"""Where each field's value is: a kind of counts, and a place in them."""


def _value(kind: VelocityKind, at: int) -> Callable[[Any], int]:
    return lambda known: known.facts.velocity[kind][at]


VALUES: Values = {number: _value(kind, at) for number, (kind, at) in PLACES.items()}

OF_KIND: Final = tuple(mask_of([name for name, _ in _FIELDS[kind]]) for kind in VelocityKind)
"""Mask of the fields of each kind."""

_WHOLE: Final = sum(OF_KIND)


def present(facts: Facts) -> int:
    """Mask of the group velocity; 0 while the store has no answer."""
    velocity = facts[0]
    if velocity is None:
        return 0
    if None not in velocity:
        return _WHOLE
    mask = 0
    for counts, fields in zip(velocity, OF_KIND, strict=True):
        if counts is not None:
            mask |= fields
    return mask
