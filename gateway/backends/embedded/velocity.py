"""Velocity counts in this process's memory: packed records in slabs, two generations of keys.

What is counted (the property test holds the code to exactly this): payment time is cut into buckets of a
minute, five minutes, an hour and a day since the epoch; windows have 10, 12, 24 and 7 of them. Each key has a
clock: the latest payment time seen for it.

Attempts. The count of a window of n buckets, for an attempt at bucket b of a key whose clock is at bucket
c >= b, is the number of attempts so far, this one included, in buckets c-n+1 to b; at least 1. So a window is
up to one bucket shorter than its name says; a late attempt counts into its own bucket while that is still
kept, and sees nothing that happened after it. A bucket stops at 65,535.

Different others. Under a card merchants are told apart; under an address, a device and an e-mail address,
cards: what came in the same attempt. Each other is dated by the latest payment time that it had under the
key. The count of a window is the number of others dated in buckets c-n+1 to c, and of this attempt's own;
where there are more than `MAX_OTHERS` it is that number, which then says "so many or more". Others are told
apart by 32 bits of their MAC: two are taken for one once in 500 million. To be exact it is enough to keep
the 8 seen last: what is dropped for a ninth is dated before all 8, so that any window with it has them too.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from enrichment.velocity import OTHERS
from gateway.backends.embedded.velocity_record import EMPTY, RECORD_UNITS, count
from gateway.backends.embedded.velocity_snapshot import (
    ROW,
    ROWS_AT_ONCE,
    FrozenVelocity,
    open_snapshot,
)
from gateway.runtime.disk import Disk
from gateway.sharing.velocity_port import Counts, Touch

MAX_KEYS: Final = 1_000_000
"""Keys kept in all, where the settings say nothing: 190 MB in Rust once there are so many, 270 in Python."""

MINUTE_MS: Final = 60_000
_MAX_MINUTE: Final = 2**32 - 1

SLAB_SHIFT: Final = 6
"""A slab of 64 records is 10 KiB: copied in under a microsecond when a snapshot needs the old one."""

_SLAB_MASK: Final = (1 << SLAB_SHIFT) - 1
_SHORT_MASK: Final = 2**60 - 1
_HASH_MASK: Final = 2**32 - 1


def _short(key: bytes) -> int:
    """60 bits of the MAC: an int that Python keeps in 32 bytes, where 16 bytes take 64. With 2^20 keys two
    meet once in 2^21 stores."""
    # Masked and not shifted: a shift leaves the result in the larger block that it was made in.
    return int.from_bytes(key[:8], "little") & _SHORT_MASK


def _minute(payment_time_ms: int) -> int:
    return min(max(payment_time_ms // MINUTE_MS, 0), _MAX_MINUTE)


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
        "_others",
        "_over",
        "_ready",
        "_slabs",
        "_slots",
        "_young",
    )

    def __init__(self, *, max_keys: int = MAX_KEYS, others: Sequence[int | None] = OTHERS) -> None:
        """`others`: for each place in an attempt, the place of the key that is told apart under it."""
        if max_keys < 2:
            raise ValueError("max_keys must be at least 2")
        self._others = others
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
        return [self._count(keys, _minute(payment_time_ms)) for payment_time_ms, keys in batch]

    def replay(self, keys: Sequence[bytes | None], payment_time_ms: int) -> None:
        """Counts an attempt read back from the journal."""
        if self._held is not None and self._held.released:
            self._thaw()
        self._count(keys, _minute(payment_time_ms))

    def _count(self, keys: Sequence[bytes | None], minute: int) -> tuple[Counts | None, ...]:
        """One attempt under each of its keys. An empty key stands for none, as records have it."""
        shorts = [_short(key) if key else None for key in keys]
        answer: list[Counts | None] = []
        for place, short in enumerate(shorts):
            if short is None:
                answer.append(None)
                continue
            other = self._others[place] if place < len(self._others) else None
            hashed = shorts[other] if other is not None and other < len(shorts) else None
            slot = self._young.get(short)
            if slot is None:
                slot = self._admit(short)
            slab = self._writable(slot >> SLAB_SHIFT)
            # A hash of 0 would say that there is none.
            own = 0 if hashed is None else hashed & _HASH_MASK or 1
            answer.append(count(slab, (slot & _SLAB_MASK) * RECORD_UNITS, minute, own))
        return tuple(answer)

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
                self._writable(slot >> SLAB_SHIFT)[at : at + RECORD_UNITS] = EMPTY
                return slot
            self._dying.pop()
        slot = self._slots
        if slot >> SLAB_SHIFT == len(self._slabs):
            # By repetition, which is exact: from bytes, an array takes a sixteenth more than it needs.
            self._slabs.append(EMPTY * (1 << SLAB_SHIFT))
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

        None where there is no snapshot. Raises VelocitySnapshotUnusable, and then holds what it held.
        """
        snapshot = open_snapshot(disk, path)
        if snapshot is None:
            return None
        self._young, self._old, self._over, self._dying = {}, {}, {}, []
        self._slabs, self._slots, self._frozen, self._held = [], 0, set(), None
        for rows in snapshot.rows():
            for short, record in ROW.iter_unpack(rows):
                slot = self._admit(short)
                at = (slot & _SLAB_MASK) * RECORD_UNITS
                self._slabs[slot >> SLAB_SHIFT][at : at + RECORD_UNITS] = array("H", record)
        return snapshot.position


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

    def sizes(self) -> tuple[int, int]:
        return len(self._old), len(self._young)

    def body(self) -> Iterator[bytes]:
        for generation in (self._old, self._young):
            entries = iter(generation.items())
            while some := list(islice(entries, ROWS_AT_ONCE)):
                yield b"".join([ROW.pack(short, self._record(slot)) for short, slot in some])

    def _record(self, slot: int) -> bytes:
        at = (slot & _SLAB_MASK) * RECORD_UNITS
        return self._slabs[slot >> SLAB_SHIFT][at : at + RECORD_UNITS].tobytes()
