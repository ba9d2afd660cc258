"""What keeps a process from running has an exit code and a text, and no traceback."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from gateway.server import exit_codes
from gateway.server.supervisor import ProcessFailed, Supervisor
from tests.kit.installation import ROOT, Installation

TIMEOUT_S = 30.0
CANARY = "canary-7731"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def ended(config: Path, processes: Sequence[str]) -> list[tuple[int, str]]:
    """Exit code and standard error of each, run side by side."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "gateway.server.cli.main", process, "--config", str(config)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for process in processes
    ]
    try:
        told = [process.communicate(timeout=TIMEOUT_S)[1] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [(process.returncode, text) for process, text in zip(running, told, strict=True)]


LISTENING = [
    ("gateway", "listen"),
    ("feeds", "listen_grpc"),
    ("measure", "listen_grpc"),
    ("gateway", "metrics"),
    ("feeds", "listen_http"),
    ("measure", "metrics"),
]


@pytest.mark.parametrize("which", [slice(0, 3), slice(3, 6)], ids=["grpc", "http"])
def test_an_address_in_use_is_a_fault_that_says_so(
    installation: Installation, taken: str, which: slice
) -> None:
    config = installation.settings.source
    document = yaml.safe_load(config.read_text())
    for process, setting in LISTENING[which]:
        document[process][setting] = taken
    config.write_text(yaml.safe_dump(document))
    for code, text in ended(config, [process for process, _ in LISTENING[which]]):
        assert code == exit_codes.FAULT, text
        assert "Traceback" not in text
        [ours] = [line for line in text.splitlines() if line.startswith("ein: ")]
        assert "an address to listen on cannot be had" in ours
        assert taken.rpartition(":")[2] not in ours


def test_identities_that_cannot_be_used_are_a_matter_of_configuration(installation: Installation) -> None:
    installation.settings.state.identities.write_text(f'{{not json "{CANARY}"')
    # `up` starts processes of its own: beside the others they would hold each other's journals.
    for processes in (("gateway", "feeds", "measure"), ("up",)):
        for code, text in ended(installation.settings.source, processes):
            assert code == exit_codes.CONFIG, text
            assert "Traceback" not in text
            assert CANARY not in text


@pytest.mark.parametrize(
    "document",
    [f"{CANARY}: [", f"{CANARY}: 2026-13-45", "[" * 2_000, f"- {CANARY}", "\x00", f"state: {CANARY}"],
)
def test_settings_that_cannot_be_used_are_a_matter_of_configuration(tmp_path: Path, document: str) -> None:
    config = tmp_path / "ein.yaml"
    config.write_text(document)
    [(code, text)] = ended(config, ["measure"])
    assert (code, "Traceback" in text) == (exit_codes.CONFIG, False), text


def test_a_second_instance_on_one_state_is_refused_and_leaves_the_first_alone(
    installation: Installation,
) -> None:
    with Supervisor(installation.settings, processes=("measure",)) as first:
        with (
            pytest.raises(ProcessFailed, match="runs already"),
            Supervisor(installation.settings, processes=("measure",)),
        ):
            pytest.fail("two instances run")
        assert first.addresses("measure")["pid"] == first.children["measure"].pid
    # What a machine that lost its power leaves behind is no running instance.
    installation.settings.state.write_ready("measure", {"metrics": "127.0.0.1:1"})
    Supervisor(installation.settings, processes=()).start()
