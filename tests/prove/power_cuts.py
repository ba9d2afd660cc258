"""Simulated power cuts of the journal: no acknowledged record is lost; without the sync, records are."""

import os
from typing import Any

from tests.simulation.power_cut import run as cut

SEEDS = 2_000
SEEDS_WITHOUT_SYNC = 50


def run(full: bool) -> dict[str, Any]:
    first = int(os.environ.get("EIN_FIRST_SEED", "1"))
    kept = cut(range(first, first + SEEDS * (2 if full else 1)))
    assert kept["failed"] == 0, kept
    without = cut(range(first, first + SEEDS_WITHOUT_SYNC), sync=False)
    assert without["failed"], "with the sync taken out nothing was lost: the check cannot fail"
    return {"with_sync": kept, "without_sync": without}
