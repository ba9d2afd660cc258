"""Programs, requests and the history as `ProgramService` sends them."""

import json
from collections.abc import Mapping
from typing import Final

from gateway.backends.embedded.policy import PolicyEvent
from gateway.programs.approvals import Approval, Kind, Verdict
from gateway.programs.model import PolicySnapshot, State
from gateway.programs.switches import SwitchView, effective_state
from gateway.sealing.operator_token import thumbprint
from issuernetwork.v1 import programs_pb2 as v1

_STATES: Final[Mapping[State, v1.ProgramState]] = {
    State.DRAFT: v1.PROGRAM_STATE_DRAFT,
    State.SHADOW: v1.PROGRAM_STATE_SHADOW,
    State.ACTIVE: v1.PROGRAM_STATE_ACTIVE,
    State.PAUSED: v1.PROGRAM_STATE_PAUSED,
    State.KILLED: v1.PROGRAM_STATE_KILLED,
    State.RETIRED: v1.PROGRAM_STATE_RETIRED,
}
_KINDS: Final[Mapping[Kind, v1.ApprovalKind]] = {
    Kind.REVIVE: v1.APPROVAL_KIND_REVIVE,
    Kind.ADD_OPERATOR: v1.APPROVAL_KIND_ADD_OPERATOR,
    Kind.REMOVE_OPERATOR: v1.APPROVAL_KIND_REMOVE_OPERATOR,
    Kind.ENROL_ISSUER: v1.APPROVAL_KIND_ENROL_ISSUER,
    Kind.DESTROY_KEY: v1.APPROVAL_KIND_DESTROY_KEY,
}
_VERDICTS: Final[Mapping[Verdict, v1.ApprovalVerdict]] = {
    Verdict.OPEN: v1.APPROVAL_VERDICT_OPEN,
    Verdict.APPROVED: v1.APPROVAL_VERDICT_APPROVED,
    Verdict.REFUSED: v1.APPROVAL_VERDICT_REFUSED,
    Verdict.ALONE: v1.APPROVAL_VERDICT_ALONE,
}
_VERBS: Final[Mapping[str, v1.HistoryVerb]] = {
    "applied": v1.HISTORY_VERB_APPLIED,
    "rolled back": v1.HISTORY_VERB_ROLLED_BACK,
    "killed": v1.HISTORY_VERB_KILLED,
    "paused": v1.HISTORY_VERB_PAUSED,
    "resumed": v1.HISTORY_VERB_RESUMED,
    "revived": v1.HISTORY_VERB_REVIVED,
}


def list_programs(policy: PolicySnapshot, view: SwitchView) -> v1.ListProgramsResponse:
    """All programs with their enrolments, in order of name."""
    listed = v1.ListProgramsResponse(policy_version=policy.version, switch_epoch=view.epoch)
    for program in sorted(policy.programs.values(), key=lambda one: one.program):
        row = listed.programs.add(program=program.program, state=_STATES[program.state])
        for enrolment in sorted(policy.enrolments, key=lambda one: one.issuer_id):
            if enrolment.program != program.program:
                continue
            stop = view.stopped(program.program, enrolment.issuer_id)
            row.enrolments.add(
                issuer_id=enrolment.issuer_id,
                state=_STATES[effective_state(program.state, enrolment.state, stop)],
                ramp_ppm=program.ramp_ppm if enrolment.ramp_ppm is None else enrolment.ramp_ppm,
                holdout_ppm=program.holdout_ppm if enrolment.holdout_ppm is None else enrolment.holdout_ppm,
            )
    return listed


def approval_message(one: Approval) -> v1.Approval:
    """A request with all that its approver has to see; of a key the thumbprint."""
    subject = one.subject
    key = subject.get("key", "")
    return v1.Approval(
        approval_id=one.approval_id,
        kind=_KINDS[one.kind],
        program=subject.get("program", ""),
        issuer_id=subject.get("issuer_id", ""),
        principal_id=subject.get("principal_id", "") or subject.get("recipient_id", ""),
        role=subject.get("role", ""),
        key_thumbprint=thumbprint(json.loads(key)) if key else subject.get("thumbprints", ""),
        reason=one.reason,
        requested_by=one.requested_by,
        requested_at_ms=one.requested_at_ms,
        expires_at_ms=one.expires_at_ms,
        verdict=_VERDICTS[one.verdict],
        decided_by=one.decided_by,
        decided_at_ms=one.decided_at_ms,
        done_at_ms=one.done_at_ms,
    )


def history_message(event: PolicyEvent) -> v1.HistoryEvent:
    """A line of the history."""
    # A revival has its approver behind the verb.
    verb, _, approved_by = event.what.partition(", approved by ")
    return v1.HistoryEvent(
        verb=_VERBS.get(verb, v1.HISTORY_VERB_UNSPECIFIED),
        actor=event.actor,
        reason=event.reason,
        at_ms=event.at_ms,
        policy_version=event.policy_version,
        restored_from=event.restored_from,
        switch_epoch=event.switch_epoch,
        program=event.program,
        issuer_id=event.issuer_id,
        approved_by=approved_by,
    )
