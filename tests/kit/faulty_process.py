"""`ein gateway` or `ein feeds` as it is, and a socket by which a test breaks one step of it at a time.

    python -m tests.kit.faulty_process gateway.server.cli.main gateway --config FILE

Told `arm NAME` it puts a fault of tests/kit/faults_*.py in place, told `mend` it takes it away.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.server.feeds.engine import FeedsEngine
from gateway.server.identity import Authenticator
from gateway.server.settings import load_settings
from gateway.server.supervisor import Supervisor
from gateway.sharing.gateway import Gateway

ANSWER_LIMIT_S = 20.0


class Broken(RuntimeError):
    """A fault. Its text holds what was sent, as the text of a library's may: it must get nowhere."""


class Patches:
    """What is broken now, and how to mend it. `live` has the process's own parts by name."""

    def __init__(self, live: dict[str, Any], planted: str) -> None:
        self.live = live
        self._planted = planted
        self._undo: list[Callable[[], None]] = []

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute of an object, a class or a module until it is mended."""
        own = vars(owner) if hasattr(owner, "__dict__") else {}
        if name in own or name in getattr(type(owner), "__slots__", ()):
            before = own.get(name, None) if name in own else getattr(owner, name)
            self._undo.append(lambda: setattr(owner, name, before))
        else:
            self._undo.append(lambda: delattr(owner, name))
        setattr(owner, name, value)

    def undo(self, work: Callable[[], Any]) -> None:
        """Calls `work` when it is mended."""
        self._undo.append(work)

    def fault(self) -> Broken:
        return Broken(f"cannot do this with {self._planted}")

    def broken(self, *args: Any, **options: Any) -> Any:
        """In place of any function."""
        raise self.fault()

    def mend(self) -> None:
        while self._undo:
            self._undo.pop()()


def _note_instances(live: dict[str, Any]) -> None:
    for kind, name in ((Gateway, "gateway"), (FeedsEngine, "engine"), (Authenticator, "authenticator")):
        made = kind.__init__

        def noting(self: Any, *args: Any, _made: Any = made, _name: str = name, **options: Any) -> None:
            _made(self, *args, **options)
            live[_name] = self

        kind.__init__ = noting  # type: ignore[method-assign]


def _port_file(run: Path, process: str) -> Path:
    return run / f"faults-{process}.port"


def _serve(listener: socket.socket, patches: Patches) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_obey, args=(connection, patches), name="faults", daemon=True).start()


def _obey(connection: socket.socket, patches: Patches) -> None:
    from tests.kit.faults_feeds import FEEDS_FAULTS
    from tests.kit.faults_gateway import GATEWAY_FAULTS, REPEAT
    from tests.kit.faults_held import HELD
    from tests.kit.faults_planted import PLANTED_LEAKS
    from tests.kit.faults_slow import SLOW

    every = (*GATEWAY_FAULTS, REPEAT, *FEEDS_FAULTS, *PLANTED_LEAKS, SLOW, *HELD)
    known = {fault.name: fault for fault in every}
    with connection, connection.makefile("rw") as lines:
        for line in lines:
            verb, _, name = line.strip().partition(" ")
            try:
                answer: Any = "done"
                if verb == "arm":
                    known[name].put(patches)
                elif verb == "mend":
                    patches.mend()
                else:
                    answer = patches.live["engine"].fanned_out()
            except Exception as fault:
                answer = f"{type(fault).__name__}: {fault}"
            lines.write(f"{answer}\n")
            lines.flush()


class Faulty:
    """The test's end of that socket."""

    def __init__(self, run: Path, process: str) -> None:
        port = int(_port_file(run, process).read_text())
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_S)
        self._lines = self._socket.makefile("rw")

    def ask(self, line: str) -> str:
        self._lines.write(line + "\n")
        self._lines.flush()
        return self._lines.readline().strip()

    def arm(self, name: str) -> None:
        answer = self.ask(f"arm {name}")
        assert answer == "done", answer

    def mend(self) -> None:
        answer = self.ask("mend")
        assert answer == "done", answer

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def make_faulty(supervisor: Supervisor) -> None:
    """Has the supervisor start its processes in this way."""
    for child in supervisor.children.values():
        argv = list(child.argv)
        # With the name that it stands in for: by that a kill knows a process that it may end.
        child.argv = [argv[0], "-m", "tests.kit.faulty_process", *argv[2:]]


def main() -> int:
    name, _, config = sys.argv[2:5]
    settings = load_settings(Path(config))
    settings.state.make()
    live: dict[str, Any] = {"state": settings.state}
    _note_instances(live)
    listener = socket.create_server(("127.0.0.1", 0))
    port_file = _port_file(settings.state.run, name)
    port_file.with_suffix(".new").write_text(str(listener.getsockname()[1]))
    os.replace(port_file.with_suffix(".new"), port_file)
    patches = Patches(live, os.environ.get("EIN_PLANTED", ""))
    threading.Thread(target=_serve, args=(listener, patches), name="faults", daemon=True).start()
    if name == "gateway":
        from gateway.server.gateway.process import run
    else:
        from gateway.server.feeds.process import run
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
