"""Children of the supervisor: whom it signals, and how often it starts one again."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.server.install import write_settings
from gateway.server.settings import SettingsInvalid, load_settings
from gateway.server.supervisor import MAX_RESTARTS, RESTART_WINDOW_S, Child, ProcessFailed, Supervisor


def _child(tmp_path: Path, code: str = "pass") -> Child:
    return Child("one", [sys.executable, "-c", code], tmp_path / "one.log")


def test_restarts_count_within_the_window_alone(tmp_path: Path) -> None:
    child = _child(tmp_path)
    for crash in range(10 * MAX_RESTARTS):
        assert child.may_restart(crash * RESTART_WINDOW_S / MAX_RESTARTS)
    crowded = _child(tmp_path)
    assert [crowded.may_restart(1.0) for _ in range(MAX_RESTARTS + 1)] == [True] * MAX_RESTARTS + [False]
    assert crowded.may_restart(1.0 + RESTART_WINDOW_S)


def test_a_process_that_ended_is_not_signalled_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(load_settings(write_settings(tmp_path)), processes=())
    child = supervisor.children["one"] = _child(tmp_path)
    with pytest.raises(ProcessFailed):
        supervisor.signal("one", signal.SIGTERM)
    child.spawn()
    assert child.popen is not None
    child.popen.wait(20)
    signalled: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: signalled.append(pid))
    supervisor.signal("one", signal.SIGKILL)
    supervisor.stop()
    assert signalled == []


def test_a_supervisor_gives_up_on_what_dies_at_each_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(load_settings(write_settings(tmp_path)), processes=())
    child = supervisor.children["one"] = _child(tmp_path)
    starts: list[str] = []
    respawn: Callable[[str], None] = starts.append
    monkeypatch.setattr(supervisor, "respawn", respawn)
    monkeypatch.setattr("gateway.server.supervisor.RESTART_DELAY_S", 0)
    child.spawn()
    deadline = time.monotonic() + 20
    with pytest.raises(ProcessFailed):
        supervisor.watch(lambda: time.monotonic() < deadline)
    supervisor.stop()
    assert len(starts) == MAX_RESTARTS


@pytest.mark.parametrize("port", ["65536", "99999", "x", "", "-1", "080808"])
def test_a_port_that_does_not_exist_is_refused_by_field(tmp_path: Path, port: str) -> None:
    path = write_settings(tmp_path)
    path.write_text(path.read_text().replace("listen: 127.0.0.1:0", f"listen: '127.0.0.1:{port}'"))
    with pytest.raises(SettingsInvalid, match=r"gateway\.listen"):
        load_settings(path)
    path.write_text(path.read_text().replace(f"127.0.0.1:{port}'", "127.0.0.1:65535'"))
    assert load_settings(path).gateway.listen.endswith(":65535")
