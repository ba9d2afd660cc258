"""Administrative acts as the policy store keeps them: switches by their epoch, snapshots by their number."""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.ledger.entry import Act
from gateway.ledger.ports import LedgerUnavailable

BUSY_TIMEOUT_S: Final = 1.0
"""Readers of a WAL wait for nobody but a recovery."""

SWITCHES: Final = "switches"
SNAPSHOTS: Final = "snapshots"

_VERBS: Final = {"killed": "kill", "paused": "pause", "resumed": "resume", "revived": "revive"}
_SWITCH_EVENTS = """select epoch, program, issuer_id, verb, actor, reason, at_ms from switch_events
    where epoch > ? order by epoch limit ?"""
_SNAPSHOTS = """select s.version, s.files, s.actor, s.reason, s.at_ms, coalesce(o.restored_from, 0)
    from snapshots s left join snapshot_origins o using (version)
    where s.version > ? order by s.version limit ?"""


class PolicyActs:
    """Implements `ActSource` over the policy store's file. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw: sqlite3.Connection | None = None

    def sources(self) -> Sequence[str]:
        return (SWITCHES, SNAPSHOTS)

    def after(self, source: str, position: int, max_acts: int) -> list[Act]:
        try:
            query = _SWITCH_EVENTS if source == SWITCHES else _SNAPSHOTS
            rows = self._connection().execute(query, (position, max_acts)).fetchall()
        except sqlite3.Error:
            self.close()
            raise LedgerUnavailable("the policy store does not answer the ledger: check its disk") from None
        return [_switched(*row) if source == SWITCHES else _applied(*row) for row in rows]

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _connection(self) -> sqlite3.Connection:
        if self._raw is None:
            self._raw = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro",
                uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S,
            )  # fmt: skip
        return self._raw


def _switched(
    epoch: int, program: str, issuer_id: str, verb: str, actor: str, reason: str, at_ms: int
) -> Act:
    # What follows the first word names people, and stays in the row.
    word = verb.partition(",")[0]
    return Act(
        source=SWITCHES, position=epoch, verb=_VERBS.get(word, "other"), at_ms=at_ms, program=program,
        issuer_id=issuer_id,
        row={
            "epoch": epoch, "program": program, "issuer_id": issuer_id, "verb": verb, "actor": actor,
            "reason": reason, "at_ms": at_ms,
        },
    )  # fmt: skip


def _applied(version: int, files: str, actor: str, reason: str, at_ms: int, restored_from: int) -> Act:
    return Act(
        source=SNAPSHOTS, position=version, verb="rollback" if restored_from else "apply", at_ms=at_ms,
        policy_version=version,
        row={
            "version": version, "actor": actor, "reason": reason, "at_ms": at_ms,
            "restored_from": restored_from, "files_sha256": sha256(files.encode()).hexdigest(),
        },
    )  # fmt: skip
