"""Velocity counts in this process's memory: packed records in slabs, two generations of keys.

What is counted (the property test holds the code to exactly this): payment time is cut into buckets of a
minute, five minutes and an hour since the epoch. Each key has a clock: the latest payment time seen for it.
The count of a window of n buckets, for an attempt at bucket b of a key whose clock is at bucket c >= b, is
the number of attempts so far, this one included, in buckets c-n+1 to b; at least 1. So a window is up to one
bucket shorter than its name says; a late attempt counts into its own bucket while that is still kept, and
sees nothing that happened after it. A bucket stops at 65,535.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from gateway.backends.embedded.velocity_snapshot import (
    RECORD_BYTES,
    RECORD_UNITS,
    SLAB_SHIFT,
    FrozenVelocity,
    read_snapshot,
)
from gateway.runtime.disk import Disk
from gateway.sharing.velocity_port import Counts, Touch

MAX_KEYS: Final = 2 * 174_762
"""Keys kept in all: two dicts of 2^18 places, which are full at two thirds: no place is paid in vain."""

MINUTE_MS: Final = 60_000
_MINUTES, _FIVES, _HOURS = 10, 12, 24  # buckets of the windows of 10 minutes, 1 hour, 24 hours
_MAX_MINUTE: Final = 2**32 - 1
_BUCKET_MAX: Final = 65_535

# A record in 16-bit units: the key's clock in minutes (2 units), three rings, the sum of the last one.
# A sum of 65,535 says that the hours have to be added up. What the other rings hold is in the hours too.
_MINUTE_AT, _FIVE_AT, _HOUR_AT, _SUM_AT = 2, 12, 24, 48
_EMPTY: Final = array("H", bytes(RECORD_BYTES))
_NO_COUNTS: Final = _EMPTY[_MINUTE_AT:]

_SLAB_MASK: Final = (1 << SLAB_SHIFT) - 1
_KEYS_AT_ONCE: Final = 1024  # some 100 µs without letting go of the interpreter

_SHORT_MASK: Final = 2**60 - 1


def _short(key: bytes) -> int:
    """60 bits of the MAC: an int that Python keeps in 32 bytes, where 16 bytes take 64. With 2^18 keys two
    meet once in 2^24 stores."""
    # Masked and not shifted: a shift leaves the result in the larger block that it was made in.
    return int.from_bytes(key[:8], "little") & _SHORT_MASK


class EmbeddedVelocity:
    """`VelocityStore` of one process. One thread calls it; `FrozenVelocity.write` may run on another.

    Memory is bounded by `max_keys`: when half of them have been touched since the last turn, the generation
    that was not touched meanwhile is forgotten, its records given to new keys one by one. So the half of
    `max_keys` that was touched last is always kept, and a forgotten key counts from 1 again.
    """

    __slots__ = (
        "_dying",
        "_frozen",
        "_half",
        "_held",
        "_old",
        "_over",
        "_ready",
        "_slabs",
        "_slots",
        "_young",
    )

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        if max_keys < 2:
            raise ValueError("max_keys must be at least 2")
        self._half = max_keys // 2
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._dying: list[dict[int, int]] = []
        self._slabs: list[array[int]] = []
        self._frozen: set[int] = set()
        self._slots = 0
        self._ready = False
        # While a snapshot is being written it shares both dicts, which then stand still: keys that are new to
        # the young generation go over them.
        self._held: _FrozenDicts | None = None
        self._over: dict[int, int] = {}

    @property
    def ready(self) -> bool:
        """Whether counts are whole: the snapshot is loaded and the journal's tail replayed."""
        return self._ready

    def caught_up(self) -> None:
        """Says that replay has reached the end of the journal; from now on `touch` counts."""
        self._ready = True

    def __len__(self) -> int:
        if self._held is None:
            return len(self._young) + len(self._old)
        return len(self._old.keys() | self._young.keys() | self._over.keys())

    @property
    def slots(self) -> int:
        """Records ever made: the measure of memory."""
        return self._slots

    def touch(self, batch: Sequence[Touch]) -> list[tuple[Counts | None, ...] | None]:
        """As the port says. While warming nothing is counted here: the journal has the attempt, and `replay`
        comes to it."""
        if not self._ready:
            return [None] * len(batch)
        if self._held is not None and self._held.released:
            self._thaw()
        count = self._count
        answers: list[tuple[Counts | None, ...] | None] = []
        for payment_time_ms, keys in batch:
            minute = payment_time_ms // MINUTE_MS
            if not 0 <= minute <= _MAX_MINUTE:
                minute = min(max(minute, 0), _MAX_MINUTE)
            answers.append(tuple([None if key is None else count(key, minute) for key in keys]))
        return answers

    def replay(self, keys: Sequence[bytes | None], payment_time_ms: int) -> None:
        """Counts an attempt read back from the journal. An empty key stands for none, as records have it."""
        if self._held is not None and self._held.released:
            self._thaw()
        minute = min(max(payment_time_ms // MINUTE_MS, 0), _MAX_MINUTE)
        for key in keys:
            if key:
                self._count(key, minute)

    def _count(self, key: bytes, minute: int) -> Counts:
        short = _short(key)
        slot = self._young.get(short)
        if slot is None:
            slot = self._admit(short)
        number = slot >> SLAB_SHIFT
        slab = self._writable(number) if number in self._frozen else self._slabs[number]
        at = (slot & _SLAB_MASK) * RECORD_UNITS
        clock = slab[at] | slab[at + 1] << 16
        if minute != clock:
            if minute < clock:
                return _count_late(slab, at, clock, minute)
            if slab[at + _SUM_AT]:
                _advance(slab, at, clock, minute)
            else:  # nothing was counted yet
                slab[at], slab[at + 1] = minute & 0xFFFF, minute >> 16
        day = slab[at + _SUM_AT] + 1
        if day > _BUCKET_MAX:
            return _count_many(slab, at, minute)
        # No bucket holds more than the sum, so that none can overflow.
        slab[at + _SUM_AT] = day
        slab[at + _FIVE_AT + minute // 5 % 12] += 1
        slab[at + _HOUR_AT + minute // 60 % 24] += 1
        ring = at + _MINUTE_AT + minute % 10
        slab[ring] = now = slab[ring] + 1
        if now == day:
            return now, now, now  # all of it in this minute, as with the first attempt
        return sum(slab[at + _MINUTE_AT : at + _FIVE_AT]), sum(slab[at + _FIVE_AT : at + _HOUR_AT]), day

    def _admit(self, short: int) -> int:
        """Slot of a key that the young generation does not have."""
        if self._held is not None:
            return self._admit_over(short)
        slot = self._old.pop(short, None)
        if len(self._young) >= self._half:
            self._turn()
        if slot is None:
            slot = self._new_slot()
        self._young[short] = slot
        return slot

    def _admit_over(self, short: int) -> int:
        """The same while a snapshot holds both generations."""
        slot = self._over.get(short)
        if slot is None:
            slot = self._old.get(short)
            if slot is None:
                slot = self._new_slot()
            self._over[short] = slot
            if len(self._over) >= self._half:
                # The writer hangs. Rather a pause than memory without a bound; the slabs stay its own.
                self._old, self._young = self._old.copy(), self._young.copy()
                self._thaw(slabs_too=False)
        return slot

    def _thaw(self, *, slabs_too: bool = True) -> None:
        """Takes the dicts back from a snapshot that is written, and puts into them what came meanwhile."""
        over, self._over, self._held = self._over, {}, None
        if slabs_too:
            self._frozen.clear()
        # Out of the old first: a turn on the way would give the record of a key that lives to another.
        for short in over:
            self._old.pop(short, None)
        for short, slot in over.items():
            if len(self._young) >= self._half:
                self._turn()
            self._young[short] = slot

    def _turn(self) -> None:
        """The generation not touched since the last turn is forgotten; the young one is now the old."""
        if self._old:
            self._dying.append(self._old)
        self._old, self._young = self._young, {}

    def _new_slot(self) -> int:
        """An empty record; a forgotten one if there is any, so that forgetting is never a pause."""
        while self._dying:
            if self._dying[-1]:
                slot = self._dying[-1].popitem()[1]
                at = (slot & _SLAB_MASK) * RECORD_UNITS
                self._writable(slot >> SLAB_SHIFT)[at : at + RECORD_UNITS] = _EMPTY
                return slot
            self._dying.pop()
        slot = self._slots
        if slot >> SLAB_SHIFT == len(self._slabs):
            # By repetition, which is exact: from bytes, an array takes a sixteenth more than it needs.
            self._slabs.append(_EMPTY * (1 << SLAB_SHIFT))
        self._slots += 1
        return slot

    def _writable(self, number: int) -> "array[int]":
        """The slab, copied first where a snapshot still holds it."""
        if number in self._frozen:
            self._slabs[number] = self._slabs[number][:]
            self._frozen.discard(number)
        return self._slabs[number]

    def freeze(self) -> "FrozenVelocity | None":
        """The state as it is now, in some 50 µs: nothing is copied before it changes.

        Call it on the counting thread between batches, and `write` (or `release`) the result on another. None
        while an earlier one is still being written.
        """
        if self._held is not None:
            if not self._held.released:
                return None
            self._thaw()
        self._frozen = set(range(len(self._slabs)))
        self._held = _FrozenDicts(self._old, self._young, tuple(self._slabs))
        return self._held

    def snapshot(self, disk: Disk, path: str, *, position: int) -> None:
        """Freezes and writes at once; where a pause matters, `freeze()` here, `write()` on another thread."""
        frozen = self.freeze()
        if frozen is not None:
            frozen.write(disk, path, position=position)
            self._thaw()

    def load(self, disk: Disk, path: str) -> int | None:
        """Takes up a snapshot and returns the journal position that it covers: replay what follows it.

        None where there is no snapshot. Raises VelocitySnapshotCorrupt, and then holds nothing.
        """
        loaded = read_snapshot(disk, path)
        if loaded is None:
            return None
        slabs = array("H", loaded.slabs)
        self._young, self._old, self._over, self._dying = {}, {}, {}, []
        self._slabs, self._slots, self._frozen, self._held = [], 0, set(), None
        for short, stored in zip(array("Q", loaded.keys), array("I", loaded.slots), strict=True):
            slot = self._admit(short)
            at, stored_at = (slot & _SLAB_MASK) * RECORD_UNITS, stored * RECORD_UNITS
            slab = self._slabs[slot >> SLAB_SHIFT]
            slab[at : at + RECORD_UNITS] = slabs[stored_at : stored_at + RECORD_UNITS]
        return loaded.position


_WINDOWS: Final = ((_MINUTE_AT, _MINUTES, 1), (_FIVE_AT, _FIVES, 5), (_HOUR_AT, _HOURS, 60))
"""Of each ring: where it starts, its buckets, minutes of a bucket."""


def _advance(slab: "array[int]", at: int, clock: int, minute: int) -> None:
    """Moves the record's clock on and empties the buckets that come into use again."""
    slab[at], slab[at + 1] = minute & 0xFFFF, minute >> 16
    hour, hour_before = minute // 60, clock // 60
    if hour - hour_before >= _HOURS:
        slab[at + _MINUTE_AT : at + RECORD_UNITS] = _NO_COUNTS
        return
    if minute - clock >= _MINUTES:
        slab[at + _MINUTE_AT : at + _FIVE_AT] = _NO_COUNTS[:_MINUTES]
    else:
        for bucket in range(clock + 1, minute + 1):
            slab[at + _MINUTE_AT + bucket % _MINUTES] = 0
    five, five_before = minute // 5, clock // 5
    for bucket in range(max(five_before, five - _FIVES) + 1, five + 1):
        slab[at + _FIVE_AT + bucket % _FIVES] = 0
    if hour != hour_before:
        for bucket in range(hour_before + 1, hour + 1):
            slab[at + _HOUR_AT + bucket % _HOURS] = 0
        slab[at + _SUM_AT] = min(sum(slab[at + _HOUR_AT : at + _SUM_AT]), _BUCKET_MAX)


def _count_many(slab: "array[int]", at: int, minute: int) -> Counts:
    """Counts where a bucket may be at its end."""
    counts = []
    for start, buckets, unit in _WINDOWS:
        first = at + start
        ring = first + minute // unit % buckets
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        counts.append(sum(slab[first : first + buckets]))
    slab[at + _SUM_AT] = min(counts[2], _BUCKET_MAX)
    return counts[0], counts[1], counts[2]


def _count_late(slab: "array[int]", at: int, clock: int, minute: int) -> Counts:
    """Counts an attempt that is older than the key's clock, where its buckets are still kept."""
    counts = []
    for start, buckets, unit in _WINDOWS:
        first, now, own = at + start, clock // unit, minute // unit
        if own <= now - buckets:
            counts.append(1)
            continue
        ring = first + own % buckets
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        kept = range(now - buckets + 1, own + 1)
        counts.append(sum([slab[first + bucket % buckets] for bucket in kept]))
    slab[at + _SUM_AT] = min(sum(slab[at + _HOUR_AT : at + _SUM_AT]), _BUCKET_MAX)
    return counts[0], counts[1], counts[2]


class _FrozenDicts(FrozenVelocity):
    __slots__ = ("_old", "_released", "_slabs", "_young")

    def __init__(self, old: dict[int, int], young: dict[int, int], slabs: tuple["array[int]", ...]) -> None:
        self._old, self._young, self._slabs = old, young, slabs
        self._released = False

    @property
    def released(self) -> bool:
        return self._released

    def release(self) -> None:
        self._released = True
        self._old, self._young, self._slabs = {}, {}, ()

    def sizes(self) -> tuple[int, int, int]:
        return len(self._slabs), len(self._old), len(self._young)

    def body(self) -> Iterator[bytes]:
        for slab in self._slabs:
            yield slab.tobytes()
        for generation in (self._old, self._young):
            keys = iter(generation)
            while some := array("Q", islice(keys, _KEYS_AT_ONCE)):
                yield some.tobytes()
        for generation in (self._old, self._young):
            slots = iter(generation.values())
            while some := array("I", islice(slots, _KEYS_AT_ONCE)):
                yield some.tobytes()
