"""Velocity beside the hot loop: what the journal has is counted again after a start, what is owed between two
batches, and a snapshot is written from time to time."""

import threading
from typing import Final

import structlog

from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.velocity_snapshot import FrozenVelocity
from gateway.records.journal import EVALUATIONS
from gateway.runtime.disk import RealDisk
from gateway.runtime.tasks import Stop
from gateway.server.bootstrap.gateway import GatewayParts
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.server.gateway.warming import Warming
from gateway.server.state import StateDir

SNAPSHOT_INTERVAL_S: Final = 60.0
"""Velocity snapshots: so much of the journal is counted again after a crash."""

FROZEN_WAIT_S: Final = 5.0
"""The hot loop freezes within a step; longer means that it hangs, and the snapshot can wait."""

_log = structlog.get_logger("gateway")


class Snapshots:
    """Velocity beside the hot loop: counts again what the journal has; then asks the loop for a frozen state
    from time to time, and writes it."""

    def __init__(self, parts: GatewayParts, state: StateDir, metrics: GatewayMetrics) -> None:
        self._parts = parts
        self._metrics = metrics
        self._path = str(state.velocity_snapshot)
        disk = RealDisk()
        reader = FileJournalReader(disk, state.gateway_journal)
        metrics.velocity_warming.set(1)
        self.warming = Warming(
            parts.velocity, reader, disk, self._path, on_warm=lambda: metrics.velocity_warming.set(0)
        )
        self._asked = threading.Event()
        self._given = threading.Event()
        self._frozen: tuple[FrozenVelocity, int] | None = None
        self._uncounted = 0

    def between(self) -> None:
        """On the hot loop's thread. Who reads the journal is woken now: the callers have their answers."""
        self._parts.wake.send()
        self.warming.between()
        counting = self._parts.gateway.counting
        counting.count_owed()
        if counting.uncounted > self._uncounted:
            self._metrics.velocity_uncounted.inc(counting.uncounted - self._uncounted)
            self._uncounted = counting.uncounted
        if self._asked.is_set():
            self._asked.clear()
            # Before all that the journal has is counted, the last one is the better.
            whole = self._parts.velocity.ready and not counting.owed
            frozen = self._parts.velocity.freeze() if whole else None
            # None while an earlier one is being written: the next round takes it.
            if frozen is not None:
                self._frozen = (frozen, self._parts.journal.end(EVALUATIONS))
                self._metrics.velocity_keys.set(len(self._parts.velocity))
            self._given.set()

    def run(self, stop: Stop) -> None:
        """On a thread of its own."""
        while not stop.wait(SNAPSHOT_INTERVAL_S):
            self._given.clear()
            self._asked.set()
            if self._given.wait(FROZEN_WAIT_S):
                self.write()

    def write(self) -> None:
        frozen, self._frozen = self._frozen, None
        if frozen is None:
            return
        try:
            frozen[0].write(RealDisk(), self._path, position=frozen[1])
        except OSError as fault:
            # The journal has it all: a later snapshot takes more with it.
            _log.error("velocity_snapshot_failed", errno=fault.errno)

    def last(self) -> None:
        """After the hot loop has ended."""
        self._parts.gateway.counting.count_all_owed()
        self._asked.set()
        self.between()
        self.write()
