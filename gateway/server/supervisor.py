"""Starts one of each process on this machine, keeps them running, and stops them gracefully."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gateway.records.errors import GatewayError
from gateway.server import exit_codes
from gateway.server.process import stop_on_signals
from gateway.server.settings import Settings
from gateway.server.state import Addresses, StateDir

PROCESSES = ("gateway", "feeds", "measure")
READY_TIMEOUT_S = 60.0
"""A cold start on a busy two-core machine takes seconds: a minute means that it will not come."""

STOP_TIMEOUT_S = 20.0
"""Longest graceful drain before a process is ended the hard way."""

RESTART_DELAY_S = 0.2
MAX_RESTARTS = 5
"""Restarts of one process within the window before it gives up: a crash at each start would spin."""

RESTART_WINDOW_S = 60.0
"""What died so long ago is forgotten: five crashes in a year are no reason to stop."""

CONNECT_TIMEOUT_S = 1.0
"""Looking whether another instance listens, on this machine."""

POLL_S = 0.05


class ProcessFailed(GatewayError):
    """A process did not become ready, or died too often. `exit_code` is the one to end with."""

    code = "process_failed"

    def __init__(self, public: str, *, exit_code: int = exit_codes.FAULT) -> None:
        super().__init__(public)
        self.exit_code = exit_code


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    argv: Sequence[str]
    log: Path
    popen: subprocess.Popen[bytes] | None = None
    restarted_at_s: list[float] = field(default_factory=list)
    stderr: IO[bytes] | None = field(default=None, repr=False)

    def spawn(self) -> None:
        if self.stderr is None:
            self.stderr = self.log.open("ab")
        self.popen = subprocess.Popen(
            list(self.argv),
            stdin=subprocess.DEVNULL,
            stdout=self.stderr,
            stderr=self.stderr,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        if self.popen is None:
            raise ProcessFailed(f"{self.name} is not running")
        return self.popen.pid

    def exit_code(self) -> int | None:
        return None if self.popen is None else self.popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Signals this very process: never another one that has its id by now."""
        if self.popen is None:
            raise ProcessFailed(f"{self.name} is not running")
        self.popen.send_signal(number)

    def may_restart(self, now_s: float) -> bool:
        """Counts a restart, if it is not one too many."""
        self.restarted_at_s = [at_s for at_s in self.restarted_at_s if now_s - at_s < RESTART_WINDOW_S]
        if len(self.restarted_at_s) >= MAX_RESTARTS:
            return False
        self.restarted_at_s.append(now_s)
        return True


class Supervisor:
    """`with Supervisor(settings) as up:` has gateway, feeds and measure ready; they stop at the end.

    Raises ProcessFailed when one does not become ready.
    """

    def __init__(
        self, settings: Settings, *, processes: Sequence[str] = PROCESSES, restart: bool = True
    ) -> None:
        self._state: StateDir = settings.state
        self._restart = restart
        self._state.make()
        self.children = {
            name: Child(
                name,
                [sys.executable, "-m", "gateway.server.cli.main", name, "--config", str(settings.source)],
                self._state.logs / f"{name}.log",
            )
            for name in processes
        }

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Raises ProcessFailed where another instance runs on the same state: its files are left alone."""
        for name in self.children:
            addresses = self._state.read_ready(name)
            if addresses is not None and _listens(addresses):
                raise ProcessFailed(f"{name} runs already on this state directory: stop that one first")
        for child in self.children.values():
            self._state.clear_ready(child.name)
            child.spawn()
        for name in self.children:
            self.wait_ready(name)

    def wait_ready(self, name: str) -> Addresses:
        """Where `name` listens, once the process that runs now says that it is ready."""
        child = self.children[name]
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            addresses = self._state.read_ready(name)
            if addresses is not None and addresses.get("pid") == child.pid:
                return addresses
            code = child.exit_code()
            if code is not None:
                raise ProcessFailed(
                    f"{name} ended with exit code {code} before it was ready; see {child.log}",
                    exit_code=exit_codes.CONFIG if code == exit_codes.CONFIG else exit_codes.FAULT,
                )
            time.sleep(POLL_S)
        raise ProcessFailed(f"{name} was not ready within {READY_TIMEOUT_S:.0f} s; see {child.log}")

    def addresses(self, name: str) -> Addresses:
        found = self._state.read_ready(name)
        if found is None:
            raise ProcessFailed(f"{name} is not ready")
        return found

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to the one process that this supervisor started under `name`."""
        self.children[name].send(number)

    def respawn(self, name: str) -> Addresses:
        """Starts `name` again after it has ended, and waits until it is ready."""
        child = self.children[name]
        if child.popen is not None:
            child.popen.wait(STOP_TIMEOUT_S)
        self._state.clear_ready(name)
        child.spawn()
        return self.wait_ready(name)

    def watch(self, keep_going: Callable[[], bool]) -> None:
        """Restarts what dies while `keep_going()` holds. Raises ProcessFailed when one dies too often."""
        while keep_going():
            for child in self.children.values():
                if child.exit_code() is None:
                    continue
                if not self._restart or not child.may_restart(time.monotonic()):
                    raise ProcessFailed(
                        f"{child.name} ended with exit code {child.exit_code()}; see {child.log}"
                    )
                time.sleep(RESTART_DELAY_S)
                self.respawn(child.name)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Asks each process to drain and end; ends those that do not."""
        running = [child for child in self.children.values() if child.popen is not None]
        for child in running:
            if child.exit_code() is None:
                child.send(signal.SIGTERM)
                child.send(signal.SIGCONT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for child in running:
            assert child.popen is not None
            try:
                child.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.popen.kill()
                child.popen.wait()
            if child.stderr is not None:
                child.stderr.close()
                child.stderr = None


def _listens(addresses: Addresses) -> bool:
    """Whether the process that wrote these addresses is still there, and not just one with its id."""
    try:
        with suppress(PermissionError):  # somebody else's process is one, too
            os.kill(addresses["pid"], 0)
        host, _, port = addresses["metrics"].rpartition(":")
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
    except (OSError, KeyError, ValueError):
        return False
    return True


def run_until_signalled(settings: Settings) -> int:
    """`ein up`: 0 after SIGTERM or SIGINT and a graceful stop, 70 when a process dies too often.

    78 when a process cannot start for its settings.
    """
    asked = stop_on_signals()
    try:
        with Supervisor(settings) as supervisor:
            for name in supervisor.children:
                said = ", ".join(f"{key} {value}" for key, value in supervisor.addresses(name).items())
                print(f"{name}: {said}", file=sys.stderr, flush=True)
            supervisor.watch(lambda: not asked.is_set())
    except ProcessFailed as failed:
        print(f"ein up: {failed.public}", file=sys.stderr)
        return failed.exit_code
    return exit_codes.DONE
