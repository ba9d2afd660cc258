"""What operators do about issuers that enrol by themselves: by `ein issuer`, and over gRPC."""

from typing import Final

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.programs.enrolling import Invitation, Submission
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.server.enrolment.desk import check_recipient_id, with_store
from gateway.server.operators import read_operators
from gateway.server.secret_words import make_secret
from gateway.server.state import StateDir
from gateway.server.verbs.approvals import check_registered

DAY_MS: Final = 24 * 60 * 60 * 1000


def invite(
    state: StateDir, clock: Clock, entropy: Entropy, recipient_id: str, *, days: int, by: str, reason: str
) -> tuple[str, Invitation]:
    """A token that is good once, and what is kept of it. Raises OperatorRefused, EnrolmentRefused."""
    # Somebody else has to approve: who invites has to be a person by a key.
    check_registered(read_operators(state.operators), by)
    token, digest = make_secret(entropy)

    def write(store: SqliteEnrolments) -> Invitation:
        named = check_recipient_id(recipient_id)
        return store.invite(named, digest, by=by, reason=reason, life_ms=days * DAY_MS)

    return token, with_store(state, clock, write)


def withdraw(state: StateDir, clock: Clock, recipient_id: str, *, by: str, reason: str) -> int:
    """How many invitations were taken back."""
    return with_store(state, clock, lambda store: store.withdraw(recipient_id, by=by, reason=reason))


def newest(state: StateDir, clock: Clock) -> list[Submission]:
    """The newest submission of each recipient, in order of their names."""
    found = with_store(state, clock, lambda store: store.newest())
    return [one for _, one in sorted(found.items())]
