"""Work beside the event loop: bounded, its own for each kind, and not begun for who has gone."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from gateway.server.beside import Beside, Crowded

WAIT_S = 20.0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds up work until it is set."""
    made = threading.Event()
    yield made
    made.set()


def test_one_more_than_may_be_inside_is_turned_away_and_room_comes_back(gate: threading.Event) -> None:
    beside = Beside("acts", threads=1, inside_max=2)

    async def run() -> None:
        inside = [asyncio.ensure_future(beside.run(lambda: gate.wait(WAIT_S))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Crowded, match="try again"):
            await beside.run(lambda: True)
        gate.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await beside.run(lambda: 7) == 7

    asyncio.run(run())
    beside.close()


def test_a_fault_of_the_work_is_the_callers_and_frees_its_place() -> None:
    beside = Beside("acts", threads=1, inside_max=1)

    def fail() -> None:
        raise ValueError("no")

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await beside.run(fail)

    asyncio.run(run())
    beside.close()


def test_work_of_a_call_that_was_cancelled_before_its_turn_is_not_done(gate: threading.Event) -> None:
    beside = Beside("acts", threads=1, inside_max=3)
    done: list[str] = []

    async def run() -> None:
        first = asyncio.ensure_future(beside.run(lambda: gate.wait(WAIT_S)))
        gone = asyncio.ensure_future(beside.run(lambda: done.append("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.set()
        await first
        await beside.run(lambda: done.append("next"))

    asyncio.run(run())
    beside.close()
    assert done == ["next"]


def test_work_that_has_begun_goes_on_when_its_call_is_cancelled(gate: threading.Event) -> None:
    beside = Beside("acts", threads=1, inside_max=1)
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(WAIT_S)
        done.set()

    async def run() -> None:
        call = asyncio.ensure_future(beside.run(work))
        await asyncio.to_thread(begun.wait, WAIT_S)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(Crowded):
            await beside.run(lambda: None)

    asyncio.run(run())
    gate.set()
    beside.close()
    assert done.is_set(), "what is written cannot be left half way"


def test_nothing_is_begun_after_the_end() -> None:
    beside = Beside("acts", threads=1, inside_max=1)
    beside.close()

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(Crowded, match="stopping"):
                await beside.run(lambda: None)

    asyncio.run(run())
