"""Small files for their owner's eyes: read with a bound, written whole and durable, changed one at a time."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.records.errors import GatewayError
from gateway.runtime.disk import RealDisk
from gateway.sealing.keys import KeyStoreFault

FILE_BYTES_MAX = 256 * 1024
"""A JWK Set of 32 RSA-4096 keys is 30 kB."""

LOCK_RETRY_S = 0.02
"""Between two looks whether the lock is free."""

Mark = tuple[int, int, int]
"""Tells a file from the one that takes its place: time, inode, size."""


class KeyFileError(KeyStoreFault):
    """Key files are missing, open to others, damaged, or do not open with this passphrase."""

    code = "key_files"


def mark_in(status: os.stat_result) -> Mark:
    return (status.st_mtime_ns, status.st_ino, status.st_size)


def mark_of(path: Path) -> Mark | None:
    """None where there is no such file."""
    try:
        return mark_in(path.stat())
    except FileNotFoundError:
        return None


def read_private(path: Path, max_bytes: int = FILE_BYTES_MAX) -> bytes:
    """Reads a file that nobody else may read. Raises KeyFileError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise KeyFileError(f"{path.name} is missing: make keys by `ein init`") from None
    except OSError:
        raise KeyFileError(f"{path.name} cannot be read by this user") from None
    with os.fdopen(fd, "rb") as file:
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
            raise KeyFileError(f"{path.name} is open to others: chmod 600")
        return file.read(max_bytes)


def write_new(path: Path, data: bytes) -> None:
    """Raises FileExistsError: what is there is not overwritten."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def replace_private(path: Path, data: bytes) -> None:
    """The whole file at once: a reader finds the old one or the new one, after a power cut too."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    write_new(temporary, data)
    os.replace(temporary, path)
    RealDisk().sync_dir(str(path.parent))


@contextmanager
def alone(path: Path, busy: GatewayError, wait_s: float = 0.0) -> Iterator[None]:
    """While a file is read, changed and written, so that no change undoes another. Raises `busy`."""
    disk, lock_path = RealDisk(), str(path.with_suffix(".lock"))
    until_s = time.monotonic() + wait_s
    while True:
        try:
            lock = disk.lock(lock_path)
            break
        except BlockingIOError:
            if time.monotonic() >= until_s:
                raise busy from None
            time.sleep(LOCK_RETRY_S)
    try:
        yield
    finally:
        lock.close()
