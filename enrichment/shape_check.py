"""Whether a value is of the shape that its field has in a share: for values that are not made by our code."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from enrichment.field_shapes import Schema
from enrichment.fields import FIELD_BY_NAME

Check = Callable[[Any], bool]


@lru_cache(maxsize=len(FIELD_BY_NAME))
def check_of(name: str) -> Check:
    """The check of a field's values: strings, numbers and bools. Fields of other shapes take none."""
    return _of_schema(FIELD_BY_NAME[name].shape.schema)


def _of_schema(schema: Schema) -> Check:
    made = _BY_TYPE.get(str(schema.get("type")))
    return _never if made is None else made(schema)


def _never(value: Any) -> bool:
    return False


def _string(schema: Schema) -> Check:
    words = frozenset(schema["enum"]) if "enum" in schema else None
    matches = re.compile(schema["pattern"]).fullmatch if "pattern" in schema else None
    least, most = schema.get("minLength", 0), schema.get("maxLength", _TEXT_MAX)

    def check(value: Any) -> bool:
        if type(value) is not str or not least <= len(value) <= most or not value.isprintable():
            return False
        return (words is None or value in words) and (matches is None or matches(value) is not None)

    return check


def _integer(schema: Schema) -> Check:
    least, most = schema["minimum"], schema["maximum"]
    return lambda value: type(value) is int and least <= value <= most


def _number(schema: Schema) -> Check:
    least, most = schema["minimum"], schema["maximum"]
    # JSON has no infinity and no NaN.
    return lambda value: type(value) in (int, float) and isfinite(value) and least <= value <= most


_TEXT_MAX: Final = 512  # of a string whose form bounds it: the longest of the dictionary

_BY_TYPE: Final[Mapping[str, Callable[[Schema], Check]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda schema: lambda value: type(value) is bool,
}
