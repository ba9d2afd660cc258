"""Journals in framed segment files: one write and one fdatasync a batch, readers without locks.

Rules that make a crash at any point harmless:
- A segment comes into being at once with its header (`Disk.replace`), and its first position says that all
  before it is durable. Frames of an older segment at or behind that position are void.
- A batch is whole or nothing. A failed write is cut back; what is left of it is never taken for a batch.
- After a failed sync nothing of that file may be trusted again (the kernel marks its pages clean): the next
  append opens a new segment at the first position that is not durable, which makes the failed batch void.
  A crash before that leaves it to recovery, which keeps it if it is whole. Either way no reader has seen it.
- What recovery keeps without knowing it durable is copied into a new segment, synced before readers see it.
- Readers see only positions up to the one in the commit file, published after each sync.
- A segment may be filled with zeros ahead of its frames, so that a sync has no size and no place on the disk
  to write down (decision 38). Zeros are no frame: what is behind the last one is as if it were not there.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from gateway.backends.embedded.journal_folder import JournalFolder
from gateway.backends.embedded.journal_format import (
    MAX_RECORD_BYTES,
    SEGMENT_HEADER_BYTES,
    Commit,
    pack_batch,
    pack_commit,
    pack_segment_header,
)
from gateway.backends.embedded.journal_reader import FileJournalReader
from gateway.backends.embedded.journal_spare import SpareSegment
from gateway.records.journal import FIRST, JournalUnavailable, JournalUndetermined
from gateway.runtime.clock import Clock
from gateway.runtime.disk import Disk, DiskFile, DiskLock, SmallFile

__all__ = ["FILLED_BYTES", "KEEP_MS", "SEGMENT_BYTES", "SEGMENT_MS", "FileJournalReader", "FileJournalWriter"]

SEGMENT_BYTES = 64 * 1024 * 1024
"""A segment is closed at this size: recovery reads one in about 0.2 s."""

FILLED_BYTES = 2 * 1024 * 1024
"""Of zeros in the first segment of a process: a second at 1,000 payments/s, until the spare one is made."""

SEGMENT_MS = 3_600_000
"""A segment is closed at this age, so that records outlive their retention by an hour at most."""

KEEP_MS = 8 * 24 * 3_600_000
"""Journals, with the sealed bodies in them, are kept 8 days (docs: retention)."""

LOCK_NAME = "writer.lock"

DURABLE_ANCESTORS = 3
"""Directories above the journal's that may be new: <state>/gateway/journal, and the state's own parent."""


class FileJournalWriter:
    """The one writer of a journal directory. Implements `JournalWriter`; any thread may call it.

    Opening recovers: raises JournalCorrupt when an acknowledged record is damaged, JournalUnavailable when
    another process holds the directory or the disk refuses. `wake` is called after each durable append.
    """

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        directory: str | os.PathLike[str],
        topics: Sequence[str],
        *,
        wake: Callable[[], None] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        segment_ms: int = SEGMENT_MS,
        filled: Mapping[str, int] | None = None,
    ) -> None:
        """`filled`: by topic, bytes of zeros in its first segment; those behind it are filled whole, once
        `prepare` has made a spare one. Segments of other topics are not."""
        self._disk = disk
        self._clock = clock
        self._directory = os.path.abspath(directory)
        self._topics = frozenset(topics)
        self._wake = wake
        self._segment_bytes = segment_bytes
        self._segment_ms = segment_ms
        self._filled = filled or {}
        self._writers: dict[tuple[str, int], _TopicWriter] = {}
        self._opening = threading.Lock()
        self._retaining = threading.Lock()
        self._lock = self._own_directory()
        try:
            for topic in topics:
                self._writer(topic, 0)
        except BaseException:
            self.close()
            raise
        self._tell()

    def append(self, topic: str, payloads: Sequence[bytes], *, partition: int = 0) -> list[int]:
        """See `JournalWriter.append`."""
        positions = self._writer(topic, partition).append(payloads)
        self._tell()
        return positions

    def end(self, topic: str, *, partition: int = 0) -> int:
        """Position of the last durable record; FIRST when there is none."""
        return self._writer(topic, partition).durable

    def retain(self, keep_ms: int = KEEP_MS) -> int:
        """Unlinks segments whose last record is older than `keep_ms`; their number. Never the active one.

        Closes an active segment of `segment_ms` of age first, so that a quiet topic ages too.
        """
        with self._retaining:
            return sum(writer.retain(keep_ms) for writer in list(self._writers.values()))

    def prepare(self, topic: str, pause: Callable[[], bool] = lambda: False, *, partition: int = 0) -> bool:
        """Makes a spare segment full of zeros where there is none; whether there is one now.

        For a thread of its own: it takes seconds. `pause` is called between two steps, so that syncs of what
        is appended meanwhile have the disk; it says whether to give it up.
        """
        return topic in self._filled and self._writer(topic, partition).prepare(pause)

    @property
    def unpublished(self) -> int:
        """Appends whose end could not be published at once: readers learned of them with the next one."""
        return sum(writer.unpublished for writer in self._writers.values())

    def close(self) -> None:
        """Releases the directory. Later appends raise JournalUnavailable."""
        for writer in list(self._writers.values()):
            writer.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _own_directory(self) -> DiskLock | None:
        try:
            self._disk.make_dirs(self._directory)
            self._keep_path()
            return self._disk.lock(os.path.join(self._directory, LOCK_NAME))
        except BlockingIOError as cause:
            raise JournalUnavailable(
                "the journal directory is held by another process: stop it before starting this one"
            ) from cause
        except OSError as cause:
            raise _refused("the journal directory cannot be opened") from cause

    def _keep_path(self) -> None:
        """Makes the way to the directory durable, which may be as new as the directory itself."""
        ancestor = self._directory
        for _ in range(DURABLE_ANCESTORS):
            ancestor = os.path.dirname(ancestor)
            # Not ours to read, so not ours to have made.
            with contextlib.suppress(PermissionError):
                self._disk.sync_dir(ancestor)

    def _writer(self, topic: str, partition: int) -> "_TopicWriter":
        found = self._writers.get((topic, partition))
        return found if found is not None else self._open(topic, partition)

    def _open(self, topic: str, partition: int) -> "_TopicWriter":
        if topic not in self._topics:
            raise JournalUnavailable("topic is not one of this journal: name it when opening the writer")
        with self._opening:
            found = self._writers.get((topic, partition))
            if found is None:
                if self._lock is None:
                    raise JournalUnavailable("the journal is closed: open it again")
                folder = JournalFolder(self._disk, self._directory, topic, partition)
                limits = _Limits(self._segment_bytes, self._segment_ms, self._filled.get(topic, 0))
                found = _TopicWriter(folder, self._clock, limits)
                self._writers[topic, partition] = found
            return found

    def _tell(self) -> None:
        # A reader that is not woken polls; what is durable must not turn into an error here.
        if self._wake is not None:
            with contextlib.suppress(OSError):
                self._wake()


class _Limits(NamedTuple):
    segment_bytes: int
    segment_ms: int
    filled_bytes: int


class _TopicWriter:
    """Appends to one topic and partition. `_file` is None whenever the next append must open a segment."""

    def __init__(self, folder: JournalFolder, clock: Clock, limits: _Limits) -> None:
        self._folder = folder
        self._disk = folder.disk
        self._clock = clock
        self._limits = limits
        self._lock = threading.Lock()
        self._file: DiskFile | None = None
        self._commit_file: SmallFile | None = None
        self._closed = False
        self._spare = SpareSegment(folder, limits.segment_bytes)
        self._filled = 0
        """Where the zeros of the segment in use end."""
        self._base = self._seed = self._size = self._attempt = self._opened_at_ms = 0
        self.durable = FIRST
        self.unpublished = 0
        try:
            self._recover()
        except OSError as cause:
            raise _refused("the journal cannot be opened") from cause

    def append(self, payloads: Sequence[bytes]) -> list[int]:
        if not payloads:
            return []
        if max(map(len, payloads)) > MAX_RECORD_BYTES:
            raise JournalUnavailable(f"a record is over {MAX_RECORD_BYTES} bytes: split it")
        with self._lock:
            file = self._ready(sum(map(len, payloads)))
            first = self.durable + 1
            self._attempt += 1
            batch = pack_batch(
                payloads, seed=self._seed, attempt=self._attempt, first=first, durable=self.durable
            )
            self._write(file, batch)
            self._size += len(batch)
            self.durable += len(payloads)
            self._publish()
            return list(range(first, self.durable + 1))

    def retain(self, keep_ms: int) -> int:
        with self._lock:
            now_ms = self._clock.wall_ms()
            if not self._closed and self._size > SEGMENT_HEADER_BYTES and self._is_old(now_ms):
                self._roll()
                self._publish()
        # Appends go on meanwhile: what is unlinked lies before the active segment.
        return self._unlink_before(now_ms - keep_ms)

    def prepare(self, pause: Callable[[], bool]) -> bool:
        return self._spare.make(pause)

    def close(self) -> None:
        self._spare.close()
        with self._lock:
            self._closed = True
            self._trim()
            self._abandon()
            commit_file, self._commit_file = self._commit_file, None
            if commit_file is not None:
                with contextlib.suppress(OSError):
                    commit_file.close()

    def _recover(self) -> None:
        self._disk.make_dirs(self._folder.path)
        self._disk.sync_dir(os.path.dirname(self._folder.path))
        recovered = self._folder.recover()
        self.durable = recovered.base - 1
        self._open_segment(recovered.carried)
        self.durable += len(recovered.carried)
        self._publish()

    def _ready(self, payload_bytes: int) -> DiskFile:
        """The file to append to, after a new segment where one is due. Raises JournalUnavailable."""
        if self._closed:
            raise JournalUnavailable("the journal is closed: open it again")
        if self._file is None or self._is_due(payload_bytes):
            self._roll()
        file = self._file
        if file is None:
            raise AssertionError("a roll leaves a file or raises")
        return file

    def _is_due(self, payload_bytes: int) -> bool:
        if self._size <= SEGMENT_HEADER_BYTES:
            return False
        end = self._size + payload_bytes
        if end > self._limits.segment_bytes or self._is_old(self._clock.wall_ms()):
            return True
        # To one that is filled, once this one's zeros are used up.
        return end > self._filled and self._spare.ready

    def _is_old(self, now_ms: int) -> bool:
        return now_ms - self._opened_at_ms >= self._limits.segment_ms

    def _roll(self) -> None:
        # The old file goes first: where this fails half-way, the new segment may exist already, and frames
        # appended to the old one behind its first position would be void.
        self._trim()
        self._abandon()
        try:
            self._open_segment([])
        except OSError as cause:
            raise _refused("a journal segment cannot be opened") from cause

    def _open_segment(self, carried: Sequence[bytes]) -> None:
        """Makes a durable segment that begins behind `durable` and holds `carried`. Raises OSError."""
        base = self.durable + 1
        opened_at_ms = self._clock.wall_ms()
        header, seed = pack_segment_header(base, opened_at_ms)
        content = header + pack_batch(carried, seed=seed, attempt=0, first=base, durable=self.durable)
        path = self._folder.segment(base)
        filled = self._spare.use(path, content)
        if not filled:
            filled = len(content) + self._limits.filled_bytes
            self._disk.replace(path, content + bytes(self._limits.filled_bytes))
        self._file = self._disk.open_at(path, len(content))
        self._base, self._seed, self._size, self._filled = base, seed, len(content), filled
        self._attempt, self._opened_at_ms = 0, opened_at_ms

    def _write(self, file: DiskFile, batch: bytes) -> None:
        """Writes and syncs. Where that fails, leaves the topic fit for the next append, and raises."""
        try:
            file.write(batch)
        except OSError as cause:
            self._cut_back(file)
            raise _refused("the batch could not be written") from cause
        except BaseException:
            self._abandon()
            raise
        try:
            file.sync()
        except OSError as cause:
            self._abandon()
            raise JournalUndetermined(
                "the journal could not be synced and the batch may be recorded or not: check the disk"
            ) from cause
        except BaseException:
            self._abandon()
            raise

    def _cut_back(self, file: DiskFile) -> None:
        """Removes part of a batch. Needs no sync: what would survive a crash is no whole batch."""
        try:
            file.truncate(self._size)
        except BaseException as fault:
            self._abandon()
            if not isinstance(fault, OSError):
                raise
        self._filled = 0

    def _trim(self) -> None:
        """Gives back the zeros that a segment has left. Needs no sync: where they stay they are no frames."""
        if self._file is not None and self._filled > self._size:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _publish(self) -> None:
        try:
            if self._commit_file is None:
                self._commit_file = self._disk.open_small(self._folder.commit_path)
            self._commit_file.put(pack_commit(Commit(self.durable, self._base)))
        except OSError:
            # The batch is durable all the same; the next append publishes it too.
            self.unpublished += 1

    def _unlink_before(self, oldest_ms: int) -> int:
        """Oldest first, each after those before it are durable: a crash must not leave a hole."""
        bases = [base for base in self._folder.bases() if base <= self._base]
        unlinked = 0
        try:
            for base, following in pairwise(bases):
                # All records of a segment are older than the segment behind it.
                if self._folder.header(following).opened_at_ms > oldest_ms:
                    break
                self._disk.sync_dir(self._folder.path)
                self._disk.unlink(self._folder.segment(base))
                unlinked += 1
            if unlinked:
                self._disk.sync_dir(self._folder.path)
        except OSError as cause:
            raise _refused("old journal segments cannot be removed") from cause
        return unlinked


def _refused(what: str) -> JournalUnavailable:
    return JournalUnavailable(f"{what}: check the disk's space and rights")
