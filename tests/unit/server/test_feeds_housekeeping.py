"""The feeds' chores."""

from collections import Counter

import pytest

from gateway.feeds.ports import StoreUnavailable
from gateway.server.feeds.housekeeping import INTERVAL_S, Chore, keep_house


class _Rounds:
    """Says stop after so many rounds."""

    def __init__(self, count: int) -> None:
        self._left = count

    def is_set(self) -> bool:
        return self._left <= 0

    def wait(self, timeout_s: float) -> bool:
        self._left -= 1
        return self.is_set()


@pytest.mark.parametrize("fault", [StoreUnavailable("the disk is full"), OSError("no space")])
def test_a_chore_that_fails_holds_up_no_other_one_and_is_tried_again(fault: Exception) -> None:
    done: Counter[str] = Counter()

    def fail() -> None:
        done["failing"] += 1
        raise fault

    house = [
        Chore("failing", INTERVAL_S, fail),
        Chore("often", INTERVAL_S, lambda: done.update(["often"])),
        Chore("at times", 3 * INTERVAL_S, lambda: done.update(["at times"])),
    ]
    keep_house(house, lambda: done.update(["faults"]), _Rounds(6))
    assert done == {"failing": 6, "faults": 6, "often": 6, "at times": 2}
