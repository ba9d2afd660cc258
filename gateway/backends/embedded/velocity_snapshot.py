"""The snapshot of velocity counts on disk: the same bytes from either twin of the store."""

import struct
import sys
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

from gateway.backends.embedded.velocity_record import RECORD_BYTES
from gateway.records.errors import GatewayError
from gateway.runtime.disk import Disk

# A snapshot holds this machine's own integers: one of the other byte order is as strange as one of another
# version. 2 had three windows and no others: a record of it cannot be read as one of these.
_NAME: Final = b"EINVEL"
MAGIC: Final = _NAME + b"3" + (b"<" if sys.byteorder == "little" else b">")
_HEADER: Final = struct.Struct("=8sqII")  # magic, journal position, keys, where the hand stands
_CRC: Final = struct.Struct("=I")

ROW: Final = struct.Struct(f"=Q{RECORD_BYTES}s")
"""A key and its record."""

_READ_BYTES: Final = 512 * ROW.size  # 84 KiB: some 50 microseconds without letting go of the interpreter


class VelocitySnapshotUnusable(GatewayError):
    """The snapshot cannot be taken up: counts come from the journal, and the next one replaces it."""

    code = "velocity_snapshot_unusable"


class VelocitySnapshotCorrupt(VelocitySnapshotUnusable):
    """The snapshot is not what was written."""

    code = "velocity_snapshot_corrupt"


class VelocitySnapshotForeign(VelocitySnapshotUnusable):
    """The snapshot is whole as far as can be told, and of another version or byte order."""

    code = "velocity_snapshot_foreign"


class FrozenVelocity:
    """The state at one moment; counting goes on beside it. What it holds stands still until `release`."""

    __slots__ = ()

    @property
    @abstractmethod
    def released(self) -> bool:
        """Whether nothing is held any more."""

    def write(self, disk: Disk, path: str, *, position: int) -> None:
        """Replaces the snapshot atomically, and releases. `position` is the last journal position counted.

        In small pieces, each written at once: a write lets the counting thread have the interpreter. What is
        released has nothing left to write, and what was written before stays.
        """
        if self.released:
            return
        try:
            file = disk.open_append(path + ".new")
            try:
                file.truncate(0)
                crc = 0
                for piece in self._pieces(position):
                    crc = zlib.crc32(piece, crc)
                    file.write(piece)
                # Before the sync, which may take its time: what is held makes counting copy what it changes.
                self.release()
                file.write(_CRC.pack(crc))
                file.sync()
            finally:
                file.close()
            disk.rename(path + ".new", path)
            disk.sync_dir(path.rpartition("/")[0])
        finally:
            self.release()

    def _pieces(self, position: int) -> Iterator[bytes]:
        yield _HEADER.pack(MAGIC, position, *self.sizes())
        yield from self.body()

    @abstractmethod
    def release(self) -> None:
        """Gives back what is held: the last thing done with it. Any thread may call it."""

    @abstractmethod
    def sizes(self) -> tuple[int, int]:
        """Keys, and where the hand stands that finds the next to be forgotten."""

    @abstractmethod
    def body(self) -> Iterator[bytes]:
        """Rows by slot."""


class Snapshot:
    """A snapshot whose sum was checked. Read in pieces: whole, it would take as much again as the store."""

    __slots__ = ("_disk", "_keys", "_path", "hand", "position")

    def __init__(self, disk: Disk, path: str, position: int, keys: int, hand: int) -> None:
        self._disk = disk
        self._path = path
        self._keys = keys
        self.position = position
        self.hand = hand

    def __len__(self) -> int:
        return self._keys

    def rows(self) -> Iterator[bytes]:
        """Pieces of whole rows, by slot."""
        return _pieces(self._disk, self._path, _HEADER.size, _HEADER.size + self._keys * ROW.size)


def open_snapshot(disk: Disk, path: str) -> Snapshot | None:
    """None where there is none. Raises VelocitySnapshotUnusable."""
    try:
        size = disk.size(path)
    except FileNotFoundError:
        return None
    header = disk.read_at(path, 0, _HEADER.size)
    if len(header) == _HEADER.size:
        magic, position, keys, hand = _HEADER.unpack(header)
        if magic != MAGIC and magic.startswith(_NAME):
            raise VelocitySnapshotForeign(
                "the velocity snapshot is of another version or kind of machine; counts come from the journal"
            )
        end = _HEADER.size + keys * ROW.size
        if magic == MAGIC and size == end + _CRC.size:
            crc = 0
            for piece in _pieces(disk, path, 0, end):
                crc = zlib.crc32(piece, crc)
            if _CRC.pack(crc) == disk.read_at(path, end, _CRC.size):
                return Snapshot(disk, path, position, keys, hand)
    raise VelocitySnapshotCorrupt(
        "the velocity snapshot is damaged; remove it and counts come from the journal"
    )


def _pieces(disk: Disk, path: str, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, _READ_BYTES):
        yield disk.read_at(path, at, min(_READ_BYTES, end - at))
