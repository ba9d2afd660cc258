"""Makes what follows the table of fields: the reference page, and the JSON Schema of a share's `fields`."""

from typing import Any

from enrichment.fields import AUTHORIZATION, DICTIONARY_VERSION, FIELDS, REPORTING, Field
from enrichment.quality import MEND, RULES

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

QUALITY = """
## Quality
A value that is well formed and breaks its rule is not shared: `below_quality` in the journal. The sender
learns field, code and remedy in `field_issues`, never the value, and `ein_field_issues_total` counts them.
Scores use it all the same.

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
        f"`{field.quality}`" if field.quality else "",
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
