"""The JSON Schemas for editors: made of the models, closed, and of one mind with them about documents."""

import json
import re
from collections.abc import Iterator
from math import inf
from typing import Any

import pytest
import yaml

from gateway.programs.documents import KINDS, SINGLES
from tests.unit.docs.pages import REFERENCE, ROOT, section
from tests.unit.docs.schemas import FOLDER, schemas, written

SAMPLE = ROOT / "deploy" / "sample" / "policy"


def faults(value: Any, schema: Any, whole: Any, path: str = "") -> Iterator[str]:
    """Where a value breaks a schema, for the words of JSON Schema that ours use."""
    if "$ref" in schema:
        schema = {**whole["$defs"][schema["$ref"].rpartition("/")[2]]}
    types = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    # Editors take an unquoted date for text, as JSON would have it.
    value = value.isoformat() if schema.get("format") == "date" and not isinstance(value, str) else value
    if not isinstance(value, types[schema["type"]]):
        yield f"{path}: type"
        return
    assert set(schema) <= KNOWN_WORDS, "a word that this test does not check"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: enum"
    if "const" in schema and value != schema["const"]:
        yield f"{path}: const"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: pattern"
    if isinstance(value, str) and not (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    ):
        yield f"{path}: length"
    if schema["type"] in ("number", "integer") and not (
        schema.get("minimum", -inf) <= value <= schema.get("maximum", inf)
    ):
        yield f"{path}: range"
    if isinstance(value, dict):
        yield from faults_of_members(value, schema, whole, path)
    if isinstance(value, list):
        if schema.get("uniqueItems") and len({*value}) < len(value):
            yield f"{path}: uniqueItems"
        if len(value) < schema.get("minItems", 0):
            yield f"{path}: minItems"
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{path}: maxItems"
        for index, one in enumerate(value):
            yield from faults(one, schema["items"], whole, f"{path}.{index}")


def faults_of_members(value: Any, schema: Any, whole: Any, path: str) -> Iterator[str]:
    for name in schema.get("required", []):
        if name not in value:
            yield f"{path}.{name}: required"
    for name, one in value.items():
        inner = schema.get("properties", {}).get(name)
        for pattern, by_pattern in schema.get("patternProperties", {}).items():
            inner = by_pattern if re.search(pattern, name) else inner
        if inner is None and isinstance(schema.get("additionalProperties"), dict):
            inner = schema["additionalProperties"]
        if inner is None:
            yield f"{path}.{name}: unknown"
        else:
            yield from faults(one, inner, whole, f"{path}.{name}")


KNOWN_WORDS = {
    *("$schema", "$defs", "$ref", "title", "description", "type", "format"),
    *(
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "required",
        "items",
        "enum",
    ),
    *(
        "const",
        "pattern",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minLength",
        "maxLength",
    ),
}


def told(file: str, document: Any) -> list[str]:
    kind = file.partition("/")[0]
    schema = schemas()[f"{kind.removesuffix('s') if kind in KINDS else kind.removesuffix('.yaml')}.json"]
    return list(faults(document, schema, schema))


def test_the_committed_schemas_are_those_of_the_models() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    made = {name: written(schema) for name, schema in schemas().items()}
    assert committed == made, "run python -m tests.unit.docs.generate"
    assert len(made) == len(KINDS) + len(SINGLES) + 1, "and the fields of a share"


def test_the_sample_policy_keeps_to_its_schemas() -> None:
    for path in SAMPLE.rglob("*.yaml"):
        name = path.relative_to(SAMPLE).as_posix()
        assert told(name, yaml.safe_load(path.read_text())) == [], name


@pytest.mark.parametrize(
    ("file", "change", "fault"),
    [
        ("programs/risk-score.yaml", {"ramp_procent": 1}, ".ramp_procent: unknown"),
        ("programs/risk-score.yaml", {"kind": "ahaed"}, ".kind: enum"),
        ("programs/risk-score.yaml", {"fields": ["score_nrom"]}, ".fields.0: enum"),
        ("programs/risk-score.yaml", {"holdout_percent": 101}, ".holdout_percent: range"),
        ("programs/risk-score.yaml", {"transports": ["ssf", "ssf"]}, ".transports: uniqueItems"),
        ("issuers/northgate-bank.yaml", {"iin_ranges": ["9010"]}, ".iin_ranges.0: pattern"),
        ("issuers/northgate-bank.yaml", {"recipient_id": "Northgate"}, ".recipient_id: pattern"),
        ("regions.yaml", {"regions": {"Germany": {}}}, ".regions.Germany: unknown"),
        ("regions.yaml", {"regions": {"DE": {"groups": ["scores"]}}}, ".regions.DE.groups.0: enum"),
        (
            "enrolments/northgate-bank-risk-score.yaml",
            {"when": {"mcc_group": ["casinos"]}},
            ".when.mcc_group.0: enum",
        ),
        ("merchants.yaml", {"platforms": [{"ids": ["p"]}]}, ".platforms.0.terms_version: required"),
    ],
)
def test_an_editor_marks_the_mistake(file: str, change: dict[str, Any], fault: str) -> None:
    document = {**yaml.safe_load((SAMPLE / file).read_text()), **change}
    assert fault in told(file, document)


def test_each_member_says_in_the_editor_what_it_means() -> None:
    for name, schema in schemas().items():
        for part in (schema, *schema.get("$defs", {}).values()):
            for member, one in part.get("properties", {}).items():
                assert one["description"].strip(), f"{name}: {member}"


def test_the_page_names_every_group_of_merchant_categories_with_its_codes() -> None:
    from gateway.programs.mcc_groups import MCC_GROUPS

    page = section((REFERENCE / "policy.md").read_text(), "Groups of merchant categories")
    for name, ranges in MCC_GROUPS.items():
        codes = ", ".join(f"{a:04d}" if a == b else f"{a:04d}–{b:04d}" for a, b in ranges)
        assert f"| `{name}` | {codes} |" in page
    assert page.count("\n| `") == len(MCC_GROUPS)


def test_schemas_are_json_that_says_which_dialect_it_is_in() -> None:
    for path in FOLDER.iterdir():
        assert json.loads(path.read_text())["$schema"].startswith("https://json-schema.org/")
