"""`make prove` and `make prove-full`: runs the checks one after the other.

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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    counts = parser.add_mutually_exclusive_group()
    counts.add_argument("--reduced", action="store_true", help="counts for every change (default)")
    counts.add_argument("--full", action="store_true", help="the counts that were promised")
    parser.add_argument("--only", action="append", choices=CHECKS, help="only this check; repeat for more")
    parser.add_argument("--write", type=Path, metavar="DIR", help="keep the evidence as DIR/<check>.json")
    chosen = parser.parse_args()
    failed = 0
    names = chosen.only or list(CHECKS)
    for name in names:
        print(f"== {name} ({'full' if chosen.full else 'reduced'} counts)", flush=True)
        evidence = _run(name, full=chosen.full)
        failed += not evidence["passed"]
        print(json.dumps(evidence), flush=True)
        if chosen.write:
            chosen.write.mkdir(parents=True, exist_ok=True)
            (chosen.write / f"{name}.json").write_text(json.dumps(evidence, indent=1) + "\n")
    print(f"{len(names) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
