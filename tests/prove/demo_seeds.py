"""The demo over several seeds: the account adds up, intervals hold the truth, widths keep their bound."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

PAYMENTS = 20_000
ISSUERS = 4
GAINING = ("risk-score", "northgate-bank")
MAX_SECONDS = 90.0
WIDTH_LIMIT = 1.75
COVERED_OF_80 = 72


def _demo(seed: int, folder: str | None = None) -> dict[str, Any]:
    ein = Path(sys.executable).with_name("ein")
    command = [str(ein), "demo", "--seed", str(seed), "--payments", str(PAYMENTS), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"seed {seed}: exit code {done.returncode}\n{done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _intervals(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in result["estimates"] if row["lower"] is not None]


def _holds(row: dict[str, Any]) -> bool:
    return bool(row["lower"] <= row["truth"] <= row["upper"])


def run(full: bool) -> dict[str, Any]:
    # Of one seed all four intervals have to hold the truth: nine in ten of four are four.
    seeds = range(1, 21) if full else range(1, 2)
    rows: list[dict[str, Any]] = []
    seconds: list[float] = []
    for seed in seeds:
        result = _demo(seed)
        assert result["lost"] == 0, result
        assert result["duplicates"] == 0, result
        intervals = _intervals(result)
        assert len(intervals) == ISSUERS, f"seed {seed}: {len(intervals)} intervals"
        seconds.append(result["duration_s"])
        rows += [{"seed": seed, **row} for row in intervals]
        print(f"   seed {seed}: {sum(map(_holds, intervals))} of {ISSUERS} hold the truth", flush=True)
    covered = sum(map(_holds, rows))
    gaining = [row for row in rows if (row["program"], row["issuer"]) == GAINING]
    excludes = sum(row["lower"] > 0 or row["upper"] < 0 for row in gaining)
    ratios = [(row["upper"] - row["lower"]) / (2 * row["fixed_half_width"]) for row in rows]
    assert excludes == len(gaining), (
        f"the gaining issuer's interval holds 0 in {len(gaining) - excludes} seeds"
    )
    assert covered * 80 >= COVERED_OF_80 * len(rows), f"{covered} of {len(rows)} hold the truth"
    assert max(ratios) <= WIDTH_LIMIT, f"an interval is {max(ratios):.3f} x the fixed one"
    return {
        "seeds": len(seeds),
        "payments_each": PAYMENTS,
        "intervals": len(rows),
        "hold_the_truth": covered,
        "gaining_excludes_zero": excludes,
        "width_ratio_max": round(max(ratios), 3),
        "width_limit": WIDTH_LIMIT,
        "traffic_seconds_median": round(statistics.median(seconds), 1),
        "estimates": rows,
    }
