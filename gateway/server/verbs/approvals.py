"""Acts that take two people: asked for, approved, refused, carried out.

Who acts was told by a key. Here the registry is read anew, so that nobody acts after their removal.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from gateway.backends.embedded.policy import KILLED_AGAIN, SqlitePolicyStore
from gateway.programs.approvals import Approval, ApprovalRefused, ApprovalStore, Kind, Verdict
from gateway.programs.switches import EVERY_ISSUER, SwitchRefused
from gateway.records.reasons import Reason
from gateway.runtime.clock import Clock
from gateway.sealing.operator_token import thumbprint
from gateway.server.enrolment.desk import BY_ISSUER, carry_out, check_enrolment
from gateway.server.operators import (
    Operator,
    OperatorRefused,
    OperatorRole,
    changing_operators,
    read_operators,
    with_operator,
    without_operator,
    write_operators,
)
from gateway.server.policy import killed_in_documents
from gateway.server.state import StateDir

if TYPE_CHECKING:
    from gateway.server.verbs.keys import KeyDesk

OF_KILL: Final = "kill_epoch"
"""Of a request for a revival: the kill that it is about."""


def check_registered(known: Sequence[Operator], by: str, *, approves: bool = False) -> None:
    """Raises OperatorRefused: the operating system's name is nobody's second person."""
    role = next((one.role for one in known if one.principal_id == by), None)
    if role is None:
        raise OperatorRefused(
            "operator: this takes two operators with keys; register them: `ein operator add`"
        )
    if role == "auditor":
        raise OperatorRefused("operator: an auditor reads; this needs the role operator or approver")
    if approves and role != "approver":
        raise OperatorRefused("operator: to approve needs the role approver")


def ask_revival(
    state: StateDir,
    policy: SqlitePolicyStore,
    approvals: ApprovalStore,
    *,
    program: str,
    issuer_id: str = EVERY_ISSUER,
    by: str,
    reason: str,
) -> Approval:
    """Asks to take back a kill. Raises OperatorRefused, SwitchRefused, ApprovalRefused."""
    check_registered(read_operators(state.operators), by)
    killed = policy.view().stops.get((program, issuer_id)) is Reason.KILLED
    if not killed and (issuer_id or not killed_in_documents(policy, program)):
        raise SwitchRefused("program: it is not killed in this scope; `ein programs` shows what is")
    # An approval is of what was killed then: a kill that comes between request and approval stays.
    subject = {"program": program, "issuer_id": issuer_id, OF_KILL: str(policy.last_kill(program, issuer_id))}
    return approvals.request(Kind.REVIVE, subject, by=by, reason=reason)


def approve(
    state: StateDir,
    policy: SqlitePolicyStore,
    approvals: ApprovalStore,
    clock: Clock,
    *,
    approval_id: int,
    by: str,
    keys: "KeyDesk | None" = None,
) -> Approval:
    """Approves, and carries it out; the request as it is kept. Raises OperatorRefused,
    ApprovalRefused, SwitchRefused, KeyRefused.
    """
    known = read_operators(state.operators)
    check_registered(known, by, approves=True)
    asked = approvals.get(approval_id)
    # What is decided for good says that, whatever became of who asked, or of the program.
    undone = asked.verdict in (Verdict.OPEN, Verdict.APPROVED) and not asked.done_at_ms
    by_issuer = asked.kind is Kind.ENROL_ISSUER and asked.requested_by.startswith(BY_ISSUER)
    if undone and not by_issuer and asked.requested_by not in {one.principal_id for one in known}:
        raise ApprovalRefused("approval: who asked is no operator any more; let another ask anew")
    scope = asked.subject.get("program", ""), asked.subject.get("issuer_id", "")
    of_kill = int(asked.subject[OF_KILL]) if OF_KILL in asked.subject else None
    # The store looks again when it is done: here, so that nothing is approved that cannot be.
    if undone and of_kill is not None and policy.last_kill(*scope) != of_kill:
        raise SwitchRefused(KILLED_AGAIN)
    if undone and asked.kind is Kind.ENROL_ISSUER:
        check_enrolment(state, clock, asked)
    if asked.kind is Kind.DESTROY_KEY and keys is None:
        raise ApprovalRefused("approval: our own keys are not at hand here; `ein approve` does it")
    if (
        undone
        and keys is not None
        and asked.kind is Kind.DESTROY_KEY
        and not keys.is_retired(asked.subject["kid"])
    ):
        keys.check_destroy(asked.subject["kid"])
    approval = approvals.decide(approval_id, by=by, approve=True)
    if approval.kind is Kind.ENROL_ISSUER:
        carry_out(state, clock, approval, by=by)
    elif approval.kind is Kind.DESTROY_KEY and keys is not None:
        keys.destroy(approval, approver=by)
    elif approval.kind is Kind.REVIVE:
        policy.revive(
            *scope, actor=approval.requested_by, approver=by, reason=approval.reason, of_kill=of_kill
        )
    else:
        change_operators(
            state, approval.kind, approval.subject, by=approval.requested_by, now_ms=clock.wall_ms()
        )
    approvals.done(approval_id)
    return approvals.get(approval_id)


def refuse(state: StateDir, approvals: ApprovalStore, *, approval_id: int, by: str) -> Approval:
    """Refuses what waits, or takes one's own request back. Raises OperatorRefused, ApprovalRefused."""
    check_registered(read_operators(state.operators), by)
    return approvals.decide(approval_id, by=by, approve=False)


def changed_operators(
    known: Sequence[Operator], kind: Kind, subject: Mapping[str, str], *, by: str, now_ms: int
) -> list[Operator]:
    """The registry after what was asked for. Raises OperatorRefused."""
    if kind is Kind.REMOVE_OPERATOR:
        return without_operator(known, subject["principal_id"])
    return with_operator(
        known,
        principal_id=subject["principal_id"],
        role=cast(OperatorRole, subject["role"]),
        public=json.loads(subject["key"]),
        by=by,
        now_ms=now_ms,
    )


def change_operators(
    state: StateDir, kind: Kind, subject: Mapping[str, str], *, by: str, now_ms: int
) -> None:
    """Does what was approved; a second time it changes nothing."""
    with changing_operators(state.operators):
        known = read_operators(state.operators)
        present = any(
            one.principal_id == subject["principal_id"]
            and (kind is Kind.REMOVE_OPERATOR or one.thumbprint == thumbprint(json.loads(subject["key"])))
            for one in known
        )
        if present == (kind is Kind.REMOVE_OPERATOR):
            write_operators(state.operators, changed_operators(known, kind, subject, by=by, now_ms=now_ms))
