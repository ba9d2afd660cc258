"""Acts that need a second person: one asks, another approves within a day, and only then it is done. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from gateway.records.errors import GatewayError

LIFE_MS: Final = 24 * 60 * 60 * 1000
"""A day: who approves has the same state of things before them as who asked."""

OPEN_MAX: Final = 1000
"""Waiting at once: a queue of people's decisions, not of machines'."""


class ApprovalRefused(GatewayError):
    """The request cannot be decided in this way."""

    code = "approval_refused"


class Kind(StrEnum):
    """What may be asked for."""

    REVIVE = "revive"
    ADD_OPERATOR = "add_operator"
    REMOVE_OPERATOR = "remove_operator"
    ENROL_ISSUER = "enrol_issuer"
    DESTROY_KEY = "destroy_key"


class Verdict(StrEnum):
    """What became of a request."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    ALONE = "alone"
    """Done at once: there was no second person yet who could approve."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One request. `subject` says what exactly, in names alone. Times are epoch milliseconds, 0 is never."""

    approval_id: int
    kind: Kind
    subject: Mapping[str, str]
    reason: str
    requested_by: str
    requested_at_ms: int
    verdict: Verdict = Verdict.OPEN
    decided_by: str = ""
    decided_at_ms: int = 0
    done_at_ms: int = 0

    @property
    def expires_at_ms(self) -> int:
        return self.requested_at_ms + LIFE_MS


def decided(approval: Approval, *, by: str, approve: bool, now_ms: int) -> Approval:
    """The request with its verdict. Raises ApprovalRefused.

    What was approved and not done, since a process ended in between, the same person may approve again.
    """
    wanted = Verdict.APPROVED if approve else Verdict.REFUSED
    if (
        approval.verdict is Verdict.APPROVED
        and approve
        and not approval.done_at_ms
        and by == approval.decided_by
    ):
        return approval
    if approval.verdict is not Verdict.OPEN:
        raise ApprovalRefused("approval: it is decided already; `ein approvals --all` says how")
    if now_ms >= approval.expires_at_ms:
        raise ApprovalRefused("approval: the request is older than a day: ask anew")
    if by == approval.requested_by and approve:
        raise ApprovalRefused("approval: who asked cannot approve; it takes a second person")
    return replace(approval, verdict=wanted, decided_by=by, decided_at_ms=now_ms)


class ApprovalStore(Protocol):
    """Where requests are kept, for good: who asked and who approved stays answerable."""

    def request(self, kind: Kind, subject: Mapping[str, str], *, by: str, reason: str) -> Approval:
        """Raises ApprovalRefused where too many wait, or the same is asked for already."""
        ...

    def alone(self, kind: Kind, subject: Mapping[str, str], *, by: str, reason: str) -> None:
        """Keeps what one person does while there is no second one. Raises ApprovalRefused."""
        ...

    def get(self, approval_id: int) -> Approval:
        """Raises ApprovalRefused where there is none."""
        ...

    def all(self) -> list[Approval]:
        """Every request, the newest last."""
        ...

    def decide(self, approval_id: int, *, by: str, approve: bool) -> Approval:
        """As `decided`, durable. Raises ApprovalRefused."""
        ...

    def done(self, approval_id: int) -> None:
        """The act has been carried out."""
        ...
