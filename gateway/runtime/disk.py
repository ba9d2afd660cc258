"""Files come in through `Disk`, so that a simulated power cut needs no rewrite.

`SimDisk` in `gateway.runtime.simdisk` drops, reorders and tears whatever was not synced.
"""

import fcntl
import os
from typing import Protocol


class DiskFile(Protocol):
    """A file open for appending by one writer."""

    def write(self, data: bytes) -> None:
        """Appends all of `data`. Raises OSError; part of it may then have been written."""
        ...

    def sync(self) -> None:
        """Returns when everything written is durable. After an OSError nothing unsynced may be trusted."""
        ...

    def truncate(self, size: int) -> None:
        """Cuts the file to `size` bytes, where writing goes on; durable after the next sync."""
        ...

    def close(self) -> None: ...


class SmallFile(Protocol):
    """A small file that is open to have its content replaced."""

    def put(self, data: bytes) -> None:
        """As `Disk.publish`, without a look at the path. Raises OSError."""
        ...

    def close(self) -> None: ...


class DiskLock(Protocol):
    """A held lock. Ends with `close`, and with the process."""

    def close(self) -> None: ...


class Disk(Protocol):
    """The file operations that journals need. Paths are absolute. Errors are OSError."""

    def open_append(self, path: str) -> DiskFile:
        """Opens `path` for appending, made if absent; its entry is durable after `sync_dir`."""
        ...

    def open_at(self, path: str, offset: int) -> DiskFile:
        """Opens `path`, which exists: what is written goes to `offset` and on, over what is there."""
        ...

    def open_small(self, path: str) -> SmallFile:
        """Opens `path`, made if absent, for one whole content after the other, all of one length."""
        ...

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file. FileNotFoundError if absent."""
        ...

    def size(self, path: str) -> int:
        """Bytes in the file. FileNotFoundError if absent."""
        ...

    def publish(self, path: str, data: bytes) -> None:
        """Replaces a small file's content in place, not durably: advisory state between processes."""
        ...

    def replace(self, path: str, data: bytes) -> None:
        """Replaces a file atomically and durably (write, sync, rename, sync of the directory)."""
        ...

    def rename(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def list(self, directory: str) -> list[str]:
        """Names in `directory`, sorted; empty if it does not exist."""
        ...

    def make_dirs(self, directory: str) -> None: ...

    def sync_dir(self, directory: str) -> None:
        """Makes the entries of `directory` durable."""
        ...

    def lock(self, path: str) -> DiskLock:
        """Takes the lock file `path` for this process. BlockingIOError if another holds it."""
        ...


class _RealFile:
    """`at` is where writing goes on; None: at the end, as the file was opened."""

    __slots__ = ("_at", "_fd")

    def __init__(self, fd: int, at: int | None = None) -> None:
        self._fd = fd
        self._at = at

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._at is None:
                written = os.write(self._fd, view)
            else:
                written = os.pwrite(self._fd, view, self._at)
                self._at += written
            view = view[written:]

    def sync(self) -> None:
        # fdatasync flushes data and the size that is needed to read it back, and not the time stamps.
        getattr(os, "fdatasync", os.fsync)(self._fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        if self._at is not None:
            self._at = size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _SmallFile(_RealFile):
    __slots__ = ()

    def put(self, data: bytes) -> None:
        os.pwrite(self._fd, data, 0)


class RealDisk:
    """The machine's file system."""

    __slots__ = ()

    def open_append(self, path: str) -> DiskFile:
        return _RealFile(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def open_at(self, path: str, offset: int) -> DiskFile:
        return _RealFile(os.open(path, os.O_WRONLY | os.O_CLOEXEC), offset)

    def open_small(self, path: str) -> SmallFile:
        return _SmallFile(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def read_at(self, path: str, offset: int, size: int) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size, offset)
        finally:
            os.close(fd)

    def size(self, path: str) -> int:
        return os.stat(path).st_size

    def publish(self, path: str, data: bytes) -> None:
        file = self.open_small(path)
        try:
            file.put(data)
        finally:
            file.close()

    def replace(self, path: str, data: bytes) -> None:
        temporary = path + ".new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        file = _RealFile(fd)
        try:
            file.write(data)
            os.fsync(fd)
        finally:
            file.close()
        os.rename(temporary, path)
        self.sync_dir(os.path.dirname(path))

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def list(self, directory: str) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_dirs(self, directory: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)

    def sync_dir(self, directory: str) -> None:
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: str) -> DiskLock:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return _RealFile(fd)
