"""A page typed in as it stands: its files written, its commands run in order, in a folder of its own.

`python -m tests.unit.docs.typed PAGE` writes what its commands print into it anew.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.kit.vault_contract import Vault
from tests.unit.docs.pages import ROOT

PORTS = ("7443", "7444", "7445", "7480", "9443", "9444", "9445")
VAULT, VAULT_TOKEN = "127.0.0.1:8200", "hvs.of-this-page"
TIMEOUT_S = 240
"""Of a whole page: the longest has thirty commands, of a second each where the machine is busy."""
END_OF_COMMAND = "=== end of a command ==="

# A file of the page names itself in its first line.
_BLOCKS = re.compile(r"^```(console|yaml)\n(.*?)^```", re.M | re.S)
_FILE_NAME = re.compile(r"# ([\w./-]+\.yaml)\n")


def free_ports(count: int) -> list[str]:
    """Ports that were free a moment ago; all held at once, so that none comes twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def on_ports(text: str, was: Sequence[str], becomes: Sequence[str]) -> str:
    """A text with other ports of the loopback address."""
    ports = dict(zip(was, becomes, strict=True))
    return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: ports.get(found[0], found[0]), text)


def on_free_ports(page: Path) -> str:
    """The text of a page, with free ports for those that it listens on."""
    return on_ports(page.read_text(), PORTS, free_ports(len(PORTS)))


@contextmanager
def with_vault(text: str) -> Iterator[str]:
    """The text with what speaks a vault's contract where it names a vault."""
    if VAULT not in text:
        yield text
        return
    with Vault(token=VAULT_TOKEN) as vault:
        yield text.replace(VAULT, vault.address.removeprefix("http://"))


def commands_of(block: str) -> list[tuple[str, list[str]]]:
    """Commands of a console block, each with the output that stands under it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def steps(text: str) -> list[tuple[str, list[str]]]:
    """All commands of a page, each with its output."""
    return [step for kind, block in _BLOCKS.findall(text) if kind == "console" for step in commands_of(block)]


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, JSON, folders, keys, arms, width."""
    line = re.sub(r"\{\".*\}", "{}", line)
    line = re.sub(r"\S+/var:", "/var:", line)
    line = re.sub(r"sig-[0-9a-f]{16}", "sig-KID", line)
    # Which arms a few cards go between is chance.
    line = re.sub(r"(?<=change arm: ).*", "MOVES", line)
    return re.sub(r"─+", "─", " ".join(re.sub(r"\d+(,\d{3})*(\.\d+)?", "#", line).split()))


def shapes(lines: list[str]) -> list[str]:
    return [shape(line) for line in lines if line.strip()]


def script_of(text: str) -> str:
    """The page as a script that says where each command's output ends, and stops at the first that fails."""
    lines = []
    for kind, block in _BLOCKS.findall(text):
        name = _FILE_NAME.match(block)
        if kind == "yaml" and name:
            lines += [f"cat > {shlex.quote(name[1])} <<'END' || exit", block + "END"]
        for command, _ in commands_of(block) if kind == "console" else ():
            # A command that goes on in the background has no code yet.
            stop = "" if command.endswith("&") else " || exit"
            lines += [f"{{ {command}{'' if command.endswith('&') else ';'} }}{stop}"]
            lines += [f"echo {shlex.quote(END_OF_COMMAND)}"]
    return "\n".join(lines) + "\n"


def type_in(text: str, folder: Path, *, with_errors: bool) -> list[str]:
    """What each command printed; `with_errors`: on standard error too."""
    for name in ("deploy", "examples"):
        (folder / name).symlink_to(ROOT / name)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        # `ein` is of this tree, whichever one it was installed from.
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "160",
    }
    for name in ("KEYS_PASSPHRASE", "OPERATOR_KEY", "PKCS11_PIN", "VAULT_TOKEN"):
        environment.pop(f"EIN_{name}", None)
    # A session of its own, so that a script that fails leaves no process behind.
    with subprocess.Popen(
        ["bash", "-c", script_of(text)], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT if with_errors else subprocess.PIPE,
        start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            output, errors = shell.communicate(timeout=TIMEOUT_S)
        finally:
            _stop_what_is_left(folder, shell)
    assert shell.returncode == 0, f"{output}\n{errors}"
    return output.split(END_OF_COMMAND + "\n")[:-1]


def _stop_what_is_left(folder: Path, shell: "subprocess.Popen[str]") -> None:
    try:
        os.killpg(shell.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    # The processes have sessions of their own; `ein up` has told their ids.
    for log in folder.rglob("up.log"):
        for pid in re.findall(r": pid (\d+)", log.read_text()):
            try:
                os.kill(int(pid), signal.SIGTERM)
            except ProcessLookupError:
                continue


def write_anew(page: Path) -> None:
    """The page with what its commands print now; volatile parts differ each time."""
    text, free = page.read_text(), free_ports(len(PORTS))
    with tempfile.TemporaryDirectory() as folder, with_vault(on_ports(text, PORTS, free)) as typed:
        printed = type_in(typed, Path(folder), with_errors=True)
    outputs = iter(on_ports(output.replace(folder, "/srv/network"), free, PORTS) for output in printed)

    def block(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        lines = []
        for command, _ in commands_of(found[2]):
            lines += [f"$ {command}", *(line.rstrip() for line in next(outputs).splitlines() if line.strip())]
        return "\n".join(["```console", *lines, "```"])

    page.write_text(_BLOCKS.sub(block, text))


if __name__ == "__main__":
    write_anew(Path(sys.argv[1]))
