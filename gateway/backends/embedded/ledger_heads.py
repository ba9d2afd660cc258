"""The file of signed heads: one line a head, added to and never changed."""

from pathlib import Path
from typing import Final

from gateway.ledger.ports import LedgerUnavailable
from gateway.runtime.disk import Disk

TAIL_BYTES: Final = 256 * 1024
"""Read to find the last line: a head of a thousand chains."""


class AppendedHeads:
    """Implements `HeadsFile`. One writer; anyone may copy the file at any time."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = str(path.absolute())
        self._folder = str(path.absolute().parent)

    def last_line(self) -> bytes | None:
        return self._last()[0]

    def append(self, line: bytes) -> None:
        try:
            _, whole_bytes, size = self._last()
            file = self._disk.open_append(self._path)
            try:
                if whole_bytes < size:
                    # Half a line of a crash: it was never told to anyone.
                    file.truncate(whole_bytes)
                file.write(line + b"\n")
                file.sync()
            finally:
                file.close()
            if not size:
                self._disk.sync_dir(self._folder)
        except OSError:
            raise LedgerUnavailable("the heads cannot be written: check the state directory's disk") from None

    def _last(self) -> tuple[bytes | None, int, int]:
        """The last whole line, the bytes up to its end, and those of the file."""
        try:
            size = self._disk.size(self._path)
            begin = max(0, size - TAIL_BYTES)
            data = self._disk.read_at(self._path, begin, size - begin)
        except FileNotFoundError:
            return None, 0, 0
        except OSError:
            raise LedgerUnavailable("the heads cannot be read: check the state directory's disk") from None
        end = data.rfind(b"\n")
        if end < 0:
            if begin:
                raise LedgerUnavailable("the last line of the heads is longer than any that we write")
            return None, 0, size
        return data[data.rfind(b"\n", 0, end) + 1 : end], begin + end + 1, size
