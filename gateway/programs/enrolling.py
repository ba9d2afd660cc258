"""How an issuer comes in by itself: invited, its keys submitted, proven, approved by another person. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.records.errors import GatewayError

INVITE_DAYS_DEFAULT: Final = 7
INVITE_DAYS_MAX: Final = 30
"""A token that waits in somebody's mail for longer is forgotten, not used."""

PROVE_MS: Final = 60 * 60 * 1000
"""An hour from submission to proof: a program does it at once, people by hand need a while."""

TRIES_MAX: Final = 5
"""Proofs of one submission: who has the keys needs one."""

SUBMISSIONS_MAX: Final = 8
"""Of one recipient in an hour: each is a few hundred bytes that we keep for good."""

OPEN_INVITES_MAX: Final = 1000


class EnrolmentRefused(GatewayError):
    """This cannot be done to this enrolment as it stands."""

    code = "enrolment_refused"


class Stage(StrEnum):
    """How far a submission has come."""

    SUBMITTED = "submitted"
    PROVEN = "proven"
    """Whoever sent it has the private keys; a second person has to approve."""
    IN_FORCE = "in force"
    REPLACED = "replaced"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A token that is good once. Times are epoch milliseconds, 0 is never."""

    invite_id: int
    recipient_id: str
    invited_by: str
    at_ms: int
    expires_at_ms: int
    used_by: int = 0
    """The submission that was proven with it."""
    withdrawn_at_ms: int = 0

    def usable(self, now_ms: int) -> bool:
        return not self.used_by and not self.withdrawn_at_ms and now_ms < self.expires_at_ms


@dataclass(frozen=True, slots=True)
class Submission:
    """Keys that a recipient wants to be known by. `document` has them and its addresses, as JSON."""

    submission_id: int
    recipient_id: str
    invite_id: int
    """0 where the recipient changes its keys by itself, or came with a certificate."""
    by: str
    document: str
    thumbprints: tuple[str, ...]
    nonce_sha256: str
    stage: Stage
    tries: int
    at_ms: int


def subject_of(one: Submission) -> dict[str, str]:
    """What an approver is asked about: names and thumbprints, to compare with what the issuer says."""
    return {
        "recipient_id": one.recipient_id,
        "submission_id": str(one.submission_id),
        "thumbprints": " ".join(one.thumbprints),
    }


class EnrolmentStore(Protocol):
    """Where enrolments are kept, for good: who invited, who approved which key stays answerable."""

    def invite(
        self, recipient_id: str, token_sha256: str, *, by: str, reason: str, life_ms: int
    ) -> Invitation:
        """Raises EnrolmentRefused where too many wait."""
        ...

    def invitation(self, token_sha256: str) -> Invitation | None:
        """That of a token, usable or not; None where there is none."""
        ...

    def withdraw(self, recipient_id: str, *, by: str, reason: str) -> int:
        """Takes back what waits; how many."""
        ...

    def submit(
        self, recipient_id: str, *, invite_id: int, by: str, document: str, thumbprints: tuple[str, ...],
        nonce_sha256: str,
    ) -> Submission:  # fmt: skip
        """Raises EnrolmentRefused where there are too many, or the invitation is used up."""
        ...

    def get(self, submission_id: int) -> Submission | None: ...

    def tried(self, submission_id: int) -> int:
        """Counts a proof that did not hold; how many there were."""
        ...

    def proven(self, submission_id: int) -> Submission:
        """The proof holds; its invitation is used up. A second time it changes nothing."""
        ...

    def in_force(self, submission_id: int, *, by: str) -> Submission:
        """Approved: what was in force before is replaced. A second time it changes nothing."""
        ...

    def revocable(self, recipient_id: str) -> Submission:
        """What `revoke` is about. Raises EnrolmentRefused where nothing is in force or was revoked."""
        ...

    def revoke(self, recipient_id: str, *, by: str, reason: str) -> Submission:
        """A second time it changes nothing. Raises EnrolmentRefused as `revocable` does."""
        ...

    def current(self, recipient_id: str) -> Submission | None:
        """What is in force."""
        ...

    def pinned(self, recipient_id: str) -> frozenset[str] | None:
        """Thumbprints that may be used now; None where the recipient never enrolled by itself."""
        ...

    def newest(self) -> Mapping[str, Submission]:
        """The newest submission of each recipient."""
        ...
