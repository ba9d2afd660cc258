"""Whether a policy still stands behind what was shared under an earlier one, and is queued. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.programs.model import State
from gateway.programs.release import ProgramEntry
from gateway.programs.switches import SwitchView
from gateway.records.reasons import Reason

Entries = Mapping[tuple[str, str], ProgramEntry]
"""By program and issuer, those with an enrolment."""


def ended(entry: ProgramEntry | None, now_ms: int) -> tuple[Reason | None, int]:
    """Why nothing queued of a program may leave for an issuer any more, or None and until when it may.

    What documents pause or leave in shadow goes on later, perhaps: what was shared before leaves meanwhile.
    """
    if entry is None:
        return Reason.NOT_ENROLLED, now_ms
    if entry.state is State.KILLED:
        return Reason.KILLED, now_ms
    if entry.state in (State.DRAFT, State.RETIRED):
        return Reason.PROGRAM_NOT_ACTIVE, now_ms
    if not entry.valid_from_ms <= now_ms < entry.valid_until_ms:
        return Reason.OUTSIDE_VALIDITY, now_ms
    if now_ms >= entry.attestation_expires_ms:
        return Reason.ATTESTATION_EXPIRED, now_ms
    return None, min(entry.valid_until_ms, entry.attestation_expires_ms)


@dataclass(frozen=True, slots=True)
class Standing:
    """The switches, and behind them the policy in force. `entries` is None where none is known.

    `note_end` hears when something that may leave now ends.
    """

    view: SwitchView
    entries: Entries | None
    now_ms: int
    note_end: Callable[[int], None]

    @property
    def epoch(self) -> int:
        return self.view.epoch

    def stopped(self, program: str, issuer_id: str) -> Reason | None:
        """Why nothing of the program may leave for the issuer now; None where it may."""
        reason = self.view.stopped(program, issuer_id)
        if reason is not None or self.entries is None:
            return reason
        reason, until_ms = ended(self.entries.get((program, issuer_id)), self.now_ms)
        if reason is None:
            self.note_end(until_ms)
        return reason
