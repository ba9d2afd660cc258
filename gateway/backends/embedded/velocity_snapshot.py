"""The snapshot of velocity counts on disk: the same bytes from either twin of the store."""

import struct
import sys
import zlib
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.records.errors import GatewayError
from gateway.runtime.disk import Disk

# A record in 16-bit units: the key's clock in minutes, three rings of buckets, the sum of the last one.
RECORD_UNITS: Final = 49
RECORD_BYTES: Final = 2 * RECORD_UNITS

# A slab of 512 records is 48 KiB: copied in some microseconds when a snapshot needs the old one.
SLAB_SHIFT: Final = 9

# A snapshot holds this machine's own arrays: one of the other byte order is as good as damaged.
MAGIC: Final = b"EINVEL2" + (b"<" if sys.byteorder == "little" else b">")
_HEADER: Final = struct.Struct("=8sqIII")  # magic, journal position, slabs, keys of the old, of the young
_CRC: Final = struct.Struct("=I")


class VelocitySnapshotCorrupt(GatewayError):
    """The snapshot cannot be trusted; counting starts again from the journal."""

    code = "velocity_snapshot_corrupt"


class FrozenVelocity:
    """The state at one moment; counting goes on beside it. What it holds stands still until `release`."""

    __slots__ = ()

    @property
    @abstractmethod
    def released(self) -> bool:
        """Whether nothing is held any more."""

    def write(self, disk: Disk, path: str, *, position: int) -> None:
        """Replaces the snapshot atomically, and releases. `position` is the last journal position counted.

        In small pieces, each written at once: a write lets the counting thread have the interpreter.
        """
        try:
            file = disk.open_append(path + ".new")
            try:
                file.truncate(0)
                crc = 0
                for piece in self._pieces(position):
                    crc = zlib.crc32(piece, crc)
                    file.write(piece)
                file.write(_CRC.pack(crc))
                file.sync()
            finally:
                file.close()
            disk.rename(path + ".new", path)
            disk.sync_dir(path.rpartition("/")[0])
        finally:
            self.release()

    def _pieces(self, position: int) -> Iterator[bytes]:
        slabs, old, young = self.sizes()
        yield _HEADER.pack(MAGIC, position, slabs, old, young)
        yield from self.body()

    @abstractmethod
    def release(self) -> None:
        """Gives back what is held: the last thing done with it. Any thread may call it."""

    @abstractmethod
    def sizes(self) -> tuple[int, int, int]:
        """Slabs, keys of the old generation, keys of the young."""

    @abstractmethod
    def body(self) -> Iterator[bytes]:
        """Slabs, keys (8 bytes each, old before young), their slots (4 bytes each)."""


@dataclass(frozen=True, slots=True, repr=False)
class Snapshot:
    """What a snapshot holds, each part as the machine's own array."""

    position: int
    keys: bytes
    slots: bytes
    slabs: bytes


def read_snapshot(disk: Disk, path: str) -> Snapshot | None:
    """None where there is none. Raises VelocitySnapshotCorrupt."""
    try:
        size = disk.size(path)
    except FileNotFoundError:
        return None
    data = disk.read_at(path, 0, size)
    if len(data) >= _HEADER.size + _CRC.size:
        magic, position, slabs, old, young = _HEADER.unpack_from(data)
        keys_at = _HEADER.size + slabs * (RECORD_BYTES << SLAB_SHIFT)
        slots_at = keys_at + 8 * (old + young)
        end = slots_at + 4 * (old + young)
        whole = magic == MAGIC and len(data) == end + _CRC.size
        if whole and _CRC.unpack_from(data, end)[0] == zlib.crc32(memoryview(data)[:end]):
            slots = data[slots_at:end]
            if max(array("I", slots), default=-1) < slabs << SLAB_SHIFT:
                return Snapshot(position, data[keys_at:slots_at], slots, data[_HEADER.size : keys_at])
    raise VelocitySnapshotCorrupt(
        "the velocity snapshot is damaged; remove it and counts come from the journal"
    )
