"""`IssuerService`: invitations to enrol, how far issuers are, and the end of their keys."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.programs.enrolling import INVITE_DAYS_DEFAULT, INVITE_DAYS_MAX, Stage, Submission
from gateway.programs.switches import MAX_EPOCH
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.server.beside import Beside
from gateway.server.enrolment.desk import revoke_keys
from gateway.server.gate import caller
from gateway.server.gateway.acts import check_reason, cursor_of, page_size, places_of
from gateway.server.grpc_common import InvalidArgument
from gateway.server.state import StateDir
from gateway.server.verbs import issuers as verbs
from issuernetwork.v1 import issuers_pb2 as v1
from issuernetwork.v1 import issuers_pb2_grpc as rpc

SERVICE: Final = v1.DESCRIPTOR.services_by_name["IssuerService"].full_name

THREADS: Final = 1
"""Issuers come and go a few times a year."""

CALLS_INSIDE_MAX: Final = 32
"""Some 20 ms each."""

_STAGES: Final[Mapping[Stage, v1.SubmissionStage]] = {
    Stage.SUBMITTED: v1.SUBMISSION_STAGE_SUBMITTED,
    Stage.PROVEN: v1.SUBMISSION_STAGE_PROVEN,
    Stage.IN_FORCE: v1.SUBMISSION_STAGE_IN_FORCE,
    Stage.REPLACED: v1.SUBMISSION_STAGE_REPLACED,
    Stage.REVOKED: v1.SUBMISSION_STAGE_REVOKED,
}


def submission_message(one: Submission) -> v1.IssuerSubmission:
    """A submission, as it is told."""
    return v1.IssuerSubmission(
        recipient_id=one.recipient_id, submission_id=one.submission_id, stage=_STAGES[one.stage],
        thumbprints=one.thumbprints, at_ms=one.at_ms,
    )  # fmt: skip


class IssuerService(rpc.IssuerServiceServicer):
    """Operators and approvers act, auditors read."""

    def __init__(self, *, state: StateDir, clock: Clock, entropy: Entropy) -> None:
        self._state = state
        self._clock = clock
        self._entropy = entropy
        self._beside = Beside("issuers", threads=THREADS, inside_max=CALLS_INSIDE_MAX)

    def close(self) -> None:
        self._beside.close()

    async def InviteIssuer(self, request: v1.InviteIssuerRequest, context: Any) -> v1.InviteIssuerResponse:  # noqa: N802
        recipient_id, reason, by = _named(request), check_reason(request.reason), caller().principal_id
        if not 0 <= request.days <= INVITE_DAYS_MAX:
            raise InvalidArgument(f"days: 1 to {INVITE_DAYS_MAX}; 0 reads as {INVITE_DAYS_DEFAULT}")
        days = request.days or INVITE_DAYS_DEFAULT
        token, made = await self._beside.run(
            lambda: verbs.invite(
                self._state, self._clock, self._entropy, recipient_id, days=days, by=by, reason=reason
            )
        )
        return v1.InviteIssuerResponse(token=token, expires_at_ms=made.expires_at_ms)

    async def ListIssuers(self, request: v1.ListIssuersRequest, context: Any) -> v1.ListIssuersResponse:  # noqa: N802
        most = page_size(request.limit)
        (before,) = places_of(request.cursor, 1, MAX_EPOCH)
        found = await self._beside.run(lambda: verbs.newest(self._state, self._clock))
        found.sort(key=lambda one: one.submission_id, reverse=True)
        listed = [one for one in found if one.submission_id < before]
        return v1.ListIssuersResponse(
            issuers=[submission_message(one) for one in listed[:most]],
            next_cursor=cursor_of(listed[most - 1].submission_id) if len(listed) > most else "",
        )

    async def WithdrawInvitations(  # noqa: N802
        self, request: v1.WithdrawInvitationsRequest, context: Any
    ) -> v1.WithdrawInvitationsResponse:
        recipient_id, reason, by = _named(request), check_reason(request.reason), caller().principal_id
        count = await self._beside.run(
            lambda: verbs.withdraw(self._state, self._clock, recipient_id, by=by, reason=reason)
        )
        return v1.WithdrawInvitationsResponse(withdrawn=count)

    async def RevokeIssuerKeys(  # noqa: N802
        self, request: v1.RevokeIssuerKeysRequest, context: Any
    ) -> v1.RevokeIssuerKeysResponse:
        recipient_id, reason, by = _named(request), check_reason(request.reason), caller().principal_id
        gone = await self._beside.run(
            lambda: revoke_keys(self._state, self._clock, recipient_id, by=by, reason=reason)
        )
        return v1.RevokeIssuerKeysResponse(revoked=submission_message(gone))


def _named(request: Any) -> str:
    """The recipient that is meant. Raises InvalidArgument."""
    if not request.recipient_id:
        raise InvalidArgument("recipient_id: name the recipient, as policy does")
    return str(request.recipient_id)
