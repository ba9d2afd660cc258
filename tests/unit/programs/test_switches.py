"""The watcher's rules, one by one, on a clock that moves when told to."""

from collections.abc import Sequence
from random import Random
from typing import Any, cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.programs.switches import (
    LEASE_GRACE_MS,
    LEASE_MS,
    MAX_EPOCH,
    Lease,
    LeaseBoard,
    SwitchRunner,
    SwitchStore,
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

    def renew(
        self, worker_id: str, epoch: int, expires_monotonic_ns: int, consent_epoch: int = MAX_EPOCH
    ) -> None:
        self.leases[worker_id] = Lease(worker_id, epoch, expires_monotonic_ns, consent_epoch=consent_epoch)

    def release(self, worker_id: str) -> None:
        self.leases.pop(worker_id, None)

    def fence(self, worker_id: str) -> bool:
        return False

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


class World:
    """One worker, its two threads and a killer, in a seeded order; the killer also acts in mid-step."""

    def __init__(self, seed: int) -> None:
        self.source = Random(seed)
        self.clock = SimClock()
        self.store, self.board = Store(), Board()
        self.reports_applied = self.source.random() < 0.5
        runner_store, runner_board = _Interleaved(self, self.store), _Interleaved(self, self.board)
        self.runner = SwitchRunner(
            cast(SwitchStore, runner_store),
            cast(LeaseBoard, runner_board),
            self.clock,
            "w",
            reports_applied=self.reports_applied,
        )
        self.held: SwitchView | None = None
        self.waiting: list[int] = []
        self.returned = 0
        self.shared = 0

    def others(self) -> None:
        """What may happen beside the worker at any moment."""
        choice = self.source.random()
        if choice < 0.1:
            self.clock.advance_ms(self.source.choice([1, 60, 300, 650]))
        elif choice < 0.2:
            self.waiting.append(self.store.kill("p", "", actor="a", reason="r"))
        elif choice < 0.5:
            now_ns = self.clock.monotonic_ns()
            for epoch in self.waiting:
                seen = await_epoch(
                    self.board, self.clock, lambda _: None, epoch, since_ns=now_ns, timeout_ms=0
                )
                if not seen.workers_waiting:
                    self.returned = max(self.returned, epoch)
        elif choice < 0.7 and self.reports_applied:
            self.share()

    def step(self) -> None:
        self.others()
        choice = self.source.random()
        if choice < 0.4:
            self.runner.step()
            if not self.reports_applied:
                self.held = self.runner.begin()
        elif choice < 0.65:
            self.store.down = not self.store.down
        else:
            self.share()

    def share(self) -> None:
        if self.source.random() < 0.5:
            self.held = self.runner.begin()
        if self.held is not None and self.runner.fresh():
            self.shared += 1
            assert self.held.epoch >= self.returned, "shared under an epoch that a returned kill had ended"


class _Interleaved:
    """Lets the others act before and after each call that leaves the worker."""

    def __init__(self, world: World, inner: Any) -> None:
        self._world, self._inner = world, inner

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self._world.others()
            result = getattr(self._inner, name)(*arguments)
            self._world.others()
            return result

        return call


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=150, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_nothing_is_shared_under_an_old_epoch_once_a_kill_has_returned(seed: int) -> None:
    world = World(seed)
    for _ in range(150):
        world.step()


def test_the_simulated_worker_does_share_and_kills_do_return() -> None:
    worlds = [World(seed) for seed in range(20)]
    for world in worlds:
        for _ in range(150):
            world.step()
    assert sum(world.shared for world in worlds) > 100
    assert sum(world.returned > 0 for world in worlds) > 10
