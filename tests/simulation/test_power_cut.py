"""The journal's promise over simulated power cuts; EIN_POWER_CUT_SEEDS sets how many (make prove: 2,000)."""

import json
import os

import pytest

from tests.simulation.power_cut import MET, run

SEEDS = int(os.environ.get("EIN_POWER_CUT_SEEDS", "300"))
SLICES = 4


@pytest.mark.parametrize("part", range(SLICES))
def test_no_acknowledged_record_is_lost_in_a_power_cut(part: int) -> None:
    found = run(range(part * SEEDS // SLICES, (part + 1) * SEEDS // SLICES))

    assert found["failed"] == 0, json.dumps(found["failures"], indent=1)
    for count in MET:
        assert found[count], count


def test_the_same_check_finds_lost_records_once_the_sync_is_taken_out() -> None:
    found = run(range(20), sync=False)

    assert isinstance(found["failed"], int)
    assert found["failed"] >= 10, json.dumps(found)


def test_a_seed_replays_the_same_run() -> None:
    assert run([7, 8]) == run([7, 8])
