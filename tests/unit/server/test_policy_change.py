"""Applying, going back and the history: what may follow what, in the order in which it was written."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backends.embedded.policy import NoSuchSnapshot, PolicyMoved, SqlitePolicyStore
from gateway.programs.issues import PolicyInvalid
from gateway.programs.switches import EVERY_ISSUER, SwitchView
from gateway.records.reasons import Reason
from gateway.runtime.clock import SimClock
from gateway.server.policy import (
    RollbackRefused,
    change_policy,
    plan_change,
    policy_in_force,
    read_policy,
    roll_back,
)
from tests.kit.installation import SAMPLE_POLICY

WHO = {"actor": "ada", "reason": "test"}
RISK = "programs/risk-score.yaml"
SAMPLE = read_policy(SAMPLE_POLICY)
CLOCK = SimClock(wall_ms=1_795_000_000_000)


def in_state(state: str, files: dict[str, str] = SAMPLE) -> dict[str, str]:
    return {**files, RISK: SAMPLE[RISK].replace("state: active", f"state: {state}")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqlitePolicyStore]:
    opened = SqlitePolicyStore(str(path), CLOCK)
    yield opened
    opened.close()


def change(store: SqlitePolicyStore, files: dict[str, str], reason: str = "test") -> int:
    return change_policy(store, files, actor="ada", reason=reason, clock=CLOCK).snapshot.version


def put(path: Path, version: int, text: str) -> None:
    """Straight into the file, as no command of ours does."""
    with sqlite3.connect(path) as db:
        db.execute("insert into snapshots values (?, ?, 'eve', 'by hand', 1)", (version, text))
    db.close()


def told(refused: pytest.ExceptionInfo[PolicyInvalid]) -> list[str]:
    return [str(issue) for issue in refused.value.issues]


def test_a_change_says_what_it_changed(store: SqlitePolicyStore) -> None:
    change(store, SAMPLE)
    applied = change_policy(store, in_state("paused"), actor="ada", reason="test", clock=CLOCK)
    assert applied.snapshot.version == store.version() == 2
    assert applied.plan is not None
    assert (applied.plan.before_version, {one.program for one in applied.plan.fields}) == (1, {"risk-score"})


def test_what_was_retired_never_comes_back_by_apply_or_rollback(store: SqlitePolicyStore) -> None:
    change(store, SAMPLE)
    change(store, in_state("retired"))
    for again in (
        lambda: change(store, SAMPLE),
        lambda: roll_back(store, 1, actor="ada", reason="back", clock=CLOCK),
        lambda: plan_change(store, SAMPLE, clock=CLOCK),
    ):
        with pytest.raises(PolicyInvalid) as refused:
            again()
        assert told(refused) == [
            f"{RISK}: state: retired may not become active."
            " Keep state: retired; what begins anew has a name of its own."
        ]
    assert store.version() == 2


def test_a_kill_in_documents_ends_only_by_a_revival_behind_it(store: SqlitePolicyStore) -> None:
    change(store, SAMPLE)
    # A revival before the kill is about an earlier one.
    store.revive("risk-score", EVERY_ISSUER, actor="ada", approver="bob", reason="earlier")
    change(store, in_state("killed"))
    with pytest.raises(PolicyInvalid, match="killed may not become active"):
        change(store, SAMPLE)
    store.revive("risk-score", EVERY_ISSUER, actor="ada", approver="bob", reason="mended")
    assert change(store, SAMPLE) == 3


def test_a_rollback_is_a_new_snapshot_and_a_kill_stays_a_kill(store: SqlitePolicyStore) -> None:
    change(store, SAMPLE)
    change(store, in_state("paused"))
    store.kill("risk-score", EVERY_ISSUER, **WHO)
    applied = roll_back(store, 1, actor="bob", reason="wrong", clock=CLOCK)
    assert applied.snapshot.version == store.version() == 3
    assert store.snapshot(3).files == store.snapshot(1).files
    assert store.view().stopped("risk-score", "northgate-bank") is Reason.KILLED
    assert applied.plan is not None
    assert {one.code for one in applied.plan.warnings} == {"killed"}


def test_a_rollback_to_what_is_in_force_or_to_nothing_is_refused(store: SqlitePolicyStore) -> None:
    change(store, SAMPLE)
    with pytest.raises(RollbackRefused):
        roll_back(store, 1, actor="ada", reason="back", clock=CLOCK)
    with pytest.raises(NoSuchSnapshot):
        roll_back(store, 7, actor="ada", reason="back", clock=CLOCK)


def test_documents_that_are_accepted_no_longer_stand_in_the_history_and_go_back_to_nobody(
    store: SqlitePolicyStore, path: Path
) -> None:
    old = {**SAMPLE, RISK: SAMPLE[RISK] + "of_an_earlier_version: 1\n"}
    put(path, 1, json.dumps(old))
    # What is in force cannot be compared any more: it is replaced all the same.
    applied = change_policy(store, SAMPLE, actor="ada", reason="mended", clock=CLOCK)
    assert (applied.snapshot.version, applied.plan) == (2, None)
    with pytest.raises(PolicyInvalid) as refused:
        roll_back(store, 1, actor="ada", reason="back", clock=CLOCK)
    assert f"{RISK}: of_an_earlier_version: unknown key" in str(refused.value)
    assert store.version() == 2
    assert [(one.policy_version, one.actor) for one in store.history(9)] == [(1, "eve"), (2, "ada")]


def test_a_state_is_held_where_the_documents_in_force_are_accepted_no_longer(
    store: SqlitePolicyStore, path: Path
) -> None:
    put(path, 1, json.dumps({**SAMPLE, RISK: in_state("retired")[RISK] + "of_an_earlier_version: 1\n"}))
    with pytest.raises(PolicyInvalid, match="retired may not become active"):
        change(store, SAMPLE)


@pytest.mark.parametrize("text", ["no json", "[1]", '{"a.yaml": 1}'])
def test_what_is_no_snapshot_is_a_typed_error_and_hides_no_state(
    store: SqlitePolicyStore, path: Path, text: str
) -> None:
    change(store, in_state("retired"))
    put(path, 2, text)
    with pytest.raises(PolicyInvalid, match="Apply the documents anew"):
        policy_in_force(store)
    with pytest.raises(PolicyInvalid, match="retired may not become active"):
        change(store, SAMPLE)
    assert change(store, in_state("retired")) == 3


def test_two_who_apply_at_once_do_not_undo_each_other(store: SqlitePolicyStore) -> None:
    change(store, SAMPLE)
    store.apply(in_state("paused"), **WHO, over=1)
    with pytest.raises(PolicyMoved):
        store.apply(SAMPLE, **WHO, over=1)
    assert store.version() == 2


def test_a_change_that_was_checked_against_another_policy_is_refused(
    store: SqlitePolicyStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(store, SAMPLE)
    other = SqlitePolicyStore(str(path), CLOCK)
    view = store.view

    def meanwhile() -> SwitchView:
        other.apply(in_state("retired"), **WHO)
        return view()

    monkeypatch.setattr(store, "view", meanwhile)
    with pytest.raises(PolicyMoved):
        change(store, in_state("paused"))
    other.close()
    assert store.snapshot(store.version()).files == in_state("retired")


def test_the_history_has_everything_in_order_whatever_the_clock_did(path: Path) -> None:
    clock = SimClock(wall_ms=1_795_000_000_000)
    store = SqlitePolicyStore(str(path), clock)
    change(store, SAMPLE, "first")
    store.kill("risk-score", "northgate-bank", actor="bob", reason="wrong data")
    clock.jump_wall_ms(-86_400_000)
    change(store, in_state("paused"), "narrower")
    store.pause("enhanced-data", EVERY_ISSUER, actor="eve", reason="audit")
    store.resume("enhanced-data", EVERY_ISSUER, actor="eve", reason="done")
    clock.jump_wall_ms(86_400_000)
    store.revive("risk-score", "northgate-bank", actor="ada", approver="bob", reason="mended")
    roll_back(store, 1, actor="ada", reason="back", clock=clock)
    seen = [
        (one.what.split(",")[0], one.policy_version or one.switch_epoch, one.actor, one.reason)
        for one in store.history(100)
    ]
    assert seen == [
        ("applied", 1, "ada", "first"),
        ("killed", 1, "bob", "wrong data"),
        ("applied", 2, "ada", "narrower"),
        ("paused", 2, "eve", "audit"),
        ("resumed", 3, "eve", "done"),
        ("revived", 4, "ada", "mended"),
        ("rolled back", 3, "ada", "back"),
    ]
    assert [one.reason for one in store.history(2)] == ["mended", "back"]
    assert store.history(1)[0].restored_from == 1
    store.close()


def test_a_file_of_an_earlier_version_opens_with_its_history(path: Path) -> None:
    store = SqlitePolicyStore(str(path), SimClock())
    store.apply({"a.yaml": "1"}, **WHO)
    store.kill("p", EVERY_ISSUER, **WHO)
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("drop table snapshot_origins")
    db.close()
    again = SqlitePolicyStore(str(path), SimClock())
    assert {one.what for one in again.history(9)} == {"killed", "applied"}
    assert again.apply({"a.yaml": "2"}, **WHO) == 2
    assert again.history(9)[-1].policy_version == 2
    again.close()
