"""Who may call what over gRPC, and acts that take two people, against a real server."""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway.programs.approvals import Kind, Verdict
from gateway.programs.switches import SwitchRefused
from gateway.records.reasons import Reason
from gateway.server.gateway.acts import PAGE_MAX
from gateway.server.operators import read_operators, without_operator, write_operators
from gateway.server.policy import read_policy
from issuernetwork.v1 import consents_pb2, programs_pb2
from tests.kit.installation import ROOT, SAMPLE_POLICY, quick_install
from tests.kit.operator_calls import MACHINES, PEOPLE, SERVICES, Desk, desk

READ = {"operator", "approver", "auditor"}
WRITE = {"operator", "approver"}
MAY = {
    "ListPrograms": READ, "ListApprovals": READ, "ListHistory": READ, "GetConsent": READ,
    "ListConsents": READ,
    "KillProgram": WRITE, "PauseProgram": WRITE, "ResumeProgram": WRITE, "RequestRevival": WRITE,
    "Refuse": WRITE,
    "SetConsent": WRITE, "RevokeConsent": WRITE, "BatchSetConsents": WRITE,
    "Approve": {"approver"},
    "GetSubject": READ, "GetErasure": READ,
    "RecordObjection": WRITE, "DecideObjection": WRITE, "RequestErasure": WRITE,
    "RecordRecipientTold": WRITE,
    "InviteIssuer": WRITE, "ListIssuers": READ, "WithdrawInvitations": WRITE, "RevokeIssuerKeys": WRITE,
}  # fmt: skip
ROLES = {"": "", **MACHINES, "ops": "operator", "boss": "approver", "audrey": "auditor"}
SCOPE = {"program": "risk-score", "issuer_id": "northgate-bank"}


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Desk]:
    settings = quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
    with desk(settings) as running:
        yield running


@pytest.fixture(scope="module")
def shared_calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("roles")
    settings = quick_install(folder, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
    with desk(settings) as running:
        yield running


def methods() -> list[str]:
    return [
        method.name
        for name, (module, _) in SERVICES.items()
        for method in module.DESCRIPTOR.services_by_name[name].methods
    ]


def stop_of(calls: Desk) -> Reason | None:
    return calls.stores.policy.view().stopped(**SCOPE)


def killed(calls: Desk) -> bool:
    return stop_of(calls) is Reason.KILLED


def test_the_matrix_has_every_method_of_the_operators_services() -> None:
    assert set(MAY) == set(methods())


@pytest.mark.parametrize(("method", "caller"), [*itertools.product(sorted(MAY), sorted(ROLES))])
def test_a_method_is_open_to_its_roles_and_to_no_other(shared_calls: Desk, method: str, caller: str) -> None:
    try:
        shared_calls.call(method, caller)
        code = grpc.StatusCode.OK
    except grpc.RpcError as fault:
        code = fault.code()
    if not caller:
        assert code is grpc.StatusCode.UNAUTHENTICATED
    elif ROLES[caller] in MAY[method]:
        # Empty requests: what is refused is refused for what it says, and not for who says it.
        assert code in (
            grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
        )  # fmt: skip
    else:
        assert code is grpc.StatusCode.PERMISSION_DENIED


def test_the_contract_says_of_each_method_who_may_call_it() -> None:
    told = {}
    for name in ("programs", "consents", "subjects", "issuers"):
        text = (ROOT / "proto" / "issuernetwork" / "v1" / f"{name}.proto").read_text()
        for comment, method in re.findall(r"((?:  //[^\n]*\n)+)  rpc (\w+)\(", text):
            roles = re.search(r"Roles?: ([a-z, ]+)\.\n$", comment)
            assert roles, f"{method} does not say who may call it"
            told[method] = set(roles[1].split(", "))
    assert told == MAY


def test_a_pause_is_written_under_its_operator_and_a_resume_takes_it_back(calls: Desk) -> None:
    paused = calls.call("PauseProgram", "ops", **SCOPE, reason="drill")
    assert paused.switch_epoch == 1
    assert paused.shares_already_left == 3
    assert stop_of(calls) is Reason.PROGRAM_NOT_ACTIVE
    assert calls.stores.policy.switches()[0].actor == "ops"
    assert calls.call("ResumeProgram", "boss", **SCOPE, reason="over").switch_epoch == 2
    assert stop_of(calls) is None


def test_a_resume_takes_no_kill_back(calls: Desk) -> None:
    calls.call("KillProgram", "ops", **SCOPE, reason="drill")
    code, text = calls.refused("ResumeProgram", "boss", **SCOPE, reason="please")
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "second person" in text
    assert killed(calls)


def test_a_kill_comes_back_by_two_people_and_by_no_fewer(calls: Desk) -> None:
    code, text = calls.refused("RequestRevival", "ops", **SCOPE, reason="mended")
    assert (code, "not killed" in text) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    calls.call("KillProgram", "ops", **SCOPE, reason="drill")
    asked = calls.call("RequestRevival", "boss", **SCOPE, reason="mended").approval
    assert (asked.kind, asked.verdict, asked.requested_by) == (
        programs_pb2.APPROVAL_KIND_REVIVE, programs_pb2.APPROVAL_VERDICT_OPEN, "boss"
    )  # fmt: skip
    code, text = calls.refused("Approve", "boss", approval_id=asked.approval_id)
    assert (code, "second person" in text) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    assert (
        calls.refused("Approve", "ops", approval_id=asked.approval_id)[0] is grpc.StatusCode.PERMISSION_DENIED
    )
    assert killed(calls)
    refused = calls.call("Refuse", "boss", approval_id=asked.approval_id).approval
    assert refused.verdict == programs_pb2.APPROVAL_VERDICT_REFUSED
    anew = calls.call("RequestRevival", "ona", **SCOPE, reason="mended").approval
    done = calls.call("Approve", "boss", approval_id=anew.approval_id).approval
    assert (done.verdict, done.decided_by) == (programs_pb2.APPROVAL_VERDICT_APPROVED, "boss")
    assert done.done_at_ms >= done.decided_at_ms > 0
    assert not killed(calls)
    revived = calls.call("ListHistory", "audrey", limit=1).events[0]
    assert (revived.verb, revived.actor, revived.approved_by) == (
        programs_pb2.HISTORY_VERB_REVIVED, "ona", "boss"
    )  # fmt: skip


def test_a_kill_between_request_and_approval_stays(calls: Desk) -> None:
    calls.call("KillProgram", "ops", **SCOPE, reason="drill")
    asked = calls.call("RequestRevival", "ops", **SCOPE, reason="mended").approval
    calls.call("KillProgram", "ona", **SCOPE, reason="another bank calls")
    code, text = calls.refused("Approve", "boss", approval_id=asked.approval_id)
    assert (code, "killed again" in text) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    assert killed(calls)
    assert calls.stores.approvals.get(asked.approval_id).verdict is Verdict.OPEN, "nothing was approved"
    anew = calls.call("RequestRevival", "ops", **SCOPE, reason="mended too").approval
    calls.call("Approve", "boss", approval_id=anew.approval_id)
    assert not killed(calls)


def test_an_approval_that_is_sent_again_while_the_first_is_under_way_takes_no_later_kill_back(
    calls: Desk,
) -> None:
    calls.call("KillProgram", "ops", **SCOPE, reason="drill")
    asked = calls.call("RequestRevival", "ops", **SCOPE, reason="mended").approval
    store, approvals = calls.stores.policy, calls.stores.approvals
    # As the first call leaves it where its process ends before it says that it is done.
    approvals.decide(asked.approval_id, by="boss", approve=True)
    people = {"actor": "ops", "approver": "boss", "reason": "mended"}
    epoch = store.revive(**SCOPE, **people, of_kill=1)
    assert calls.call("Approve", "boss", approval_id=asked.approval_id).approval.done_at_ms
    assert store.view().epoch == epoch, "nothing was taken back twice"
    later = calls.call("KillProgram", "ops", **SCOPE, reason="again").switch_epoch
    with pytest.raises(SwitchRefused, match="killed again"):
        store.revive(**SCOPE, **people, of_kill=1)
    assert (killed(calls), store.view().epoch) == (True, later)


def test_an_approver_who_was_removed_a_moment_ago_approves_nothing_any_more(calls: Desk) -> None:
    calls.call("KillProgram", "ops", **SCOPE, reason="drill")
    asked = calls.call("RequestRevival", "ops", **SCOPE, reason="mended").approval
    path = calls.settings.state.operators
    write_operators(path, without_operator(read_operators(path), "boss"))
    # The server has not looked at the registry since: the act itself does.
    assert (
        calls.refused("Approve", "boss", approval_id=asked.approval_id)[0]
        is grpc.StatusCode.PERMISSION_DENIED
    )
    assert killed(calls)


def test_an_approver_sees_whose_key_is_to_be_added_and_adds_it(calls: Desk) -> None:
    known = read_operators(calls.settings.state.operators)
    gone = next(one for one in known if one.principal_id == "ona")
    write_operators(calls.settings.state.operators, without_operator(known, "ona"))
    subject = {"principal_id": "ona", "role": "auditor", "key": json.dumps(gone.public)}
    calls.stores.approvals.request(Kind.ADD_OPERATOR, subject, by="ops", reason="back again")
    (waiting,) = calls.call("ListApprovals", "audrey").approvals
    assert (waiting.principal_id, waiting.role, waiting.key_thumbprint) == ("ona", "auditor", gone.thumbprint)
    calls.call("Approve", "boss", approval_id=waiting.approval_id)
    added = {one.principal_id: one.role for one in read_operators(calls.settings.state.operators)}
    assert added["ona"] == "auditor"
    assert not calls.call("ListApprovals", "audrey").approvals
    assert len(calls.call("ListApprovals", "audrey", include_decided=True).approvals) == 1


def test_an_approver_sees_the_keys_of_an_issuer_and_approves_none_that_nobody_proved(calls: Desk) -> None:
    subject = {"recipient_id": "northgate-bank", "submission_id": "7", "thumbprints": "t1 t2"}
    asked = calls.stores.approvals.request(Kind.ENROL_ISSUER, subject, by="ops", reason="enrolment")
    (waiting,) = calls.call("ListApprovals", "audrey").approvals
    assert (waiting.kind, waiting.principal_id, waiting.key_thumbprint) == (
        programs_pb2.APPROVAL_KIND_ENROL_ISSUER, "northgate-bank", "t1 t2"
    )  # fmt: skip
    code, text = calls.refused("Approve", "boss", approval_id=asked.approval_id)
    assert (code, text.startswith("submission")) == (grpc.StatusCode.FAILED_PRECONDITION, True)
    assert calls.stores.approvals.get(asked.approval_id).verdict is Verdict.OPEN


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_pages_of_the_history_have_every_event_once_in_order(calls: Desk, limit: int) -> None:
    store = calls.stores.policy
    files = read_policy(SAMPLE_POLICY)
    for number in range(3):
        store.pause("risk-score", "", actor="ops", reason=f"pause {number}")
        store.apply(files, actor="ops", reason=f"policy {number}")
        store.resume("risk-score", "", actor="ops", reason=f"resume {number}")
    told, cursor, pages = [], "", 0
    while pages == 0 or cursor:
        page = calls.call("ListHistory", "audrey", limit=limit, cursor=cursor)
        assert len(page.events) <= limit
        told += [one.reason for one in page.events]
        cursor, pages = page.next_cursor, pages + 1
    assert told == [one.reason for one in reversed(store.history(100))]
    assert page.policy_version == 4


def test_pages_of_requests_end_and_leave_none_out(calls: Desk) -> None:
    for name in ("a", "b", "c"):
        calls.stores.approvals.request(Kind.REMOVE_OPERATOR, {"principal_id": name}, by="ops", reason="x")
    first = calls.call("ListApprovals", "ops", limit=2)
    rest = calls.call("ListApprovals", "ops", limit=2, cursor=first.next_cursor)
    assert [one.principal_id for one in [*first.approvals, *rest.approvals]] == ["c", "b", "a"]
    assert not rest.next_cursor


@pytest.mark.parametrize("method", ["ListHistory", "ListApprovals"])
@pytest.mark.parametrize(
    "members", [{"cursor": "7731; drop"}, {"cursor": "-1"}, {"cursor": "9" * 80}, {"limit": PAGE_MAX + 1}]
)
def test_a_page_that_is_none_of_ours_is_refused_without_its_value(
    shared_calls: Desk, method: str, members: dict[str, object]
) -> None:
    code, text = shared_calls.refused(method, "ops", **members)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(next(iter(members)))
    assert "7731" not in text


def test_a_reason_that_would_forge_a_line_of_the_history_is_refused(calls: Desk) -> None:
    reason = "ok\n2026-01-01 00:00:00  epoch 9: risk-score for all revived"
    for method in ("KillProgram", "PauseProgram", "ResumeProgram", "RequestRevival"):
        code, text = calls.refused(method, "ops", **SCOPE, reason=reason)
        assert (code, text.startswith("reason")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert calls.stores.policy.view().epoch == 0


def test_each_kind_of_caller_is_one_that_exists() -> None:
    assert set(PEOPLE.values()) | set(MACHINES.values()) == set(ROLES.values()) - {""}
    assert consents_pb2.DESCRIPTOR.package == programs_pb2.DESCRIPTOR.package
