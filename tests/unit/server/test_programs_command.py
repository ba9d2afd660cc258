"""What `ein programs` and `ein participants` tell is what the policy and the switches come to."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.runtime.clock import SystemClock
from gateway.server.cli.main import ein
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from tests.kit.installation import SAMPLE_POLICY, quick_install


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("programs")
    made = quick_install(folder, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
    store = SqlitePolicyStore(str(made.state.policy_db), SystemClock())
    store.kill("risk-score", "meridian-cards", actor="t", reason="t")
    store.pause("fraud-reports", actor="t", reason="t")
    store.close()
    return made


def told(settings: Settings, *arguments: str) -> str:
    result = CliRunner().invoke(ein, [*arguments, "--config", str(settings.source)])
    assert result.exit_code == 0, result.exception
    return result.output


STATES = {
    ("risk-score", "meridian-cards"): "killed",
    ("risk-score", "northgate-bank"): "active",
    ("enhanced-data", "northgate-bank"): "shadow",
    ("fraud-reports", "northgate-bank"): "paused",
}


@pytest.mark.parametrize(("command", "rows"), [("programs", "programs"), ("participants", "issuers")])
def test_both_tell_the_strictest_of_program_enrolment_and_switch(
    settings: Settings, command: str, rows: str
) -> None:
    found: Any = json.loads(told(settings, command, "--json"))[rows]
    states = {(one["program"], one["issuer_id"]): one["state"] for one in found}
    assert {key: states[key] for key in STATES} == STATES


def test_programs_are_listed_a_line_each(settings: Settings) -> None:
    lines = told(settings, "programs").splitlines()
    assert lines[0] == "policy 1, switches at epoch 2"
    [northgate] = [line for line in lines if line.startswith("risk-score") and "northgate-bank" in line]
    assert northgate.split() == ["risk-score", "northgate-bank", "active", "ramp", "100%", "holdout", "50%"]


def test_participants_count_who_signed_up_while_everything_ran(settings: Settings) -> None:
    before: Any = json.loads(told(settings, "participants", "--json"))["merchants"]["by_tier"]
    words = ("--terms", "2026-11", "--evidence", "form 7", "--reason", "signed up")
    told(settings, "consent", "set", "m-new", "--tier", "enhanced", *words)
    after: Any = json.loads(told(settings, "participants", "--json"))["merchants"]["by_tier"]
    assert after == {**before, "enhanced": before.get("enhanced", 0) + 1}


def test_participants_say_what_is_kept_how_long_and_under_which_contract(settings: Settings) -> None:
    text = told(settings, "participants")
    assert text.startswith("policy 1; sealed bodies are kept 8 days, pseudonymous rows 400\n")
    assert "enhanced-data at harbor-federal: active, 2025-01-01 to 2035-01-01\n" in text
    assert "recipient harbor-federal, contract harbor-federal-2026-2, as independent_controller\n" in text
    assert "cardholders of US, GB; leaves the region of GB\n" in text
