"""Velocity counts after a restart: the journal is counted again beside the hot loop, which says `warming`."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.velocity_store import LocalVelocity
from gateway.backends.embedded.wake import LateWake, WakeSender
from gateway.records.journal import EVALUATIONS, FIRST, Entry, JournalCorrupt
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.server.gateway.velocity_snapshots import Snapshots
from gateway.server.gateway.warming import HANDOVER_RECORDS, Warming
from gateway.sharing.counting import Counting
from gateway.sharing.velocity_port import Touch
from issuernetwork.storage.v1 import journal_pb2
from tests.unit.velocity.stores import MakeStore, both_twins

START_MS = 1_700_000_000_000


def attempt(number: int) -> Touch:
    """Three cards at three merchants, and one address for all."""
    keys = [bytes([1 + number % 3]) * 16, bytes([10 + number % 3]) * 16, bytes([20]) * 16, None, None]
    return START_MS + number * 1000, keys


def counting_at(velocity: Any) -> Any:
    return SimpleNamespace(counting=Counting(velocity, 2_000, SystemClock(), lambda stage, fault: None))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FileJournalWriter]:
    writer = FileJournalWriter(RealDisk(), SystemClock(), tmp_path / "journal", (EVALUATIONS,))
    yield writer
    writer.close()


def append(journal: FileJournalWriter, numbers: range) -> None:
    records = []
    for number in numbers:
        at_ms, keys = attempt(number)
        record = journal_pb2.Evaluation(initiated_at_ms=at_ms, velocity_keys=[key or b"" for key in keys])
        records.append(record.SerializeToString())
    journal.append(EVALUATIONS, records)


def warming_of(store: LocalVelocity, folder: Path, *, tail_records: int = 1 << 20) -> Warming:
    disk = RealDisk()
    reader = FileJournalReader(disk, folder / "journal")
    return Warming(store, reader, disk, str(folder / "velocity.snapshot"), tail_records=tail_records)


def after_all(make: MakeStore, attempts: range, probe: Touch) -> object:
    """What a store that never stopped answers."""
    store = make()
    store.caught_up()
    store.touch([attempt(number) for number in attempts])
    return store.touch([probe])


@both_twins
def test_snapshot_and_journal_give_the_counts_of_a_store_that_never_stopped(
    make: MakeStore, tmp_path: Path, journal: FileJournalWriter
) -> None:
    append(journal, range(1_000))
    before = make()
    before.caught_up()
    before.touch([attempt(number) for number in range(400)])
    before.snapshot(RealDisk(), str(tmp_path / "velocity.snapshot"), position=FIRST + 400)

    store = make()
    warming = warming_of(store, tmp_path)
    warming.between()
    assert store.touch([attempt(0)]) == [None]
    warming.run(threading.Event())
    assert store.touch([attempt(0)]) == [None], "what the hot loop may still append is not in it yet"
    append(journal, range(1_000, 1_200))  # evaluated while warming: in the journal alone
    assert not warming.wait(0)
    warming.between()
    assert warming.wait(0)
    assert store.touch([attempt(1_200)]) == after_all(make, range(1_200), attempt(1_200))


@both_twins
def test_without_a_snapshot_the_journal_is_counted_as_far_back_as_the_limit(
    make: MakeStore, tmp_path: Path, journal: FileJournalWriter
) -> None:
    append(journal, range(2 * HANDOVER_RECORDS))
    store = make()
    warming = warming_of(store, tmp_path, tail_records=100)
    warming.run(threading.Event())
    warming.between()
    probe = attempt(2 * HANDOVER_RECORDS)
    counted = range(2 * HANDOVER_RECORDS - 100, 2 * HANDOVER_RECORDS)
    assert store.touch([probe]) == after_all(make, counted, probe)


@both_twins
def test_a_damaged_snapshot_costs_a_longer_replay_and_nothing_else(
    make: MakeStore, tmp_path: Path, journal: FileJournalWriter
) -> None:
    append(journal, range(50))
    (tmp_path / "velocity.snapshot").write_bytes(b"EINVEL2<" + bytes(500))
    store = make()
    warming = warming_of(store, tmp_path)
    warming.run(threading.Event())
    warming.between()
    assert store.touch([attempt(50)]) == after_all(make, range(50), attempt(50))


class Damaged:
    """A journal whose records cannot be read."""

    def end(self, topic: str, *, partition: int = 0) -> int:
        return 10_000

    def read(self, topic: str, after: int, max_records: int, *, partition: int = 0) -> list[Entry]:
        raise JournalCorrupt("damaged")


@both_twins
@pytest.mark.parametrize("far", [True, False])
def test_a_journal_that_cannot_be_read_leaves_the_store_warming_and_stops_nothing(
    make: MakeStore, tmp_path: Path, far: bool
) -> None:
    store = make()
    tail = 5_000 if far else 1
    warming = Warming(store, Damaged(), RealDisk(), str(tmp_path / "none"), tail_records=tail)
    warming.run(threading.Event())
    warming.between()
    assert not store.ready
    assert store.touch([attempt(0)]) == [None]


@both_twins
def test_a_record_that_is_no_message_leaves_the_store_warming_and_stops_nothing(
    make: MakeStore, tmp_path: Path, journal: FileJournalWriter
) -> None:
    append(journal, range(2 * HANDOVER_RECORDS))
    journal.append(EVALUATIONS, [b"\x0a\xff"])
    store = make()
    warming = warming_of(store, tmp_path)
    warming.run(threading.Event())
    warming.between()
    assert not store.ready


@both_twins
def test_while_warming_no_snapshot_is_written_over_the_one_that_has_more(
    make: MakeStore, tmp_path: Path, journal: FileJournalWriter, request: pytest.FixtureRequest
) -> None:
    append(journal, range(10))
    metrics = GatewayMetrics()
    wake = LateWake(WakeSender(tmp_path, "gateway"))
    request.addfinalizer(wake.close)
    velocity = make()
    parts: Any = SimpleNamespace(velocity=velocity, journal=journal, wake=wake, gateway=counting_at(velocity))
    state: Any = SimpleNamespace(
        velocity_snapshot=tmp_path / "velocity.snapshot", gateway_journal=tmp_path / "journal"
    )
    snapshots = Snapshots(parts, state, metrics)
    snapshots.last()
    assert not state.velocity_snapshot.exists()
    assert metrics.registry.get_sample_value("ein_velocity_warming") == 1
    snapshots.warming.run(threading.Event())
    snapshots.last()
    assert metrics.registry.get_sample_value("ein_velocity_warming") == 0
    assert metrics.registry.get_sample_value("ein_velocity_keys") == 7
    again = make()
    assert again.load(RealDisk(), str(state.velocity_snapshot)) == FIRST + 10
    assert len(again) == 7


@both_twins
def test_while_attempts_are_owed_no_snapshot_is_written_and_at_the_end_they_are_counted(
    make: MakeStore, tmp_path: Path, journal: FileJournalWriter, request: pytest.FixtureRequest
) -> None:
    velocity, metrics = make(), GatewayMetrics()
    wake = LateWake(WakeSender(tmp_path, "gateway"))
    request.addfinalizer(wake.close)
    gateway = counting_at(velocity)
    parts: Any = SimpleNamespace(velocity=velocity, journal=journal, wake=wake, gateway=gateway)
    state: Any = SimpleNamespace(
        velocity_snapshot=tmp_path / "velocity.snapshot", gateway_journal=tmp_path / "journal"
    )
    snapshots = Snapshots(parts, state, metrics)
    snapshots.warming.run(threading.Event())
    snapshots.between()
    gateway.counting.owed.extend(attempt(number) for number in range(5))
    gateway.counting.strikes = 1  # it was late, and has not been in time since
    gateway.counting.uncounted = 3
    snapshots._asked.set()
    snapshots.between()
    snapshots.write()
    assert not state.velocity_snapshot.exists()
    assert metrics.registry.get_sample_value("ein_velocity_uncounted_total") == 3
    snapshots.last()
    again = make()
    assert again.load(RealDisk(), str(state.velocity_snapshot)) is not None
    assert len(again) == 7


@both_twins
def test_a_stop_ends_the_replay(make: MakeStore, tmp_path: Path, journal: FileJournalWriter) -> None:
    append(journal, range(2 * HANDOVER_RECORDS))
    store, stop = make(), threading.Event()
    stop.set()
    warming = warming_of(store, tmp_path)
    warming.run(stop)
    warming.between()
    assert not store.ready
