"""The embedded journal against the suite, on the real and the simulated disk, segments large and tiny."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.records.journal import JournalReader, JournalWriter
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import Disk, RealDisk
from gateway.runtime.simdisk import SimDisk
from tests.conformance.journal_suite import TOPICS, JournalSuite, Place


@dataclass
class _Files:
    disk: Disk
    directory: str
    segment_bytes: int
    chunk_bytes: int

    def writer(self) -> JournalWriter:
        return FileJournalWriter(
            self.disk, SimClock(), self.directory, TOPICS, segment_bytes=self.segment_bytes
        )

    def reader(self) -> JournalReader:
        return FileJournalReader(self.disk, self.directory, chunk_bytes=self.chunk_bytes)


SIZES = pytest.mark.parametrize(
    ("segment_bytes", "chunk_bytes"), [(64 << 20, 1 << 20), (300, 1 << 20), (900, 50)]
)


@SIZES
class TestFilesOnTheRealDisk(JournalSuite):
    @pytest.fixture
    def place(self, tmp_path: Path, segment_bytes: int, chunk_bytes: int) -> Place:
        return _Files(RealDisk(), str(tmp_path / "state" / "journal"), segment_bytes, chunk_bytes)


@SIZES
class TestFilesOnTheSimulatedDisk(JournalSuite):
    @pytest.fixture
    def place(self, segment_bytes: int, chunk_bytes: int) -> Place:
        return _Files(SimDisk(1), "/state/journal", segment_bytes, chunk_bytes)
