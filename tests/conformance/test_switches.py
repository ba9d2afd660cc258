"""What every switch store and lease board has to do; the embedded ones, in one process and in several."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import NoSuchSnapshot, SqlitePolicyStore
from gateway.programs.switches import (
    EVERY_ISSUER,
    KILL_TIMEOUT_MS,
    LEASE_GRACE_MS,
    LEASE_MS,
    Lease,
    SwitchRefused,
    SwitchRunner,
    SwitchStoreUnavailable,
    await_epoch,
    stop,
)
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, SimClock, SystemClock
from gateway.runtime.disk import RealDisk

WHO = {"actor": "ada", "reason": "test"}


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[[], SqlitePolicyStore]]:
    """Opens the same store again, as another process would."""
    opened: list[SqlitePolicyStore] = []

    def another() -> SqlitePolicyStore:
        opened.append(SqlitePolicyStore(str(tmp_path / "policy.sqlite3"), SimClock()))
        return opened[-1]

    yield another
    for store in opened:
        store.close()


@pytest.fixture
def board(tmp_path: Path) -> FileLeaseBoard:
    return FileLeaseBoard(RealDisk(), str(tmp_path / "leases"))


Stores = Callable[[], SqlitePolicyStore]


def test_each_change_raises_the_epoch_and_reaches_other_connections(stores: Stores) -> None:
    writer, reader = stores(), stores()
    assert (reader.epoch(), reader.view().stopped("p", "a")) == (0, None)
    first = writer.kill("p", "a", **WHO)
    assert reader.view().stopped("p", "a") is Reason.KILLED
    assert reader.view().stopped("p", "b") is None
    assert reader.view().stopped("q", "a") is None
    second = writer.pause("q", EVERY_ISSUER, **WHO)
    assert reader.view().stopped("q", "b") is Reason.PROGRAM_NOT_ACTIVE
    third = writer.resume("q", EVERY_ISSUER, **WHO)
    assert reader.view().stopped("q", "b") is None
    assert 0 < first < second < third == reader.epoch() == writer.epoch()


def test_a_kill_is_neither_resumed_nor_weakened_by_a_pause(stores: Stores) -> None:
    store = stores()
    store.kill("p", EVERY_ISSUER, **WHO)
    store.pause("p", EVERY_ISSUER, **WHO)
    store.pause("p", "a", **WHO)
    with pytest.raises(SwitchRefused):
        store.resume("p", EVERY_ISSUER, **WHO)
    assert stores().view().stopped("p", "a") is Reason.KILLED


def test_a_kill_of_one_issuer_outlives_a_pause_of_all(stores: Stores) -> None:
    store = stores()
    store.kill("p", "a", **WHO)
    store.pause("p", EVERY_ISSUER, **WHO)
    assert store.view().stopped("p", "a") is Reason.KILLED
    store.resume("p", EVERY_ISSUER, **WHO)
    assert (store.view().stopped("p", "a"), store.view().stopped("p", "b")) == (Reason.KILLED, None)


def test_who_and_why_are_kept_and_bounded(stores: Stores) -> None:
    store = stores()
    store.kill("p", "a", actor="ada", reason="wrong data")
    assert [(one.actor, one.reason) for one in store.switches()] == [("ada", "wrong data")]
    for reason in ("", " ", "x" * 257):
        with pytest.raises(SwitchRefused):
            store.kill("p", "a", actor="ada", reason=reason)


def test_snapshots_are_numbered_and_never_change(stores: Stores) -> None:
    store, other = stores(), stores()
    assert other.version() == 0
    assert store.apply({"a.yaml": "1"}, **WHO) == 1
    assert other.apply({"a.yaml": "2"}, **WHO) == 2
    assert (store.version(), store.snapshot(1).files, store.snapshot(2).files) == (
        2,
        {"a.yaml": "1"},
        {"a.yaml": "2"},
    )
    with pytest.raises(NoSuchSnapshot):
        store.snapshot(3)


def test_a_store_that_does_not_answer_says_so_with_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "policy.sqlite3").write_bytes(b"no database " * 100)
    with pytest.raises(SwitchStoreUnavailable):
        SqlitePolicyStore(str(tmp_path / "policy.sqlite3"), SimClock())


def test_a_lease_reads_back_as_written_until_it_is_given_back(board: FileLeaseBoard) -> None:
    board.renew("gateway-1", 3, 700)
    board.renew("feeds-1", 4, 800)
    board.renew("gateway-1", 5, 900)
    assert list(board.read_all()) == [Lease("feeds-1", 4, 800), Lease("gateway-1", 5, 900)]
    board.release("gateway-1")
    board.release("gateway-1")
    assert [lease.worker_id for lease in board.read_all()] == ["feeds-1"]


def test_a_torn_lease_counts_as_held_until_a_whole_lease_has_passed(
    tmp_path: Path, board: FileLeaseBoard
) -> None:
    (tmp_path / "leases" / "gateway-1").write_bytes(b"EINL half")
    clock = SimClock()
    stopped = await_epoch(
        board, clock, lambda s: clock.advance_ms(round(s * 1000)), 1, since_ns=clock.monotonic_ns()
    )
    assert stopped.workers_expired == ("gateway-1",)
    assert stopped.effective_after_ms >= LEASE_MS + LEASE_GRACE_MS


def test_a_lease_from_before_a_restart_of_the_machine_holds_up_nothing(board: FileLeaseBoard) -> None:
    clock = SimClock()
    board.renew("gateway-1", 0, clock.monotonic_ns() + 3_600_000 * MS)
    stopped = await_epoch(board, clock, lambda _: pytest.fail("waited"), 1, since_ns=clock.monotonic_ns())
    assert stopped.workers_expired == ("gateway-1",)


def test_a_live_worker_is_seen_behind_any_number_of_dead_ones(board: FileLeaseBoard) -> None:
    clock = SimClock()
    now_ns = clock.monotonic_ns()
    for number in range(1_100):
        board.renew(f"gateway-1{number:04d}", 0, now_ns - MS)
    board.renew("gateway-99999", 0, now_ns + LEASE_MS * MS)
    stopped = await_epoch(board, clock, lambda s: clock.advance_ms(20), 1, since_ns=now_ns)
    assert stopped.effective_after_ms >= LEASE_MS
    assert "gateway-99999" in stopped.workers_expired


def test_too_many_leases_to_look_at_are_a_typed_error(
    board: FileLeaseBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.backends.embedded.leases.MAX_FILES", 3)
    for number in range(4):
        board.renew(f"gateway-{number}", 0, 1)
    with pytest.raises(SwitchStoreUnavailable, match="Remove"):
        board.read_all()


def test_a_sweep_takes_what_killed_workers_left_and_nothing_that_may_count(
    tmp_path: Path, board: FileLeaseBoard
) -> None:
    hour_ms = 3_600_000
    clock = SimClock(wall_ms=time.time_ns() // MS, monotonic_ns=10 * hour_ms * MS)
    for worker_id, left_ms in {
        "live": LEASE_MS + LEASE_GRACE_MS,
        "stopped": -hour_ms,
        "killed": -hour_ms - 1,
        "of-an-earlier-boot": LEASE_MS + LEASE_GRACE_MS + 1,
    }.items():
        board.renew(worker_id, 1, clock.monotonic_ns() + left_ms * MS)
    for name, age_s in (("torn-now", 0), ("torn-long-ago", 3_700)):
        (tmp_path / "leases" / name).touch()
        os.utime(tmp_path / "leases" / name, (time.time() - age_s,) * 2)
    assert board.sweep(clock) == 3
    assert [lease.worker_id for lease in board.read_all()] == ["live", "stopped", "torn-now"]


def test_a_worker_that_never_gives_up_is_named(board: FileLeaseBoard) -> None:
    clock = SimClock()

    def renew_and_wait(wait_s: float) -> None:
        clock.advance_ms(round(wait_s * 1000))
        board.renew("rogue", 0, clock.monotonic_ns() + LEASE_MS * MS)

    renew_and_wait(0)
    stopped = await_epoch(board, clock, renew_and_wait, 1, since_ns=clock.monotonic_ns())
    assert stopped.workers_waiting == ("rogue",)
    assert stopped.effective_after_ms >= KILL_TIMEOUT_MS


def test_a_kill_waits_for_the_thread_that_shares_and_not_for_the_one_that_polls(
    stores: Stores, board: FileLeaseBoard
) -> None:
    clock = SimClock()
    runner = SwitchRunner(stores(), board, clock, "gateway-1", reports_applied=True)
    runner.step()
    runner.begin()
    runner.step()
    assert runner.fresh()
    steps = 0

    def wait(wait_s: float) -> None:
        nonlocal steps
        clock.advance_ms(50)
        runner.step()
        steps += 1
        if steps == 3:
            runner.begin()

    stopped = stop(stores().kill, board, clock, wait, program="p", **WHO)
    assert (steps, stopped.workers_acknowledged) == (4, ("gateway-1",))
    view = runner.begin()
    assert view is not None
    assert view.stopped("p", "a") is Reason.KILLED


def test_a_thread_that_hangs_runs_out_although_its_watcher_goes_on(
    stores: Stores, board: FileLeaseBoard
) -> None:
    clock = SimClock()
    runner = SwitchRunner(stores(), board, clock, "gateway-1", reports_applied=True)
    runner.step()
    runner.begin()
    runner.step()

    def wait(wait_s: float) -> None:
        clock.advance_ms(50)
        runner.step()

    stopped = stop(stores().kill, board, clock, wait, program="p", **WHO)
    assert stopped.workers_expired == ("gateway-1",)
    assert not runner.fresh()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list["Worker"]]:
    running = [Worker(tmp_path, f"worker-{number}") for number in range(2)]
    yield running
    for worker in running:
        worker.end()


class Worker:
    """A process of its own; `state` is what it printed last: fresh, epoch."""

    def __init__(self, root: Path, worker_id: str) -> None:
        command = [sys.executable, "-m", "tests.conformance.switch_worker"]
        paths = [str(root / "policy.sqlite3"), str(root / "leases"), worker_id]
        self.worker_id = worker_id
        self.state = (False, -1)
        self._process = subprocess.Popen([*command, *paths], stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            fresh, epoch = line.split()
            self.state = (fresh == "1", int(epoch))

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def await_fresh(self, epoch: int) -> None:
        deadline = time.monotonic() + 20
        while not (self.state[0] and self.state[1] >= epoch):
            assert time.monotonic() < deadline, f"{self.worker_id} did not become fresh"
            time.sleep(0.005)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_a_kill_is_over_within_a_second_with_one_worker_stopped(
    tmp_path: Path, workers: list[Worker]
) -> None:
    clock = SystemClock()
    store = SqlitePolicyStore(str(tmp_path / "policy.sqlite3"), clock)
    board = FileLeaseBoard(RealDisk(), str(tmp_path / "leases"))
    unheard, taken_ms = 0, list[int]()
    for round_number in range(20):
        for worker in workers:
            worker.await_fresh(store.epoch())
        # Every fifth round with a worker stopped: each takes a whole lease.
        hanging = workers[round_number % 2] if round_number % 5 == 0 else None
        if hanging is not None:
            hanging.signal(signal.SIGSTOP)
        stopped = stop(store.kill, board, clock, time.sleep, program=f"p{round_number}", **WHO)
        if hanging is not None:
            hanging.signal(signal.SIGCONT)
        taken_ms.append(stopped.effective_after_ms)
        assert stopped.workers_waiting == ()
        acknowledged, expired = set(stopped.workers_acknowledged), set(stopped.workers_expired)
        assert acknowledged | expired == {worker.worker_id for worker in workers}
        running = {worker.worker_id for worker in workers if worker is not hanging}
        unheard += not running <= acknowledged
        if hanging is not None:
            assert hanging.worker_id in expired
    store.close()
    # A machine that is shared stalls for longer than a lease now and then.
    assert sorted(taken_ms)[-3] < KILL_TIMEOUT_MS, taken_ms
    assert unheard <= 2


def test_a_kill_needs_no_worker_at_all(stores: Stores, board: FileLeaseBoard) -> None:
    stopped = stop(stores().kill, board, SystemClock(), time.sleep, program="p", **WHO)
    assert (stopped.workers_acknowledged, stopped.workers_expired, stopped.epoch) == ((), (), 1)
