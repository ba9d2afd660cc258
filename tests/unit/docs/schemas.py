"""Makes `docs/reference/schemas`: a JSON Schema of each policy document, from its model, for editors, and one
of what is shared.

Members are described with their rows of `docs/reference/policy.md`. `python -m tests.unit.docs.generate`
writes them anew.
"""

import json
import re
from typing import Any

from enrichment.fields import FIELD_BY_NAME
from gateway.programs.documents import KINDS, SINGLES
from tests.unit.docs import fields_page
from tests.unit.docs.pages import REFERENCE, rows, section

FOLDER = REFERENCE / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FIELD_NAMES = {"type": "string", "enum": [*FIELD_BY_NAME]}


FIELDS_FILE = "fields.json"


def schemas() -> dict[str, dict[str, Any]]:
    """File name to schema: one for each kind of document, and one for what is shared."""
    return {**of_documents(), FIELDS_FILE: fields_page.schema()}


def of_documents() -> dict[str, dict[str, Any]]:
    """File name to schema, one for each kind of document."""
    of_folders = {
        kind.removesuffix("s"): (f"{kind}/<{key}>.yaml", model) for kind, (model, key) in KINDS.items()
    }
    singles = {name.removesuffix(".yaml"): (name, model) for name, model in SINGLES.items()}
    return {
        f"{name}.json": _schema(place, model) for name, (place, model) in {**of_folders, **singles}.items()
    }


def written(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _schema(place: str, model: Any) -> dict[str, Any]:
    meanings = _meanings(place)
    made: dict[str, Any] = _plain(model.model_json_schema())
    definitions: dict[str, Any] = made.pop("$defs", {})
    described = {name: _described(one, meanings) for name, one in sorted(definitions.items())}
    text = json.dumps([made, described])
    if '"#/$defs/Field"' in text:
        described["Field"] = _FIELD_NAMES
    return {
        "$schema": DIALECT,
        "title": place,
        **_described(made, meanings),
        **({"$defs": described} if described else {}),
    }


def _plain(part: Any) -> Any:
    """Without what the library adds for programs, closed, and with the list of fields once."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("enum") == _FIELD_NAMES["enum"]:
        return {"$ref": "#/$defs/Field"}
    # A member may be called like a word of the schema: only words of the schema have texts for values.
    plain = {
        name: _plain(one)
        for name, one in part.items()
        if not (name in ("title", "description") and isinstance(one, str)) and name != "default"
    }
    if "patternProperties" in plain:
        plain["additionalProperties"] = False
    # YAML of ours has no null: what may be left out is left out.
    some = [one for one in plain.get("anyOf", []) if one != {"type": "null"}]
    return some[0] if len(some) == 1 else plain


def _described(schema: dict[str, Any], meanings: dict[str, str]) -> dict[str, Any]:
    properties = {
        name: {"description": meanings[name], **one} for name, one in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def _meanings(place: str) -> dict[str, str]:
    """What the page says of each member, without its mark-up; nested ones by their own name."""
    cells = rows(section((REFERENCE / "policy.md").read_text(), f"`{place}`"))
    return {
        row[0].strip("`").rpartition(".")[2]: _unmarked(row[-1].removeprefix("| "))
        for row in cells
        if row[0].startswith("`")
    }


def _unmarked(text: str) -> str:
    return re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", text).replace("`", "").replace("*", "")


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (FOLDER / name).write_text(written(schema))
    (REFERENCE / "fields.md").write_text(fields_page.page())
