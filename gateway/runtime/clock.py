"""Time comes in through `Clock`, so that a simulation can replace it."""

import time
from collections.abc import Callable
from typing import NewType, Protocol

WallTimeMs = NewType("WallTimeMs", int)
"""UTC epoch milliseconds of this machine's clock. May jump: never measure a duration with it."""

MonotonicNs = NewType("MonotonicNs", int)
"""Nanoseconds since this machine started. The same for all its processes; leases compare it across them."""

MS = 1_000_000
"""Nanoseconds in a millisecond."""


class Clock(Protocol):
    """Wall time for records, monotonic time for durations and leases."""

    def wall_ms(self) -> WallTimeMs: ...

    def monotonic_ns(self) -> MonotonicNs: ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def wall_ms(self) -> WallTimeMs:
        return WallTimeMs(time.time_ns() // MS)

    monotonic_ns: Callable[[], MonotonicNs] = staticmethod(time.monotonic_ns)  # type: ignore[assignment]
    """No call in between: the hot loop looks twenty times a batch."""


class SimClock:
    """A clock that moves only when told to."""

    __slots__ = ("_monotonic_ns", "_wall_ms")

    def __init__(self, *, wall_ms: int = 1_700_000_000_000, monotonic_ns: int = 1_000_000_000) -> None:
        self._wall_ms = wall_ms
        self._monotonic_ns = monotonic_ns

    def wall_ms(self) -> WallTimeMs:
        return WallTimeMs(self._wall_ms)

    def monotonic_ns(self) -> MonotonicNs:
        return MonotonicNs(self._monotonic_ns)

    def advance_ms(self, ms: int) -> None:
        self._wall_ms += ms
        self._monotonic_ns += ms * MS

    def jump_wall_ms(self, ms: int) -> None:
        """Moves wall time alone, as a clock correction does."""
        self._wall_ms += ms
