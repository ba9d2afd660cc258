"""A segment full of zeros, made beside the appends, which the journal takes when it needs its next one."""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Final

from gateway.backends.embedded.journal_folder import JournalFolder

STEP_BYTES: Final = 256 * 1024
"""Zeros between two syncs: an append that syncs meanwhile waits a millisecond longer."""

SPARE_NAME: Final = "spare.new"
"""Recovery removes what ends in .new: a spare that no segment was made of is made anew."""

_ZEROS = bytes(STEP_BYTES)


class SpareSegment:
    """The spare of one topic and partition. `make` is for a thread of its own, the rest for who appends."""

    def __init__(self, folder: JournalFolder, size: int) -> None:
        self._disk = folder.disk
        self._path = os.path.join(folder.path, SPARE_NAME)
        self._size = size
        self._lock = threading.Lock()
        """Held while a spare is taken: none is begun under its name before it has another."""

        self._closed = False
        self.ready = False

    def make(self, pause: Callable[[], bool]) -> bool:
        """Makes it durable in steps, where there is none, until `pause` says to give it up. False where there
        is none then: the disk may not give the room."""
        with self._lock:
            if self.ready:
                return True
        try:
            file = self._disk.open_append(self._path)
            try:
                file.truncate(0)
                at, given_up = 0, False
                while at < self._size and not given_up:
                    file.write(_ZEROS[: self._size - at])
                    file.sync()
                    at += STEP_BYTES
                    given_up = self._closed or pause()
            finally:
                file.close()
        except OSError:
            self._drop()
            return False
        with self._lock:
            self.ready = not (given_up or self._closed)
        if not self.ready:
            self._drop()
        return self.ready

    def use(self, path: str, content: bytes) -> int:
        """Makes it the segment at `path` that begins with `content`, atomically and durably. How long it is;
        0 where there is none, or it cannot be had. Raises OSError where it may be that segment now."""
        with self._lock:
            if not self.ready or len(content) > self._size:
                return 0
            self.ready = False
            if not self._begin(content):
                self._drop()
                return 0
            self._disk.rename(self._path, path)
        self._disk.sync_dir(os.path.dirname(path))
        return self._size

    def _begin(self, content: bytes) -> bool:
        try:
            file = self._disk.open_at(self._path, 0)
            try:
                file.write(content)
                file.sync()
            finally:
                file.close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """No more of it. One that is being made is dropped by its maker."""
        with self._lock:
            self._closed, was_ready = True, self.ready
            self.ready = False
        if was_ready:
            self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(OSError):
            self._disk.unlink(self._path)
