"""The velocity store against a slow, exact reading of its documented semantics."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.simdisk import SimDisk
from gateway.sharing.velocity_port import Counts
from tests.unit.velocity.stores import MakeStore, both_twins

MINUTE_MS = 60_000
START_MS = 1_700_000_000_000
WINDOWS = ((1, 10), (5, 12), (60, 24))  # minutes of a bucket, buckets

# Most steps are small, so that attempts share windows; some are days, so that rings wrap more than once.
STEPS_MS = st.one_of(
    st.integers(0, 90_000),
    st.integers(-20 * MINUTE_MS, 20 * MINUTE_MS),
    st.integers(-26 * 60 * MINUTE_MS, 50 * 60 * MINUTE_MS),
)
ATTEMPTS = st.lists(st.tuples(STEPS_MS, st.integers(0, 2)), min_size=1, max_size=60)


class Reference:
    """Keeps every attempt and counts by the sentence in the module's docstring."""

    def __init__(self) -> None:
        self.minutes: dict[bytes, list[int]] = {}

    def touch(self, key: bytes, time_ms: int) -> Counts:
        minutes = self.minutes.setdefault(key, [])
        minutes.append(time_ms // MINUTE_MS)
        counts = []
        for unit, buckets in WINDOWS:
            own, clock = minutes[-1] // unit, max(minutes) // unit
            counts.append(max(1, sum(clock - buckets + 1 <= minute // unit <= own for minute in minutes)))
        return counts[0], counts[1], counts[2]


def timed(attempts: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    now, out = START_MS, []
    for step, key in attempts:
        now = max(now + step, 1)
        out.append((now, bytes([key + 1]) * 16))
    return out


@both_twins
@given(ATTEMPTS)
@settings(max_examples=150, deadline=None)
def test_counts_are_those_of_the_exact_reference(make: MakeStore, attempts: list[tuple[int, int]]) -> None:
    store, reference = make(), Reference()
    store.caught_up()
    for time_ms, key in timed(attempts):
        assert store.touch([(time_ms, [key, None])]) == [(reference.touch(key, time_ms), None)]


@both_twins
@given(ATTEMPTS, st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_restart_from_snapshot_and_tail_counts_as_if_there_had_been_none(
    make: MakeStore, attempts: list[tuple[int, int]], frozen_at: int, written_at: int
) -> None:
    moves = timed(attempts)
    disk, path = SimDisk(0), "/state/velocity.snapshot"
    disk.make_dirs("/state")
    store, reference = make(), Reference()
    store.caught_up()
    frozen = None
    covered = -1
    for position, (time_ms, key) in enumerate(moves):
        expected = reference.touch(key, time_ms)
        assert store.touch([(time_ms, [key])]) == [(expected,)]
        if position == frozen_at:
            # Written later, while counting goes on: must still be the state at `position`.
            frozen, covered = store.freeze(), position
            assert frozen is not None
        if frozen is not None and position >= written_at and not frozen.released:
            frozen.write(disk, path, position=covered)
    if frozen is not None and not frozen.released:
        frozen.write(disk, path, position=covered)

    restarted = make()
    position = restarted.load(disk, path)
    assert position == (None if covered < 0 else covered)
    for time_ms, key in moves[covered + 1 :]:
        restarted.replay([key, b""], time_ms)
    restarted.caught_up()
    last_ms = moves[-1][0]
    probe = [(last_ms, [bytes([key + 1]) * 16 for key in range(3)])]
    assert restarted.touch(probe) == store.touch(probe)
