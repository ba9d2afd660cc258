"""The velocity store in Rust against its twin in Python: the same answers, the same snapshot to the byte."""

import struct
import zlib
from array import array
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.embedded.velocity import EmbeddedVelocity
from gateway.backends.embedded.velocity_engine import EngineVelocity
from gateway.backends.embedded.velocity_record import RECORD_UNITS
from gateway.backends.embedded.velocity_snapshot import MAGIC, ROW, FrozenVelocity
from gateway.backends.embedded.velocity_store import LocalVelocity
from gateway.runtime.simdisk import SimDisk
from issuernetwork.storage.v1 import journal_pb2
from tests.unit.velocity.stores import PATH, empty_disk, needs_engine, snapshot_bytes

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
START_MS = 1_700_000_000_000


def spread(number: int) -> bytes:
    """A key as a MAC is."""
    return (number * 0x9E3779B97F4A7C15 % 2**128).to_bytes(16, "little")


# Small steps so that attempts share windows, days so that rings wrap, and clocks that no payment has.
TIMES_MS = st.one_of(
    st.integers(START_MS, START_MS + 15 * MINUTE_MS),
    st.integers(START_MS - 2 * DAY_MS, START_MS + 2 * DAY_MS),
    st.integers(START_MS - 10 * DAY_MS, START_MS + 60 * DAY_MS),
    st.integers(-MINUTE_MS, 70 * MINUTE_MS),
    st.integers((2**32 - 40) * MINUTE_MS, (2**32 + 1) * MINUTE_MS),
    st.sampled_from([-(2**70), -(2**63), -1, 0, 2**63 - 1, 2**63, 2**70]),
)
# Keys as MACs are, few of them, and keys that are alike in what a table looks at first.
KEYS = st.one_of(
    st.integers(0, 20).map(spread),
    st.integers(0, 3).map(lambda number: bytes(7) + bytes([number << 4]) + bytes(8)),
    st.binary(max_size=17),
)
ATTEMPTS = st.tuples(TIMES_MS, st.lists(st.none() | KEYS, max_size=5))
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("touch"), st.lists(ATTEMPTS, max_size=8)),
        st.tuples(st.just("touch as tuples"), st.lists(ATTEMPTS, max_size=8)),
        st.tuples(st.just("new keys"), st.integers(1, 30)),
        st.tuples(st.just("replay"), ATTEMPTS),
        st.tuples(st.just("replay records"), st.lists(st.tuples(ATTEMPTS, st.booleans()), max_size=6)),
        st.tuples(st.sampled_from(["freeze", "write", "release", "snapshot", "load", "swap"]), st.none()),
    ),
    max_size=40,
)


class Twins:
    """Makes each move on both and holds them against each other."""

    def __init__(self, max_keys: int) -> None:
        self.max_keys = max_keys
        self.stores: list[LocalVelocity] = [
            EmbeddedVelocity(max_keys=max_keys),
            EngineVelocity(max_keys=max_keys),
        ]
        self.disks = [empty_disk(), empty_disk()]
        self.frozen: list[FrozenVelocity | None] = [None, None]
        self.numbers = iter(range(1_000, 10**9))
        for store in self.stores:
            store.caught_up()

    def move(self, name: str, given: Any) -> None:
        getattr(self, name.replace(" ", "_"))(given)
        one, other = self.stores
        assert len(one) == len(other)

    def touch(self, batch: Any) -> None:
        one, other = (store.touch(batch) for store in self.stores)
        assert one == other

    def touch_as_tuples(self, batch: Any) -> None:
        self.touch(tuple((time_ms, tuple(keys)) for time_ms, keys in batch))

    def new_keys(self, many: int) -> None:
        self.touch([(START_MS, [spread(next(self.numbers))]) for _ in range(many)])

    def replay(self, attempt: Any) -> None:
        for store in self.stores:
            store.replay(attempt[1], attempt[0])

    def replay_records(self, given: Any) -> None:
        records = [
            journal_pb2.Evaluation(
                initiated_at_ms=max(min(time_ms, 2**63 - 1), -(2**63)),
                velocity_keys=[key or b"" for key in keys],
                score=7,
                answer=b"answer",
            ).SerializeToString()
            # A field of 32 bits that is not known here: nothing that the engine can walk.
            + (b"\xfd\x7f\0\0\0\0" if odd else b"")
            for (time_ms, keys), odd in given
        ]
        for store in self.stores:
            store.replay_records(list(records))

    def freeze(self, _: None) -> None:
        one, other = (store.freeze() for store in self.stores)
        assert (one is None) is (other is None)
        if one is not None:
            self.frozen = [one, other]

    def write(self, _: None) -> None:
        for frozen, disk in zip(self.frozen, self.disks, strict=True):
            if frozen is not None:
                frozen.write(disk, PATH, position=7)
                assert frozen.released
        self._same_files()

    def release(self, _: None) -> None:
        for frozen in self.frozen:
            if frozen is not None:
                frozen.release()

    def snapshot(self, _: None) -> None:
        for store, disk in zip(self.stores, self.disks, strict=True):
            store.snapshot(disk, PATH, position=9)
        self._same_files()

    def load(self, _: None) -> None:
        one, other = (store.load(disk, PATH) for store, disk in zip(self.stores, self.disks, strict=True))
        assert one == other

    def swap(self, _: None) -> None:
        """Each twin goes on from the other's snapshot, as a gateway started without the engine."""
        self.disks.reverse()
        self.load(None)

    def _same_files(self) -> None:
        one, other = self.disks
        assert one.list("/state") == other.list("/state")
        if one.list("/state"):
            assert snapshot_bytes(one) == snapshot_bytes(other)


@needs_engine
@given(st.integers(2, 24), MOVES)
@settings(max_examples=400, deadline=None)
def test_whatever_is_done_to_both_twins_they_answer_and_store_the_same(
    max_keys: int, moves: list[Any]
) -> None:
    twins = Twins(max_keys)
    for name, given_to in moves:
        twins.move(name, given_to)
    # At the end what is held is given back, and the whole of both is compared.
    for name in ("write", "snapshot"):
        twins.move(name, None)


def nearly_full(clock: int, buckets: list[int], sum_of_days: int) -> SimDisk:
    """A snapshot of one key whose buckets are at or near their end."""
    units = array("H", bytes(2 * RECORD_UNITS))
    units[:56] = array("H", [clock & 0xFFFF, clock >> 16, *buckets, sum_of_days])
    body = struct.pack("=8sqII", MAGIC, 1, 1, 0) + ROW.pack(NEARLY_FULL, units.tobytes())
    disk = empty_disk()
    disk.replace(PATH, body + struct.pack("=I", zlib.crc32(body)))
    return disk


NEARLY_FULL = 1
FULL = st.sampled_from([0, 1, 65_533, 65_534, 65_535])
CLOCK = START_MS // MINUTE_MS


@needs_engine
@given(
    # What counting makes: no other bucket is over the sum, which stops at its end.
    st.lists(FULL, min_size=7, max_size=7).flatmap(
        lambda days: st.tuples(
            st.lists(FULL.filter(lambda one: one <= sum(days)), min_size=46, max_size=46), st.just(days)
        )
    ),
    st.lists(st.integers(-1_500, 1_500) | st.integers(-11_000, 11_000), min_size=1, max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_the_twins_are_the_same_where_buckets_are_at_their_end(
    rings: tuple[list[int], list[int]], minutes: list[int]
) -> None:
    shorter, days = rings
    disk = nearly_full(CLOCK, shorter + days, min(sum(days), 65_535))
    answers = []
    for store in (EmbeddedVelocity(), EngineVelocity()):
        assert store.load(disk, PATH) == 1
        store.caught_up()
        key = NEARLY_FULL.to_bytes(16, "little")
        answers.append(store.touch([(START_MS + minute * MINUTE_MS, [key]) for minute in minutes]))
    assert answers[0] == answers[1]
