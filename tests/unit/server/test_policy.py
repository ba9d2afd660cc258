"""Applying a policy: what must hold on the day, and what is worth saying though it holds."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.programs.issues import PolicyInvalid
from gateway.runtime.clock import SimClock
from gateway.server.cli.main import ein
from gateway.server.policy import apply_policy, policy_in_force, read_policy
from tests.kit.installation import SAMPLE_POLICY, Installation

NOVEMBER_2026_MS = 1_795_000_000_000
FILE = "enrolments/northgate-bank-risk-score.yaml"


def test_an_attestation_that_lapses_stops_no_policy_in_force_and_lets_none_in(tmp_path: Path) -> None:
    from gateway.backends.embedded.policy import SqlitePolicyStore

    files = read_policy(SAMPLE_POLICY)
    files[FILE] = files[FILE].replace("attestation_expires: 2035-01-01", "attestation_expires: 2026-12-01")
    database, clock = tmp_path / "policy.sqlite3", SimClock(wall_ms=NOVEMBER_2026_MS)
    apply_policy(database, files, reason="r", actor="a", clock=clock)
    clock.advance_ms(40 * 86_400_000)
    with pytest.raises(PolicyInvalid, match="the attestation has expired"):
        apply_policy(database, files, reason="again", actor="a", clock=clock)
    store = SqlitePolicyStore(str(database), clock)
    try:
        assert policy_in_force(store).version == 1
    finally:
        store.close()


def test_apply_names_recipients_without_a_key_and_puts_the_policy_in_force(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    for name in ("northgate-bank", "atlas-processing"):
        (installation.state.keys / "recipients" / f"{name}.jwks.json").unlink()
    arguments = ["apply", str(SAMPLE_POLICY), "--reason", "r", "--config", str(installation.config)]
    done = CliRunner().invoke(ein, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "policy 2 in force: 5 issuers, 3 programs, 7 enrolments"
    warned = done.stderr.splitlines()
    planned = CliRunner().invoke(ein, ["plan", str(SAMPLE_POLICY), "--config", str(installation.config)])
    assert planned.stderr.splitlines() == warned, "said before it is put in force"
    assert [line.split(":")[1] for line in warned] == [
        " enrolments/northgate-bank-enhanced-data.yaml",
        " enrolments/summit-credit-union-risk-score.yaml",
    ]
    assert all("keys/recipients/" in line for line in warned)
