"""Who may act: nobody without a key once there are operators, and nobody alone where two are asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.approvals import LIFE_MS, Approval, ApprovalRefused, Kind, Verdict, decided
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock, SystemClock
from gateway.server.cli.main import ein
from gateway.server.operators import (
    KEY_ENV,
    OperatorRefused,
    Operators,
    OperatorsInvalid,
    changing_operators,
    read_operators,
)
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.kit.operators import key_of, register, token_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})


def run(settings: Settings, *arguments: str, by: str = "") -> Result:
    key = str(key_of(settings, by)) if by else ""
    return CliRunner().invoke(ein, [*arguments, "--config", str(settings.source)], env={KEY_ENV: key})


def good(settings: Settings, *arguments: str, by: str = "") -> str:
    result = run(settings, *arguments, by=by)
    assert result.exit_code == 0, result.exception
    return result.output


def refused(settings: Settings, *arguments: str, by: str = "") -> str:
    result = run(settings, *arguments, by=by)
    assert isinstance(result.exception, GatewayError), result.output
    return result.exception.public


def killed(settings: Settings) -> bool:
    store = SqlitePolicyStore(str(settings.state.policy_db), SystemClock())
    try:
        return store.view().stopped("risk-score", "northgate-bank") is Reason.KILLED
    finally:
        store.close()


def actors(settings: Settings) -> list[tuple[str, str]]:
    store = SqlitePolicyStore(str(settings.state.policy_db), SystemClock())
    try:
        rows = store._db.execute("select verb, actor from switch_events order by epoch").fetchall()
    finally:
        store.close()
    return [(str(verb), str(actor)) for verb, actor in rows]


KILL = ("kill", "risk-score", "--reason", "drill")
RESUME = ("resume", "enhanced-data", "--reason", "drill")
APPLY = ("apply", str(SAMPLE_POLICY), "--reason", "drill")
REVIVE = ("revive", "risk-score", "--reason", "mended")


def test_without_operators_acts_carry_the_user_of_the_operating_system(settings: Settings) -> None:
    good(settings, *APPLY)
    good(settings, *KILL)
    assert all(actor.startswith("os:") for _, actor in actors(settings))


def test_from_the_first_operator_on_what_widens_needs_a_key_and_what_stops_does_not(
    settings: Settings,
) -> None:
    register(settings, "alice")
    for widens in (APPLY, RESUME):
        assert KEY_ENV in refused(settings, *widens)
        good(settings, *widens, by="alice")
    good(settings, "pause", "enhanced-data", "--reason", "drill")
    good(settings, *KILL)
    assert [actor == "alice" for _, actor in actors(settings)] == [True, False, False]


def test_an_auditor_changes_nothing(settings: Settings) -> None:
    register(settings, "audrey", "auditor")
    for act in (APPLY, RESUME, KILL):
        assert "auditor" in refused(settings, *act, by="audrey")


def test_a_key_that_is_not_registered_is_refused(settings: Settings) -> None:
    register(settings, "alice")
    result = CliRunner().invoke(ein, ["operator", "key", str(key_of(settings, "mallory"))])
    assert result.exit_code == 0
    assert "d" not in json.loads(result.output)
    assert key_of(settings, "mallory").stat().st_mode & 0o777 == 0o600
    assert "not registered" in refused(settings, *APPLY, by="mallory")


def test_a_key_file_that_others_can_read_or_that_is_no_key_is_refused(settings: Settings) -> None:
    key = register(settings, "alice")
    key.chmod(0o640)
    assert "chmod 600" in refused(settings, *APPLY, by="alice")
    key.chmod(0o600)
    for content in ("", "{}", "[]", '{"kty":"EC"}'):
        key.write_text(content)
        assert refused(settings, *APPLY, by="alice").startswith("key:")


def test_a_key_is_never_overwritten(settings: Settings) -> None:
    key = register(settings, "alice")
    before = key.read_bytes()
    result = CliRunner().invoke(ein, ["operator", "key", str(key)])
    assert isinstance(result.exception, OperatorRefused)
    assert key.read_bytes() == before


def test_a_killed_program_comes_back_by_two_people_and_by_no_fewer(settings: Settings) -> None:
    good(settings, *KILL)
    assert "two operators" in refused(settings, *REVIVE)
    register(settings, "alice")
    register(settings, "bob", "approver")
    register(settings, "carol")
    assert "approve 1" in good(settings, *REVIVE, by="alice")
    assert "asks for the same" in refused(settings, *REVIVE, by="carol")
    for nobody in ("alice", "carol", ""):
        refused(settings, "approve", "1", by=nobody)
        assert killed(settings)
    assert "approved and done" in good(settings, "approve", "1", by="bob")
    assert not killed(settings)
    assert actors(settings)[-1] == ("revived, approved by bob", "alice")
    assert "decided already" in refused(settings, "approve", "1", by="bob")


def test_an_approver_cannot_approve_what_they_asked_for(settings: Settings) -> None:
    good(settings, *KILL)
    register(settings, "bob", "approver")
    good(settings, *REVIVE, by="bob")
    assert "second person" in refused(settings, "approve", "1", by="bob")
    assert killed(settings)


def test_a_request_of_someone_who_was_removed_is_not_approved(settings: Settings) -> None:
    good(settings, *KILL)
    register(settings, "alice")
    register(settings, "bob", "approver")
    good(settings, *REVIVE, by="alice")
    good(settings, "operator", "remove", "alice", "--reason", "left", by="bob")
    assert "no operator any more" in refused(settings, "approve", "1", by="bob")
    assert killed(settings)


def test_a_request_may_be_refused_or_taken_back_and_is_then_decided(settings: Settings) -> None:
    good(settings, *KILL)
    register(settings, "alice")
    register(settings, "bob", "approver")
    good(settings, *REVIVE, by="alice")
    assert "refused" in good(settings, "refuse", "1", by="alice")
    assert "decided already" in refused(settings, "approve", "1", by="bob")
    assert json.loads(good(settings, "approvals", "--json"))["approvals"] == []
    (row,) = json.loads(good(settings, "approvals", "--all", "--json"))["approvals"]
    assert (row["verdict"], row["decided_by"]) == ("refused", "alice")


def test_what_is_not_killed_is_not_revived(settings: Settings) -> None:
    register(settings, "alice")
    assert "not killed" in refused(settings, *REVIVE, by="alice")


def add(settings: Settings, name: str, role: str, by: str) -> str:
    made = CliRunner().invoke(ein, ["operator", "key", str(key_of(settings, name))]).output
    public = settings.source.parent / f"{name}.pub"
    public.write_text(made)
    return good(
        settings, "operator", "add", name, "--role", role, "--key", str(public), "--reason", "new", by=by
    )


def test_the_third_operator_takes_two_people(settings: Settings) -> None:
    assert add(settings, "alice", "operator", by="") == "alice: registered\n"
    assert add(settings, "bob", "approver", by="alice") == "bob: registered\n"
    told = json.loads(good(settings, "approvals", "--all", "--json"))["approvals"]
    assert [(one["verdict"], one["reason"]) for one in told] == [("alone", "new")] * 2, (
        "on record all the same"
    )
    assert [one["requested_by"].partition(":")[0] for one in told] == ["os", "alice"]
    assert "approve 3" in add(settings, "mallory", "approver", by="alice")
    assert {one.principal_id for one in read_operators(settings.state.operators)} == {"alice", "bob"}
    good(settings, "approve", "3", by="bob")
    assert {one.principal_id for one in read_operators(settings.state.operators)} == {
        "alice", "bob", "mallory",
    }  # fmt: skip
    listed = json.loads(good(settings, "operator", "list", "--json"))["operators"]
    assert [row["role"] for row in listed] == ["operator", "approver", "approver"]


def test_what_one_person_did_alone_is_told_as_decided_whoever_that_was(settings: Settings) -> None:
    add(settings, "bob", "approver", by="")
    assert "decided already" in refused(settings, "approve", "1", by="bob")


def test_a_change_of_operators_beside_another_one_is_refused_and_undoes_nothing(settings: Settings) -> None:
    add(settings, "alice", "operator", by="")
    with changing_operators(settings.state.operators):
        removal = ("operator", "remove", "alice", "--reason", "x")
        assert "try again" in refused(settings, *removal, by="alice")
    assert [one.principal_id for one in read_operators(settings.state.operators)] == ["alice"]


def test_one_key_is_one_person(settings: Settings) -> None:
    add(settings, "alice", "operator", by="")
    public = settings.source.parent / "alice.pub"
    again = ("operator", "add", "alice2", "--role", "approver", "--key", str(public), "--reason", "x")
    assert "another name" in refused(settings, *again, by="alice")


def test_tokens_of_the_registered_are_verified_and_a_removal_is_followed(settings: Settings) -> None:
    register(settings, "alice")
    known = Operators(settings.state, settings.issuer_url, SystemClock())
    token = token_of(settings, "alice")
    assert known.verified(token)[0].principal_id == "alice"
    elsewhere = Operators(settings.state, "https://elsewhere.test", SystemClock())
    with pytest.raises(GatewayError):
        elsewhere.verified(token)
    settings.state.operators.write_text("[]")
    known.refresh()
    with pytest.raises(GatewayError, match="not registered"):
        known.verified(token)


@pytest.mark.parametrize("content", ["{", "{}x", "[1]", '[{"principal_id": "a"}]', "7"])
def test_a_broken_registry_is_a_typed_error_and_the_last_good_one_holds(
    settings: Settings, content: str
) -> None:
    register(settings, "alice")
    known = Operators(settings.state, settings.issuer_url, SystemClock())
    settings.state.operators.write_text(content)
    with pytest.raises(OperatorsInvalid):
        known.refresh()
    assert known.verified(token_of(settings, "alice"))[0].role == "operator"
    assert isinstance(run(settings, *APPLY, by="").exception, OperatorsInvalid)


APPROVAL = Approval(1, Kind.REVIVE, {"program": "p"}, "why", "alice", 1_000)


@pytest.mark.parametrize(
    ("approval", "by", "approve", "now_ms", "verdict"),
    [
        (APPROVAL, "bob", True, 1_000 + LIFE_MS - 1, Verdict.APPROVED),
        (APPROVAL, "bob", True, 1_000 + LIFE_MS, None),
        (APPROVAL, "alice", True, 2_000, None),
        (APPROVAL, "alice", False, 2_000, Verdict.REFUSED),
        (APPROVAL, "bob", False, 2_000, Verdict.REFUSED),
    ],
)
def test_who_may_decide_what_until_when(
    approval: Approval, by: str, approve: bool, now_ms: int, verdict: Verdict | None
) -> None:
    if verdict is None:
        with pytest.raises(ApprovalRefused):
            decided(approval, by=by, approve=approve, now_ms=now_ms)
    else:
        assert decided(approval, by=by, approve=approve, now_ms=now_ms).verdict is verdict


def test_what_was_approved_and_not_done_is_approved_again_by_the_same_person_alone(tmp_path: Path) -> None:
    clock = SimClock()
    store: Any = SqliteApprovals(str(tmp_path / "policy.sqlite3"), clock)
    store.request(Kind.REVIVE, {"program": "p"}, by="alice", reason="why")
    store.decide(1, by="bob", approve=True)
    assert store.decide(1, by="bob", approve=True).decided_by == "bob"
    with pytest.raises(ApprovalRefused):
        store.decide(1, by="carol", approve=True)
    store.done(1)
    with pytest.raises(ApprovalRefused):
        store.decide(1, by="bob", approve=True)
    with pytest.raises(ApprovalRefused, match="no request"):
        store.get(2)
    store.close()
