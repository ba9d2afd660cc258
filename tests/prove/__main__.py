"""`make prove` and `make prove-full`: runs the checks; at full counts one after the other.

At reduced counts those that judge no time (`BESIDE`) run two at once, each in a process of its own.

A check is a module of this folder with `run(full: bool) -> dict`: it raises AssertionError when its promise
does not hold, and returns what it measured. Where a figure falls short, and is still worth keeping, it names
it in `shortfalls` instead: the check has not passed then either. `--write DIR` keeps all that as JSON with
date, commit and machine.
"""

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# In order of what is quickest to tell that something is broken.
PACE_LOOPS = 1_000_000
"""Some 0.1 s."""

CHECKS = (
    "release_rules",
    "power_cuts",
    "bad_input",
    "tokens",
    "ledger",
    "lookup_latency",
    "velocity",
    "latency",
    "overload",
    "soak",
    "consents",
    "kill_under_load",
    "revocation_races",
    "key_rotations",
    "fail_closed",
    "gateway_faults",
    "sigkill",
    "canaries",
    "demo_seeds",
    "replay",
    "score",
    "benchmarks",
)

BESIDE = (
    "demo_seeds",
    "key_rotations",
    "fail_closed",
    "replay",
    "sigkill",
    "canaries",
    "tokens",
    "release_rules",
    "power_cuts",
    "bad_input",
)
"""Judge no time, rate or load, so that a neighbour moves nothing that they say. The longest first, what waits
beside what computes: `demo_seeds` and `replay` would have both cores by themselves."""

AT_ONCE = 2
"""Checks of `BESIDE`: some wait for what they started, some compute, and CI has two cores."""


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "pace_ms": _pace_ms(),
    }


def _pace_ms() -> float:
    """The same work of the interpreter each time, median of five: rented cores differ from hour to hour,
    and figures in milliseconds with them."""
    took_ms = []
    for _ in range(5):
        started = time.perf_counter()
        sum(number * number % 7 for number in range(PACE_LOOPS))
        took_ms.append((time.perf_counter() - started) * 1e3)
    return round(sorted(took_ms)[2], 1)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/evidence")
    return git("rev-parse", "HEAD") + ("+changes" if changed else "")


def _run(name: str, *, full: bool) -> dict[str, Any]:
    started = time.monotonic()
    try:
        measured = importlib.import_module(f"tests.prove.{name}").run(full)
        passed = not measured.get("shortfalls")
    except Exception as failed:
        traceback.print_exc()
        measured, passed = {"failure": str(failed).splitlines()[:5]}, False
    return {
        "check": name,
        "passed": passed,
        "counts": "full" if full else "reduced",
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
        "machine": _machine(),
        "seconds": round(time.monotonic() - started, 1),
        "measured": measured,
    }


def _alone(name: str, full: bool, write: Path | None) -> bool:
    """Whether it passes; prints its evidence."""
    print(f"== {name} ({'full' if full else 'reduced'} counts)", flush=True)
    evidence = _run(name, full=full)
    print(json.dumps(evidence), flush=True)
    if write:
        write.mkdir(parents=True, exist_ok=True)
        (write / f"{name}.json").write_text(json.dumps(evidence, indent=1) + "\n")
    return bool(evidence["passed"])


def at_once(names: Sequence[str], write: Path | None) -> int:
    """How many of these fail at reduced counts; prints what each printed, once it is over."""
    failed = 0
    with ThreadPoolExecutor(AT_ONCE, "check") as pool:
        for over in as_completed([pool.submit(_in_its_own_process, name, write) for name in names]):
            done = over.result()
            print(done.stdout, end="", flush=True)
            failed += done.returncode != 0
    return failed


def _in_its_own_process(name: str, write: Path | None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.prove", "--reduced", "--only", name]
    command += ["--write", str(write.resolve())] if write else []
    return subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    counts = parser.add_mutually_exclusive_group()
    counts.add_argument("--reduced", action="store_true", help="counts for every change (default)")
    counts.add_argument("--full", action="store_true", help="the counts that were promised")
    parser.add_argument("--only", action="append", choices=CHECKS, help="only this check; repeat for more")
    parser.add_argument("--write", type=Path, metavar="DIR", help="keep the evidence as DIR/<check>.json")
    chosen = parser.parse_args()
    names = chosen.only or list(CHECKS)
    beside = [name for name in BESIDE if name in names]
    if chosen.full or len(names) == 1:
        beside = []
    failed = at_once(beside, chosen.write)
    failed += sum(not _alone(name, chosen.full, chosen.write) for name in names if name not in beside)
    print(f"{len(names) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
