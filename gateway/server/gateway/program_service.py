"""`ProgramService`: programs, the switches that beat everything else, acts of two people, the history."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.programs.approvals import Approval, ApprovalStore, Verdict
from gateway.programs.model import PolicySnapshot
from gateway.programs.switches import MAX_EPOCH, LeaseBoard, Stopped, WriteStop
from gateway.runtime.clock import Clock
from gateway.server.beside import Beside
from gateway.server.gate import caller
from gateway.server.gateway.acts import check_reason, cursor_of, everywhere, page_size, places_of
from gateway.server.gateway.program_messages import approval_message, history_message, list_programs
from gateway.server.grpc_common import InvalidArgument
from gateway.server.state import StateDir
from gateway.server.verbs import approvals as verbs
from gateway.server.verbs.keys import KeyDesk
from issuernetwork.v1 import programs_pb2 as v1
from issuernetwork.v1 import programs_pb2_grpc as rpc

SERVICE: Final = v1.DESCRIPTOR.services_by_name["ProgramService"].full_name

STOP_THREADS: Final = 4
"""Kills and pauses at once: each waits up to a second for the leases."""

STOPS_INSIDE_MAX: Final = 64
"""More people than ever stop programs in one second."""

ACT_THREADS: Final = 2
"""Everything else: short transactions."""

ACTS_INSIDE_MAX: Final = 64
"""Some milliseconds each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramParts:
    """What the service works with."""

    state: StateDir
    policy: Callable[[], PolicySnapshot]
    store: SqlitePolicyStore
    approvals: ApprovalStore
    board: LeaseBoard
    clock: Clock
    shares_already_left: Callable[[str, str], int]
    keys: KeyDesk | None = None


class ProgramService(rpc.ProgramServiceServicer):
    """Operators and approvers act, auditors read, approvers alone approve."""

    def __init__(self, parts: ProgramParts) -> None:
        self._parts = parts
        self._stops = Beside("stops", threads=STOP_THREADS, inside_max=STOPS_INSIDE_MAX)
        self._acts = Beside("acts", threads=ACT_THREADS, inside_max=ACTS_INSIDE_MAX)

    def close(self) -> None:
        self._stops.close()
        self._acts.close()

    async def ListPrograms(self, request: v1.ListProgramsRequest, context: Any) -> v1.ListProgramsResponse:  # noqa: N802
        return list_programs(self._parts.policy(), self._parts.store.view())

    async def KillProgram(self, request: v1.KillProgramRequest, context: Any) -> v1.KillProgramResponse:  # noqa: N802
        actor = caller().principal_id
        stopped, left = await self._stop(self._parts.store.kill, request, actor)
        return v1.KillProgramResponse(
            switch_epoch=stopped.epoch,
            effective_after_ms=stopped.effective_after_ms,
            workers_acknowledged=len(stopped.workers_acknowledged),
            workers_expired=len(stopped.workers_expired),
            shares_already_left=left,
        )

    async def PauseProgram(self, request: v1.PauseProgramRequest, context: Any) -> v1.PauseProgramResponse:  # noqa: N802
        actor = caller().principal_id
        stopped, left = await self._stop(self._parts.store.pause, request, actor)
        return v1.PauseProgramResponse(
            switch_epoch=stopped.epoch,
            effective_after_ms=stopped.effective_after_ms,
            workers_acknowledged=len(stopped.workers_acknowledged),
            workers_expired=len(stopped.workers_expired),
            shares_already_left=left,
        )

    async def ResumeProgram(self, request: v1.ResumeProgramRequest, context: Any) -> v1.ResumeProgramResponse:  # noqa: N802
        actor = caller().principal_id
        program, issuer_id, reason = self._scope(request)
        epoch = await self._acts.run(
            lambda: self._parts.store.resume(program, issuer_id, actor=actor, reason=reason)
        )
        return v1.ResumeProgramResponse(switch_epoch=epoch)

    async def RequestRevival(  # noqa: N802
        self, request: v1.RequestRevivalRequest, context: Any
    ) -> v1.RequestRevivalResponse:
        by = caller().principal_id
        program, issuer_id, reason = self._scope(request)
        parts = self._parts
        asked = await self._acts.run(
            lambda: verbs.ask_revival(
                parts.state, parts.store, parts.approvals,
                program=program, issuer_id=issuer_id, by=by, reason=reason,
            )
        )  # fmt: skip
        return v1.RequestRevivalResponse(approval=approval_message(asked))

    async def ListApprovals(self, request: v1.ListApprovalsRequest, context: Any) -> v1.ListApprovalsResponse:  # noqa: N802
        most = page_size(request.limit)
        (before,) = places_of(request.cursor, 1, MAX_EPOCH)
        found = await self._acts.run(self._parts.approvals.all)
        now_ms = self._parts.clock.wall_ms()
        listed = [
            one
            for one in reversed(found)
            if one.approval_id < before and (request.include_decided or _waits(one, now_ms))
        ]
        return v1.ListApprovalsResponse(
            approvals=[approval_message(one) for one in listed[:most]],
            next_cursor=cursor_of(listed[most - 1].approval_id) if len(listed) > most else "",
        )

    async def Approve(self, request: v1.ApproveRequest, context: Any) -> v1.ApproveResponse:  # noqa: N802
        by = caller().principal_id
        parts = self._parts
        done = await self._acts.run(
            lambda: verbs.approve(
                parts.state, parts.store, parts.approvals, parts.clock,
                approval_id=request.approval_id, by=by, keys=parts.keys,
            )
        )  # fmt: skip
        return v1.ApproveResponse(approval=approval_message(done))

    async def Refuse(self, request: v1.RefuseRequest, context: Any) -> v1.RefuseResponse:  # noqa: N802
        by = caller().principal_id
        parts = self._parts
        refused = await self._acts.run(
            lambda: verbs.refuse(parts.state, parts.approvals, approval_id=request.approval_id, by=by)
        )
        return v1.RefuseResponse(approval=approval_message(refused))

    async def ListHistory(self, request: v1.ListHistoryRequest, context: Any) -> v1.ListHistoryResponse:  # noqa: N802
        most, store = page_size(request.limit), self._parts.store
        epoch, version = places_of(request.cursor, 2, MAX_EPOCH)
        # One more than asked for shows whether there is anything earlier.
        events = await self._acts.run(
            lambda: store.history(most + 1, before_epoch=epoch, before_version=version)
        )
        page = events[-most:]
        epoch = min((one.switch_epoch for one in page if one.switch_epoch), default=epoch)
        version = min((one.policy_version for one in page if one.policy_version), default=version)
        return v1.ListHistoryResponse(
            events=[history_message(one) for one in reversed(page)],
            next_cursor=cursor_of(epoch, version) if len(events) > most else "",
            policy_version=store.version(),
        )

    def _scope(self, request: Any) -> tuple[str, str, str]:
        """Program, issuer and reason. Raises InvalidArgument: a stop of nothing would look like a stop."""
        policy = self._parts.policy()
        if request.program not in policy.programs:
            raise InvalidArgument("program: no such program; ListPrograms names them")
        if request.issuer_id and request.issuer_id not in policy.issuers:
            raise InvalidArgument("issuer_id: no such issuer; leave it empty for all")
        return request.program, request.issuer_id, check_reason(request.reason)

    async def _stop(self, write: WriteStop, request: Any, actor: str) -> tuple[Stopped, int]:
        """Stops, and counts what had left."""
        program, issuer_id, reason = self._scope(request)
        parts = self._parts

        def stop() -> tuple[Stopped, int]:
            stopped = switches.stop(
                write, parts.board, parts.clock, time.sleep,
                program=program, issuer_id=issuer_id, actor=actor, reason=reason,
            )  # fmt: skip
            everywhere(stopped, "the stop")
            return stopped, parts.shares_already_left(program, issuer_id)

        return await self._stops.run(stop)


def _waits(one: Approval, now_ms: int) -> bool:
    return one.verdict is Verdict.OPEN and now_ms < one.expires_at_ms
