"""`KillProgram` over stores and boards that do not do what they should."""

import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.programs.switches import LEASE_MS, Lease
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, SystemClock
from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.kit.operator_calls import desk


class Hanging(FileLeaseBoard):
    """One worker renews an old epoch without end."""

    def fence(self, worker_id: str) -> bool:
        return False

    def read_all(self) -> list[Lease]:
        return [Lease("rogue-7", 0, SystemClock().monotonic_ns() + LEASE_MS * MS)]


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    return quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})


@pytest.mark.parametrize(
    ("method", "stop"), [("KillProgram", Reason.KILLED), ("PauseProgram", Reason.PROGRAM_NOT_ACTIVE)]
)
def test_a_stop_that_is_not_everywhere_in_effect_is_no_success_and_names_who_waits(
    settings: Any, method: str, stop: Reason
) -> None:
    with desk(settings, board=Hanging) as calls:
        code, text = calls.refused(method, "ops", program="risk-score", reason="drill")
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "ein status" in text
        assert "rogue-7" in text
        assert calls.stores.policy.view().stopped("risk-score", "any") is stop, "the stop stands"


def test_the_shares_that_left_are_counted_off_the_event_loop(settings: Any) -> None:
    threads: list[str] = []

    def counted(program: str, issuer_id: str) -> int:
        threads.append(threading.current_thread().name)
        return 3

    with desk(settings, shares_already_left=counted) as calls:
        assert calls.call("KillProgram", "ops", program="risk-score", reason="drill").shares_already_left == 3
    (name,) = threads
    assert name.startswith("stops"), "on a thread that serves nothing but stops"
