"""The embedded velocity store: bounds, snapshots, warming."""

import tracemalloc
from typing import Any

import pytest

from gateway.backends.embedded import velocity
from gateway.backends.embedded.velocity import EmbeddedVelocity, VelocitySnapshotCorrupt
from gateway.runtime.disk import DiskFile
from gateway.runtime.simdisk import SimDisk

NOW_MS = 1_700_000_000_000
PATH = "/state/velocity.snapshot"


def key(number: int) -> bytes:
    """Spread over all bits, as a MAC is."""
    return (number * 0x9E3779B97F4A7C15 % 2**128).to_bytes(16, "little")


def ready(max_keys: int = velocity.MAX_KEYS) -> EmbeddedVelocity:
    store = EmbeddedVelocity(max_keys=max_keys)
    store.caught_up()
    return store


def once(store: EmbeddedVelocity, number: int, at_ms: int = NOW_MS) -> tuple[int, int, int]:
    answer = store.touch([(at_ms, [key(number)])])[0]
    assert answer is not None
    assert answer[0] is not None
    return answer[0]


def test_a_batch_counts_its_own_attempts_in_order() -> None:
    a, b = key(1), key(2)
    assert ready().touch([(NOW_MS, [a, None]), (NOW_MS, [a, b]), (NOW_MS, [b, b])]) == [
        ((1, 1, 1), None),
        ((2, 2, 2), (1, 1, 1)),
        ((2, 2, 2), (3, 3, 3)),
    ]


def test_while_warming_there_is_no_answer_and_nothing_is_counted_twice() -> None:
    store = EmbeddedVelocity()
    assert store.touch([(NOW_MS, [key(1)])]) == [None]
    store.replay([key(1)], NOW_MS)  # the journal has that attempt
    assert not store.ready
    store.caught_up()
    assert once(store, 1) == (2, 2, 2)


def test_the_keys_touched_least_lately_are_forgotten_and_never_more_than_the_limit_is_kept() -> None:
    store = ready(max_keys=200)
    for number in range(5_000):
        once(store, number)
        once(store, 0)  # touched all along
        assert len(store) <= 200
    assert once(store, 0)[0] == 5_002
    assert once(store, 4_999) == (2, 2, 2)
    assert once(store, 1) == (1, 1, 1)
    assert store._slots <= 200


def test_a_record_given_to_another_key_starts_at_nothing() -> None:
    store = ready(max_keys=4)
    for number in range(50):
        assert once(store, number) == (1, 1, 1)


def test_a_bucket_stops_at_its_limit_instead_of_starting_over() -> None:
    store = ready()
    for _ in range(65_534):
        store._count(key(1), 100)
    assert once(store, 1, at_ms=100 * 60_000) == (65_535,) * 3
    assert once(store, 1, at_ms=100 * 60_000) == (65_535,) * 3
    assert once(store, 1, at_ms=101 * 60_000)[0] == 65_536
    assert once(store, 1, at_ms=100 * 60_000)[0] == 65_535
    # A day later the sum is that of the buckets again.
    assert once(store, 1, at_ms=(100 + 25 * 60) * 60_000) == (1, 1, 1)


def test_a_key_costs_at_most_200_bytes() -> None:
    # One generation exactly full, as both are at the limit: 2/3 of a power of two.
    keys = [key(number) for number in range(21_845)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        store = ready(max_keys=2 * len(keys))
        store.touch([(NOW_MS, keys)])
        cost = (tracemalloc.get_traced_memory()[0] - before) / len(store)
    finally:
        tracemalloc.stop()
    assert len(store) == len(keys)
    # The limit has tables of 4-byte places, these have 2-byte ones: 3 bytes a key less of the promised 200.
    assert cost <= 197, cost


def snapshot_of(store: EmbeddedVelocity) -> SimDisk:
    disk = SimDisk(0)
    disk.make_dirs("/state")
    store.snapshot(disk, PATH, position=41)
    return disk


def records(store: EmbeddedVelocity) -> list[tuple[int, list[int]]]:
    """Every key with its record, in order of generation and touch."""
    found = []
    for generation in (store._old, store._young):
        for short, slot in generation.items():
            slab, at = store._slabs[slot // 512], slot % 512 * velocity.RECORD_UNITS
            found.append((short, list(slab[at : at + velocity.RECORD_UNITS])))
    return found


def test_a_snapshot_gives_back_counts_and_position() -> None:
    store = ready(max_keys=100)
    for number in range(80):
        once(store, number)
    again = EmbeddedVelocity(max_keys=100)
    assert again.load(snapshot_of(store), PATH) == 41
    again.caught_up()
    # To the byte, both generations: asking for counts would itself make keys old.
    assert len(again) == 80
    assert records(again) == records(store)
    assert once(again, 79) == (2, 2, 2)


def test_no_snapshot_is_no_position() -> None:
    assert EmbeddedVelocity().load(SimDisk(0), PATH) is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "longer"])
def test_a_damaged_snapshot_is_refused_and_nothing_of_it_is_kept(damage: str) -> None:
    store = ready()
    once(store, 1)
    disk = snapshot_of(store)
    data = disk.read_at(PATH, 0, disk.size(PATH))
    middle = len(data) // 2
    disk.replace(
        PATH,
        {
            "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "cut": data[:-3],
            "empty": b"",
            "longer": data + b"\0",
        }[damage],
    )
    again = EmbeddedVelocity()
    with pytest.raises(VelocitySnapshotCorrupt, match="remove it"):
        again.load(disk, PATH)
    assert len(again) == 0


def test_a_smaller_limit_keeps_the_keys_touched_last() -> None:
    store = ready(max_keys=100)
    for number in range(100):
        once(store, number)
    again = EmbeddedVelocity(max_keys=20)
    again.load(snapshot_of(store), PATH)
    again.caught_up()
    assert len(again) <= 20
    assert once(again, 99) == (2, 2, 2)


def test_counting_goes_on_as_ever_while_a_snapshot_is_written_and_after() -> None:
    store, plain = ready(max_keys=64), ready(max_keys=64)
    disk = SimDisk(0)
    disk.make_dirs("/state")
    for number in range(30):
        once(store, number), once(plain, number)
    frozen = store.freeze()
    assert frozen is not None
    assert store.freeze() is None  # one at a time
    for number in range(10, 40):
        assert once(store, number) == once(plain, number)
    frozen.write(disk, PATH, position=7)
    for number in range(20, 60):
        assert once(store, number) == once(plain, number)
    assert records(store) == records(plain)
    again = EmbeddedVelocity(max_keys=64)
    assert again.load(disk, PATH) == 7
    again.caught_up()
    assert once(again, 29) == (2, 2, 2)
    assert once(again, 39) == (1, 1, 1)


def test_a_snapshot_that_is_never_finished_does_not_let_memory_grow() -> None:
    store = ready(max_keys=64)
    assert store.freeze() is not None
    for number in range(10_000):
        once(store, number)
    assert len(store) <= 64
    assert store._slots <= 3 * 64


def test_a_snapshot_that_could_not_be_written_leaves_the_last_one_and_lets_counting_go_on() -> None:
    store = ready()
    once(store, 1)
    disk = snapshot_of(store)
    frozen = store.freeze()
    assert frozen is not None
    with pytest.raises(OSError, match="full"):
        frozen.write(FullDisk(disk), PATH, position=99)
    assert once(store, 1) == (2, 2, 2)
    assert EmbeddedVelocity().load(disk, PATH) == 41
    assert store.freeze() is not None


class FullDisk:
    """A disk that has no room for the snapshot."""

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk

    def open_append(self, path: str) -> DiskFile:
        raise OSError(28, "disk full")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)
