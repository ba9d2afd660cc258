"""`make bench`: each ratio against its reference, alternated in the same run, medians of at least five."""

import json
import subprocess
import sys
from typing import Any

LIMITS = {
    "enrich_unary": 2.0,
    "enrich_unary_grpcio": 0.55,
    "enrich_batch32": 6.0,
    "enrich_stream4": 1.3,
    # At most 1.8 times as long as the signature alone.
    "protect_profile_b": 1 / 1.8,
}
LEAST_PER_S = {"protect_profile_b": 20_000}
"""Messages of one core, under cached content keys and ES256."""

MOST_MS = {"release_table": 0.0003, "compile_table": 2_000}
"""Of the median decision, and of the median compilation of a policy of 200 issuers."""


def run(full: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench", *([] if full else ["--quick"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1_800)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    measured = {line["bench"]: line for line in lines}
    # Quick runs are too short to judge a ratio by; they show that every benchmark runs.
    short = [
        f"{name}: {measured[name]['ratio']} of at least {limit}"
        for name, limit in LIMITS.items()
        if measured[name]["ratio"] < limit
    ]
    short += [
        f"{name}: {measured[name]['rate_per_s']} a second of at least {limit}"
        for name, limit in LEAST_PER_S.items()
        if measured[name]["rate_per_s"] < limit
    ]
    short += [
        f"{name}: {measured[name]['p50_ms']} ms of at most {limit}"
        for name, limit in MOST_MS.items()
        if measured[name]["p50_ms"] > limit
    ]
    return {
        **measured,
        "limits": LIMITS,
        "least_per_s": LEAST_PER_S,
        "most_ms": MOST_MS,
        "shortfalls": short if full else [],
    }
