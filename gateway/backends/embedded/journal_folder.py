"""The folder of one topic and partition: its segments, its commit file, and recovery after a crash."""

import contextlib
import os
from dataclasses import dataclass

from gateway.backends.embedded.journal_format import (
    COMMIT_BYTES,
    COMMIT_NAME,
    SEGMENT_HEADER_BYTES,
    Commit,
    SegmentHeader,
    corrupt,
    scan_tail,
    segment_base,
    segment_name,
    unpack_commit,
    unpack_segment_header,
)
from gateway.records.journal import JournalCorrupt
from gateway.runtime.disk import Disk

COMMIT_READS = 8
"""Tries to read a commit file that is being written: the write takes a microsecond, a read ten."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where writing goes on: all before `base` is durable; `carried` is whole but not known to be durable."""

    base: int
    carried: list[bytes]


class JournalFolder:
    """Names and reads the files of one topic and partition. Keeps nothing."""

    __slots__ = ("commit_path", "disk", "path")

    def __init__(self, disk: Disk, directory: str, topic: str, partition: int) -> None:
        self.disk = disk
        self.path = os.path.join(directory, topic if partition == 0 else f"{topic}.{partition}")
        self.commit_path = os.path.join(self.path, COMMIT_NAME)

    def segment(self, base: int) -> str:
        return os.path.join(self.path, segment_name(base))

    def bases(self) -> list[int]:
        """First positions of the segments that are kept, oldest first."""
        found = (segment_base(name) for name in self.disk.list(self.path))
        return sorted(base for base in found if base is not None)

    def header(self, base: int) -> SegmentHeader:
        header = unpack_segment_header(self.disk.read_at(self.segment(base), 0, SEGMENT_HEADER_BYTES))
        if header.base != base:
            raise JournalCorrupt(
                "a journal segment does not begin where its name says: restore it from a copy"
            )
        return header

    def commit(self) -> Commit | None:
        """What the writer published last; None where there is nothing, or nothing legible."""
        for _ in range(COMMIT_READS):
            try:
                data = self.disk.read_at(self.commit_path, 0, COMMIT_BYTES)
            except FileNotFoundError:
                return None
            commit = unpack_commit(data)
            if commit is not None:
                return commit
        return None

    def recover(self) -> Recovered:
        """Finds what is durable and what may be. Changes no segment. Raises JournalCorrupt, OSError."""
        self._drop_unfinished()
        commit = self.commit()
        committed = commit.durable if commit is not None else -1
        bases = self.bases()
        if not bases:
            if committed >= 0:
                raise corrupt(committed)
            return Recovered(0, [])
        header = self.header(bases[-1])
        path = self.segment(header.base)
        tail = scan_tail(self.disk.read_at(path, 0, self.disk.size(path)), header)
        durable = max(committed, tail.durable)
        end = header.base + len(tail.records) - 1
        if durable > end:
            raise corrupt(end + 1)
        return Recovered(durable + 1, tail.records[durable + 1 - header.base :])

    def _drop_unfinished(self) -> None:
        """Removes what `Disk.replace` left where a crash came before its rename."""
        for name in self.disk.list(self.path):
            if name.endswith(".new"):
                with contextlib.suppress(OSError):
                    self.disk.unlink(os.path.join(self.path, name))
