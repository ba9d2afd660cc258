"""The systemd units start what they say: their very commands are run, on a trial installation."""

import configparser
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit.installation import Installation

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
READY_S = 60


def _service(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return parser["Service"]


@pytest.mark.parametrize("process", ["gateway", "feeds", "measure"])
def test_the_command_of_each_unit_becomes_ready_and_drains(process: str, tmp_path: Path) -> None:
    command = _service(UNITS / f"ein-{process}.service")["ExecStart"].split()
    assert command[0].endswith("/ein")
    ein = Path(sys.executable).with_name("ein")
    installation = Installation(tmp_path)
    argv = [str(ein), *command[1:]]
    argv[argv.index("--config") + 1] = str(installation.config)
    running = subprocess.Popen(argv, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_S
        while (ready := installation.state.read_ready(process)) is None or ready["pid"] != running.pid:
            assert running.poll() is None, f"ended with {running.returncode}"
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_no_unit_restarts_on_settings_that_cannot_be_used(unit: Path) -> None:
    assert _service(unit)["RestartPreventExitStatus"] == "64 78"
