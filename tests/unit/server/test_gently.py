"""Threads that are woken by the hot loop leave it the processor; who starts them goes on as before."""

import os
import threading

import pytest

from gateway.server.fronts.gently import gently

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux alone has the policy")


def _policy_of_a_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
    thread.start()
    thread.join()
    return found[0]


def test_threads_started_within_push_nobody_aside_and_those_started_later_do() -> None:
    with gently():
        assert _policy_of_a_thread() == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert _policy_of_a_thread() == os.SCHED_OTHER


def test_a_policy_that_somebody_chose_stays() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        with gently():
            assert os.sched_getscheduler(0) == os.SCHED_IDLE
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def test_where_the_system_forbids_it_threads_are_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    with gently():
        assert _policy_of_a_thread() == os.SCHED_OTHER
