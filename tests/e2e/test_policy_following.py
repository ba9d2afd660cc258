"""A policy that takes long to load holds up nothing."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.policy import read_policy
from issuernetwork.v1 import programs_pb2 as v1
from issuernetwork.v1 import programs_pb2_grpc as rpc
from tests.kit.installation import ROOT, SAMPLE_POLICY, Installation
from tests.kit.operators import register, token_of

DEADLINE_S = 20.0

SLOW_GATEWAY = """
import pathlib, sys, time
from gateway.server.gateway import process as gateway_process
from gateway.server.cli.main import main

folder, load = pathlib.Path(sys.argv.pop()), gateway_process.policy_in_force

def slow(store, known):
    (folder / "loading").touch()
    while not (folder / "go-on").exists():
        time.sleep(0.01)
    return load(store, known)

gateway_process.policy_in_force = slow
main()
"""


def _await(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def _kill(address: str, token: str) -> v1.KillProgramResponse:
    with grpc.insecure_channel(address) as channel:
        stub = rpc.ProgramServiceStub(channel)  # type: ignore[no-untyped-call]
        request = v1.KillProgramRequest(program="risk-score", reason="drill")
        answer: v1.KillProgramResponse = stub.KillProgram(
            request, metadata=[("authorization", f"Bearer {token}")], timeout=DEADLINE_S
        )
        return answer


def test_while_a_new_policy_loads_the_lease_is_renewed_and_a_kill_goes_through(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    state, config = installation.settings.state, str(installation.settings.source)
    register(installation.settings, "ops")
    token = token_of(installation.settings, "ops")
    with (state.logs / "gateway.log").open("ab") as log:
        command = [sys.executable, "-c", SLOW_GATEWAY, "gateway", "--config", config, str(tmp_path)]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        _await(lambda: state.read_ready("gateway"), "the gateway did not start")
        store = SqlitePolicyStore(str(state.policy_db), SystemClock())
        store.apply(read_policy(SAMPLE_POLICY), actor="test", reason="a second version")
        store.close()
        _await((tmp_path / "loading").exists, "the new policy was not looked at")
        board = FileLeaseBoard(RealDisk(), str(state.leases))
        seen: set[int] = set()

        def renewed() -> bool:
            seen.update(lease.expires_ns for lease in board.read_all())
            return len(seen) > 3

        _await(renewed, "the lease was not renewed while the policy was loading")
        ready = state.read_ready("gateway")
        assert ready is not None
        assert _kill(ready["grpc"], token).workers_acknowledged == 1
        (tmp_path / "go-on").touch()
        log_path = state.logs / "gateway.log"
        _await(lambda: "policy_in_force" in log_path.read_text(), "the new policy did not come into force")
    finally:
        (tmp_path / "go-on").touch()
        process.terminate()
        assert process.wait(2 * DEADLINE_S) == 0, (state.logs / "gateway.log").read_text()
