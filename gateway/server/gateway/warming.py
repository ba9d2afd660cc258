"""Brings the velocity counts up to the journal beside the hot loop, which says `warming` meanwhile."""

import threading
from collections.abc import Callable

import structlog
from google.protobuf.message import DecodeError

from gateway.backends.embedded.velocity_snapshot import VelocitySnapshotUnusable
from gateway.backends.embedded.velocity_store import LocalVelocity
from gateway.records.errors import GatewayError
from gateway.records.journal import EVALUATIONS, FIRST, JournalReader
from gateway.runtime.disk import Disk
from gateway.runtime.tasks import Stop

REPLAY_RECORDS = 250
"""Records counted at a time: some 2 ms, most of them to read them, then who waits has the interpreter."""

HANDOVER_RECORDS = 250
"""So few are left that the hot loop counts them itself, between two batches."""

TAIL_RECORDS = 1 << 24
"""Records counted again where there is no snapshot: a minute or two of work, a week at 28 payments/s. Where
the journal has more, counts are too low until a week has passed."""

_FAULTS = (GatewayError, OSError, DecodeError)

_log = structlog.get_logger("gateway")


class Warming:
    """`run` on a thread of its own, `between` on the hot loop's: who counts from then on ends the replay.

    `reader` is this object's alone.
    """

    def __init__(
        self,
        velocity: LocalVelocity,
        reader: JournalReader,
        disk: Disk,
        path: str,
        *,
        tail_records: int = TAIL_RECORDS,
        on_warm: Callable[[], None] = lambda: None,
    ) -> None:
        self._velocity = velocity
        self._reader = reader
        self._disk = disk
        self._path = path
        self._tail_records = tail_records
        self._on_warm = on_warm
        self._after = FIRST
        self._near = threading.Event()
        self._warm = threading.Event()

    def run(self, stop: Stop) -> None:
        """Snapshot, then the journal behind it, up to its last records."""
        try:
            self._catch_up(stop)
        except _FAULTS as fault:
            _gave_up(fault)

    def between(self) -> None:
        """Counts the last records, once they are few; nothing is appended meanwhile."""
        if not self._near.is_set():
            return
        self._near.clear()
        try:
            while self._count():
                pass
        except _FAULTS as fault:
            _gave_up(fault)
            return
        self._velocity.caught_up()
        self._on_warm()
        self._warm.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether counts are whole, at the latest after `timeout_s` seconds."""
        return self._warm.wait(timeout_s)

    def _catch_up(self, stop: Stop) -> None:
        self._after = self._load()
        while not stop.is_set():
            if self._reader.end(EVALUATIONS) - self._after <= HANDOVER_RECORDS:
                self._near.set()
                return
            if not self._count():
                # Behind the end and nothing there: the writer's word is newer than its records.
                stop.wait(0.001)

    def _load(self) -> int:
        try:
            covered = self._velocity.load(self._disk, self._path)
            if covered is not None:
                return covered
        except VelocitySnapshotUnusable as fault:
            _log.error(fault.code, public=fault.public)
        return max(FIRST, self._reader.end(EVALUATIONS) - self._tail_records)

    def _count(self) -> int:
        entries = self._reader.read(EVALUATIONS, self._after, REPLAY_RECORDS)
        self._velocity.replay_records([entry.payload for entry in entries])
        if entries:
            self._after = entries[-1].position
        return len(entries)


def _gave_up(fault: Exception) -> None:
    """The payments go on, and say `warming`: a count that misses some is worse than none."""
    code = fault.code if isinstance(fault, GatewayError) else type(fault).__name__
    _log.error("velocity_not_counted_again", code=code)
