"""Which state of a program or an enrolment may follow which, as data, and the check of a new policy.

Documents are compared as they were stored, not as this version reads them: what was killed or retired stays
so even where the snapshot in force has members that are accepted no longer.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import yaml

from gateway.programs.issues import PolicyIssue
from gateway.programs.model import State

ANY: Final = frozenset(State)

TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    State.DRAFT: ANY,
    # What was only decided, never delivered, may be drafted anew.
    State.SHADOW: ANY,
    # What has shared is no draft any more.
    State.ACTIVE: ANY - {State.DRAFT},
    State.PAUSED: ANY - {State.DRAFT},
    # Back only by a revival that a second operator approved.
    State.KILLED: frozenset({State.KILLED, State.RETIRED}),
    # An end for good: records and ledger name it for ever.
    State.RETIRED: frozenset({State.RETIRED}),
}

REVIVED: Final = ANY - {State.DRAFT}
"""What a killed one may become once its revival was approved."""

KEPT: Final = frozenset({State.KILLED, State.RETIRED})
"""Their documents stay: a name that could be taken away and brought back would not have ended."""

_KINDS: Final = ("programs", "enrolments")

EVERY_ISSUER: Final = ""


def transition_issues(
    before: Mapping[str, str], after: Mapping[str, str], revived: Collection[tuple[str, str]] = ()
) -> list[PolicyIssue]:
    """What the table forbids between the documents in force and those to come, file name to text each.

    `revived`: program and issuer ("" for all) of each revival approved since those in force were applied.
    """
    return [
        issue
        for name in sorted(before.keys() | after.keys())
        if name.partition("/")[0] in _KINDS and before.get(name) != after.get(name)
        for issue in _issues(name, _document(before.get(name)), _document(after.get(name)), revived)
    ]


def _issues(
    name: str,
    before: Mapping[str, object],
    after: Mapping[str, object],
    revived: Collection[tuple[str, str]],
) -> Iterator[PolicyIssue]:
    source, target = _said(before), _said(after)
    if source is None:
        return
    was = source.name.lower()
    if target is None:
        if source in KEPT:
            yield PolicyIssue(
                name, "", f"it is {was}, and the file is missing", f"Keep the file, with state: {was}"
            )
        return
    allowed = TRANSITIONS[source]
    if source is State.KILLED and _is_revived(before, revived):
        allowed = REVIVED
    if target in allowed:
        return
    if source is State.KILLED:
        mend = "Keep state: killed until its revival was approved (`ein revive`), then apply again"
    elif source is State.RETIRED:
        mend = "Keep state: retired; what begins anew has a name of its own"
    else:
        mend = f"Set one of {', '.join(sorted(one.name.lower() for one in allowed))}"
    yield PolicyIssue(name, "state", f"{was} may not become {target.name.lower()}", mend)


def _is_revived(document: Mapping[str, object], revived: Collection[tuple[str, str]]) -> bool:
    """A program by a revival for all issuers; an enrolment by one for its issuer or for all."""
    program, issuer_id = document.get("program"), document.get("issuer_id", EVERY_ISSUER)
    return (program, issuer_id) in revived or (program, EVERY_ISSUER) in revived


def _document(text: str | None) -> Mapping[str, object]:
    """The members of a stored document; none where there is no document, or none that can be read."""
    if text is None:
        return {}
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def state_of(text: str | None) -> State | None:
    """The state that a stored document says; None where it says none."""
    return _said(_document(text))


def _said(document: Mapping[str, object]) -> State | None:
    said = document.get("state")
    return State[said.upper()] if isinstance(said, str) and said.upper() in State.__members__ else None
