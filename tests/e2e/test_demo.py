"""`ein demo` as its users run it: real processes, real sockets, a small number of payments."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.server.cli import demo

EIN = Path(sys.executable).with_name("ein")
KEYS = {
    "payments", "answered", "shares", "withheld", "undetermined", "delivered", "verified",
    "duplicates", "withdrawn", "lost", "outcomes", "estimates",
}  # fmt: skip
ESTIMATE_KEYS = {
    "program", "issuer", "treatment_n", "holdout_n", "uplift", "lower", "upper", "truth",
}  # fmt: skip
PAYMENTS = 300
DECIDING = {
    ("enhanced-data", "harbor-federal"),
    ("risk-score", "meridian-cards"),
    ("risk-score", "northgate-bank"),
    ("risk-score", "summit-credit-union"),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(EIN), *arguments], capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("d")


@pytest.fixture(scope="module")
def summary(kept: Path) -> dict[str, Any]:
    done = run("demo", "--seed", "3", "--payments", str(PAYMENTS), "--json", "--keep", str(kept / "k"))
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_last_line_is_one_json_object_with_every_promised_member(summary: dict[str, Any]) -> None:
    assert set(summary) >= KEYS
    assert {(row["program"], row["issuer"]) for row in summary["estimates"]} == DECIDING
    assert all(set(row) >= ESTIMATE_KEYS for row in summary["estimates"])


def test_every_payment_is_answered_and_nothing_is_lost_or_doubled(summary: dict[str, Any]) -> None:
    assert summary["payments"] == summary["answered"] == PAYMENTS
    assert summary["outcomes"] == summary["attempts"] >= PAYMENTS
    assert (summary["lost"], summary["duplicates"], summary["undetermined"]) == (0, 0, 0)
    assert summary["drained"]
    assert summary["verified"] > summary["shares"] > 0
    assert {"holdout", "shadow", "not_enrolled"} <= set(summary["withheld"])


def test_the_issuer_that_ignores_the_data_has_a_truth_of_zero(summary: dict[str, Any]) -> None:
    truth = {row["issuer"]: row["truth"] for row in summary["estimates"]}
    assert truth["meridian-cards"] == 0
    assert all(value is not None for value in truth.values())


def test_few_cards_give_no_bounds(summary: dict[str, Any]) -> None:
    assert all(row["lower"] is None and row["upper"] is None for row in summary["estimates"])


def test_what_was_kept_adds_up_again_and_a_doubled_line_does_not(
    summary: dict[str, Any], kept: Path, tmp_path: Path
) -> None:
    folder = kept / "k"
    logs = sorted(folder.glob("issuers/*/receiver-*.ndjson"))
    common = ["--config", str(folder / "ein.yaml"), "--sender", str(folder / "sender.ndjson"), "--json"]
    whole = run("verify", *common, *(part for log in logs for part in ("--receiver", str(log))))
    assert whole.returncode == 0, whole.stdout
    assert json.loads(whole.stdout.splitlines()[-1])["released"] == summary["shares"]
    doubled = tmp_path / "receiver-doubled.ndjson"
    doubled.write_bytes(logs[0].read_bytes() * 2)
    broken = run("verify", *common, "--receiver", str(doubled))
    assert broken.returncode == 1


def test_a_folder_with_an_installation_is_not_used_again(summary: dict[str, Any], kept: Path) -> None:
    done = run("demo", "--payments", "1", "--keep", str(kept / "k"))
    assert done.returncode == 78
    assert "another folder" in done.stderr


@pytest.mark.parametrize(("adds_up", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_the_account_adds_up(
    monkeypatch: pytest.MonkeyPatch, adds_up: bool, code: int
) -> None:
    monkeypatch.setattr(demo, "run_simulation", lambda *_, **__: {"adds_up": adds_up})
    assert CliRunner().invoke(demo.demo_command, ["--payments", "1"]).exit_code == code


def test_an_unknown_fault_is_refused_before_anything_starts() -> None:
    result = CliRunner().invoke(demo.demo_command, ["--fault", "northgate-bank:asleep"])
    assert result.exit_code != 0
    assert "unmatched, late, refusing, slow" in result.output
