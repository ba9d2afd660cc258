"""The velocity store against a slow, exact reading of its documented semantics."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.runtime.simdisk import SimDisk
from gateway.sharing.velocity_port import Counts
from tests.unit.velocity.stores import MakeStore, both_twins

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
START_MS = 1_700_000_000_000
WINDOWS = ((1, 10), (5, 12), (60, 24), (24 * 60, 7))  # minutes of a bucket, buckets
MANY = 8

# Most steps are small, so that attempts share windows; some are days, so that rings wrap more than once.
STEPS_MS = st.one_of(
    st.integers(0, 90_000),
    st.integers(-20 * MINUTE_MS, 20 * MINUTE_MS),
    st.integers(-26 * 60 * MINUTE_MS, 50 * 60 * MINUTE_MS),
    st.integers(-9 * DAY_MS, 9 * DAY_MS),
)
# A key, and what it comes with: few, so that they come again, and more than are told apart.
OTHERS = st.none() | st.integers(0, 12)
ATTEMPTS = st.lists(st.tuples(STEPS_MS, st.integers(0, 2), OTHERS), min_size=1, max_size=60)
Attempt = tuple[int, list[bytes | None]]


class Reference:
    """Keeps every attempt and counts by the sentences in the module's docstring."""

    def __init__(self) -> None:
        self.seen: dict[bytes, list[tuple[int, bytes | None]]] = {}

    def touch(self, attempt: Attempt) -> tuple[Counts | None, ...]:
        """Keys are a card's, a merchant's, an address's: under the card the merchant is told apart."""
        time_ms, (card, merchant) = attempt
        minute = time_ms // MINUTE_MS
        return (
            None if card is None else self.count(card, minute, merchant),
            None if merchant is None else self.count(merchant, minute, None),
        )

    def count(self, key: bytes, minute: int, other: bytes | None) -> Counts:
        seen = self.seen.setdefault(key, [])
        seen.append((minute, other))
        clock = max(at for at, _ in seen)
        dates: dict[bytes, int] = {}
        for at, one in seen:
            if one is not None:
                dates[one] = max(at, dates.get(one, at))
        counts = []
        for unit, buckets in WINDOWS:
            first = clock // unit - buckets + 1
            counts.append(max(1, sum(first <= at // unit <= minute // unit for at, _ in seen)))
        for unit, buckets in WINDOWS:
            first = clock // unit - buckets + 1
            within = {one for one, at in dates.items() if at // unit >= first}
            counts.append(min(len(within | {other} - {None}), MANY))
        a, b, c, d, e, f, g, h = counts
        return a, b, c, d, e, f, g, h


def key(number: int) -> bytes:
    return bytes([number + 1]) * 16


def timed(attempts: list[tuple[int, int, int | None]]) -> list[Attempt]:
    now, out = START_MS, []
    for step, one, other in attempts:
        now = max(now + step, 1)
        out.append((now, [key(one), None if other is None else key(100 + other)]))
    return out


@both_twins
@given(ATTEMPTS)
@settings(max_examples=150, deadline=None)
def test_counts_are_those_of_the_exact_reference(
    make: MakeStore, attempts: list[tuple[int, int, int | None]]
) -> None:
    store, reference = make(), Reference()
    store.caught_up()
    for attempt in timed(attempts):
        assert store.touch([attempt]) == [reference.touch(attempt)]


@both_twins
@given(
    st.lists(st.tuples(st.integers(0, 4 * 60) | st.integers(-60, 60), st.integers(0, 20)), max_size=80),
    st.sampled_from([0, 3, 60 * 24 * 7 * 9, 2**32 - 1 - 25 * 24 * 60]),
)
@settings(max_examples=150, deadline=None)
def test_of_many_others_exactly_the_first_eight_are_told_apart_wherever_the_clock_stands(
    make: MakeStore, steps: list[tuple[int, int]], minute: int
) -> None:
    store, reference = make(), Reference()
    store.caught_up()
    for step, other in steps:
        minute = max(minute + step, 0)
        attempt = (minute * MINUTE_MS, [key(0), key(100 + other)])
        assert store.touch([attempt]) == [reference.touch(attempt)]


@both_twins
@given(ATTEMPTS, st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_restart_from_snapshot_and_tail_counts_as_if_there_had_been_none(
    make: MakeStore, attempts: list[tuple[int, int, int | None]], frozen_at: int, written_at: int
) -> None:
    moves = timed(attempts)
    disk, path = SimDisk(0), "/state/velocity.snapshot"
    disk.make_dirs("/state")
    store, reference = make(), Reference()
    store.caught_up()
    frozen = None
    covered = -1
    for position, attempt in enumerate(moves):
        assert store.touch([attempt]) == [reference.touch(attempt)]
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
    for time_ms, keys in moves[covered + 1 :]:
        restarted.replay([one or b"" for one in keys], time_ms)
    restarted.caught_up()
    last_ms = moves[-1][0]
    probe: list[Attempt] = [(last_ms, [key(number), key(100)]) for number in range(3)]
    assert restarted.touch(probe) == store.touch(probe)
