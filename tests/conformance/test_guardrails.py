"""What every backend of `GuardrailPauses` does: pauses once a finding, waits, and takes nothing back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.guardrails import RESULTS, EmbeddedGuardrails
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import PolicyStoreUnavailable, SqlitePolicyStore
from gateway.measurement.guardrails import (
    FIGURES_MAX,
    Crossing,
    GuardrailPauses,
    Paused,
    Refusal,
    Refused,
)
from gateway.programs.switches import KILL_TIMEOUT_MS, LEASE_GRACE_MS, LEASE_MS, SwitchRefused
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, SimClock
from gateway.runtime.disk import RealDisk

CROSSING = Crossing(
    finding_id="f-20261121-7", guardrail="approval_rate", program="risk-score", issuer_id="northgate-bank",
    figures={"drop_pp": 1.25, "cards": 4812, "lower_pp": -0.4},
)  # fmt: skip
FILES = {"programs/risk-score.yaml": "x", "issuers/northgate-bank.yaml": "x"}


def board_in(folder: Path) -> FileLeaseBoard:
    leases = folder / "leases"
    leases.mkdir()
    return FileLeaseBoard(RealDisk(), str(leases))


class Bench:
    """A policy store, a board, and the port over both. Time moves while something is waited for."""

    def __init__(self, folder: Path) -> None:
        self.clock = SimClock()
        self.path = str(folder / "policy.sqlite3")
        self.policy = SqlitePolicyStore(self.path, self.clock)
        self.policy.apply(FILES, actor="ops", reason="first")
        self.board = board_in(folder)
        self.meanwhile: Callable[[], None] = lambda: None
        self.results: list[str] = []
        self.embedded = EmbeddedGuardrails(
            self.path, self.board, self.clock, self._wait_s, self.results.append
        )
        self.port: GuardrailPauses = self.embedded

    def _wait_s(self, seconds: float) -> None:
        self.clock.advance_ms(int(seconds * 1000))
        self.meanwhile()

    def lease(self, epoch: int, worker_id: str = "gateway-1") -> None:
        until_ns = self.clock.monotonic_ns() + (LEASE_MS + LEASE_GRACE_MS) * MS
        self.board.renew(worker_id, epoch, until_ns)

    def stop(self) -> Reason | None:
        return self.policy.view().stopped("risk-score", "northgate-bank")

    def paused(self, crossing: Crossing = CROSSING) -> Paused:
        done = self.port.pause(crossing)
        assert isinstance(done, Paused)
        return done

    def close(self) -> None:
        self.policy.close()
        self.embedded.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_it_pauses_one_issuer_under_its_own_name_with_the_finding_and_the_figures(bench: Bench) -> None:
    done = bench.paused()
    assert (done.repeated, done.stopped.epoch) == (False, 1)
    assert bench.stop() is Reason.PROGRAM_NOT_ACTIVE
    assert bench.policy.view().stopped("risk-score", "harbor-federal") is None, "no other issuer is touched"
    event = bench.policy.history(1)[0]
    assert (event.what, event.actor) == ("paused", "guardrail:approval_rate")
    assert event.reason == "finding f-20261121-7: cards=4812 drop_pp=1.25 lower_pp=-0.4"
    assert bench.results == ["paused"]


def test_it_returns_when_a_worker_that_shared_has_acknowledged(bench: Bench) -> None:
    bench.lease(0)
    looks = []

    def acknowledge() -> None:
        looks.append(bench.stop())
        if len(looks) == 3:
            bench.lease(1)

    bench.meanwhile = acknowledge
    done = bench.paused()
    assert done.stopped.workers_acknowledged == ("gateway-1",)
    assert len(looks) >= 3, "it waited for the worker"
    assert not done.stopped.workers_waiting


def test_a_worker_that_goes_on_is_named_and_the_pause_stands(bench: Bench) -> None:
    bench.meanwhile = lambda: bench.lease(0)
    bench.lease(0)
    done = bench.paused()
    assert done.stopped.workers_waiting == ("gateway-1",)
    assert done.stopped.effective_after_ms >= KILL_TIMEOUT_MS
    assert bench.stop() is Reason.PROGRAM_NOT_ACTIVE
    assert bench.results == ["not_everywhere"]


def test_a_finding_pauses_once_also_where_a_person_resumed_since(bench: Bench) -> None:
    first = bench.paused()
    assert bench.paused() == replace(first, repeated=True)
    bench.policy.resume("risk-score", "northgate-bank", actor="ops", reason="looked at it")
    again = bench.paused()
    assert (again.repeated, again.stopped.epoch) == (True, 1)
    assert bench.stop() is None, "what a person resumed stays so"
    assert [one.what for one in bench.policy.history(10)] == ["applied", "paused", "resumed"]
    assert bench.paused(replace(CROSSING, finding_id="f-8")).repeated is False
    assert bench.stop() is Reason.PROGRAM_NOT_ACTIVE, "another finding is another pause"


def test_a_finding_is_remembered_by_the_store_and_not_by_the_process(bench: Bench) -> None:
    bench.paused()
    other = EmbeddedGuardrails(bench.path, bench.board, bench.clock, lambda seconds: None)
    done = other.pause(CROSSING)
    other.close()
    assert isinstance(done, Paused)
    assert done.repeated


@pytest.mark.parametrize(
    "changes",
    [{"figures": {"drop_pp": 9.0}}, {"guardrail": "latency"}],
)
def test_an_id_that_stands_for_another_crossing_pauses_nothing(bench: Bench, changes: dict[str, Any]) -> None:
    bench.paused()
    assert bench.port.pause(replace(CROSSING, **changes)) == Refused(Refusal.OTHER_FINDING)
    assert bench.policy.view().epoch == 1


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"program": "risk-scor"}, Refusal.UNKNOWN_PROGRAM),
        ({"program": ""}, Refusal.UNKNOWN_PROGRAM),
        ({"issuer_id": "northgate"}, Refusal.UNKNOWN_ISSUER),
        ({"issuer_id": ""}, Refusal.UNKNOWN_ISSUER),
        ({"finding_id": ""}, Refusal.MALFORMED),
        ({"finding_id": "f 7\n"}, Refusal.MALFORMED),
        ({"finding_id": "f" * 41}, Refusal.MALFORMED),
        ({"guardrail": "Approval rate"}, Refusal.MALFORMED),
        ({"guardrail": "a:b"}, Refusal.MALFORMED),
        ({"figures": {}}, Refusal.MALFORMED),
        ({"figures": {f"a{n}": n for n in range(FIGURES_MAX + 1)}}, Refusal.MALFORMED),
        ({"figures": {"card 4242": 1}}, Refusal.MALFORMED),
        ({"figures": {"drop_pp": float("nan")}}, Refusal.MALFORMED),
        ({"figures": {"drop_pp": float("inf")}}, Refusal.MALFORMED),
        ({"figures": {"drop_pp": "4111111111111111"}}, Refusal.MALFORMED),
        ({"figures": {"drop_pp": True}}, Refusal.MALFORMED),
    ],
)
def test_a_crossing_that_cannot_be_meant_so_is_refused_and_pauses_nothing(
    bench: Bench, changes: dict[str, Any], refusal: Refusal
) -> None:
    assert bench.port.pause(replace(CROSSING, **changes)) == Refused(refusal)
    assert bench.policy.view().epoch == 0
    assert bench.results == [str(refusal)]


def test_the_longest_crossing_fits_into_a_reason_of_the_store(bench: Bench) -> None:
    figures = {f"{'f' * 22}{n}": -1.23456789e-308 for n in range(FIGURES_MAX)}
    bench.paused(replace(CROSSING, finding_id="f" * 40, guardrail="g" * 32, figures=figures))
    assert bench.policy.history(1)[0].reason.count("=-1.23457e-308") == FIGURES_MAX


def test_a_kill_stays_a_kill(bench: Bench) -> None:
    bench.policy.kill("risk-score", "northgate-bank", actor="ops", reason="drill")
    bench.paused()
    assert bench.stop() is Reason.KILLED


def test_no_actor_of_a_guardrail_takes_anything_back(bench: Bench) -> None:
    bench.paused()
    actor = CROSSING.actor
    with pytest.raises(SwitchRefused, match="person"):
        bench.policy.resume("risk-score", "northgate-bank", actor=actor, reason="fine again")
    bench.policy.kill("risk-score", "northgate-bank", actor="ops", reason="drill")
    for asks, approves in ((actor, "boss"), ("ops", actor)):
        with pytest.raises(SwitchRefused, match="person"):
            bench.policy.revive("risk-score", "northgate-bank", actor=asks, approver=approves, reason="x")
    assert bench.stop() is Reason.KILLED
    assert not {"resume", "revive"} & set(dir(bench.embedded))


def test_a_store_that_does_not_answer_is_a_fault_and_is_counted(bench: Bench) -> None:
    bench.policy._db.execute("drop table snapshots")
    with pytest.raises(PolicyStoreUnavailable):
        bench.port.pause(CROSSING)
    assert bench.results == ["unavailable"]
    assert set(bench.results) <= set(RESULTS)


def test_without_a_policy_that_can_be_read_the_pause_goes_ahead(tmp_path: Path) -> None:
    clock, path = SimClock(), str(tmp_path / "policy.sqlite3")
    port = EmbeddedGuardrails(path, board_in(tmp_path), clock, lambda seconds: None)
    assert isinstance(port.pause(CROSSING), Paused)
    port.close()
