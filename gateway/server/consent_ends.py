"""Consents end by themselves on the day they say. The next such moment of those that were asked about."""

import threading
from typing import Final

from gateway.programs.model import FOREVER_MS
from gateway.runtime.clock import MS, Clock

ROUND_INTERVAL_MS: Final = 1_000
"""Between two rounds: each goes through all that is queued, and a thousand parties may end one by one."""


class NextEnd:
    """Any thread notes, one asks. Times are wall time, since that is what a consent says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._at_ms = FOREVER_MS
        self._last_ns = clock.monotonic_ns() - ROUND_INTERVAL_MS * MS

    def note(self, at_ms: int) -> None:
        """Something ends then. Cheap where an earlier end is known, which is nearly always."""
        if at_ms < self._at_ms:
            with self._lock:
                self._at_ms = min(self._at_ms, at_ms)

    def reached(self) -> bool:
        """Whether something has ended: then it is forgotten, and who looks again notes what is left."""
        if self._clock.wall_ms() < self._at_ms:
            return False
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._last_ns < ROUND_INTERVAL_MS * MS:
            return False
        self._last_ns = now_ns
        with self._lock:
            self._at_ms = FOREVER_MS
        return True
