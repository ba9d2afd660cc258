"""`gateway.hot_loop_core`: the hot loop has a core, and nobody else of its process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.server import exit_codes
from tests.kit.gateway_process import GATEWAY, Process
from tests.kit.installation import ROOT, Installation

CORES = sorted(os.sched_getaffinity(0))


def _with_core(folder: Path, core: int) -> Installation:
    installation = Installation(folder, processes=())
    document = yaml.safe_load(installation.config.read_text())
    document["gateway"]["hot_loop_core"] = core
    installation.config.write_text(yaml.safe_dump(document))
    return installation


@pytest.mark.skipif(len(CORES) < 2, reason="one core: nothing to keep apart")
def test_one_thread_alone_runs_on_the_core(tmp_path: Path) -> None:
    process = Process(_with_core(tmp_path, CORES[-1]))
    try:
        tasks = os.listdir(f"/proc/{process.popen.pid}/task")
        there = [one for one in tasks if CORES[-1] in os.sched_getaffinity(int(one))]
        assert len(tasks) > 10
        assert [os.sched_getaffinity(int(one)) for one in there] == [{CORES[-1]}]
    finally:
        assert process.stop() == exit_codes.DONE


@pytest.mark.parametrize("allowed", [set(CORES), {CORES[0]}], ids=["no such core", "the only core"])
def test_a_core_that_cannot_be_had_is_refused_by_name(tmp_path: Path, allowed: set[int]) -> None:
    core = CORES[0] if len(allowed) == 1 else CORES[-1] + 1
    installation = _with_core(tmp_path, core)
    command = [sys.executable, "-c", GATEWAY, "gateway", "--config", str(installation.config)]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )  # fmt: skip
    assert ended.returncode == exit_codes.CONFIG
    assert "gateway.hot_loop_core" in ended.stderr
