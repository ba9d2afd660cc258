"""A worker keeps the last good policy whatever is wrong with a newer one, and says so."""

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.policy import PolicyStoreUnavailable, SqlitePolicyStore
from gateway.programs.documents import Known
from gateway.programs.model import PolicySnapshot
from gateway.programs.table import ReleaseTable
from gateway.runtime.busy import BUSY_SWITCH_INTERVAL_S
from gateway.runtime.clock import SimClock
from gateway.server import logs
from gateway.server.policy import policy_in_force, read_policy
from gateway.server.policy_follower import (
    Following,
    PolicyBoard,
    PolicyFollower,
    read_board,
)
from gateway.server.state import StateDir
from tests.kit.installation import SAMPLE_POLICY

WHO = {"actor": "ada", "reason": "test"}
SAMPLE = read_policy(SAMPLE_POLICY)
BROKEN = {**SAMPLE, "programs/risk-score.yaml": "program: risk-score\nof_another_version: 1\n"}


class Worker:
    """What a worker is told, in order."""

    def __init__(self, store: SqlitePolicyStore, **how: Any) -> None:
        self.events: list[Any] = []
        self.follower = PolicyFollower(store, take=self._take, on_change=self.events.append, **how)

    def _take(self, policy: PolicySnapshot, table: ReleaseTable) -> None:
        assert policy.version == table.version
        self.events.append(table.version)

    def step(self) -> list[Any]:
        self.events.clear()
        self.follower.step()
        return list(self.events)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlitePolicyStore]:
    opened = SqlitePolicyStore(str(tmp_path / "policy.sqlite3"), SimClock())
    yield opened
    opened.close()
    logs.policy_version = 0


def test_a_new_policy_is_taken_before_it_is_said_and_said_once(store: SqlitePolicyStore) -> None:
    worker = Worker(store)
    assert worker.step() == []  # there is none yet
    store.apply(SAMPLE, **WHO)
    assert worker.step() == [1, Following(1)]
    assert worker.step() == []
    store.apply(SAMPLE, **WHO)
    store.apply(SAMPLE, **WHO)
    assert worker.step() == [3, Following(3)]
    assert logs.policy_version == 3


def test_a_worker_that_starts_with_a_policy_says_so_at_once(store: SqlitePolicyStore) -> None:
    store.apply(SAMPLE, **WHO)
    worker = Worker(store, version=1)
    assert worker.events == [Following(1)]
    assert worker.step() == []


def test_a_broken_policy_is_refused_once_with_its_mistakes_and_the_next_good_one_taken(
    store: SqlitePolicyStore,
) -> None:
    store.apply(SAMPLE, **WHO)
    worker = Worker(store)
    worker.step()
    store.apply(BROKEN, **WHO)
    [said] = worker.step()
    assert (said.policy_version, said.refused_version, said.code) == (1, 2, "policy_invalid")
    assert len(said.issues) == 3
    assert all(one.startswith("programs/risk-score.yaml: ") for one in said.issues)
    assert worker.step() == []
    store.apply(SAMPLE, **WHO)
    assert worker.step() == [3, Following(3)]


def test_what_is_no_json_is_refused_too(store: SqlitePolicyStore, tmp_path: Path) -> None:
    store.apply(SAMPLE, **WHO)
    worker = Worker(store)
    worker.step()
    with sqlite3.connect(tmp_path / "policy.sqlite3") as db:
        db.execute("insert into snapshots values (2, '{', 'eve', 'by hand', 1)")
    db.close()
    [said] = worker.step()
    assert (said.policy_version, said.refused_version, said.code) == (1, 2, "policy_invalid")


def test_a_fault_of_ours_in_loading_ends_nothing(store: SqlitePolicyStore) -> None:
    store.apply(SAMPLE, **WHO)
    worker = Worker(store, load=lambda asked, known: 1 / 0, version=0)
    assert worker.step() == [Following(0, 1, "internal")]
    assert worker.step() == []


def test_a_store_that_does_not_answer_is_asked_again(store: SqlitePolicyStore) -> None:
    down = [True]

    def load(asked: SqlitePolicyStore, known: Known) -> PolicySnapshot:
        if down[0]:
            raise PolicyStoreUnavailable("the disk is away")
        return policy_in_force(asked, known)

    store.apply(SAMPLE, **WHO)
    worker = Worker(store, load=load)
    assert worker.step() == [Following(0, 0, "policy_store_unavailable")]
    assert worker.step() == []
    down[0] = False
    assert worker.step() == [1, Following(1)]


def test_a_board_reads_back_what_was_shown_until_it_is_cleared(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.make()
    board = PolicyBoard(state, "gateway")
    assert read_board(state, "gateway") is None
    board.show(Following(1))
    assert set(read_board(state, "gateway") or ()) == {"pid", "policy_version"}
    board.show(Following(1, 2, "policy_invalid", ("a: b. C.",)))
    said = read_board(state, "gateway")
    assert said is not None
    assert json.loads(json.dumps(said)) | {"pid": 0} == {
        "pid": 0,
        "policy_version": 1,
        "refused_version": 2,
        "code": "policy_invalid",
        "issues": ["a: b. C."],
    }
    board.clear()
    board.clear()
    assert read_board(state, "gateway") is None


def test_a_board_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    PolicyBoard(StateDir(tmp_path / "gone"), "gateway").show(Following(1))


def test_while_it_compiles_other_threads_get_in_more_often_and_then_as_before(
    store: SqlitePolicyStore,
) -> None:
    before_s, seen_s = sys.getswitchinterval(), []

    def load(asked: SqlitePolicyStore, known: Known) -> PolicySnapshot:
        seen_s.append(sys.getswitchinterval())
        return policy_in_force(asked, known)

    store.apply(SAMPLE, **WHO)
    store.apply(BROKEN, **WHO)
    worker = Worker(store, load=load)
    assert [event.code for event in worker.step()] == ["policy_invalid"]
    store.apply(SAMPLE, **WHO)
    assert worker.step() == [3, Following(3)]
    assert seen_s == pytest.approx([BUSY_SWITCH_INTERVAL_S] * 2)
    assert sys.getswitchinterval() == before_s
