"""A folder of documents that is followed: each state of it is taken once, when it has come to rest.

Looked at by `stat`, not by notifications of the kernel: those do not reach every kind of mounted folder, and
a ConfigMap changes by one link far from the files that are watched.
"""

import os
from pathlib import Path
from typing import Final

from gateway.server.policy import documents_in, read_policy

WATCH_INTERVAL_S: Final = 0.3
"""Two looks make a change: it is applied within a second. A look at 1,000 files takes some 10 ms."""

_Stamp = tuple[tuple[str, int, int, int], ...]


class FolderWatch:
    """Says when the documents of a folder are others than those that were taken last."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: _Stamp | None = None
        self._seen: _Stamp | None = None

    def look(self) -> dict[str, str] | None:
        """The documents, where they have changed and stood still since the last look; else None.

        Raises PolicyInvalid where they cannot be read; they are not taken again until they change.
        """
        stamp = self._stamp()
        still, self._seen = stamp is not None and stamp == self._seen, stamp
        if not still or stamp == self._taken:
            return None
        self._taken = stamp
        return read_policy(self._directory)

    def again(self) -> None:
        """What was taken last could not be used for now: the next look takes it again."""
        self._taken = None

    def _stamp(self) -> _Stamp | None:
        """None while files come and go."""
        found = []
        try:
            for path in sorted(documents_in(self._directory)):
                status = os.stat(path)
                name = path.relative_to(self._directory).as_posix()
                found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            return None
        return tuple(found)
