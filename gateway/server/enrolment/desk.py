"""The acts of an enrolment, over its store, the requests for approval, the key files and the clients."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.enrolments import SqliteEnrolments, check_may_come
from gateway.backends.embedded.recipient_files import publish_recipient_keys
from gateway.programs.approvals import Approval, ApprovalRefused, Kind, Verdict
from gateway.programs.enrolling import (
    PROVE_MS,
    TRIES_MAX,
    EnrolmentRefused,
    Invitation,
    Stage,
    Submission,
    subject_of,
)
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing.inbound import InboundVerifier, SeenIds
from gateway.sealing.jwk import thumbprint
from gateway.sealing.keys import BadKey
from gateway.server.clients import Client, changing_clients, read_clients, write_clients
from gateway.server.enrolment.submitted import PROOF, challenge, kept, proves, submitted
from gateway.server.identity import Principal
from gateway.server.secret_words import make_secret, secret_sha256
from gateway.server.state import StateDir

T = TypeVar("T")

BY_ISSUER: Final = "issuer:"
"""Before the name of who asks, where it is no operator: operators' names have no colon."""

RECIPIENT_CHARACTERS_MAX: Final = 128
"""As in the name of its key file."""


def check_recipient_id(recipient_id: str) -> str:
    """The same. Raises EnrolmentRefused: it becomes a file name."""
    plain = recipient_id.replace("-", "").replace("_", "")
    if not plain.isascii() or not plain.isalnum() or len(recipient_id) > RECIPIENT_CHARACTERS_MAX:
        raise EnrolmentRefused(f"recipient_id: up to {RECIPIENT_CHARACTERS_MAX} letters, digits, - and _")
    return recipient_id


@dataclass(frozen=True, slots=True)
class Asking:
    """Who sends: a recipient that we know, or whoever holds an invitation."""

    recipient_id: str
    invitation: Invitation | None = None
    vouched_by: str = ""
    """Who registered the certificate that it shows: that stands for an invitation."""

    @property
    def by(self) -> str:
        return BY_ISSUER + self.recipient_id


class EnrolmentDesk:
    """What issuers do by themselves. Calls block: keep it off event loops."""

    def __init__(
        self, enrolments: SqliteEnrolments, approvals: SqliteApprovals, *, issuer: str, clock: Clock,
        entropy: Entropy, seen: SeenIds,
    ) -> None:  # fmt: skip
        self._enrolments = enrolments
        self._approvals = approvals
        self._issuer = issuer
        self._clock = clock
        self._entropy = entropy
        self._verifier = InboundVerifier(PROOF, audience=issuer, seen=seen)

    def asking(self, principal: Principal | None, token: str, vouched_by: str = "") -> Asking | None:
        """None for nobody who may: everything else is refused alike."""
        if principal is not None:
            known = principal.role == "issuer"
            return Asking(principal.principal_id, None, vouched_by) if known else None
        found = self._enrolments.invitation(secret_sha256(token.encode())) if token else None
        if found is None or found.withdrawn_at_ms or self._clock.wall_ms() >= found.expires_at_ms:
            return None
        return Asking(found.recipient_id, found)

    def submit(self, asking: Asking, given: object) -> dict[str, Any]:
        """The challenge. Raises EnrolmentRefused."""
        one = submitted(asking.recipient_id, given)
        invited = asking.invitation is not None or asking.vouched_by
        if not invited and self._enrolments.current(asking.recipient_id) is None:
            raise EnrolmentRefused(
                "keys: you have none in force that could be changed: ask for an invitation"
            )
        nonce, digest = make_secret(self._entropy)
        made = self._enrolments.submit(
            asking.recipient_id,
            invite_id=0 if asking.invitation is None else asking.invitation.invite_id,
            by=asking.by,
            document=one.document,
            thumbprints=one.thumbprints,
            nonce_sha256=digest,
        )
        sealed = challenge(
            one, made.submission_id, nonce, issuer=self._issuer, clock=self._clock, entropy=self._entropy
        )
        return {**self._told(made), "challenge": sealed, "prove_until_ms": made.at_ms + PROVE_MS}

    def prove(self, asking: Asking, submission_id: int, proofs: object) -> dict[str, Any] | None:
        """What was submitted, which now waits for approval. None where it is not the caller's, or not there.

        Raises EnrolmentRefused.
        """
        made = self._own(asking, submission_id)
        if made is None:
            return None
        now_ms = self._clock.wall_ms()
        if made.stage is Stage.SUBMITTED:
            if made.tries >= TRIES_MAX or now_ms >= made.at_ms + PROVE_MS:
                raise EnrolmentRefused("submission: too late, or tried too often: submit anew")
            if not self._proves(asking, made, proofs, now_ms):
                self._enrolments.tried(submission_id)
                raise EnrolmentRefused(
                    "proofs: a signature by each signing key over the nonce of the challenge, and by one in"
                    " force where keys are changed"
                )
            made = self._enrolments.proven(submission_id)
        if made.stage is Stage.PROVEN:
            self._ask_approval(made, asking)
        return self._told(made)

    def _proves(self, asking: Asking, made: Submission, proofs: object, now_ms: int) -> bool:
        # Whoever found a bearer token changes no keys: that takes one in force, or an invitation.
        before = None if asking.invitation is not None else self._enrolments.current(made.recipient_id)
        under = () if before is None else kept(before.recipient_id, before.document).signing
        return proves(
            proofs, kept(made.recipient_id, made.document), made.submission_id, made.nonce_sha256,
            verifier=self._verifier, now_ms=now_ms, under=under,
        )  # fmt: skip

    def status(self, asking: Asking, submission_id: int) -> dict[str, Any] | None:
        made = self._own(asking, submission_id)
        return None if made is None else self._told(made)

    def _own(self, asking: Asking, submission_id: int) -> Submission | None:
        made = self._enrolments.get(submission_id)
        if made is None or made.recipient_id != asking.recipient_id:
            return None
        invitation = asking.invitation
        return made if invitation is None or invitation.invite_id == made.invite_id else None

    def _ask_approval(self, made: Submission, asking: Asking) -> None:
        subject, now_ms = subject_of(made), self._clock.wall_ms()
        asked = [one for one in self._approvals.all() if dict(one.subject) == subject]
        if any(one.verdict is Verdict.REFUSED for one in asked):
            raise EnrolmentRefused("submission: it was refused: speak with the network, then submit anew")
        # A request that nobody decided within its day is asked anew.
        if any(one.verdict is not Verdict.OPEN or now_ms < one.expires_at_ms for one in asked):
            return
        # Who let it in asks, so that another has to approve; where an issuer changes its keys it asks itself.
        changes = asking.invitation is None and self._enrolments.current(made.recipient_id) is not None
        inviter = asking.vouched_by if asking.invitation is None else asking.invitation.invited_by
        by = asking.by if changes else inviter
        reason = "new keys" if changes else "enrolment"
        self._approvals.request(Kind.ENROL_ISSUER, subject, by=by, reason=reason)

    def _told(self, made: Submission) -> dict[str, Any]:
        return {
            "submission_id": made.submission_id, "recipient_id": made.recipient_id,
            "stage": str(made.stage), "thumbprints": list(made.thumbprints),
        }  # fmt: skip


def check_enrolment(state: StateDir, clock: Clock, asked: Approval) -> None:
    """Raises EnrolmentRefused where an approval could not be carried out: then none is to be given."""
    with_store(state, clock, lambda store: _checked(store, asked))
    _check_client(state, asked)


def _check_client(state: StateDir, asked: Approval) -> None:
    """Raises EnrolmentRefused: the signing keys must not come to speak for somebody else."""
    recipient_id = asked.subject["recipient_id"]
    for client in read_clients(state.clients):
        own = (client.principal_id, client.role) == (recipient_id, "issuer")
        if client.client_id == recipient_id and not own:
            raise EnrolmentRefused("recipient_id: a client of this name speaks for somebody else")


def carry_out(state: StateDir, clock: Clock, asked: Approval, *, by: str) -> None:
    """What an approval puts in place. A second time it changes nothing.

    Pins first: a key file that is read in between is not of a pinned key, and nothing is sealed to it.
    """

    _check_client(state, asked)

    def put(store: SqliteEnrolments) -> None:
        made = store.in_force(int(asked.subject["submission_id"]), by=by)
        one = kept(made.recipient_id, made.document)
        publish_recipient_keys(state.keys, made.recipient_id, one.jwks)
        with changing_clients(state.clients):
            known = read_clients(state.clients)
            before = next((client for client in known if client.client_id == made.recipient_id), None)
            now = before or Client(
                client_id=made.recipient_id, principal_id=made.recipient_id, role="issuer", keys=one.signing,
                added_by=by, added_at_ms=clock.wall_ms(),
            )  # fmt: skip
            others = [client for client in known if client is not before]
            write_clients(state.clients, [*others, replace(now, keys=one.signing)])

    with_store(state, clock, put)


def revoke_keys(state: StateDir, clock: Clock, recipient_id: str, *, by: str, reason: str) -> Submission:
    """From half a second on nothing is sealed to it, and its signing keys prove nothing.

    A second time it only does what was left undone. Raises EnrolmentRefused.
    """

    def gone(store: SqliteEnrolments) -> Submission:
        made = store.revocable(recipient_id)
        # The file first, with an end that has passed: whatever fails from here on, nothing is sealed. It
        # stays, since who ever had keys is known by it; written again it is held to its pins, which are none.
        ended = kept(recipient_id, made.document).ended_jwks
        publish_recipient_keys(state.keys, recipient_id, ended)
        made = store.revoke(recipient_id, by=by, reason=reason)
        publish_recipient_keys(state.keys, recipient_id, ended)
        with changing_clients(state.clients):
            known = read_clients(state.clients)
            left = [_without_keys(one) if one.client_id == recipient_id else one for one in known]
            write_clients(state.clients, [one for one in left if one is not None])
        return made

    return with_store(state, clock, gone)


def _without_keys(client: Client) -> Client | None:
    """What else it proves itself by stays."""
    return replace(client, keys=()) if client.secret_sha256 or client.uri else None


def _checked(store: SqliteEnrolments, asked: Approval) -> None:
    made = store.get(int(asked.subject["submission_id"]))
    if made is None:
        raise EnrolmentRefused("submission: there is none of this number")
    if made.stage is not Stage.IN_FORCE:
        check_may_come(made, store.current(made.recipient_id))
    # An approval is of the keys that its asker saw.
    if " ".join(made.thumbprints) != asked.subject["thumbprints"]:
        raise ApprovalRefused("approval: it is about other keys")


def with_store(state: StateDir, clock: Clock, work: Callable[[SqliteEnrolments], T]) -> T:
    store = SqliteEnrolments(str(state.policy_db), clock)
    try:
        return work(store)
    finally:
        store.close()


def check_pins(pinned: Callable[[str], frozenset[str] | None], recipient_id: str, document: str) -> None:
    """Raises BadKey where a recipient that enrolled by itself has a key that nobody approved, or none."""
    known = pinned(recipient_id)
    if known is None:
        return
    keys = json.loads(document)["keys"]
    if not keys or any(thumbprint(key) not in known for key in keys):
        raise BadKey("a key of the recipient is not one that was approved: its thumbprint is not pinned")
