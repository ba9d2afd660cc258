"""How often the card, the address, the device and the e-mail were seen lately, and with how many others.

Counts only; keys never come here.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, Final

from enrichment.families import Values
from enrichment.fields import FIELD_BY_NAME, mask_of
from enrichment.payment import Facts
from enrichment.velocity import VelocityKind

_WINDOWS: Final = ("10m", "1h", "24h", "7d")
"""In the order of `Counts`: attempts in each, then different others in each."""

_DIFFERENT: Final[dict[VelocityKind, str]] = {
    VelocityKind.CARD: "merchants_per_card",
    VelocityKind.IP: "cards_per_ip",
    VelocityKind.DEVICE: "cards_per_device",
    VelocityKind.EMAIL: "cards_per_email",
}
"""Kinds that have fields: those of the others seen with one. A merchant's counts are no issuer's."""


def _fields_of(kind: VelocityKind) -> tuple[tuple[str, int], ...]:
    if kind not in _DIFFERENT:
        return ()
    counted = product((f"{kind.name.lower()}_attempts", _DIFFERENT[kind]), _WINDOWS)
    return tuple((f"{what}_{window}", at) for at, (what, window) in enumerate(counted))


_FIELDS: Final = {kind: _fields_of(kind) for kind in VelocityKind}
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
