"""`KillProgram` over stores and boards that do not do what they should."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.documents import load_policy
from gateway.programs.switches import LEASE_MS, Lease
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.gateway.program_service import ProgramService
from gateway.server.grpc_common import status_of
from gateway.server.identity import Authenticator
from gateway.server.operators import Operators
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from gateway.server.state import StateDir
from issuernetwork.v1 import programs_pb2 as v1
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.operators import register, token_of

AUDIENCE = "https://x.test"
KILL = v1.KillProgramRequest(program="risk-score", reason="drill")


class Context:
    def __init__(self, token: str) -> None:
        self._token = token

    def invocation_metadata(self) -> Any:
        return (("authorization", f"Bearer {self._token}"),)


class Hanging(FileLeaseBoard):
    """One worker renews an old epoch without end."""

    def fence(self, worker_id: str) -> bool:
        return False

    def read_all(self) -> list[Lease]:
        return [Lease("rogue", 0, SystemClock().monotonic_ns() + LEASE_MS * MS)]


@pytest.fixture
def service(tmp_path: Path) -> Any:
    state = StateDir(tmp_path)
    state.make()
    clock = SystemClock()
    settings = Settings.model_construct(source=tmp_path / "ein.yaml", state_dir=tmp_path, issuer_url=AUDIENCE)
    register(settings, "ops")
    token = token_of(settings, "ops")
    store = SqlitePolicyStore(str(state.policy_db), clock)
    policy = load_policy(read_policy(SAMPLE_POLICY), version=1)

    def make(board: type[FileLeaseBoard] = FileLeaseBoard, counted: Any = lambda *names: 3) -> Any:
        made = ProgramService(
            authenticator=Authenticator(state, Operators(state, AUDIENCE, clock)),
            policy=lambda: policy,
            store=store,
            board=board(RealDisk(), str(state.leases)),
            clock=clock,
            shares_already_left=counted,
        )
        return made, Context(token), store

    yield make
    store.close()


def test_a_stop_that_is_not_everywhere_in_effect_is_no_success(service: Any) -> None:
    made, context, store = service(board=Hanging)
    with pytest.raises(GatewayError) as fault:
        asyncio.run(made.KillProgram(KILL, context))
    assert status_of(fault.value)[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "ein status" in fault.value.public
    assert store.view().stopped("risk-score", "any") is Reason.KILLED, "the stop stands"


def test_the_shares_that_left_are_counted_off_the_event_loop(service: Any) -> None:
    threads: list[int] = []

    def counted(program: str, issuer_id: str) -> int:
        threads.append(threading.get_ident())
        return 3

    made, context, _ = service(counted=counted)
    assert asyncio.run(made.KillProgram(KILL, context)).shares_already_left == 3
    assert threads != [threading.get_ident()]
