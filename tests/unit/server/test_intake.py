"""Where calls wait for the hot loop: in their order, each with what is left of its deadline when taken."""

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.fronts import intake as module
from gateway.server.fronts.intake import Intake
from gateway.sharing.ports import ENRICH

LONG_MS = 60_000


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 16))
def test_calls_are_taken_once_in_their_order_and_no_more_than_asked_for(puts: list[int], most: int) -> None:
    intake, taken, number = Intake(), [], 0
    for count in puts:
        for _ in range(count):
            intake.put(number, ENRICH, b"", None, None)
            number += 1
        calls = intake.take(most, 0)
        assert calls is not None
        assert len(calls) <= most
        taken += [call.call_id for call in calls]
    while len(intake):
        taken += [call.call_id for call in intake.take(most, 0) or []]
    assert taken == list(range(number))


def test_the_time_that_a_call_has_waited_is_its_own() -> None:
    intake, now_s = Intake(), time.monotonic()
    for deadline_s in (now_s - 1, now_s + 10, None):
        intake.put(1, ENRICH, b"", None, deadline_s)
    late, early, unlimited = [call.remaining_ms for call in intake.take(3, 0) or []]
    assert late is not None
    assert late <= -1_000
    assert early is not None
    assert 0 < early <= 10_000
    assert unlimited is None


def test_who_waits_is_woken_by_a_call_and_by_the_end() -> None:
    intake = Intake()
    found = []
    waiting = threading.Thread(target=lambda: found.append(intake.take(1, LONG_MS)))
    waiting.start()
    intake.put(7, ENRICH, b"", None, None)
    waiting.join(10)
    assert [call.call_id for call in found[0] or []] == [7]
    waiting = threading.Thread(target=lambda: found.append(intake.take(1, LONG_MS)))
    waiting.start()
    intake.close()
    waiting.join(10)
    assert not waiting.is_alive()
    assert intake.take(1, LONG_MS) is None


def test_what_came_before_the_end_is_still_taken_and_nothing_more_comes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_CALLS", 2)
    intake = Intake()
    for number in range(2):
        assert not intake.full
        intake.put(number, ENRICH, b"", None, None)
    assert intake.full
    assert len(intake.take(1, 0) or []) == 1
    assert not intake.full
    intake.close()
    assert intake.full
    assert len(intake.take(8, 0) or []) == 1
    assert intake.take(8, 0) is None
