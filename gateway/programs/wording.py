"""What is wrong within one document, in our words: its place, what it is, how to mend it, never a value.

The library's own texts are for programmers, and some show what was written.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from gateway.programs import schema
from gateway.programs.issues import Report, near

_PATTERNS: Final = {
    schema.ID_PATTERN: "Use lower-case letters, digits and hyphens, at most 63, a letter or digit first",
    schema.REGION_PATTERN: "Use two capital letters, as in ISO 3166-1 alpha-2",
    schema.MCC_PATTERN: "Use four digits",
    schema.TARGET_PATTERN: "Use letters, digits, dots, hyphens and underscores, at most 32",
}

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("it is missing", "Add it"),
    "string_type": ("not text", "Put it in quotes"),
    "list_type": ("not a list", "Write it as [a, b], or as lines that begin with a hyphen"),
    "dict_type": ("not a mapping of keys to values", "Write its members under it, each as `name: value`"),
    "model_type": ("not a mapping of keys to values", "Write its members under it, each as `name: value`"),
    "date_type": ("not a day", schema.A_DAY),
    "float_type": ("not a number", "Write a number, without quotes"),
    "int_type": ("not a whole number", "Write a whole number, without quotes"),
    "bool_type": ("not true or false", "Write true or false, without quotes"),
    "too_short": ("the list is empty", "Add at least one"),
    "too_long": ("the list is too long", f"Keep to {schema.MAX_ITEMS}"),
    "finite_number": ("not a number", "Write a number, without quotes"),
}
"""The library's name of a mistake to what is wrong and how to mend it, where that needs no more."""

_LIMITS: Final = {
    "less_than_equal": ("it is too high", "at most", "le", ""),
    "greater_than_equal": ("it is too low", "at least", "ge", ""),
    "string_too_short": ("it is too short", "at least", "min_length", " characters"),
    "string_too_long": ("it is too long", "at most", "max_length", " characters"),
}
"""And where it names a limit: what, how, the limit's name in the library, its unit."""

_NESTED: Final[Mapping[type[BaseModel], tuple[type[BaseModel], ...]]] = {
    schema.ProgramDocument: (schema.TiersDocument,),
    schema.EnrolmentDocument: (schema.ConditionsDocument, schema.TermsDocument),
    schema.RegionsDocument: (schema.RegionDocument,),
    schema.MerchantsDocument: (schema.ConsentDocument,),
}


def explain(file: str, error: Any, raw: Any, model: type[schema.Document], report: Report) -> None:
    """One error of the library into the report."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    path = ".".join(map(str, place))
    report.add(file, path, *_told(path, error, raw, place, model))


def _told(
    path: str, error: Any, raw: Any, place: tuple[int | str, ...], model: type[schema.Document]
) -> tuple[str, str]:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        not_yet = schema.NOT_YET.get(model, {}).get(path)
        if not_yet is not None:
            return "not supported yet", not_yet
        return "unknown key", near(str(place[-1]), _keys(model)) or "Remove it"
    if kind == "literal_error":
        expected = context["expected"]
        choices = [one.strip("'") for one in expected.replace(" or ", ", ").split(", ")]
        closest = near(str(_at(raw, place)), choices)
        return "not one of the closed list", f"{closest} Use {expected}".lstrip()
    if kind == "value_error":
        text = str(context["error"])
        return "not usable", text[:1].upper() + text[1:]
    if kind == "string_pattern_mismatch":
        return "not text of the expected form", _PATTERNS.get(
            context["pattern"], "See docs/reference/policy.md"
        )
    if kind in _LIMITS:
        what, how, limit, unit = _LIMITS[kind]
        number = context[limit]
        return what, f"Use {how} {number:g}{unit.removesuffix('s') if number == 1 else unit}"
    return _WORDS.get(kind, ("not usable", "See docs/reference/policy.md for its form"))


def _at(raw: Any, place: tuple[int | str, ...]) -> Any:
    for part in place:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return raw


def _keys(model: type[BaseModel]) -> set[str]:
    """All keys of a document, nested ones included."""
    return {name for one in (model, *_NESTED.get(model, ())) for name in one.model_fields}
