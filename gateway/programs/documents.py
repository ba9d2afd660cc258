"""YAML documents in, a checked `PolicySnapshot` out: whole, or all that is wrong with it at once.

Layout: `issuers/*.yaml`, `recipients/*.yaml`, `programs/*.yaml`, `enrolments/*.yaml` (file name = id),
`regions.yaml`, `merchants.yaml`, `experiment.yaml`.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, cast

import yaml
from pydantic import ValidationError

from gateway.programs import schema
from gateway.programs.checks import snapshot_of
from gateway.programs.issues import PolicyInvalid, PolicyIssue, Report, near
from gateway.programs.model import PolicySnapshot
from gateway.programs.partial import read_partly
from gateway.programs.schema import Documents
from gateway.programs.standing import check_attestations
from gateway.programs.wording import explain

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


Known = dict[str, tuple[bytes, Any]]
"""Documents read before, by name, each with the hash of its text: what has not changed is not read again."""


def load_policy(
    files: Mapping[str, str],
    *,
    version: int = 0,
    known: Known | None = None,
    applied_at_ms: int | None = None,
) -> PolicySnapshot:
    """File name (relative, with `/`) to text in, the checked policy out. Raises PolicyInvalid.

    Reading YAML takes milliseconds a file: who follows a policy hands in the same `known` each time.
    `applied_at_ms`: wall time at which it is put in force, to ask for what must hold on that day too.
    """
    snapshot, issues = examine_policy(files, version=version, known=known, applied_at_ms=applied_at_ms)
    if snapshot is None or issues:
        raise PolicyInvalid(issues)
    return snapshot


def examine_policy(
    files: Mapping[str, str],
    *,
    version: int = 0,
    known: Known | None = None,
    applied_at_ms: int | None = None,
) -> tuple[PolicySnapshot | None, tuple[PolicyIssue, ...]]:
    """All that is wrong with the documents, and what could be made of them: for no use where there is any."""
    report = Report()
    documents = Documents()
    known = {} if known is None else known
    for name in sorted(files):
        _read(name, files[name], documents, report, known)
    for name in known.keys() - files.keys():
        del known[name]
    for name in SINGLES:
        if name not in files:
            report.add(name, "", "the file is missing", "Add it, see deploy/sample/policy")
    between = Report()
    snapshot = snapshot_of(documents, version, between)
    if applied_at_ms is not None:
        check_attestations(documents, applied_at_ms, between)
    report.issues += [one for one in between.issues if not documents.hides(one.file, one.path)]
    return snapshot, tuple(report.issues)


def _read(name: str, text: str, documents: Documents, report: Report, known: Known) -> None:
    directory, _, base = name.rpartition("/")
    model = SINGLES.get(name) or (KINDS[directory][0] if directory in KINDS else None)
    if model is None or not base.endswith(".yaml"):
        stem = base.partition(".")[0]
        places = [*SINGLES, *(f"{kind}/{stem}.yaml" for kind in KINDS)]
        report.add(name, "", "no document has this place", near(name, places) or "Move or remove the file")
        return
    if directory in KINDS:
        # Whether it can be read or not: who names it is not wrong about that.
        documents.names.setdefault(directory, set()).add(base.removesuffix(".yaml"))
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    read_before = known.get(name)
    if read_before is not None and read_before[0] == digest:
        document = read_before[1]
    else:
        document, unread = _document(name, text, model, report)
        if document is None:
            return
        if unread is None:
            known[name] = (digest, document)
        else:
            documents.unread[name] = unread
    if directory not in KINDS:
        setattr(documents, base.removesuffix(".yaml"), document)
        return
    key = KINDS[directory][1]
    if not documents.whole(name, key):
        document = document.model_copy(update={key: base.removesuffix(".yaml")})
    if getattr(document, key) != base.removesuffix(".yaml"):
        report.add(name, key, "it differs from the file's name", "Give the file the name of the id")
    getattr(documents, directory)[name] = document


def _document(
    name: str, text: str, model: type[schema.Document], report: Report
) -> tuple[Any, frozenset[str] | None]:
    """The document of one file, checked for itself, and what of it could not be read where that is so."""
    raw = _parse(name, text, report)
    if raw is None:
        return None, None
    try:
        return model.model_validate(raw), None
    except ValidationError as fault:
        errors = fault.errors(include_input=False, include_url=False, include_context=True)
        for error in errors:
            explain(name, error, raw, model, report)
        return read_partly(raw, model, errors) or (None, None)


class _Hidden(yaml.MarkedYAMLError):
    """YAML that says something other than it seems to. Its problem is our own text."""


class _NoDay:
    """In place of a day that is in no calendar."""


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
                    problem="a key that is not text, which quotes make it,", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise _Hidden(problem="a repeated key", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_timestamp(self, node: Any) -> Any:
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError:
            # Told at its place, as whatever else is no day; and the rest of the document is read.
            return _NoDay()


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_yaml_timestamp)


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
