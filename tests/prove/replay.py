"""The whole replay: the account adds up, nothing lost, nothing doubled, memory flat."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "payments_90d.parquet"
FIRST = 20_000
MEMORY_LIMIT = 0.10
"""How far the fourth quarter's memory may stand above the third's."""


def run(full: bool) -> dict[str, Any]:
    if not DATA.exists():
        print("   skipped: ../shared/data/payments_90d.parquet is absent", flush=True)
        return {"skipped": "the data set is absent"}
    ein = Path(sys.executable).with_name("ein")
    command = [str(ein), "replay", str(DATA), "--json", *([] if full else ["--limit", str(FIRST)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3_600)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-2000:]}"
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["lost"] == 0, result
    assert result["duplicates"] == 0, result
    assert result["payments"] == result["answered"], result
    if full:
        for name, growth in _growth(result["memory"]).items():
            assert growth <= MEMORY_LIMIT, f"{name} grew by {growth:.1%} from the third quarter to the fourth"
    return result


def _growth(memory: list[dict[str, Any]]) -> dict[str, float]:
    quarters = {reading["quarter"]: reading["rss_bytes"] for reading in memory}
    return {name: quarters[4][name] / quarters[3][name] - 1 for name in quarters[3] if quarters[3][name]}
