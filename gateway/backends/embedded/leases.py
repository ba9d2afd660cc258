"""Leases as one small file a worker: written in place, read without locks.

A worker that is stopped (SIGSTOP) holds nothing that a kill waits for. The monotonic clock is the machine's,
so that all its processes compare the same time: a lease of another machine has no place in the directory.
"""

import os
import re
import signal
import struct
import time
import zlib
from pathlib import Path
from typing import Final

from gateway.programs.switches import LEASE_GRACE_MS, LEASE_MS, MAX_EPOCH, Lease, SwitchStoreUnavailable
from gateway.runtime.clock import MS, Clock
from gateway.runtime.disk import Disk

# Magic, epoch, expiry in monotonic ns, epoch of consents, CRC-32 of what comes before.
_RECORD: Final = struct.Struct("<4sqqqI")
_MAGIC: Final = b"EINM"

MAX_FILES: Final = 4_096
"""Read in one look, which takes under 100 ms; more are not of one machine's workers of the last hour."""

DEAD_AFTER_MS: Final = 3_600_000
"""A lease that ran out so long ago has no worker: one that slept through it renews within POLL_MS."""

_WORKER_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

FENCE_WAIT_S: Final = 0.2
"""A stopped process that is sent SIGKILL is gone within a millisecond or so."""

_OURS: Final = (b"gateway.server.cli.main", b"/ein\0")
"""In the command line of every process of ours: a process id may have been given to another since."""


class FileLeaseBoard:
    """Implements `LeaseBoard` over a directory."""

    __slots__ = ("_directory", "_disk")

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        disk.make_dirs(directory)

    def renew(
        self, worker_id: str, epoch: int, expires_monotonic_ns: int, consent_epoch: int = MAX_EPOCH
    ) -> None:
        head = struct.pack("<4sqqq", _MAGIC, epoch, expires_monotonic_ns, consent_epoch)
        self._disk.publish(self._path(worker_id), head + struct.pack("<I", zlib.crc32(head)))

    def release(self, worker_id: str) -> None:
        self._remove(self._path(worker_id))

    def _remove(self, path: str) -> None:
        try:
            self._disk.unlink(path)
        except FileNotFoundError:
            return

    def read_all(self) -> list[Lease]:
        """Every lease. Raises SwitchStoreUnavailable where there are too many to look at all of them."""
        names = self._disk.list(self._directory)
        if len(names) > MAX_FILES:
            raise SwitchStoreUnavailable(
                f"leases: more than {MAX_FILES} files, so that not every worker can be looked at. Remove the"
                " old ones; a switch that was just written stands, give it again to see it in effect"
            )
        leases = [self._read(name) for name in names]
        return [lease for lease in leases if lease is not None]

    def fence(self, worker_id: str) -> bool:
        """Ends the worker's process where it is stopped (Linux). One that runs looks again by itself."""
        process = _process_of(worker_id)
        if process is None or _state(process) not in ("T", "t"):
            return False
        try:
            command = (process / "cmdline").read_bytes()
            if not any(mark in command for mark in _OURS):
                return False
            os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            return False  # gone meanwhile, or another user's
        deadline_s = time.monotonic() + FENCE_WAIT_S
        while _state(process) not in ("", "Z", "X") and time.monotonic() < deadline_s:
            time.sleep(0.001)
        return True

    def sweep(self, clock: Clock) -> int:
        """Removes what workers left that were killed; how many. A lease that may still count stays."""
        swept = 0
        for name in self._disk.list(self._directory):
            lease = self._read(name)
            # The clock after the lease: a worker alive cannot have got further ahead of it meanwhile.
            if lease is not None and self._is_dead(lease, clock):
                self._remove(os.path.join(self._directory, name))
                swept += 1
        return swept

    def _is_dead(self, lease: Lease, clock: Clock) -> bool:
        if lease.legible:
            left_ms = (lease.expires_ns - clock.monotonic_ns()) // MS
            # Beyond any lease's length: of an earlier start of this machine.
            return left_ms < -DEAD_AFTER_MS or left_ms > LEASE_MS + LEASE_GRACE_MS
        try:
            changed_ms = os.stat(os.path.join(self._directory, lease.worker_id)).st_mtime_ns // MS
        except FileNotFoundError:
            return False
        return clock.wall_ms() - changed_ms > DEAD_AFTER_MS

    def _read(self, name: str) -> Lease | None:
        try:
            raw = self._disk.read_at(os.path.join(self._directory, name), 0, _RECORD.size)
        except FileNotFoundError:
            return None  # given back between listing and reading
        return _lease(name, raw)

    def _path(self, worker_id: str) -> str:
        if not _WORKER_ID.fullmatch(worker_id):
            raise ValueError("a worker id is lower case letters, digits, dots, dashes, at most 64")
        return os.path.join(self._directory, worker_id)


def _process_of(worker_id: str) -> Path | None:
    """The process that a worker id ends with; None without such a number."""
    number = worker_id.rpartition("-")[2]
    return Path("/proc") / number if number.isdecimal() else None


def _state(process: Path) -> str:
    """State of a process as proc(5) has it, "T" stopped and "t" traced; "" where there is none."""
    try:
        stat = (process / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _lease(name: str, raw: bytes) -> Lease:
    if len(raw) == _RECORD.size:
        magic, epoch, expires_ns, consent_epoch, crc = _RECORD.unpack(raw)
        if magic == _MAGIC and crc == zlib.crc32(raw[:-4]):
            return Lease(name, epoch, expires_ns, consent_epoch=consent_epoch)
    return Lease(name, -1, 0, legible=False)
