"""What the feeds do beside delivery: each chore by itself, so that one that fails holds up no other."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import structlog

from gateway.records.errors import GatewayError
from gateway.runtime.tasks import Stop
from gateway.server.feeds.engine import FeedsEngine
from gateway.server.feeds.erasures import Eraser
from gateway.server.retention import FEEDS_JOURNAL, KEEP_ROWS_MS, ROWS, TOKENS, note_run, noted
from gateway.server.state import StateDir

INTERVAL_S = 0.5
"""Between two looks at identities, expiries and what a switch left to withdraw."""

CHECKPOINT_INTERVAL_S = 2.0

RETENTION_INTERVAL_S = 60.0
"""Old journal segments, and rows of payments too old to be matched, are looked for as often."""

EXPIRE_MAX_ROWS = 5000
"""Rows of one round: some 20 ms of the store's time."""

_log = structlog.get_logger("feeds")


class Chore(NamedTuple):
    """Work to do again and again. Its name is for the log."""

    name: str
    interval_s: float
    work: Callable[[], object]


def chores(
    engine: FeedsEngine, state: StateDir, eraser: Eraser, refresh_identities: Callable[[], None]
) -> list[Chore]:
    """Everything that the feeds do beside delivery."""
    parts = engine.parts
    note = partial(noted, state, clock=parts.clock)

    def keep_rows_from_ms() -> int:
        return parts.clock.wall_ms() - KEEP_ROWS_MS

    def forget_rows() -> int:
        rows = parts.store.forget(keep_rows_from_ms(), EXPIRE_MAX_ROWS)
        return rows + parts.store.forget_reports(keep_rows_from_ms(), EXPIRE_MAX_ROWS)

    def tokens(removed: int) -> None:
        note_run(state, TOKENS, removed, at_ms=parts.clock.wall_ms())

    return [
        Chore("identities", INTERVAL_S, refresh_identities),
        Chore("expiry", INTERVAL_S, lambda: parts.store.expire(parts.clock.wall_ms(), EXPIRE_MAX_ROWS)),
        Chore("sweep", INTERVAL_S, engine.withdraw_stopped),
        Chore("revocations", INTERVAL_S, engine.revocations.look),
        Chore("names", INTERVAL_S, lambda: parts.names.step(parts.ledger.lag_s())),
        Chore("erasures", INTERVAL_S, eraser.step),
        Chore("measure", INTERVAL_S, engine.measure_behind),
        Chore("checkpoint", CHECKPOINT_INTERVAL_S, parts.store.checkpoint),
        Chore("sealed", RETENTION_INTERVAL_S, lambda: engine.expire_sealed(tokens)),
        Chore("journal", RETENTION_INTERVAL_S, note(FEEDS_JOURNAL, work=parts.journal.retain)),
        Chore("rows", RETENTION_INTERVAL_S, note(ROWS, work=forget_rows)),
    ]


def certificates(refresh: Callable[[], object]) -> Chore:
    """Looks for new certificates of the HTTP port."""
    return Chore("certificates", CHECKPOINT_INTERVAL_S, refresh)


def keep_house(chores: Sequence[Chore], on_fault: Callable[[], object], stop: Stop) -> None:
    """The housekeeping thread: until told to stop, each chore once an interval, from the start on."""
    since_s = [chore.interval_s for chore in chores]
    while True:
        for number, chore in enumerate(chores):
            if since_s[number] < chore.interval_s:
                continue
            since_s[number] = 0.0
            try:
                chore.work()
            except (GatewayError, OSError) as fault:
                on_fault()
                _log.error("housekeeping_failed", chore=chore.name, fault=type(fault).__name__)
        if stop.wait(INTERVAL_S):
            return
        since_s = [passed_s + INTERVAL_S for passed_s in since_s]
