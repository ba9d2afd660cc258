"""The watcher's rules, one by one, on a clock that moves when told to."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.programs.switches import (
    LEASE_GRACE_MS,
    LEASE_MS,
    Lease,
    SwitchRunner,
    SwitchStoreUnavailable,
    SwitchView,
    SwitchWatcher,
    await_epoch,
)
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, SimClock


class Store:
    """A switch store that can be out of order."""

    def __init__(self) -> None:
        self.now = SwitchView(0)
        self.down = False

    def epoch(self) -> int:
        return self.view().epoch

    def view(self) -> SwitchView:
        if self.down:
            raise SwitchStoreUnavailable("down")
        return self.now

    def kill(self, program: str, issuer_id: str, *, actor: str, reason: str) -> int:
        self.now = SwitchView(self.now.epoch + 1, {**self.now.stops, (program, issuer_id): Reason.KILLED})
        return self.now.epoch

    pause = resume = kill


class Board:
    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}

    def renew(self, worker_id: str, epoch: int, expires_monotonic_ns: int) -> None:
        self.leases[worker_id] = Lease(worker_id, epoch, expires_monotonic_ns)

    def release(self, worker_id: str) -> None:
        self.leases.pop(worker_id, None)

    def read_all(self) -> Sequence[Lease]:
        return list(self.leases.values())


def test_a_worker_is_stale_until_its_first_lease_is_confirmed() -> None:
    watcher = SwitchWatcher("w")
    assert watcher.renewal(0) is None
    watcher.polled(SwitchView(3))
    assert watcher.renewal(0) is None, "nobody has applied the view"
    watcher.applied(3)
    lease = watcher.renewal(0)
    assert lease == Lease("w", 3, (LEASE_MS + LEASE_GRACE_MS) * MS)
    assert watcher.published(lease, 0)
    assert not watcher.fresh(0)
    watcher.polled(SwitchView(3))
    assert watcher.fresh(LEASE_MS * MS - 1)
    assert not watcher.fresh(LEASE_MS * MS)


def test_a_poll_that_shows_a_newer_epoch_confirms_nothing() -> None:
    watcher = SwitchWatcher("w")
    watcher.polled(SwitchView(3))
    watcher.applied(3)
    lease = watcher.renewal(0)
    assert lease is not None
    watcher.published(lease, 0)
    watcher.polled(SwitchView(4))
    assert not watcher.fresh(0)
    assert watcher.renewal(0) is None


def test_a_store_that_is_down_makes_a_worker_stale_in_half_a_second() -> None:
    store, clock = Store(), SimClock()
    runner = SwitchRunner(store, Board(), clock, "w")
    assert runner.step()
    store.down = True
    clock.advance_ms(LEASE_MS - 1)
    assert not runner.step()
    assert runner.fresh()
    clock.advance_ms(1)
    assert not runner.fresh()
    store.down = False
    assert runner.step()
    assert runner.fresh()


def test_a_worker_that_ends_gives_its_lease_back() -> None:
    board = Board()
    runner = SwitchRunner(Store(), board, SimClock(), "w")
    runner.step()
    runner.stop()
    assert not board.read_all()


@pytest.mark.parametrize("issuer_id", ["", "a"])
def test_a_stop_holds_for_its_scope_alone(issuer_id: str) -> None:
    view = SwitchView(1, {("p", issuer_id): Reason.KILLED})
    assert view.stopped("p", "a") is Reason.KILLED
    assert (view.stopped("p", "b") is Reason.KILLED) == (issuer_id == "")
    assert view.stopped("q", "a") is None


# What may happen, in any order: the poller steps, the sharer begins or shares, the store fails, time passes.
EVENTS = st.lists(
    st.sampled_from(["step", "step", "begin", "begin", "share", "kill", "look", "look", "down", "up"])
    | st.integers(1, 700),
    max_size=60,
)


@given(EVENTS, st.booleans())
def test_nothing_is_shared_under_an_old_epoch_once_a_kill_has_returned(
    events: list[str | int], reports_applied: bool
) -> None:
    store, board, clock = Store(), Board(), SimClock()
    runner = SwitchRunner(store, board, clock, "w", reports_applied=reports_applied)
    held: SwitchView | None = None
    waiting: list[int] = []
    returned = 0
    for event in events:
        if isinstance(event, int):
            clock.advance_ms(event)
        elif event == "step":
            runner.step()
            # One thread that does all acts on the newest view from here.
            held = held if reports_applied else runner.begin()
        elif event == "begin":
            held = runner.begin()
        elif event == "kill":
            waiting.append(store.kill("p", "", actor="a", reason="r"))
        elif event == "look":
            now_ns = clock.monotonic_ns()
            for epoch in waiting:
                # A kill that looks once: no time to wait.
                stopped = await_epoch(board, clock, lambda _: None, epoch, since_ns=now_ns, timeout_ms=0)
                if not stopped.workers_waiting:
                    returned = max(returned, epoch)
        elif event in ("down", "up"):
            store.down = event == "down"
        elif held is not None and runner.fresh():
            assert held.epoch >= returned
