"""Who is busy beside the hot loop hands the interpreter over more often, and it is as before at the end."""

import sys
import threading
from collections.abc import Iterator

import pytest

from gateway.runtime import busy as module
from gateway.runtime.busy import BUSY_SWITCH_INTERVAL_S, busy, let_go


@pytest.fixture(autouse=True)
def interval_s() -> Iterator[float]:
    before_s = sys.getswitchinterval()
    yield before_s
    assert sys.getswitchinterval() == pytest.approx(before_s)


def test_it_lasts_until_the_last_who_is_busy_ends_in_whatever_order(interval_s: float) -> None:
    first, second = busy(), busy()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(BUSY_SWITCH_INTERVAL_S)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(interval_s)


def test_it_ends_where_the_work_fails(interval_s: float) -> None:
    with pytest.raises(ValueError, match="planted"), busy():
        raise ValueError("planted")
    assert sys.getswitchinterval() == pytest.approx(interval_s)


def test_who_asks_for_less_keeps_it() -> None:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(BUSY_SWITCH_INTERVAL_S / 5)
    try:
        with busy():
            assert sys.getswitchinterval() == pytest.approx(BUSY_SWITCH_INTERVAL_S / 5, abs=2e-6)
    finally:
        sys.setswitchinterval(before_s)


def test_a_table_is_let_go_a_little_at_a_time_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {number: str(number) for number in range(10 * module._AT_ONCE + 7)}
    other = threading.Thread(target=let_go, args=(table,))
    other.start()
    other.join()
    assert not table
    let_go(table)
