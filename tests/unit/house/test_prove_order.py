"""`make prove` counts each check that fails, and lets nothing run beside what is judged by the clock."""

import subprocess

import pytest

from tests.prove import __main__ as prove

BY_THE_CLOCK = {
    "lookup_latency", "velocity", "latency", "overload", "soak", "ledger", "consents", "kill_under_load",
    "revocation_races", "gateway_faults", "score", "benchmarks",
}  # fmt: skip


def test_what_is_judged_by_the_clock_runs_alone_and_nothing_is_left_out() -> None:
    assert BY_THE_CLOCK | set(prove.BESIDE) == set(prove.CHECKS)
    assert len(BY_THE_CLOCK) + len(prove.BESIDE) == len(prove.CHECKS)


def test_each_check_that_fails_beside_another_is_counted_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(command: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        assert "--reduced" in command
        return subprocess.CompletedProcess(command, int(command[-1] != "good"), f"told by {command[-1]}\n")

    monkeypatch.setattr(prove.subprocess, "run", run)
    assert prove.at_once(["bad", "good", "worse"], None) == 2
    told = capsys.readouterr().out
    assert sorted(told.splitlines()) == ["told by bad", "told by good", "told by worse"]


@pytest.mark.parametrize(("counts", "at_once"), [("--reduced", list(prove.BESIDE)), ("--full", [])])
def test_at_full_counts_every_check_runs_alone(
    monkeypatch: pytest.MonkeyPatch, counts: str, at_once: list[str]
) -> None:
    alone: list[str] = []
    beside: list[str] = []
    monkeypatch.setattr(prove.sys, "argv", ["prove", counts])
    monkeypatch.setattr(prove, "_alone", lambda name, full, write: alone.append(name) is None)
    monkeypatch.setattr(prove, "at_once", lambda names, write: beside.extend(names) or 0)
    assert prove.main() == 0
    assert beside == at_once
    assert alone == [name for name in prove.CHECKS if name not in at_once]
