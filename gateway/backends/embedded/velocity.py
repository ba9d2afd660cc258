"""Velocity counts in this process's memory: packed records in slabs, two generations of keys.

What is counted (the property test holds the code to exactly this): payment time is cut into buckets of a
minute, five minutes and an hour since the epoch. Each key has a clock: the latest payment time seen for it.
The count of a window of n buckets, for an attempt at bucket b of a key whose clock is at bucket c >= b, is
the number of attempts so far, this one included, in buckets c-n+1 to b; at least 1. So a window is up to one
bucket shorter than its name says; a late attempt counts into its own bucket while that is still kept, and
sees nothing that happened after it. A bucket stops at 65,535.
"""

import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.records.errors import GatewayError
from gateway.runtime.disk import Disk
from gateway.sharing.velocity_port import Counts, Touch

MAX_KEYS: Final = 2 * 174_762
"""Keys kept in all: two dicts of 2^18 places, which are full at two thirds: no place is paid in vain."""

MINUTE_MS: Final = 60_000
_MINUTES, _FIVES, _HOURS = 10, 12, 24  # buckets of the windows of 10 minutes, 1 hour, 24 hours
_MAX_MINUTE: Final = 2**32 - 1
_BUCKET_MAX: Final = 65_535

# A record in 16-bit units: the key's clock in minutes (2 units), then the three rings.
_MINUTE_AT, _FIVE_AT, _HOUR_AT, RECORD_UNITS = 2, 12, 24, 48
RECORD_BYTES: Final = 2 * RECORD_UNITS
_EMPTY: Final = array("H", bytes(RECORD_BYTES))
_NO_COUNTS: Final = _EMPTY[_MINUTE_AT:]

# A slab of 512 records is 48 KiB: copied in some microseconds when a snapshot needs the old one.
_SLAB_SHIFT: Final = 9
_SLAB_MASK: Final = (1 << _SLAB_SHIFT) - 1

_MAGIC: Final = b"EINVEL01"
_HEADER: Final = struct.Struct("<8sqII")  # magic, journal position, keys of the old and the young generation
_CRC: Final = struct.Struct("<I")


class VelocitySnapshotCorrupt(GatewayError):
    """The snapshot cannot be trusted; counting starts again from the journal."""

    code = "velocity_snapshot_corrupt"


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

    __slots__ = ("_dying", "_frozen", "_half", "_old", "_ready", "_slabs", "_slots", "_young")

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

    @property
    def ready(self) -> bool:
        """Whether counts are whole: the snapshot is loaded and the journal's tail replayed."""
        return self._ready

    def caught_up(self) -> None:
        """Says that replay has reached the end of the journal; from now on `touch` counts."""
        self._ready = True

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def touch(self, batch: Sequence[Touch]) -> list[tuple[Counts | None, ...] | None]:
        """As the port says. While warming nothing is counted here: the journal has the attempt, and `replay`
        comes to it."""
        if not self._ready:
            return [None] * len(batch)
        count = self._count
        answers: list[tuple[Counts | None, ...] | None] = []
        for payment_time_ms, keys in batch:
            minute = min(max(payment_time_ms // MINUTE_MS, 0), _MAX_MINUTE)
            answers.append(tuple([None if key is None else count(key, minute) for key in keys]))
        return answers

    def replay(self, keys: Sequence[bytes | None], payment_time_ms: int) -> None:
        """Counts an attempt read back from the journal. An empty key stands for none, as records have it."""
        minute = min(max(payment_time_ms // MINUTE_MS, 0), _MAX_MINUTE)
        for key in keys:
            if key:
                self._count(key, minute)

    def _count(self, key: bytes, minute: int) -> Counts:
        short = _short(key)
        slot = self._young.get(short)
        if slot is None:
            slot = self._admit(short)
        number = slot >> _SLAB_SHIFT
        slab = self._writable(number) if number in self._frozen else self._slabs[number]
        at = (slot & _SLAB_MASK) * RECORD_UNITS
        clock = slab[at] | slab[at + 1] << 16
        if minute > clock:
            _advance(slab, at, clock, minute)
        elif minute < clock:
            return _count_late(slab, at, clock, minute)
        ring = at + _MINUTE_AT + minute % _MINUTES
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        ring = at + _FIVE_AT + minute // 5 % _FIVES
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        ring = at + _HOUR_AT + minute // 60 % _HOURS
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        return (
            sum(slab[at + _MINUTE_AT : at + _FIVE_AT]),
            sum(slab[at + _FIVE_AT : at + _HOUR_AT]),
            sum(slab[at + _HOUR_AT : at + RECORD_UNITS]),
        )

    def _admit(self, short: int) -> int:
        """Slot of a key that the young generation does not have."""
        slot = self._old.pop(short, None)
        if len(self._young) >= self._half:
            if self._old:
                self._dying.append(self._old)
            self._old, self._young = self._young, {}
        if slot is None:
            slot = self._new_slot()
            at = (slot & _SLAB_MASK) * RECORD_UNITS
            self._writable(slot >> _SLAB_SHIFT)[at : at + RECORD_UNITS] = _EMPTY
        self._young[short] = slot
        return slot

    def _new_slot(self) -> int:
        """A forgotten record if there is one: forgetting costs a little each time and is never a pause."""
        while self._dying:
            if self._dying[-1]:
                return self._dying[-1].popitem()[1]
            self._dying.pop()
        slot = self._slots
        if slot >> _SLAB_SHIFT == len(self._slabs):
            # By repetition, which is exact: from bytes, an array takes a sixteenth more than it needs.
            self._slabs.append(_EMPTY * (1 << _SLAB_SHIFT))
        self._slots += 1
        return slot

    def _writable(self, number: int) -> "array[int]":
        """The slab, copied first where a snapshot still holds it."""
        if number in self._frozen:
            self._slabs[number] = self._slabs[number][:]
            self._frozen.discard(number)
        return self._slabs[number]

    def freeze(self) -> "FrozenVelocity":
        """The state as it is now, in about a millisecond at the limit: indexes are copied, slabs when they
        change. Call it on the counting thread, between batches."""
        self._frozen = set(range(len(self._slabs)))
        return FrozenVelocity(self._old.copy(), self._young.copy(), tuple(self._slabs))

    def snapshot(self, disk: Disk, path: str, *, position: int) -> None:
        """Freezes and writes at once; where a pause matters, `freeze()` here, `write()` on another thread."""
        self.freeze().write(disk, path, position=position)

    def load(self, disk: Disk, path: str) -> int | None:
        """Takes up a snapshot and returns the journal position that it covers: replay what follows it.

        None where there is no snapshot. Raises VelocitySnapshotCorrupt, and then holds nothing.
        """
        try:
            size = disk.size(path)
        except FileNotFoundError:
            return None
        data = disk.read_at(path, 0, size)
        position, old, young = _unpacked(data)
        self._young, self._old, self._dying, self._frozen = {}, {}, [], set()
        self._slabs, self._slots = [], 0
        for short, record in (*old, *young):
            slot = self._admit(short)
            at = (slot & _SLAB_MASK) * RECORD_UNITS
            self._slabs[slot >> _SLAB_SHIFT][at : at + RECORD_UNITS] = record
        return position


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
    for bucket in range(hour_before + 1, hour + 1):
        slab[at + _HOUR_AT + bucket % _HOURS] = 0


def _count_late(slab: "array[int]", at: int, clock: int, minute: int) -> Counts:
    """Counts an attempt that is older than the key's clock, where its buckets are still kept."""
    counts = []
    for first, buckets, unit in (
        (at + _MINUTE_AT, _MINUTES, 1),
        (at + _FIVE_AT, _FIVES, 5),
        (at + _HOUR_AT, _HOURS, 60),
    ):
        now, own = clock // unit, minute // unit
        if own <= now - buckets:
            counts.append(1)
            continue
        ring = first + own % buckets
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        kept = range(now - buckets + 1, own + 1)
        counts.append(sum([slab[first + bucket % buckets] for bucket in kept]))
    return counts[0], counts[1], counts[2]


@dataclass(frozen=True, slots=True, repr=False)
class FrozenVelocity:
    """The state at one moment; counting goes on beside it."""

    old: dict[int, int]
    young: dict[int, int]
    slabs: tuple["array[int]", ...]

    def write(self, disk: Disk, path: str, *, position: int) -> None:
        """Replaces the snapshot atomically. `position` is the last journal position that is counted in it."""
        disk.replace(path, self.packed(position))

    def packed(self, position: int) -> bytes:
        """Header, records (key 8 bytes, then the record, little-endian), CRC-32 of all before it."""
        parts = [_HEADER.pack(_MAGIC, position, len(self.old), len(self.young))]
        for generation in (self.old, self.young):
            for short, slot in generation.items():
                at = (slot & _SLAB_MASK) * RECORD_UNITS
                record = self.slabs[slot >> _SLAB_SHIFT][at : at + RECORD_UNITS]
                if sys.byteorder == "big":
                    record.byteswap()
                parts.append(short.to_bytes(8, "little"))
                parts.append(record.tobytes())
        body = b"".join(parts)
        return body + _CRC.pack(zlib.crc32(body))


_Records = list[tuple[int, "array[int]"]]


def _unpacked(data: bytes) -> tuple[int, _Records, _Records]:
    if len(data) < _HEADER.size + _CRC.size:
        raise VelocitySnapshotCorrupt(
            "the velocity snapshot is too short; remove it and counts come from the journal"
        )
    magic, position, old, young = _HEADER.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, len(data) - _CRC.size)
    step = 8 + RECORD_BYTES
    whole = len(data) == _HEADER.size + (old + young) * step + _CRC.size
    if magic != _MAGIC or not whole or crc != zlib.crc32(memoryview(data)[: -_CRC.size]):
        raise VelocitySnapshotCorrupt(
            "the velocity snapshot is damaged; remove it and counts come from the journal"
        )
    records: _Records = []
    for at in range(_HEADER.size, len(data) - _CRC.size, step):
        record = array("H", data[at + 8 : at + step])
        if sys.byteorder == "big":
            record.byteswap()
        records.append((int.from_bytes(data[at : at + 8], "little"), record))
    return position, records[:old], records[old:]
