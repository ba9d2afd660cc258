"""Calls that have come in on an event loop and wait for the hot loop, which runs on a thread of its own."""

import threading
import time
from collections import deque

from gateway.sharing.ports import Credential, IncomingCall, make_call

MAX_QUEUED_CALLS = 8192
"""Calls that wait for the hot loop: two seconds' worth at this front's rate; more are turned away at once."""

GATHER_MS = 2.0
"""Wait for as many calls as the last batch had, where it had several: event loop and hot loop fight for the
interpreter at every batch, and small ones cost more than this (half the rate with 32 in flight)."""

_Queued = tuple[int, int, bytes, Credential, float | None]
"""As an `IncomingCall`, but for its last member: when its deadline is, in monotonic seconds."""


class Intake:
    """Filled by one or more threads, emptied by one."""

    def __init__(self) -> None:
        self._queue: deque[_Queued] = deque()
        self._gathered = threading.Event()
        self._wanted = self._last = 1
        self.closed = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether one more call has to be turned away: it is at its limit, or closed."""
        return self.closed or len(self._queue) >= MAX_QUEUED_CALLS

    def put(
        self, call_id: int, method: int, payload: bytes, credential: Credential, deadline_s: float | None
    ) -> None:
        """Adds a call. `deadline_s` in monotonic seconds: the time that it waits here is its own."""
        self._queue.append((call_id, method, payload, credential, deadline_s))
        if len(self._queue) >= self._wanted and not self._gathered.is_set():
            self._gathered.set()

    def take(self, max_calls: int, timeout_ms: float) -> list[IncomingCall] | None:
        """Up to `max_calls`, waiting `timeout_ms` for the first; None once closed and empty."""
        queue = self._queue
        if not queue:
            if self.closed:
                return None
            self._await(1, timeout_ms)
        if queue and len(queue) < self._last and timeout_ms > 0:
            self._await(self._last, GATHER_MS)
        self._last = min(len(queue), max_calls)
        now_s = time.monotonic()
        calls: list[IncomingCall] = []
        for _ in range(self._last):
            call_id, method, payload, credential, deadline_s = queue.popleft()
            remaining_ms = None if deadline_s is None else (deadline_s - now_s) * 1000.0
            calls.append(make_call((call_id, method, payload, credential, remaining_ms)))
        return calls

    def _await(self, calls: int, timeout_ms: float) -> None:
        self._wanted = calls
        self._gathered.clear()
        if len(self._queue) < calls and not self.closed:
            self._gathered.wait(timeout_ms / 1000)

    def close(self) -> None:
        """Wakes who waits; takes nothing more in."""
        self.closed = True
        self._gathered.set()
