"""YAML documents in, a checked `PolicySnapshot` out: whole, or all that is wrong with it at once.

Layout: `issuers/*.yaml`, `recipients/*.yaml`, `programs/*.yaml`, `enrolments/*.yaml` (file name = id),
`regions.yaml`, `merchants.yaml`, `experiment.yaml`.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import yaml
from pydantic import BaseModel, ValidationError

from gateway.programs import schema
from gateway.programs.checks import snapshot_of
from gateway.programs.issues import PolicyInvalid, PolicyIssue, Report, near
from gateway.programs.model import PolicySnapshot
from gateway.programs.schema import Documents
from gateway.programs.standing import check_attestations

__all__ = ["PolicyInvalid", "PolicyIssue", "examine_policy", "load_policy"]

MAX_DOCUMENT_CHARACTERS: Final = 16_000_000
"""A merchants file of 100,000 ids takes 3 MB."""

KINDS: Final[Mapping[str, tuple[type[schema.Document], str]]] = {
    "issuers": (schema.IssuerDocument, "issuer_id"),
    "recipients": (schema.RecipientDocument, "recipient_id"),
    "programs": (schema.ProgramDocument, "program"),
    "enrolments": (schema.EnrolmentDocument, "enrolment_id"),
}
"""Directory to the model of its files and the key that equals the file's name."""

SINGLES: Final[Mapping[str, type[schema.Document]]] = {
    "regions.yaml": schema.RegionsDocument,
    "merchants.yaml": schema.MerchantsDocument,
    "experiment.yaml": schema.ExperimentDocument,
}


def load_policy(
    files: Mapping[str, str], *, version: int = 0, applied_at_ms: int | None = None
) -> PolicySnapshot:
    """File name (relative, with `/`) to text in, the checked policy out. Raises PolicyInvalid.

    `applied_at_ms`: wall time at which it is put in force, to ask for what must hold on that day too.
    """
    snapshot, issues = examine_policy(files, version=version, applied_at_ms=applied_at_ms)
    if snapshot is None or issues:
        raise PolicyInvalid(issues)
    return snapshot


def examine_policy(
    files: Mapping[str, str], *, version: int = 0, applied_at_ms: int | None = None
) -> tuple[PolicySnapshot | None, tuple[PolicyIssue, ...]]:
    """All that is wrong with the documents, and what could be made of them: for no use where there is any."""
    report = Report()
    documents = Documents()
    for name in sorted(files):
        _read(name, files[name], documents, report)
    for name in SINGLES:
        if name not in files:
            report.add(name, "", "the file is missing", "Add it, see deploy/sample/policy")
    snapshot = snapshot_of(documents, version, report)
    if applied_at_ms is not None:
        check_attestations(documents, applied_at_ms, report)
    return snapshot, tuple(report.issues)


def _read(name: str, text: str, documents: Documents, report: Report) -> None:
    directory, _, base = name.rpartition("/")
    model = SINGLES.get(name) or (KINDS[directory][0] if directory in KINDS else None)
    if model is None or not base.endswith(".yaml"):
        known = [*SINGLES, *(f"{kind}/{base}" for kind in KINDS)]
        report.add(name, "", "no document has this place", near(name, known) or "Move or remove the file")
        return
    raw = _parse(name, text, report)
    if raw is None:
        return
    try:
        document: Any = model.model_validate(raw)
    except ValidationError as fault:
        for error in fault.errors(include_input=False, include_url=False, include_context=True):
            _explain(name, error, raw, model, report)
        return
    if directory not in KINDS:
        setattr(documents, base.removesuffix(".yaml"), document)
        return
    key = KINDS[directory][1]
    if getattr(document, key) != base.removesuffix(".yaml"):
        report.add(name, key, "it differs from the file's name", "Give the file the name of the id")
    getattr(documents, directory)[name] = document


class _Hidden(yaml.MarkedYAMLError):
    """YAML that says something other than it seems to. Its problem is our own text."""


class _Loader(yaml.SafeLoader):
    """Plain YAML without what hides: no repeated keys, no aliases."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = cast(Any, self).peek_event().start_mark
            raise _Hidden(problem="an alias", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _Hidden(
                    problem="a key that is not text, put it in quotes", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise _Hidden(problem="a repeated key", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(name: str, text: str, report: Report) -> dict[str, Any] | None:
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        report.add(name, "", "the document is too long", "Split it")
        return None
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader with more refused
    except yaml.MarkedYAMLError as fault:
        # The library's own text may show a value.
        what = fault.problem if isinstance(fault, _Hidden) else "not valid YAML"
        line = f" at line {fault.problem_mark.line + 1}" if fault.problem_mark else ""
        report.add(name, "", f"{what}{line}", "Correct the line")
        return None
    except (yaml.YAMLError, ValueError, RecursionError):
        report.add(name, "", "not valid YAML", "Correct the document")
        return None
    if not isinstance(raw, dict):
        report.add(name, "", "no mapping of keys to values", "See deploy/sample/policy for its form")
        return None
    return raw


def _explain(name: str, error: Any, raw: Any, model: type[schema.Document], report: Report) -> None:
    """One pydantic error in our words: place, what, how to mend; the input is not in it."""
    place = tuple(part for part in error["loc"] if part != "[key]")
    path = ".".join(map(str, place))
    kind = error["type"]
    not_yet = schema.NOT_YET.get(model, {})
    if kind == "extra_forbidden" and path in not_yet:
        report.add(name, path, "not supported yet", not_yet[path])
    elif kind == "extra_forbidden":
        key = str(place[-1])
        report.add(name, path, "unknown key", near(key, _keys(model)) or "Remove it")
    elif kind == "missing":
        report.add(name, path, "it is missing", "Add it")
    elif kind == "literal_error":
        expected = error["ctx"]["expected"]
        choices = [one.strip("'") for one in expected.replace(" or ", ", ").split(", ")]
        closest = near(str(_at(raw, place)), choices)
        report.add(name, path, "not one of the closed list", f"{closest or 'Use'} ({expected})")
    elif kind == "value_error":
        report.add(name, path, "not usable", str(error["ctx"]["error"]).capitalize())
    elif kind in ("string_type", "string_pattern_mismatch"):
        quotes = "Put it in quotes" if kind == "string_type" else error["msg"]
        report.add(name, path, "not text of the expected form", quotes)
    else:
        report.add(name, path, "not usable", str(error["msg"]))


def _at(raw: Any, place: tuple[int | str, ...]) -> Any:
    for part in place:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return raw


_NESTED: Final[Mapping[type[BaseModel], type[BaseModel]]] = {
    schema.ProgramDocument: schema.TiersDocument,
    schema.EnrolmentDocument: schema.ConditionsDocument,
    schema.RegionsDocument: schema.RegionDocument,
    schema.MerchantsDocument: schema.ConsentDocument,
}


def _keys(model: type[BaseModel]) -> set[str]:
    """All keys of a document, nested ones included."""
    nested = _NESTED.get(model)
    return set(model.model_fields) | (set(nested.model_fields) if nested is not None else set())
