"""Pauses by guardrails in the policy store: written as an operator's, with the finding that each came of."""

import json
from collections.abc import Callable
from typing import Final

from gateway.backends.embedded.policy import NoSuchSnapshot, SqlitePolicyStore
from gateway.measurement.guardrails import Crossing, Paused, Refusal, Refused, refused
from gateway.programs.issues import PolicyInvalid
from gateway.programs.switches import LeaseBoard, SwitchStoreUnavailable, await_epoch
from gateway.runtime.clock import Clock

_FINDINGS: Final = """
create table if not exists guardrail_pauses (
    finding_id text primary key, guardrail text not null, program text not null, issuer_id text not null,
    figures text not null, epoch integer not null
) strict;
"""

REPEATED: Final = "repeated"
NOT_EVERYWHERE: Final = "not_everywhere"
PAUSED: Final = "paused"
UNAVAILABLE: Final = "unavailable"
RESULTS: Final = (PAUSED, REPEATED, NOT_EVERYWHERE, UNAVAILABLE, *map(str, Refusal))
"""What a call may come to, for whoever counts."""


class _FindingStore(SqlitePolicyStore):
    """The policy store, with the findings that paused something."""

    SCHEMA = SqlitePolicyStore.SCHEMA + _FINDINGS
    NEWEST_TABLE = "guardrail_pauses"

    def pause_once(self, crossing: Crossing) -> tuple[int, bool] | None:
        """Epoch of the pause, and whether it was there; None where the id stands for another crossing."""
        figures = json.dumps(dict(crossing.figures), sort_keys=True)
        said = (crossing.guardrail, crossing.program, crossing.issuer_id, figures)
        with self._write() as db:
            row = db.execute(
                "select guardrail, program, issuer_id, figures, epoch from guardrail_pauses"
                " where finding_id = ?",
                (crossing.finding_id,),
            ).fetchone()
            if row is not None:
                return (row[4], True) if tuple(row[:4]) == said else None
            epoch = self._stopped(
                db, crossing.program, crossing.issuer_id, "paused", crossing.actor, crossing.reason
            )
            db.execute(
                "insert into guardrail_pauses values (?, ?, ?, ?, ?, ?)", (crossing.finding_id, *said, epoch)
            )
        return epoch, False


class EmbeddedGuardrails:
    """Implements `GuardrailPauses`. `wait_s` waits so many seconds; `on_result` is told one of RESULTS."""

    def __init__(
        self,
        policy_db: str,
        board: LeaseBoard,
        clock: Clock,
        wait_s: Callable[[float], None],
        on_result: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._store = _FindingStore(policy_db, clock)
        self._board = board
        self._clock = clock
        self._wait_s = wait_s
        self._on_result = on_result

    def pause(self, crossing: Crossing) -> Paused | Refused:
        since_ns = self._clock.monotonic_ns()
        try:
            refusal = refused(crossing) or self._unknown(crossing)
            written = None if refusal else self._store.pause_once(crossing)
        except SwitchStoreUnavailable:
            self._on_result(UNAVAILABLE)
            raise
        if written is None:
            refusal = refusal or Refusal.OTHER_FINDING
            self._on_result(str(refusal))
            return Refused(refusal)
        epoch, repeated = written
        stopped = await_epoch(self._board, self._clock, self._wait_s, epoch, since_ns=since_ns)
        waits = bool(stopped.workers_waiting)
        self._on_result(NOT_EVERYWHERE if waits else REPEATED if repeated else PAUSED)
        return Paused(stopped, repeated)

    def close(self) -> None:
        self._store.close()

    def _unknown(self, crossing: Crossing) -> Refusal | None:
        """By the names of the documents alone: to compile them takes seconds, and a pause has none."""
        try:
            files = self._store.snapshot(self._store.version()).files
        except (NoSuchSnapshot, PolicyInvalid):
            return None  # where no policy can be read the stop goes ahead
        if f"programs/{crossing.program}.yaml" not in files:
            return Refusal.UNKNOWN_PROGRAM
        return None if f"issuers/{crossing.issuer_id}.yaml" in files else Refusal.UNKNOWN_ISSUER
