"""What values of fields look like: in words, and as a JSON Schema (draft 2020-12) of the value in a share."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Schema = Mapping[str, Any]

_INT64: Final = (1 << 63) - 1


class Shape(NamedTuple):
    """One kind of value."""

    words: str
    schema: Schema


def text(most: int) -> Shape:
    """Characters, none of them control."""
    return Shape(f"string <= {most}", {"type": "string", "minLength": 1, "maxLength": most})


def pattern(words: str, expression: str) -> Shape:
    """A string of one form. The expression has no anchors."""
    return Shape(words, {"type": "string", "pattern": f"^(?:{expression})$"})


def digits(least: int, most: int | None = None) -> Shape:
    """n{least}, or n{least}-{most}."""
    top = least if most is None else most
    words = f"n{least}" if most is None else f"n{least}-{most}"
    return pattern(words, f"[0-9]{{{least},{top}}}" if top != least else f"[0-9]{{{least}}}")


def alphanumeric(chars: int) -> Shape:
    """an{chars}."""
    return pattern(f"an{chars}", f"[0-9A-Za-z]{{{chars}}}")


def one_of(*words: str) -> Shape:
    """A closed list."""
    return Shape(" | ".join(words), {"type": "string", "enum": list(words)})


def whole(least: int = 0, most: int = _INT64) -> Shape:
    """A whole number."""
    words = f"int {least}-{most}" if most != _INT64 else "int" if least == 0 else f"int, from {least}"
    return Shape(words, {"type": "integer", "minimum": least, "maximum": most})


def number(least: float, most: float) -> Shape:
    """A number with decimals."""
    return Shape(f"number {least}-{most}", {"type": "number", "minimum": least, "maximum": most})


def struct(**members: Shape) -> Shape:
    """An object that has every member."""
    schema = {
        "type": "object",
        "properties": {name: dict(shape.schema) for name, shape in members.items()},
        "required": list(members),
        "additionalProperties": False,
    }
    return Shape("{" + ", ".join(members) + "}", schema)


def several(one: Shape, most: int, words: str) -> Shape:
    """A list."""
    return Shape(words, {"type": "array", "items": dict(one.schema), "maxItems": most})


def or_empty(most: int) -> Shape:
    """A string that may be "" where the sender had none."""
    return Shape(f"string <= {most}", {"type": "string", "maxLength": most})


BOOL: Final = Shape("bool", {"type": "boolean"})
NUMBER: Final = Shape("number", {"type": "number"})
COUNTRY: Final = pattern("ISO 3166-1 alpha-2", "[A-Z]{2}")
TIME_MS: Final = whole()
COUNT: Final = whole()
DAYS: Final = whole(0, 36_525)
"""A hundred years: what a request may say (enrichment/check.py)."""

ADDRESS: Final = struct(
    line1=or_empty(128), city=or_empty(64), region=or_empty(32), postal_code=or_empty(16),
    country=pattern("", "([A-Z]{2})?"),
)  # fmt: skip
BROWSER: Final = struct(
    time_zone=or_empty(64), language=or_empty(35), screen_width=whole(0, 32_767),
    screen_height=whole(0, 32_767),
)  # fmt: skip
PLACE: Final = struct(latitude=number(-90, 90), longitude=number(-180, 180))
SCALE: Final = struct(min=NUMBER, max=NUMBER, high_is_risky=BOOL)
HASHES: Final = several(
    struct(token_epoch=whole(1), hash=pattern("", "[A-Za-z0-9_-]{1,64}")), 2, "[{token_epoch, hash}]"
)
"""Two while two epochs overlap."""

CODES: Final = several(text(32), 4, "list of codes, strongest first, at most 4")

_SCORE: Final = Shape("number", {"type": "number"})
ASSESSMENTS: Final = several(
    struct(
        assessor=or_empty(64), type=or_empty(64), model_id=or_empty(64), value=_SCORE, min=_SCORE, max=_SCORE,
        high_is_risky=BOOL, normalised=whole(0, 999), reason_codes=CODES,
    ),
    4,
    "list of assessments, at most 4",
)  # fmt: skip
"""What a request may say (enrichment/check.py)."""
