"""`ein gateway` by itself, for tests that stop, kill and start it again."""

import subprocess
import sys
import time
from collections.abc import Sequence

from tests.kit.installation import ROOT, Installation

START_S = 20.0
GATEWAY = "from gateway.server.cli.main import main; main()"


class Process:
    """`ein gateway` in a process of its own, ready when constructed."""

    def __init__(
        self, installation: Installation, *, prefix: Sequence[str] = (), code: str = GATEWAY
    ) -> None:
        self._state = installation.state
        self._state.clear_ready("gateway")
        run = [sys.executable, "-c", code]
        with (self._state.logs / "gateway.log").open("ab") as log:
            self.popen = subprocess.Popen(
                [*prefix, *run, "gateway", "--config", str(installation.config)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        deadline = time.monotonic() + START_S
        while (ready := self._state.read_ready("gateway")) is None:
            if self.popen.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"gateway did not start:\n{self.log()}")
            time.sleep(0.02)
        self.address = ready["grpc"]
        self.metrics = ready["metrics"]

    def log(self) -> str:
        return (self._state.logs / "gateway.log").read_text()

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        self.popen.terminate()
        return self.popen.wait(START_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait(START_S)
