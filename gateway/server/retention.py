"""Retention's own figures: what is kept of each kind, how old, how large, and when its job ran last.

Each job notes its runs in a small file of its own below run/; the rest is read from what it works on.
"""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypedDict

from gateway.backends.embedded.journal import KEEP_MS
from gateway.backends.embedded.journal_folder import JournalFolder
from gateway.backends.embedded.journal_format import SEGMENT_HEADER_BYTES
from gateway.feeds.delivery import KEEP_SEALED_MS
from gateway.records.errors import GatewayError
from gateway.records.journal import EVALUATIONS, FEEDS_TOPICS, GATEWAY_TOPICS, LABELS
from gateway.runtime.clock import Clock
from gateway.runtime.disk import Disk
from gateway.server.state import StateDir

DAY_MS: Final = 24 * 3_600_000

KEEP_ROWS_MS: Final = 400 * DAY_MS
"""Rows to match by, ids of reports, and measurement rows are kept 400 days (docs: retention)."""

GATEWAY_JOURNAL, FEEDS_JOURNAL, TOKENS, ROWS, LAKE = (
    "gateway-journal",
    "feeds-journal",
    "tokens",
    "rows",
    "lake",
)
"""Jobs of retention, by the names of their files."""

BUSY_TIMEOUT_S: Final = 1.0
"""Readers of a database in WAL mode wait for nobody; opening one beside its writer may, for a moment."""

_OLDEST_SET: Final = """select min((select min(o.queued_at_ms) from outbox o where o.program = s.program
    and o.issuer_id = s.issuer_id and o.open = 1 and o.withdrawn = 0)) from scopes s"""
_SET_BYTES: Final = "select coalesce(sum(length(set_bytes)), 0) from sets"
# Keys rise with time: the first is the oldest.
_OLDEST_ROW: Final = """select min(at_ms) from (
    select * from (select recorded_at_ms as at_ms from evaluations order by evaluation_key limit 1)
    union all select * from (select recorded_at_ms from report_ids order by report_no limit 1))"""
_OLDEST_FILE: Final = "select min(oldest_ms) from files where retired_at_ms is null and partition_name = ''"


class Figures(TypedDict):
    """One kind. None: nothing is kept, or its job has not run yet. `last_removed` is of the last run."""

    keep_ms: int
    oldest_at_ms: int | None
    bytes: int
    last_run_at_ms: int | None
    last_removed: int | None


def note_run(state: StateDir, job: str, removed: int, *, at_ms: int) -> None:
    """Says that a job of retention ran. A run that cannot be noted has been all the same."""
    target = _note_of(state, job)
    temporary = target.with_suffix(".new")
    with suppress(OSError):
        temporary.write_text(json.dumps({"at_ms": at_ms, "removed": removed}))
        os.replace(temporary, target)


def noted(state: StateDir, job: str, clock: Clock, work: Callable[[], int]) -> Callable[[], int]:
    """`work`, noted when it has ended well."""

    def run() -> int:
        removed = work()
        note_run(state, job, removed, at_ms=clock.wall_ms())
        return removed

    return run


def figures_text(one: Figures) -> str:
    """One kind as a line for people."""
    oldest = "nothing kept" if one["oldest_at_ms"] is None else f"oldest {time_text(one['oldest_at_ms'])}"
    run = "no run yet"
    if one["last_run_at_ms"] is not None:
        run = f"last run {time_text(one['last_run_at_ms'])} removed {one['last_removed']}"
    return f"{one['keep_ms'] // DAY_MS} days, {oldest}, {one['bytes']:,} bytes, {run}"


def time_text(at_ms: int) -> str:
    """ISO 8601 to the second, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def retention_figures(state: StateDir, disk: Disk) -> dict[str, Figures]:
    """The figures of every kind, read beside the running processes without any lock."""
    found: dict[str, Figures] = {}
    for root, topics, job in (
        (state.gateway_journal, GATEWAY_TOPICS, GATEWAY_JOURNAL),
        (state.feeds_journal, FEEDS_TOPICS, FEEDS_JOURNAL),
    ):
        for topic in topics:
            oldest_at_ms = _oldest_segment(JournalFolder(disk, str(root), topic, 0))
            found[topic] = _figures(state, job, KEEP_MS, oldest_at_ms, _bytes(root / topic, "*.journal"))
    tokens = _ask(state.feeds_db, _OLDEST_SET)
    found["signed_tokens"] = _figures(
        state, TOKENS, KEEP_SEALED_MS, tokens, _ask(state.feeds_db, _SET_BYTES) or 0
    )
    rows_bytes = _bytes(state.feeds_db.parent, f"{state.feeds_db.name}*")
    found["matching_rows"] = _figures(
        state, ROWS, KEEP_ROWS_MS, _ask(state.feeds_db, _OLDEST_ROW), rows_bytes
    )
    lake_bytes = _bytes(state.lake, "*.parquet")
    found["measurement"] = _figures(
        state, LAKE, KEEP_ROWS_MS, _ask(state.measure_db, _OLDEST_FILE), lake_bytes
    )
    return found


def bodies_since_ms(state: StateDir, disk: Disk) -> int | None:
    """When the oldest segment of a journal that has sealed bodies was opened; None where there is none.

    Raises OSError, GatewayError: what cannot be looked at is not gone.
    """
    folders = (
        JournalFolder(disk, str(state.gateway_journal), EVALUATIONS, 0),
        JournalFolder(disk, str(state.feeds_journal), LABELS, 0),
    )
    return min((at for folder in folders if (at := _opened_at_ms(folder)) is not None), default=None)


def _figures(state: StateDir, job: str, keep_ms: int, oldest_at_ms: int | None, size_bytes: int) -> Figures:
    last_run_at_ms = last_removed = None
    with suppress(OSError, ValueError, KeyError):
        note = json.loads(_note_of(state, job).read_text())
        last_run_at_ms, last_removed = note["at_ms"], note["removed"]
    return {
        "keep_ms": keep_ms, "oldest_at_ms": oldest_at_ms, "bytes": size_bytes,
        "last_run_at_ms": last_run_at_ms, "last_removed": last_removed,
    }  # fmt: skip


def _note_of(state: StateDir, job: str) -> Path:
    # Not *.json: those say who listens where.
    return state.run / f"retention-{job}"


def _oldest_segment(folder: JournalFolder) -> int | None:
    """When the oldest segment was opened: nothing in it is older. None where no record is kept."""
    with suppress(OSError, GatewayError):
        return _opened_at_ms(folder)
    return None


def _opened_at_ms(folder: JournalFolder) -> int | None:
    bases = folder.bases()
    if len(bases) > 1 or (bases and folder.disk.size(folder.segment(bases[0])) > SEGMENT_HEADER_BYTES):
        return folder.header(bases[0]).opened_at_ms
    return None


def _bytes(folder: Path, pattern: str) -> int:
    total = 0
    for path in folder.glob(pattern):
        with suppress(FileNotFoundError):  # retention has been here since it was listed
            total += path.stat().st_size
    return total


def _ask(database: Path, query: str) -> int | None:
    if not database.exists():
        return None
    uri = f"{database.absolute().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as raw:
        (value,) = raw.execute(query).fetchone()
        return None if value is None else int(value)
    return None
