"""The thread of the feeds that follows our own keys, and retires those that nothing waits for any more."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.runtime.tasks import Stop
from gateway.sealing.key_ring import KeyState, KeyUse, RingKey, holds
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.own_keys import LOOK_EVERY_S, KeysTold, KeyWatch, LiveKeys
from gateway.server.verbs.keys import BY_ITSELF, DUE, KeyDesk

RETIRE_EVERY_S: Final = 10.0
"""Between two looks at what is open by keys that sign no more; a margin is a day."""

RETIRE_DUTY: Final = 20
"""A look that took long, over a queue of hundreds of thousands, is followed by so many times its length."""

NoteUses = Callable[[Sequence[str], int], None]
"""Keeps when open tokens by keys were last seen: kids, and wall time in ms."""

_log = structlog.get_logger("own-keys")


class Retirement:
    """Retires superseded keys. For one thread."""

    def __init__(self, keys: LiveKeys, desk: KeyDesk, note: NoteUses, clock: Clock) -> None:
        self._keys = keys
        self._desk = desk
        self._note = note
        self._clock = clock
        self._due_ns = 0
        self._open: set[str] = set()
        self._seen: set[str] | None = None
        """Keys that had open tokens, and all that were superseded, at the last look; None before any."""

    def step(self) -> int:
        """How many were retired, where it is time to look. Raises GatewayError, once all was tried."""
        began_ns = self._clock.monotonic_ns()
        if began_ns < self._due_ns:
            return 0
        self._due_ns = began_ns + int(RETIRE_EVERY_S * 1e9)
        left = any(key.store for key in self._keys.current.ring.retired)
        try:
            return self._retire(self.note())
        finally:
            # Last: a store that ends no key, as a vault whose policy forbids it, holds up no retirement.
            if left:
                self._desk.end_left()

    def note(self) -> dict[str, KeyUse]:
        """Looks at what is open, and keeps that. First before anything leaves: it may be answered at once.

        What was open at the last look and is not now may have been so until a moment ago: it counts as open
        once more. So does what was still in use then.
        """
        old = self._superseded()
        began_ns = self._clock.monotonic_ns()
        uses = dict(self._desk.uses.of(old))
        now_ns = self._clock.monotonic_ns()
        self._due_ns = max(self._due_ns, now_ns + RETIRE_DUTY * (now_ns - began_ns))
        open_now = {kid for kid, use in uses.items() if use.open_tokens}
        since_used = set() if self._seen is None else uses.keys() - self._seen
        till_now = uses.keys() & (open_now | self._open | since_used)
        now_ms = self._clock.wall_ms()
        if till_now:
            self._note(sorted(till_now), now_ms)
        self._open, self._seen = open_now, set(uses)
        return {
            kid: replace(use, last_open_ms=now_ms) if kid in till_now else use for kid, use in uses.items()
        }

    def _superseded(self) -> list[RingKey]:
        ring, now_ms = self._keys.current.ring, self._clock.wall_ms()
        return [key for key in ring.keys if ring.state(key, now_ms) is KeyState.SUPERSEDED]

    def _retire(self, uses: Mapping[str, KeyUse]) -> int:
        ring, count = self._keys.current.ring, 0
        now_ms, margin_ms = self._clock.wall_ms(), self._desk.margin_ms
        for kid, use in uses.items():
            if not holds(ring, kid, now_ms=now_ms, margin_ms=margin_ms, use=use):
                # Which looks once more by itself: a retirement is rare, and cannot be taken back.
                self._desk.retire(kid, by=BY_ITSELF, reason=DUE)
                _log.info("key_retired", kid=kid)
                count += 1
        return count


class KeyKeeper:
    """Follows the keys once a second, and has those retired that are due."""

    def __init__(self, watch: KeyWatch, retirement: Retirement, metrics: FeedsMetrics) -> None:
        self._watch = watch
        self._retirement = retirement
        self._metrics = metrics

    def begin(self) -> None:
        """Before anything leaves: one look, and a note of what is open by keys that sign no more."""
        self._watch.step()
        self._carefully(self._retirement.note)

    def run(self, stop: Stop) -> None:
        """The thread, until told to stop."""
        while not stop.wait(LOOK_EVERY_S):
            self.step()
        self._watch.close()

    def step(self) -> None:
        """One look, and a retirement where one is due."""
        self._watch.step()
        if self._carefully(self._retirement.step):
            self._watch.step()

    def _carefully(self, work: Callable[[], object]) -> object:
        """Keys that stay published longer are no harm: what fails is tried again."""
        try:
            return work()
        except (GatewayError, OSError) as fault:
            self._metrics.faults.inc()
            code = fault.code if isinstance(fault, GatewayError) else "internal"
            _log.error("retirement_put_off", code=code, fault=type(fault).__name__)
            return None


def tell(
    metrics: FeedsMetrics, keys: LiveKeys, clock: Clock, health: Callable[[bool], None]
) -> Callable[[KeysTold], None]:
    """Puts what is told of our keys into metrics and health."""

    def told(said: KeysTold) -> None:
        metrics.own_keys_stale.set(1 if said.code else 0)
        ring, now_ms = keys.current.ring, clock.wall_ms()
        states = Counter(ring.state(key, now_ms) for key in ring.keys)
        for state in (KeyState.PUBLISHED, KeyState.IN_USE, KeyState.SUPERSEDED):
            metrics.signing_keys.labels(str(state)).set(states[state])
        health(not said.code)

    return told
