"""Reads journals that another process writes, without locks and without a writer being there."""

import os
from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.backends.embedded.journal_folder import JournalFolder
from gateway.backends.embedded.journal_format import (
    SEGMENT_HEADER_BYTES,
    Commit,
    corrupt,
    unpack_entries,
)
from gateway.records.journal import FIRST, Entry, JournalCorrupt
from gateway.runtime.disk import Disk

CHUNK_BYTES = 1024 * 1024
"""Bytes read at a time: some hundred records, and 1 ms of work."""

CURSORS = 8
"""Places kept in a topic, each with a chunk of records: consumers that share a reader, and to spare."""

_NOTHING = Commit(FIRST, 0)


@dataclass(slots=True)
class _Cursor:
    """A place in a segment: `position` is the next to hand out, `ready[used:]` are read and checked."""

    base: int
    seed: int
    position: int
    offset: int = SEGMENT_HEADER_BYTES
    ready: list[Entry] = field(default_factory=list)
    used: int = 0


class FileJournalReader:
    """Implements `JournalReader`. Not for several threads at once: make one each, they cost nothing."""

    def __init__(
        self, disk: Disk, directory: str | os.PathLike[str], *, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self._disk = disk
        self._directory = os.path.abspath(directory)
        self._chunk_bytes = chunk_bytes
        self._readers: dict[tuple[str, int], _TopicReader] = {}

    def read(self, topic: str, after: int, max_records: int, *, partition: int = 0) -> list[Entry]:
        """See `JournalReader.read`."""
        return self._reader(topic, partition).read(after, max_records)

    def end(self, topic: str, *, partition: int = 0) -> int:
        """See `JournalReader.end`."""
        return self._reader(topic, partition).commit().durable

    def _reader(self, topic: str, partition: int) -> "_TopicReader":
        reader = self._readers.get((topic, partition))
        if reader is None:
            folder = JournalFolder(self._disk, self._directory, topic, partition)
            reader = self._readers[topic, partition] = _TopicReader(folder, self._chunk_bytes)
        return reader


class _TopicReader:
    def __init__(self, folder: JournalFolder, chunk_bytes: int) -> None:
        self._folder = folder
        self._disk = folder.disk
        self._chunk_bytes = chunk_bytes
        self._cursors: OrderedDict[int, _Cursor] = OrderedDict()
        self._commit = _NOTHING
        self._bases: list[int] = []
        self._listed_for: int | None = None

    def commit(self) -> Commit:
        """What the writer published last; what was seen before where that is not legible."""
        commit = self._folder.commit()
        if commit is not None:
            self._commit = commit
        return self._commit

    def read(self, after: int, max_records: int) -> list[Entry]:
        commit = self.commit()
        position = max(after, FIRST) + 1
        if position > commit.durable or max_records <= 0:
            return []
        cursor = self._cursors.pop(position, None) or self._seek(position, commit)
        found: list[Entry] = []
        while len(found) < max_records:
            if cursor.used == len(cursor.ready):
                if cursor.position > commit.durable:
                    break
                cursor = self._fill(cursor, commit)
                if found and cursor.position != found[-1].position + 1:
                    # Retention has been here: what is returned at once has no gap.
                    break
            taken = cursor.ready[cursor.used : cursor.used + max_records - len(found)]
            found += taken
            cursor.used += len(taken)
            cursor.position += len(taken)
        # A segment without a durable record may yet be replaced by another that begins where it does.
        if cursor.base <= commit.durable:
            self._keep(cursor)
        return found

    def _keep(self, cursor: _Cursor) -> None:
        self._cursors[cursor.position] = cursor
        self._cursors.move_to_end(cursor.position)
        if len(self._cursors) > CURSORS:
            self._cursors.popitem(last=False)

    def _seek(self, position: int, commit: Commit) -> _Cursor:
        """A cursor at `position`, or at the oldest record that is kept where that is later."""
        cursor = self._open(position, commit)
        while cursor.position < position:
            if cursor.used == len(cursor.ready):
                cursor = self._fill(cursor, commit)
            skipped = min(position - cursor.position, len(cursor.ready) - cursor.used)
            cursor.used += skipped
            cursor.position += skipped
        return cursor

    def _open(self, position: int, commit: Commit) -> _Cursor:
        """A cursor at the start of the segment that holds `position`, or of the oldest kept."""
        for fresh in (False, True):
            bases = self._segments(commit, fresh=fresh)
            if not bases:
                continue
            base = max((base for base in bases if base <= position), default=bases[0])
            try:
                return _Cursor(base, self._folder.header(base).seed, base)
            except FileNotFoundError:
                # Retention has been here since the segments were listed.
                continue
        raise corrupt(position)

    def _segments(self, commit: Commit, *, fresh: bool = False) -> list[int]:
        """First positions of the segments. A new one changes the commit file, so that a list can be kept."""
        if fresh or self._listed_for != commit.active_base:
            self._bases = self._folder.bases()
            self._listed_for = commit.active_base
        return self._bases

    def _fill(self, cursor: _Cursor, commit: Commit) -> _Cursor:
        """Reads the next chunk, from the next segment where this one is at its end."""
        last = self._last_of(cursor.base, commit)
        if cursor.position > last:
            following = self._open(cursor.position, commit)
            if following.position < cursor.position:
                raise corrupt(cursor.position)
            return following if following.position > commit.durable else self._fill(following, commit)
        last = min(last, commit.durable)
        try:
            self._read_chunk(cursor, last)
        except FileNotFoundError:
            return self._skip_removed(cursor, commit)
        return cursor

    def _last_of(self, base: int, commit: Commit) -> int:
        """Last position that counts in a segment: frames behind the first one of the next are void."""
        if base == commit.active_base:
            return commit.durable
        following = [other for other in self._segments(commit) if other > base]
        return min(following) - 1 if following else commit.durable

    def _read_chunk(self, cursor: _Cursor, last: int) -> None:
        path = self._folder.segment(cursor.base)
        wanted = self._chunk_bytes
        while True:
            data = self._disk.read_at(path, cursor.offset, wanted)
            entries, used, needed = unpack_entries(data, seed=cursor.seed, first=cursor.position, last=last)
            if entries:
                cursor.ready, cursor.used = entries, 0
                cursor.offset += used
                return
            if len(data) < wanted or needed <= wanted:
                raise corrupt(cursor.position)
            wanted = needed

    def _skip_removed(self, cursor: _Cursor, commit: Commit) -> _Cursor:
        """Goes on at the oldest segment kept, if retention is what removed this one."""
        bases = self._segments(commit, fresh=True)
        if not bases or bases[0] <= cursor.position:
            raise JournalCorrupt("a journal segment is missing: restore it from a copy")
        return self._seek(bases[0], commit)
