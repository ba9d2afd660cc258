"""The quickstart, typed in as it stands, on free ports."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, ROOT

PORTS = ("7443", "7444", "7445", "7480", "9443", "9444", "9445")
TIMEOUT_S = 90
END_OF_COMMAND = "=== quickstart ==="


def free_ports(count: int) -> list[str]:
    """Ports that were free a moment ago; all held at once, so that none comes twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def steps(text: str) -> list[tuple[str, list[str]]]:
    """Commands of the console blocks, each with the output that stands under it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, JSON, folders, width."""
    line = re.sub(r"\{\".*\}", "{}", line)
    line = re.sub(r"\S+/var:", "/var:", line)
    return re.sub(r"─+", "─", " ".join(re.sub(r"\d+(,\d{3})*(\.\d+)?", "#", line).split()))


def script_of(text: str) -> str:
    """The page as a script that says where each command's output ends, and stops at the first that fails."""
    settings = re.search(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    assert settings
    lines = ["set -e", "cat > ein.yaml <<'END'", settings[1] + "END"]
    for command, _ in steps(text):
        lines += [command, f"echo {shlex.quote(END_OF_COMMAND)}"]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def page() -> str:
    text = (DOCS / "quickstart.md").read_text()
    for port, free in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = re.sub(rf"(?<=127\.0\.0\.1:){port}\b", free, text)
    return text


@pytest.fixture(scope="module")
def printed(page: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each command printed."""
    folder = tmp_path_factory.mktemp("q")
    for name in ("deploy", "examples"):
        (folder / name).symlink_to(ROOT / name)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "160",
    }
    environment.pop("EIN_KEYS_PASSPHRASE", None)
    # A session of its own, so that a script that fails leaves no process behind.
    with subprocess.Popen(
        ["bash", "-c", script_of(page)], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            output, errors = shell.communicate(timeout=TIMEOUT_S)
        finally:
            stop_what_is_left(folder, shell)
    assert shell.returncode == 0, f"{output}\n{errors}"
    return output.split(END_OF_COMMAND + "\n")[:-1]


def stop_what_is_left(folder: Path, shell: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(shell.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    log = folder / "up.log"
    # The processes have sessions of their own; `ein up` has told their ids.
    for pid in re.findall(r"'pid': (\d+)", log.read_text() if log.exists() else ""):
        try:
            os.kill(int(pid), signal.SIGTERM)
        except ProcessLookupError:
            continue


def test_every_command_prints_what_the_page_says_numbers_aside(page: str, printed: list[str]) -> None:
    assert len(printed) == len(steps(page))
    for (command, said), output in zip(steps(page), printed, strict=True):
        actual = [shape(line) for line in output.splitlines() if line.strip()]
        expected = [shape(line) for line in said if line.strip()]
        assert actual == expected, command


def test_what_is_said_as_shared_arrives_is_verified_and_adds_up(page: str, printed: list[str]) -> None:
    by_command = {command: output for (command, _), output in zip(steps(page), printed, strict=True)}

    def output_of(part: str) -> str:
        return next(output for command, output in by_command.items() if part in command)

    found = re.search(r"(\d+) risk-score shared", output_of("payment_service.py"))
    assert found
    shared = int(found[1])
    assert 0 < shared < 20
    assert f"{shared} shares, 0 withdrawn, 0 refused" in output_of("issuer_receiver.py")
    account = output_of("ein verify")
    assert re.search(rf"acknowledged +{shared}\n", account)
    assert re.search(r"lost +0\n", account)
    assert account.endswith("the account adds up\n")
    assert f"{shared} by ssf" in output_of("ein kill")
