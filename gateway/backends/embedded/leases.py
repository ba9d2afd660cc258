"""Leases as one small file a worker: written in place, read without locks.

A worker that is stopped (SIGSTOP) holds nothing that a kill waits for. The monotonic clock is the machine's,
so that all its processes compare the same time: a lease of another machine has no place in the directory.
"""

import os
import re
import struct
import zlib
from typing import Final

from gateway.programs.switches import Lease
from gateway.runtime.disk import Disk

# Magic, epoch, expiry in monotonic ns, CRC-32 of what comes before.
_RECORD: Final = struct.Struct("<4sqqI")
_MAGIC: Final = b"EINL"

MAX_WORKERS: Final = 1_024
"""Leases that are read in one look; more files than this are not of workers of one machine."""

_WORKER_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class FileLeaseBoard:
    """Implements `LeaseBoard` over a directory."""

    __slots__ = ("_directory", "_disk")

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        disk.make_dirs(directory)

    def renew(self, worker_id: str, epoch: int, expires_monotonic_ns: int) -> None:
        head = struct.pack("<4sqq", _MAGIC, epoch, expires_monotonic_ns)
        self._disk.publish(self._path(worker_id), head + struct.pack("<I", zlib.crc32(head)))

    def release(self, worker_id: str) -> None:
        try:
            self._disk.unlink(self._path(worker_id))
        except FileNotFoundError:
            return

    def read_all(self) -> list[Lease]:
        leases: list[Lease] = []
        for name in self._disk.list(self._directory)[:MAX_WORKERS]:
            try:
                raw = self._disk.read_at(os.path.join(self._directory, name), 0, _RECORD.size)
            except FileNotFoundError:
                continue  # given back between listing and reading
            leases.append(_lease(name, raw))
        return leases

    def _path(self, worker_id: str) -> str:
        if not _WORKER_ID.fullmatch(worker_id):
            raise ValueError("a worker id is lower case letters, digits, dots, dashes, at most 64")
        return os.path.join(self._directory, worker_id)


def _lease(name: str, raw: bytes) -> Lease:
    if len(raw) == _RECORD.size:
        magic, epoch, expires_ns, crc = _RECORD.unpack(raw)
        if magic == _MAGIC and crc == zlib.crc32(raw[:-4]):
            return Lease(name, epoch, expires_ns)
    return Lease(name, -1, 0, legible=False)
