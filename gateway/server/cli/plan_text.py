"""A plan as text and as JSON. Salts are in neither."""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.programs.arm_moves import ArmMoves
from gateway.programs.members import MemberChange
from gateway.programs.plan import Plan
from gateway.server.cli.counted import counted

HOUR_MS = 3_600_000

NAMES_TOLD = 10
"""Issuers named on one line; --json names all."""

_SIGN = {"added": "+", "removed": "-", "changed": "~"}


def summary_of(plan: Plan) -> dict[str, int]:
    """How much changes, in numbers."""
    return {
        "documents": len(plan.documents),
        "gaining": len({(one.program, one.issuer_id) for one in plan.fields if one.gained}),
        "losing": len({(one.program, one.issuer_id) for one in plan.fields if one.lost}),
        "consents": sum(one.count for one in plan.consents),
        "warnings": len(plan.warnings),
    }


def summary_lines(plan: Plan) -> Iterator[str]:
    """One line on what changes, and the warnings."""
    if not plan.changes:
        yield f"no change against policy {plan.before_version}"
    else:
        said = summary_of(plan)
        yield (
            f"change of policy {plan.before_version}: {counted(said['documents'], 'document')},"
            f" {counted(said['consents'], 'consent')}; fields gained in"
            f" {counted(said['gaining'], 'enrolment')}, lost in {said['losing']:,}"
        )
    yield from _warnings(plan)


def plan_lines(plan: Plan, moves: Sequence[ArmMoves], cards: dict[str, int]) -> Iterator[str]:
    """The whole plan, a line each: who gains or loses what first, since that is what leaves."""
    if not plan.changes:
        yield f"no change against policy {plan.before_version}"
        yield from _warnings(plan)
        return
    yield (
        f"against policy {plan.before_version}"
        if plan.before_version
        else "against nothing: the first policy"
    )
    if plan.fields:
        yield "fields"
    yield from _fields(plan)
    if plan.documents or plan.consents:
        yield "documents"
    for document in plan.documents:
        yield f"  {_SIGN[document.verb]} {document.kind} {document.name}"
        for member in document.members:
            yield f"      {_member(member)}"
    for consent in plan.consents:
        yield f"  ~ {consent.count} {consent.party}s from {consent.before} to {consent.after}"
    yield from _cards(moves, cards)
    yield from _warnings(plan)


def plan_json(plan: Plan, moves: Sequence[ArmMoves], cards: dict[str, int]) -> dict[str, Any]:
    return {
        "policy_version": plan.before_version,
        "changes": plan.changes,
        "fields": [
            {
                "program": one.program,
                "issuer_id": one.issuer_id,
                "regions": list(one.regions),
                "tiers": list(one.tiers),
                "gained": list(one.gained),
                "lost": list(one.lost),
            }
            for one in plan.fields
        ],
        "documents": [
            {
                "kind": one.kind,
                "name": one.name,
                "verb": one.verb,
                "members": [
                    {"member": member.member, "removed": list(member.removed), "added": list(member.added)}
                    for member in one.members
                ],
            }
            for one in plan.documents
        ],
        "consents": [
            {"party": one.party, "before": one.before, "after": one.after, "count": one.count}
            for one in plan.consents
        ],
        "arms": {
            **cards,
            "programs": [
                {
                    "program": one.program,
                    "issuer_id": one.issuer_id,
                    "cards": one.cards,
                    "changed": one.changed,
                    "moves": [
                        {"before": before, "after": after, "cards": count}
                        for before, after, count in one.moves
                    ],
                }
                for one in moves
            ],
        },
        "warnings": [
            {
                "code": one.code,
                "program": one.program or None,
                "issuer_id": one.issuer_id or None,
                "text": one.text,
            }
            for one in plan.warnings
        ],
    }


def _fields(plan: Plan) -> Iterator[str]:
    """Issuers to whom the same happens stand together: a program changes for hundreds at once."""
    together: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for one in plan.fields:
        what = ((one.program,), one.regions, one.tiers, one.gained, one.lost)
        together.setdefault(what, []).append(one.issuer_id)
    for ((program,), regions, tiers, gained, lost), issuers in together.items():
        yield f"  {program}, {_some(issuers)}: cardholders in {', '.join(regions)}; tier {', '.join(tiers)}"
        if gained:
            yield f"    + {', '.join(gained)}"
        if lost:
            yield f"    - {', '.join(lost)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(names[:NAMES_TOLD]) + more


def _member(change: MemberChange) -> str:
    """One for one as an arrow, lists by sign; a secret only by its name."""
    if not change.removed and not change.added:
        return f"{change.member}: changed"
    if change.whole:
        before, after = (", ".join(one) or "none" for one in (change.removed, change.added))
        return f"{change.member}: {before} -> {after}"
    signed = [f"-{one}" for one in change.removed] + [f"+{one}" for one in change.added]
    return f"{change.member}: {' '.join(signed)}"


def _cards(moves: Sequence[ArmMoves], cards: dict[str, int]) -> Iterator[str]:
    about = "" if cards["each_stands_for"] == 1 else "about "
    yield f"arms: {about}{counted(cards['cards'], 'card')} {_covered(cards['covered_ms'])}"
    for one in moves:
        said = ", ".join(f"{count:,} {before} -> {after}" for before, after, count in one.moves)
        yield f"  {one.program}, {one.issuer_id}: {about}{one.changed:,} of {one.cards:,} change arm: {said}"


def _covered(covered_ms: int) -> str:
    """The newest day of the journal, or as much as there is of it."""
    if covered_ms < HOUR_MS:
        return "in the last hour" if covered_ms else "in the journal"
    return f"in the last {covered_ms / HOUR_MS:.1f} hours"


def _warnings(plan: Plan) -> Iterator[str]:
    together: dict[tuple[str, str, str], list[str]] = {}
    for one in plan.warnings:
        together.setdefault((one.code, one.program, one.text), []).append(one.issuer_id)
    for (code, program, text), issuers in together.items():
        place = f" {program}, {_some(issuers)}:" if program else ""
        yield f"warning {code}:{place} {text}"
