"""An operator lists and kills programs over gRPC, on the port that payments come in by."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from issuernetwork.v1 import issuers_pb2, issuers_pb2_grpc
from issuernetwork.v1 import programs_pb2 as v1
from issuernetwork.v1 import programs_pb2_grpc as rpc
from tests.kit.installation import Installation
from tests.kit.operators import register


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("programs")
    installation = Installation(folder, processes=("gateway",))
    for name, role in (("auditor", "auditor"), ("ops", "operator"), ("boss", "approver")):
        register(installation.settings, name, role)  # type: ignore[arg-type]
    with installation:
        yield installation


@pytest.fixture
def stub(installation: Installation) -> Iterator[rpc.ProgramServiceStub]:
    with grpc.insecure_channel(installation.address("gateway", "grpc")) as channel:
        yield rpc.ProgramServiceStub(channel)  # type: ignore[no-untyped-call]


def _states(installation: Installation, stub: rpc.ProgramServiceStub) -> dict[tuple[str, str], int]:
    listed = stub.ListPrograms(v1.ListProgramsRequest(), metadata=installation.signed("auditor"))
    return {(p.program, e.issuer_id): e.state for p in listed.programs for e in p.enrolments}


def test_a_kill_for_one_issuer_is_in_effect_when_it_returns_and_leaves_the_others(
    installation: Installation, stub: rpc.ProgramServiceStub
) -> None:
    assert _states(installation, stub)["risk-score", "meridian-cards"] == v1.PROGRAM_STATE_ACTIVE
    killed = stub.KillProgram(
        v1.KillProgramRequest(program="risk-score", issuer_id="meridian-cards", reason="drill"),
        metadata=installation.signed("ops"),
    )
    assert killed.workers_acknowledged == 1
    assert killed.effective_after_ms <= 1_000
    states = _states(installation, stub)
    assert states["risk-score", "meridian-cards"] == v1.PROGRAM_STATE_KILLED
    assert states["risk-score", "northgate-bank"] == v1.PROGRAM_STATE_ACTIVE


@pytest.mark.parametrize("principal", ["payments", "auditor", "northgate-bank"])
def test_nobody_but_an_operator_kills(
    installation: Installation, stub: rpc.ProgramServiceStub, principal: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        stub.KillProgram(
            v1.KillProgramRequest(program="risk-score", reason="no"),
            metadata=(installation.signed if principal == "auditor" else installation.metadata)(principal),
        )
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert _states(installation, stub)["risk-score", "northgate-bank"] == v1.PROGRAM_STATE_ACTIVE


@pytest.mark.parametrize("field", ["program", "issuer_id", "reason"])
def test_a_kill_of_nothing_names_the_field_and_stops_nothing(
    installation: Installation, stub: rpc.ProgramServiceStub, field: str
) -> None:
    request = v1.KillProgramRequest(program="risk-score", issuer_id="northgate-bank", reason="drill")
    setattr(request, field, "" if field == "reason" else "no-such-7731")
    with pytest.raises(grpc.RpcError) as refused:
        stub.KillProgram(request, metadata=installation.signed("ops"))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert field in (refused.value.details() or "")
    assert "7731" not in (refused.value.details() or "")


def test_an_issuer_is_invited_and_the_token_that_did_it_does_nothing_more(
    installation: Installation,
) -> None:
    ops, invited = installation.signed("ops"), {"recipient_id": "northgate-bank", "reason": "contract 7"}
    with grpc.insecure_channel(installation.address("gateway", "grpc")) as channel:
        issuers = issuers_pb2_grpc.IssuerServiceStub(channel)  # type: ignore[no-untyped-call]
        programs = rpc.ProgramServiceStub(channel)  # type: ignore[no-untyped-call]
        made = issuers.InviteIssuer(issuers_pb2.InviteIssuerRequest(**invited), metadata=ops)
        assert made.token
        scope = {"program": "risk-score", "issuer_id": "summit-credit-union", "reason": "again"}
        for act, request in (
            (issuers.InviteIssuer, issuers_pb2.InviteIssuerRequest(**invited)),
            (programs.PauseProgram, v1.PauseProgramRequest(**scope)),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                act(request, metadata=ops)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        withdrawn = issuers_pb2.WithdrawInvitationsRequest(**invited)
        assert issuers.WithdrawInvitations(withdrawn, metadata=installation.signed("ops")).withdrawn == 1
        listed = issuers_pb2.ListIssuersRequest()
        assert list(issuers.ListIssuers(listed, metadata=installation.signed("auditor")).issuers) == []


def test_a_pause_is_taken_back_and_a_kill_comes_back_by_two_people(
    installation: Installation, stub: rpc.ProgramServiceStub
) -> None:
    scope = {"program": "risk-score", "issuer_id": "summit-credit-union"}
    boss = installation.signed("boss")

    def ops() -> list[tuple[str, str]]:
        # A token does one act.
        return installation.signed("ops")

    paused = stub.PauseProgram(v1.PauseProgramRequest(**scope, reason="drill"), metadata=ops())
    assert (paused.workers_acknowledged, paused.effective_after_ms <= 1_000) == (1, True)
    assert _states(installation, stub)["risk-score", "summit-credit-union"] == v1.PROGRAM_STATE_PAUSED
    stub.ResumeProgram(v1.ResumeProgramRequest(**scope, reason="over"), metadata=ops())
    assert _states(installation, stub)["risk-score", "summit-credit-union"] == v1.PROGRAM_STATE_ACTIVE
    stub.KillProgram(v1.KillProgramRequest(**scope, reason="drill"), metadata=ops())
    asked = stub.RequestRevival(v1.RequestRevivalRequest(**scope, reason="mended"), metadata=ops()).approval
    assert stub.ListApprovals(v1.ListApprovalsRequest(), metadata=boss).approvals == [asked]
    done = stub.Approve(v1.ApproveRequest(approval_id=asked.approval_id), metadata=boss).approval
    assert done.verdict == v1.APPROVAL_VERDICT_APPROVED
    assert _states(installation, stub)["risk-score", "summit-credit-union"] == v1.PROGRAM_STATE_ACTIVE
    told = stub.ListHistory(v1.ListHistoryRequest(limit=4), metadata=installation.signed("auditor")).events
    assert [one.verb for one in told] == [
        v1.HISTORY_VERB_REVIVED, v1.HISTORY_VERB_KILLED, v1.HISTORY_VERB_RESUMED, v1.HISTORY_VERB_PAUSED
    ]  # fmt: skip
