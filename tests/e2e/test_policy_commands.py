"""Policy by command: who did what and when is told in words, and a folder is followed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.runtime.clock import SystemClock
from gateway.server import exit_codes
from gateway.server.cli.main import ein
from gateway.server.operators import KEY_ENV
from gateway.server.policy import read_policy
from tests.kit.installation import ROOT, SAMPLE_POLICY, Installation
from tests.kit.operators import key_of, register
from tests.unit.server.test_policy_folder import mount

DEADLINE_S = 20.0
RISK = "programs/risk-score.yaml"
SAMPLE = read_policy(SAMPLE_POLICY)


def write(folder: Path, state: str) -> str:
    files = {**SAMPLE, RISK: SAMPLE[RISK].replace("state: active", f"state: {state}")}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    register(made.settings, "ada")
    register(made.settings, "bob", "approver")
    return made


def run(installation: Installation, who: str, *arguments: str) -> Result:
    environment = {KEY_ENV: str(key_of(installation.settings, who)) if who else ""}
    return CliRunner().invoke(ein, [*arguments, "--config", str(installation.config)], env=environment)


def version(installation: Installation) -> int:
    store = SqlitePolicyStore(str(installation.state.policy_db), SystemClock())
    try:
        return store.version()
    finally:
        store.close()


def test_a_kill_in_documents_is_taken_back_by_two_people_and_the_history_tells_it(
    installation: Installation, tmp_path: Path
) -> None:
    killed, active = write(tmp_path / "killed", "killed"), write(tmp_path / "active", "active")
    assert run(installation, "ada", "apply", killed, "--reason", "wrong data").exit_code == 0
    refused = run(installation, "ada", "apply", active, "--reason", "mended")
    assert "killed may not become active" in str(refused.exception)
    assert run(installation, "ada", "revive", "risk-score", "--reason", "mended").exit_code == 0
    assert run(installation, "ada", "apply", active, "--reason", "mended").exit_code != 0, "not approved yet"
    assert run(installation, "bob", "approve", "1").exit_code == 0
    assert run(installation, "ada", "apply", active, "--reason", "mended").exit_code == 0
    assert version(installation) == 3
    told = [line.split("  ", 1)[1] for line in run(installation, "", "history").output.splitlines()]
    assert [" ".join(line.split()) for line in told] == [
        "policy 1: applied install: first policy",
        "policy 2: applied ada: wrong data",
        "epoch 1: risk-score for all revived, approved by bob ada: mended",
        "policy 3: applied, in force ada: mended",
    ]


def test_a_rollback_needs_an_operators_key_and_a_plan_none(
    installation: Installation, tmp_path: Path
) -> None:
    paused = write(tmp_path / "paused", "paused")
    assert run(installation, "ada", "apply", paused, "--reason", "audit").exit_code == 0
    refused = run(installation, "", "rollback", "1", "--reason", "back")
    assert (version(installation), "EIN_OPERATOR_KEY" in str(refused.exception)) == (2, True)
    planned = run(installation, "", "plan", str(SAMPLE_POLICY), "--check")
    assert planned.exit_code == exit_codes.CHECK_FAILED
    assert "      state: paused -> active" in planned.output.splitlines()
    done = run(installation, "ada", "rollback", "1", "--reason", "back")
    assert done.output.splitlines()[-1].startswith("policy 3 in force: ")
    assert "policy 3: rolled back to policy 1, in force" in run(installation, "", "history").output


def test_a_folder_is_followed_through_its_links_and_past_its_mistakes(
    installation: Installation, tmp_path: Path
) -> None:
    folder = tmp_path / "mounted"
    mount(folder, "1", SAMPLE)
    command = [sys.executable, "-m", "gateway.server.cli.main", "apply", str(folder), "--watch", "--json"]
    with (tmp_path / "watch.log").open("w") as log:
        watching = subprocess.Popen(
            [*command, "--reason", "from git", "--config", str(installation.config)],
            cwd=ROOT,
            env={**os.environ, KEY_ENV: str(key_of(installation.settings, "ada"))},
            stdout=log,
            stderr=log,
        )
    try:
        said = tmp_path / "watch.log"
        broken = {**SAMPLE, RISK: "program: risk-score\n"}
        mount(folder, "2", broken)
        _until(lambda: "policy_invalid" in said.read_text(), said)
        assert version(installation) == 1
        mount(folder, "3", {**SAMPLE, RISK: SAMPLE[RISK].replace("state: active", "state: paused")})
        _until(lambda: version(installation) == 2, said)
    finally:
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(DEADLINE_S) == exit_codes.DONE, said.read_text()
    last = said.read_text().splitlines()[-1]
    assert json.loads(last)["policy_version"] == 2
    events = json.loads(run(installation, "", "history", "--json").output)["events"]
    assert (events[-1]["actor"], events[-1]["reason"]) == ("ada", "from git")


def _until(holds: object, said: Path) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline_s, said.read_text()
        time.sleep(0.02)
