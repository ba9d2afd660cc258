"""A disk in memory that loses at a power cut what a real one may lose. All choices come from a seed."""

import errno
import os
from dataclasses import dataclass, field
from random import Random

from gateway.runtime.disk import DiskFile, DiskLock, SmallFile

SECTOR_BYTES = 512
"""What a disk writes whole: a sector survives in one of its versions (or torn, which is rarer still)."""

VERSIONS = 16
"""Unsynced versions of a sector that are remembered; older ones are forgotten at random."""

_TORN_SECTORS = 0.05
_PREFIX_CUTS = 0.25
_KEPT_CUTS = 0.15


class PowerCut(BaseException):
    """The power went at this operation, and only `SimDisk.power_cut()` is of use after it.

    No Exception, since no code is to handle it: the machine is gone.
    """


@dataclass(slots=True)
class Faults:
    """Chance of a failure, by operation. A failed write keeps a part; a failed sync marks its pages clean."""

    open: float = 0.0
    write: float = 0.0
    truncate: float = 0.0
    sync: float = 0.0
    sync_dir: float = 0.0
    publish: float = 0.0
    unlink: float = 0.0


@dataclass(slots=True)
class _Inode:
    """`cached` is what programs see. Of what is not synced, `pending` has the versions by sector."""

    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    pending: dict[int, list[bytes]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Change:
    """An entry of a directory that is not synced. `source` is the old name of a rename."""

    path: str
    inode: _Inode | None
    source: str | None = None


class SimDisk:
    """Implements `Disk`. For one thread. Directories and files are paths; "/" is there and durable."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self._random = Random(seed)
        self.faults = faults if faults is not None else Faults()
        self.operations = 0
        self.syncs = 0
        self.failed: dict[str, int] = {}
        self._cut_at: int | None = None
        self._files: dict[str, _Inode] = {}
        self._durable_files: dict[str, _Inode] = {}
        self._dirs: set[str] = {"/"}
        self._durable_dirs: set[str] = {"/"}
        self._changes: dict[str, list[_Change]] = {}
        self._locks: dict[str, _SimLock] = {}

    # What a test does to it.

    def cut_after(self, operations: int) -> None:
        """Raises PowerCut at the operation that follows the next `operations` ones, and ever after."""
        self._cut_at = self.operations + operations

    def crash(self) -> None:
        """The process dies, the machine goes on: nothing is lost but its locks, and a cut that was due."""
        self._cut_at = None
        self._locks.clear()

    def power_cut(self) -> "SimDisk":
        """The disk as it may be found after the power went: another one, without faults."""
        after = SimDisk(self._random.getrandbits(64))
        inodes: dict[int, _Inode] = {}
        dirs, entries = self._surviving_entries()
        after._dirs, after._durable_dirs = dirs, set(dirs)
        for path, inode in entries.items():
            if id(inode) not in inodes:
                content = bytearray(self._survivor(inode))
                inodes[id(inode)] = _Inode(durable=content, cached=bytearray(content))
            after._files[path] = after._durable_files[path] = inodes[id(inode)]
        return after

    def damage(self, path: str, offset: int) -> None:
        """Flips a durable bit, as a medium does in years."""
        inode = self._inode(path)
        for content in (inode.cached, inode.durable):
            if offset < len(content):
                content[offset] ^= 0x10

    # What programs do with it.

    def open_append(self, path: str) -> DiskFile:
        self._step("open", path)
        return _SimFile(self, path, self._created(path), None)

    def open_at(self, path: str, offset: int) -> DiskFile:
        self._step("open", path)
        return _SimFile(self, path, self._inode(path), offset)

    def open_small(self, path: str) -> SmallFile:
        self._step("open", path)
        return _SimSmallFile(self, path, self._created(path))

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        self._check_power()
        return bytes(self._inode(path).cached[offset : offset + size])

    def size(self, path: str) -> int:
        self._check_power()
        return len(self._inode(path).cached)

    def publish(self, path: str, data: bytes) -> None:
        self._step("publish", path)
        self._put(self._created(path), 0, data)

    def replace(self, path: str, data: bytes) -> None:
        file = self.open_append(path + ".new")
        file.truncate(0)
        file.write(data)
        file.sync()
        self.rename(path + ".new", path)
        self.sync_dir(os.path.dirname(path))

    def rename(self, source: str, target: str) -> None:
        self._step("open", source)
        inode = self._inode(source)
        del self._files[source]
        self._files[target] = inode
        self._change(_Change(target, inode, source))

    def unlink(self, path: str) -> None:
        self._step("unlink", path)
        self._inode(path)
        del self._files[path]
        self._change(_Change(path, None))

    def list(self, directory: str) -> list[str]:
        self._check_power()
        found = [path for path in (*self._files, *self._dirs) if path != "/"]
        return sorted(os.path.basename(path) for path in found if os.path.dirname(path) == directory)

    def make_dirs(self, directory: str) -> None:
        self._check_power()
        while directory not in self._dirs:
            self._dirs.add(directory)
            directory = os.path.dirname(directory)

    def sync_dir(self, directory: str) -> None:
        self._step("sync_dir", directory)
        if directory not in self._dirs:
            raise FileNotFoundError(errno.ENOENT, "no such directory", directory)
        for change in self._changes.pop(directory, []):
            _apply(change, self._durable_files)
        self._durable_dirs |= {path for path in self._dirs if os.path.dirname(path) == directory}

    def lock(self, path: str) -> DiskLock:
        self._check_power()
        if path in self._locks:
            raise BlockingIOError(errno.EWOULDBLOCK, "held by another process", path)
        self._locks[path] = lock = _SimLock(self._locks, path)
        return lock

    # Files.

    def _created(self, path: str) -> _Inode:
        inode = self._files.get(path)
        if inode is None:
            if os.path.dirname(path) not in self._dirs:
                raise FileNotFoundError(errno.ENOENT, "no such directory", path)
            inode = self._files[path] = _Inode()
            self._change(_Change(path, inode))
        return inode

    def _inode(self, path: str) -> _Inode:
        inode = self._files.get(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return inode

    def _write(self, path: str, inode: _Inode, offset: int, data: bytes) -> None:
        try:
            self._step("write", path, code=self._random.choice((errno.ENOSPC, errno.EIO)))
        except PowerCut:
            self._put(inode, offset, data)
            raise
        except OSError:
            self._put(inode, offset, data[: self._random.randrange(len(data) or 1)])
            raise
        self._put(inode, offset, data)

    def _put(self, inode: _Inode, offset: int, data: bytes) -> None:
        inode.cached[offset : offset + len(data)] = data
        self._dirty(inode, offset, offset + len(data))

    def _truncate(self, path: str, inode: _Inode, size: int) -> None:
        self._step("truncate", path)
        before = len(inode.cached)
        del inode.cached[size:]
        if size < before:
            self._dirty(inode, size, size + 1)

    def _dirty(self, inode: _Inode, start: int, end: int) -> None:
        for sector in range(start // SECTOR_BYTES, (end + SECTOR_BYTES - 1) // SECTOR_BYTES):
            versions = inode.pending.setdefault(sector, [])
            versions.append(_sector(inode.cached, sector))
            if len(versions) > VERSIONS:
                versions.pop(self._random.randrange(VERSIONS))
        inode.sizes.append(len(inode.cached))
        if len(inode.sizes) > VERSIONS:
            inode.sizes.pop(self._random.randrange(VERSIONS))

    def _sync(self, path: str, inode: _Inode) -> None:
        try:
            self._step("sync", path)
        except OSError:
            # Linux: the pages are clean now, whatever reached the disk; a later sync will not write them.
            inode.durable = bytearray(self._survivor(inode))
            inode.pending.clear()
            inode.sizes.clear()
            raise
        self.syncs += 1
        content = inode.durable
        _resize(content, len(inode.cached))
        for sector in inode.pending:
            version = _sector(inode.cached, sector)
            content[sector * SECTOR_BYTES : sector * SECTOR_BYTES + len(version)] = version
        inode.pending.clear()
        inode.sizes.clear()

    def _survivor(self, inode: _Inode) -> bytes:
        """A content that this file may have after a cut: sectors in any order, in any of their versions."""
        random = self._random
        content = bytearray(inode.durable)
        draw = random.random()
        size = random.choice([len(content), *inode.sizes])
        sectors = sorted(inode.pending)
        if draw < _KEPT_CUTS:
            # All of it had been written back already.
            size = inode.sizes[-1] if inode.sizes else size
            chances = dict.fromkeys(sectors, 1.0)
        elif draw < _KEPT_CUTS + _PREFIX_CUTS:
            kept = random.randint(0, len(sectors))
            chances = {sector: 1.0 if at < kept else 0.0 for at, sector in enumerate(sectors)}
        else:
            chance = random.choice((0.0, 0.2, 0.5, 0.8))
            chances = dict.fromkeys(sectors, chance)
        _resize(content, max(size, len(content)))
        for sector, chance in chances.items():
            if random.random() < chance:
                versions = inode.pending[sector]
                self._overlay(content, sector, versions[-1] if chance == 1.0 else random.choice(versions))
        del content[size:]
        return bytes(content)

    def _overlay(self, content: bytearray, sector: int, version: bytes) -> None:
        start = sector * SECTOR_BYTES
        if self._random.random() < _TORN_SECTORS:
            version = version[: self._random.randint(0, len(version))]
        end = start + len(version)
        if len(content) < end:
            _resize(content, end)
        content[start:end] = version

    # Directories.

    def _change(self, change: _Change) -> None:
        self._changes.setdefault(os.path.dirname(change.path), []).append(change)

    def _surviving_entries(self) -> tuple[set[str], dict[str, _Inode]]:
        dirs = set(self._durable_dirs)
        for directory in sorted(self._dirs - dirs):
            if os.path.dirname(directory) in dirs and self._random.random() < 0.5:
                dirs.add(directory)
        entries = dict(self._durable_files)
        for changes in self._changes.values():
            chance = self._random.choice((0.0, 0.5, 1.0))
            for change in changes:
                if self._random.random() < chance:
                    _apply(change, entries)
        return dirs, {path: inode for path, inode in entries.items() if _parents(path) <= dirs}

    # Faults.

    def _step(self, operation: str, path: str, *, code: int = errno.EIO) -> None:
        """Counts an operation, cuts the power where it is due, fails where the faults say so."""
        self._check_power()
        self.operations += 1
        if self._cut_at is not None and self.operations > self._cut_at:
            raise PowerCut
        if self._random.random() < getattr(self.faults, operation):
            self.failed[operation] = self.failed.get(operation, 0) + 1
            raise OSError(code, f"injected failure of {operation}", path)

    def _check_power(self) -> None:
        if self._cut_at is not None and self.operations > self._cut_at:
            raise PowerCut


class _SimFile:
    """`at` is where writing goes on; None: at the end, wherever that is."""

    __slots__ = ("_at", "_disk", "_inode", "_path")

    def __init__(self, disk: SimDisk, path: str, inode: _Inode, at: int | None) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._at = at

    def write(self, data: bytes) -> None:
        at = self._at
        self._disk._write(self._path, self._inode, len(self._inode.cached) if at is None else at, data)
        if at is not None:
            self._at = at + len(data)

    def sync(self) -> None:
        self._disk._sync(self._path, self._inode)

    def truncate(self, size: int) -> None:
        self._disk._truncate(self._path, self._inode, size)
        if self._at is not None:
            self._at = size

    def close(self) -> None:
        pass


class _SimSmallFile:
    __slots__ = ("_disk", "_inode", "_path")

    def __init__(self, disk: SimDisk, path: str, inode: _Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode

    def put(self, data: bytes) -> None:
        self._disk._step("publish", self._path)
        self._disk._put(self._inode, 0, data)

    def close(self) -> None:
        pass


class _SimLock:
    __slots__ = ("_locks", "_path")

    def __init__(self, locks: dict[str, "_SimLock"], path: str) -> None:
        self._locks = locks
        self._path = path

    def close(self) -> None:
        if self._locks.get(self._path) is self:
            del self._locks[self._path]


def _sector(content: bytearray, sector: int) -> bytes:
    return bytes(content[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES])


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _apply(change: _Change, entries: dict[str, _Inode]) -> None:
    if change.source is not None:
        entries.pop(change.source, None)
    if change.inode is None:
        entries.pop(change.path, None)
    else:
        entries[change.path] = change.inode


def _parents(path: str) -> set[str]:
    found = set()
    while path != "/":
        path = os.path.dirname(path)
        found.add(path)
    return found
