"""Makes what follows the table of fields: the reference page, and the JSON Schema of a share's `fields`."""

from typing import Any

from enrichment import formats
from enrichment.fields import (
    AUTHORIZATION,
    DERIVED,
    DICTIONARY_VERSION,
    FIELDS,
    REPORTING,
    WELL_FORMED,
    Field,
)
from enrichment.quality import MEND, RULES, YEAR_COUNTED_MAX

PURPOSES = {AUTHORIZATION: "fraud authorization", REPORTING: "fraud reporting"}
CLASSES = {"A": "low sensitivity", "Y": "pseudonymous", "I": "personal", "P": "the card number itself"}

HEAD = f"""# Fields that may be shared

Dictionary version {DICTIONARY_VERSION}. Made from `enrichment/fields.py`; tests hold this page, the request's
contract, the [schema of a share's `fields`](schemas/fields.json) and the check of policies to that table.
What was not given, not looked up or not granted is absent: nothing stands for it.

- *class*: A low sensitivity, Y pseudonymous, I personal, P the PAN itself. On a record about one card
  nothing is non-personal.
- *clear*: whether it may stand outside sealed bytes, in an element of the authorization message;
  everything else leaves sealed to the recipient or not at all.
- *category*: data category of [fideslang](https://ethyca.github.io/fideslang/) 3.
- *provider*: the family of signals that makes it. *from* is the path in a request that it is read from.
- *quality*: the [rule](#quality) that a value keeps to before it is shared.

"""
COLUMNS = (
    *("number", "field", "group", "class", "clear", "purpose", "category", "provider", "from", "quality"),
    *("value", "unit", "meaning"),
)

OF_REQUESTS = (
    *(formats.MISSING, formats.MALFORMED, formats.TOO_LONG, formats.CONTROL_CHARACTER, formats.UNKNOWN_CODE),
    *(formats.OUT_OF_RANGE, formats.TOO_MANY, formats.INCONSISTENT),
)
"""Codes of what breaks the form of its field."""


def _listed(codes: tuple[str, ...]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


QUALITY = f"""
## Quality
Every field has a rule. Two follow from where a field comes from:

- `{WELL_FORMED}`: of what is read from a request or a report of fraud and has no other rule. Its form is the
  rule: length, characters, range, and the code table of ISO 4217, of ISO 3166-1 or of an enum. What breaks it
  never gets as far as sharing: an optional field is dropped, a required one refuses the whole request, and
  either is named with its [code](errors.md#field-issues). Of requests these are
  {_listed(OF_REQUESTS[:5])},
  {_listed(OF_REQUESTS[5:])}; reports have `required` and `unknown` besides.
- `{DERIVED}`: of what the gateway makes, counts or looks up by itself. It is made of values that have their
  form, of such too as are not shared themselves, and is absent where nothing is known. There is nothing in it
  that a sender could mend, and so no code.

A value that is well formed and breaks one of the rules below is not shared: `below_quality` in the journal.
The sender learns field, code and remedy in `field_issues`, never the value, and `ein_field_issues_total`
counts them. Scores use it all the same. Payments of a year of {YEAR_COUNTED_MAX + 1} or more, where EMV 3-D
Secure ends, are no measure of those of a day.

| rule | code | how to mend it |
|---|---|---|
"""


def page() -> str:
    """The text of docs/reference/fields.md."""
    rules = [f"| `{rule}` | `{code}` | {MEND[code]} |" for rule, codes in RULES.items() for code in codes]
    table = [_line(COLUMNS), "|---" * len(COLUMNS) + "|", *(_line(_cells(field)) for field in FIELDS)]
    return HEAD + "\n".join(table) + "\n" + QUALITY + "\n".join(rules) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cells(field: Field) -> tuple[str, ...]:
    return (
        str(field.number),
        f"`{field.name}`",
        field.group,
        field.sensitivity,
        "yes" if field.clear_ok else "no",
        PURPOSES[field.purpose],
        f"`{field.category}`",
        field.provider,
        f"`{field.source}`" if field.source else "",
        f"`{field.quality}`",
        field.shape.words.replace("|", "\\|"),
        field.unit,
        field.meaning,
    )


def schema() -> dict[str, Any]:
    """Of the object `fields` in the body of a share."""
    properties = {
        field.name: {
            "description": f"{field.meaning}{f', in {field.unit}' if field.unit else ''}. "
            f"{field.sensitivity}: {CLASSES[field.sensitivity]}.",
            **field.shape.schema,
        }
        for field in FIELDS
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fields of a share",
        "description": f"Dictionary version {DICTIONARY_VERSION}. Later versions have more members: take "
        "what you know, and refuse nothing for the rest.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
