"""A provider on a thread of its own: one batch at a time, waited for so long, dropped when late."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from enrichment.provider import Columns
from gateway.runtime.clock import MS
from gateway.server.providers.beside import ProviderFailed, ThreadBeside

LONG_NS = 10_000 * MS
BATCH = Columns({"ip": ("81.2.69.142",)}, 1)


class Held:
    """Answers when told to."""

    name = "held"
    version = "1"
    wants = ("ip",)
    gives = ("ip_asn",)

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.fault: BaseException | None = None
        self.found: Any = {"ip_asn": [7]}
        self.closed_on = ""

    def fetch(self, batch: Columns) -> Any:
        self.asked.release()
        assert self.go_on.acquire(timeout=LONG_NS / 1e9)
        if self.fault is not None:
            raise self.fault
        return self.found

    def close(self) -> None:
        self.closed_on = threading.current_thread().name


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def beside(held: Held) -> Iterator[ThreadBeside]:
    thread = ThreadBeside(held)
    yield thread
    held.go_on.release(100)
    thread.close()


def test_an_answer_in_time_is_handed_over_once(held: Held, beside: ThreadBeside) -> None:
    held.go_on.release()
    assert beside.ask(BATCH)
    assert beside.answer(LONG_NS) == {"ip_asn": [7]}
    assert beside.answer(0) is None


def test_while_a_batch_is_in_hand_no_other_is_taken(held: Held, beside: ThreadBeside) -> None:
    assert beside.ask(BATCH)
    assert held.asked.acquire(timeout=LONG_NS / 1e9)
    assert beside.answer(0) is None
    assert not beside.ask(BATCH)
    held.go_on.release()
    while not beside.ask(BATCH):  # until the thread has put the first away
        pass
    held.go_on.release()
    assert beside.answer(LONG_NS) == {"ip_asn": [7]}


def test_what_comes_late_is_not_kept(held: Held, beside: ThreadBeside) -> None:
    assert beside.ask(BATCH)
    assert beside.answer(0) is None
    held.go_on.release()
    while beside._busy:
        pass
    assert (beside._found, beside._fault, beside._batch) == (None, None, None)


@pytest.mark.parametrize("fault", [OSError("no"), SystemExit(3), None])
def test_what_goes_wrong_is_raised_where_it_is_waited_for(
    fault: BaseException | None, held: Held, beside: ThreadBeside
) -> None:
    held.fault, held.found = fault, None
    held.go_on.release()
    assert beside.ask(BATCH)
    with pytest.raises(OSError if isinstance(fault, OSError) else ProviderFailed):
        beside.answer(LONG_NS)
    held.fault, held.found = None, {"ip_asn": [8]}
    held.go_on.release()
    assert beside.ask(BATCH)
    assert beside.answer(LONG_NS) == {"ip_asn": [8]}, "the thread goes on"


def test_at_the_end_the_provider_is_closed_on_its_own_thread_and_takes_nothing_more(held: Held) -> None:
    thread = ThreadBeside(held)
    thread.close()
    assert held.closed_on == "provider-held"
    assert not thread.ask(BATCH)
