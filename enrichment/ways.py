"""Where the value of each field lies in what is known of a payment, for an engine that takes it there.

`Signals.named` stays the reading that counts: a way comes to the same JSON, for what most payments have.
"""

from collections.abc import Callable
from typing import Any, Final

from enrichment.contact import HASHED_MASK
from enrichment.families import authentication, card, velocity
from enrichment.fields import FIELD_BY_NAME, FIELDS
from enrichment.payment import Address, Assessment, Browser, Facts, History, JsonValue
from enrichment.signals import PROVIDED, SOURCES, value_of

Way = tuple[Any, ...]
"""(kind, path, and what the kind needs). The path is `facts`, `assessment`, another attribute of the signals,
or `payment.` and one of its own.

`value`; `item`, places within tuples; `members`, (name, place) of a tuple, as an object; `entry`, the place
of a dict in a tuple, and a name in it; `upper` and `lower`, of a text; `word`, words by number."""

_VELOCITY, _FOUND = Facts._fields.index("velocity"), Facts._fields.index("found")


def _score(name: str) -> Way:
    return "item", "assessment", (Assessment._fields.index(name),)


def _members(path: str, names: tuple[str, ...]) -> Way:
    return "members", path, tuple((name, place) for place, name in enumerate(names))


_SCALE: Final = (("min", "scale_min"), ("max", "scale_max"), ("high_is_risky", "high_is_risky"))

_BY_NAME: Final[dict[str, Way]] = {
    "channel": ("word", "payment.channel", card.CHANNELS),
    "delivery_timeframe": ("word", "payment.delivery_timeframe", card.TIMEFRAMES),
    "email": ("lower", "payment.email"),
    "billing_address": _members("payment.billing", Address._fields),
    "shipping_address": _members("payment.shipping", Address._fields),
    "ship_bill_match": ("value", "ship_bill_match"),
    "browser_fp": _members("payment.browser", Browser._fields),
    "geo": _members("payment.location", ("latitude", "longitude")),
    "trans_status": ("word", "payment.trans_status", authentication.TRANS_STATUSES),
    "ds_trans_id": ("lower", "payment.ds_trans_id"),
    "avs_result": ("upper", "payment.avs_result"),
    "cvv_result": ("upper", "payment.cvv_result"),
    "score_raw": _score("value"),
    "score_scale": (
        "members",
        "assessment",
        tuple((name, Assessment._fields.index(of)) for name, of in _SCALE),
    ),
    "score_norm": _score("normalised"),
    "reason_codes": _score("reason_codes"),
    "model_id": _score("model_id"),
    "score_percentile": _score("percentile"),
    "recommendation": _score("recommendation"),
    **{name: ("entry", "facts", _FOUND, name) for name in PROVIDED},
}


def _way(number: int, name: str) -> Way | None:
    source = SOURCES[number]
    if isinstance(source, str):
        group, _, part = source.rpartition(".")
        if group:
            return "item", f"payment.{group}", (History._fields.index(part),)
        return "value", f"payment.{source}"
    place = velocity.PLACES.get(number)
    if place is not None:
        kind, at = place
        return "item", "facts", (_VELOCITY, int(kind), at)
    return _BY_NAME.get(name)


def rows() -> list[tuple[int, str, Way | None, Callable[[Any], JsonValue]]]:
    """Of each field that signals have a value of: number, name, way, and the reading that counts."""
    return [
        (one.number, one.name, _way(one.number, one.name), value_of(one.number))
        for one in FIELDS
        if one.number in SOURCES and not HASHED_MASK >> one.number & 1
    ]


assert _BY_NAME.keys() <= FIELD_BY_NAME.keys(), "a way of no field"
