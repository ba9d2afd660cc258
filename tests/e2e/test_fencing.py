"""A kill ends a worker that was stopped: it cannot go on behind the kill's back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.state import StateDir
from tests.kit.installation import Installation


def _kill(state: StateDir) -> switches.Stopped:
    clock = SystemClock()
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        board = FileLeaseBoard(RealDisk(), str(state.leases))
        return switches.stop(
            store.kill, board, clock, time.sleep, program="risk-score", actor="test", reason="drill"
        )
    finally:
        store.close()


def test_a_stopped_gateway_is_ended_by_the_kill_and_a_running_one_is_not(tmp_path: Path) -> None:
    with Installation(tmp_path, processes=("gateway",)) as installation:
        popen = installation.supervisor.children["gateway"].popen
        assert popen is not None
        assert _kill(installation.state).workers_fenced == ()
        assert popen.poll() is None
        installation.supervisor.signal("gateway", signal.SIGSTOP)
        stopped = _kill(installation.state)
        assert stopped.workers_fenced == (f"gateway-{popen.pid}",)
        assert stopped.effective_after_ms <= 1_000
        assert popen.wait(5) == -signal.SIGKILL


def test_a_stopped_process_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        os.kill(other.pid, signal.SIGSTOP)
        board = FileLeaseBoard(RealDisk(), str(tmp_path))
        assert not board.fence(f"gateway-{other.pid}")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
