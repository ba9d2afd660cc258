"""Velocity counts in this process's memory: rows of keys and packed records, in slabs.

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

import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from enrichment.velocity import OTHERS
from gateway.backends.embedded.velocity_record import EMPTY, RECORD_UNITS, count
from gateway.backends.embedded.velocity_snapshot import ROW, FrozenVelocity, open_snapshot
from gateway.runtime.disk import Disk
from gateway.sharing.velocity_port import Counts, Touch
from issuernetwork.storage.v1.journal_pb2 import Evaluation

MAX_KEYS: Final = 1_000_000
"""Keys kept, where the settings say nothing: 180 MB in Rust once there are so many, 280 MB in Python."""

MINUTE_MS: Final = 60_000
_MAX_MINUTE: Final = 2**32 - 1

_KEY_UNITS: Final = 4
_ROW_UNITS: Final = _KEY_UNITS + RECORD_UNITS

_SLAB_SHIFT: Final = 6
_SLAB_ROWS: Final = 1 << _SLAB_SHIFT
"""10 KiB: copied in some microseconds when a snapshot needs the old rows."""

_SLAB_MASK: Final = _SLAB_ROWS - 1
_SHORT_MASK: Final = 2**60 - 1
"""60 bits of the MAC: an int that Python keeps in 32 bytes, where 16 bytes take 64. With 2^20 keys two meet
once in 2^21 stores. Masked and not shifted: a shift leaves the result in the larger block it was made in."""

_HASH_MASK: Final = 2**32 - 1


def _minute(payment_time_ms: int) -> int:
    return min(max(payment_time_ms // MINUTE_MS, 0), _MAX_MINUTE)


class EmbeddedVelocity:
    """`VelocityStore` of one process. One thread calls it; `FrozenVelocity.write` may run on another.

    Memory is bounded by `max_keys`. Where there are so many, a new key takes the row of another: a hand goes
    round the rows, passes those touched again since they came or it was there last, and stops at the first
    that was not. So a key stays for a whole round of the hand after its last touch; one that is forgotten
    counts from 1 again. (The clock algorithm: F. J. Corbató, "A paging experiment with the Multics system",
    1968.)
    """

    __slots__ = (
        "_frozen",
        "_hand",
        "_held",
        "_max_keys",
        "_others",
        "_ready",
        "_slabs",
        "_slots",
        "_touched",
    )

    def __init__(self, *, max_keys: int = MAX_KEYS, others: Sequence[int | None] = OTHERS) -> None:
        """`others`: for each place in an attempt, the place of the key that is told apart under it."""
        if max_keys < 2:
            raise ValueError("max_keys must be at least 2")
        self._max_keys = max_keys
        self._others = others
        self._ready = False
        self._slots: dict[int, int] = {}
        self._slabs: list[array[int]] = []
        self._touched = bytearray()
        self._hand = 0
        self._frozen: set[int] = set()
        self._held: _FrozenSlabs | None = None

    @property
    def ready(self) -> bool:
        """Whether counts are whole: the snapshot is loaded and the journal's tail replayed."""
        return self._ready

    def caught_up(self) -> None:
        """Says that replay has reached the end of the journal; from now on `touch` counts."""
        self._ready = True

    def __len__(self) -> int:
        return len(self._slots)

    def touch(self, batch: Sequence[Touch]) -> list[tuple[Counts | None, ...] | None]:
        """As the port says. While warming nothing is counted here: the journal has the attempt, and `replay`
        comes to it."""
        if not self._ready:
            return [None] * len(batch)
        return [self._count(keys, _minute(payment_time_ms)) for payment_time_ms, keys in batch]

    def replay(self, keys: Sequence[bytes | None], payment_time_ms: int) -> None:
        """Counts an attempt read back from the journal."""
        self._count(keys, _minute(payment_time_ms))

    def replay_records(self, records: list[bytes]) -> None:
        """Counts the attempts of journal records, in order. Raises DecodeError where one is none."""
        for record in records:
            evaluation = Evaluation.FromString(record)
            self.replay(evaluation.velocity_keys, evaluation.initiated_at_ms)

    def _count(self, keys: Sequence[bytes | None], minute: int) -> tuple[Counts | None, ...]:
        """One attempt under each of its keys. An empty key stands for none, as records have it."""
        shorts = [int.from_bytes(key[:8], "little") & _SHORT_MASK if key else None for key in keys]
        slots, touched, others, frozen = self._slots, self._touched, self._others, self._frozen
        answer: list[Counts | None] = []
        for place, short in enumerate(shorts):
            if short is None:
                answer.append(None)
                continue
            other = others[place] if place < len(others) else None
            hashed = shorts[other] if other is not None and other < len(shorts) else None
            slot = slots.get(short)
            if slot is None:
                slot = self._admit(short)
            else:
                touched[slot] = 1
            slab = self._row(slot)[0] if frozen else self._slabs[slot >> _SLAB_SHIFT]
            # A hash of 0 would say that there is none.
            own = 0 if hashed is None else hashed & _HASH_MASK or 1
            answer.append(count(slab, (slot & _SLAB_MASK) * _ROW_UNITS + _KEY_UNITS, minute, own))
        return tuple(answer)

    def _row(self, slot: int) -> tuple["array[int]", int]:
        """Where the row is: its slab, copied first where a snapshot still holds it, and the place there."""
        number = slot >> _SLAB_SHIFT
        if number in self._frozen:
            self._frozen.discard(number)
            if self._held is not None and not self._held.released:
                self._slabs[number] = self._slabs[number][:]
        return self._slabs[number], (slot & _SLAB_MASK) * _ROW_UNITS

    def _admit(self, short: int) -> int:
        """Slot of a key that is not here, with an empty record."""
        slot = len(self._slots)
        if slot >= self._max_keys:
            slot = self._forget()
        else:
            self._touched.append(0)
            if slot >> _SLAB_SHIFT == len(self._slabs):
                # By repetition, which is exact: from bytes, an array takes a sixteenth more than it needs.
                self._slabs.append(array("H", [0]) * (_ROW_UNITS << _SLAB_SHIFT))
        slab, at = self._row(slot)
        slab[at : at + _KEY_UNITS] = array("H", short.to_bytes(8, sys.byteorder))
        slab[at + _KEY_UNITS : at + _ROW_UNITS] = EMPTY
        self._slots[short] = slot
        return slot

    def _forget(self) -> int:
        """Takes the first key from the hand on that was not touched since the hand was there."""
        touched, hand = self._touched, self._hand
        slot = touched.find(0, hand)
        if slot < 0:
            touched[hand:] = bytes(len(touched) - hand)
            hand, slot = 0, touched.find(0)
        touched[hand:slot] = bytes(slot - hand)
        self._hand = (slot + 1) % len(touched)
        slab, at = self._row(slot)
        del self._slots[int.from_bytes(slab[at : at + _KEY_UNITS].tobytes(), sys.byteorder)]
        return slot

    def freeze(self) -> "FrozenVelocity | None":
        """The state as it is now, in some 100 µs: nothing is copied before it changes.

        Call it on the counting thread between batches, and `write` (or `release`) the result on another. None
        while an earlier one is still being written.
        """
        if self._held is not None and not self._held.released:
            return None
        self._frozen = set(range(len(self._slabs)))
        self._held = _FrozenSlabs(tuple(self._slabs), len(self._slots), self._hand)
        return self._held

    def snapshot(self, disk: Disk, path: str, *, position: int) -> None:
        """Freezes and writes at once; where a pause matters, `freeze()` here, `write()` on another thread."""
        frozen = self.freeze()
        if frozen is not None:
            frozen.write(disk, path, position=position)

    def load(self, disk: Disk, path: str) -> int | None:
        """Takes up a snapshot and returns the journal position that it covers: replay what follows it.

        None where there is no snapshot. Raises VelocitySnapshotUnusable, and then holds what it held.
        """
        snapshot = open_snapshot(disk, path)
        if snapshot is None:
            return None
        self._slots, self._slabs, self._touched, self._hand = {}, [], bytearray(), 0
        self._frozen, self._held = set(), None
        for rows in snapshot.rows():
            for short, record in ROW.iter_unpack(rows):
                slab, at = self._row(self._admit(short))
                slab[at + _KEY_UNITS : at + _ROW_UNITS] = array("H", record)
        self._hand = snapshot.hand if snapshot.hand < len(self._slots) else 0
        return snapshot.position


class _FrozenSlabs(FrozenVelocity):
    __slots__ = ("_hand", "_keys", "_released", "_slabs")

    def __init__(self, slabs: tuple["array[int]", ...], keys: int, hand: int) -> None:
        self._slabs = slabs
        self._keys = keys
        self._hand = hand
        self._released = False

    @property
    def released(self) -> bool:
        return self._released

    def release(self) -> None:
        self._released = True
        self._slabs = ()

    def sizes(self) -> tuple[int, int]:
        return self._keys, self._hand

    def body(self) -> Iterator[bytes]:
        left = self._keys
        for slab in self._slabs:
            rows = min(left, _SLAB_ROWS)
            yield slab[: rows * _ROW_UNITS].tobytes()
            left -= rows
