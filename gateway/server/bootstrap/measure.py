"""Wires measurement: journals, lake and their readers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.backends.embedded.guardrails import EmbeddedGuardrails
from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.lake import DuckLake, Manifest, ParquetWriter
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.measurement.ports import Source
from gateway.measurement.tail import Tail, records_behind
from gateway.records.errors import GatewayError
from gateway.records.journal import JournalReader
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import Disk, DiskLock, RealDisk
from gateway.server.measure.erasures import LakeErasures
from gateway.server.state import StateDir


class LakeBusy(GatewayError):
    """Another process writes this lake."""

    code = "lake_busy"


def journal_readers(state: StateDir) -> dict[str, JournalReader]:
    """Readers of the journals that measurement follows, by the names that `Source` uses."""
    disk = RealDisk()
    return {
        "gateway": FileJournalReader(disk, str(state.gateway_journal)),
        "feeds": FileJournalReader(disk, str(state.feeds_journal)),
    }


@dataclass(frozen=True, slots=True)
class OpenLake:
    """The lake open for reading. Any process may, while `ein measure` writes."""

    lake: DuckLake
    manifest: Manifest
    readers: dict[str, JournalReader]

    def behind(self) -> dict[Source, int]:
        """Records of each source that are in the journals and not in the lake."""
        return records_behind(self.readers, self.manifest.offsets())

    def close(self) -> None:
        self.lake.close()
        self.manifest.close()


def open_lake(state: StateDir) -> OpenLake:
    """Opens the lake for reading. Raises LakeMissing where measure has never run."""
    manifest = Manifest(Path(state.measure_db), create=False)
    return OpenLake(DuckLake(directory=state.lake, manifest=manifest), manifest, journal_readers(state))


@dataclass(frozen=True, slots=True)
class MeasureParts:
    """What `ein measure` runs: the tail that fills the lake, and the lake for its own queries."""

    tail: Tail
    writer: ParquetWriter
    reading: OpenLake
    writing_manifest: Manifest
    guardrails: EmbeddedGuardrails
    """What a crossed guardrail is to be handed to."""

    lock: DiskLock
    registry: SqliteSubjects
    erasures: LakeErasures

    def behind(self) -> dict[Source, int]:
        return records_behind(self.reading.readers, self.writing_manifest.offsets())

    def close(self) -> None:
        self.reading.close()
        self.writing_manifest.close()
        self.registry.close()
        self.guardrails.close()
        self.lock.close()


def _lock(disk: Disk, path: Path) -> DiskLock:
    try:
        return disk.lock(str(path))
    except BlockingIOError:
        raise LakeBusy("another `ein measure` writes this lake; stop it first") from None


def build_measure(state: StateDir, on_guardrail: Callable[[str], None] = lambda result: None) -> MeasureParts:
    """Opens the lake for writing, mended of what a crash left. One process may.

    `on_guardrail` is told what each call of a guardrail came to.
    """
    disk = RealDisk()
    lock = _lock(disk, state.measure_db.with_suffix(".lock"))
    manifest = Manifest(Path(state.measure_db), create=True)
    writer = ParquetWriter(directory=state.lake, manifest=manifest, disk=disk, clock=SystemClock())
    reading = open_lake(state)
    registry = SqliteSubjects(str(state.consents_db), SystemClock())
    erasures = LakeErasures(registry, writer)
    tail = Tail(readers=reading.readers, writer=writer, erased=erasures.known.erased_until_ms)
    guardrails = EmbeddedGuardrails(
        str(state.policy_db), FileLeaseBoard(disk, str(state.leases)), SystemClock(), time.sleep, on_guardrail
    )
    return MeasureParts(tail, writer, reading, manifest, guardrails, lock, registry, erasures)
