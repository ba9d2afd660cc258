"""`ProgramService`: what programs there are, and the switch that beats everything else."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.programs import switches
from gateway.programs.model import PolicySnapshot, State
from gateway.programs.switches import LeaseBoard, SwitchStore, SwitchView, effective_state
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.server.grpc_common import InvalidArgument, authorization_of, authorized
from gateway.server.identity import Authenticator, Principal, Role
from issuernetwork.v1 import programs_pb2 as v1
from issuernetwork.v1 import programs_pb2_grpc as rpc

SERVICE = "issuernetwork.v1.ProgramService"
REASON_MAX_CHARACTERS = 256

_STATES: Mapping[State, v1.ProgramState] = {
    State.DRAFT: v1.PROGRAM_STATE_DRAFT,
    State.SHADOW: v1.PROGRAM_STATE_SHADOW,
    State.ACTIVE: v1.PROGRAM_STATE_ACTIVE,
    State.PAUSED: v1.PROGRAM_STATE_PAUSED,
    State.KILLED: v1.PROGRAM_STATE_KILLED,
    State.RETIRED: v1.PROGRAM_STATE_RETIRED,
}


class NotEverywhere(GatewayError):
    """A stop is written, and some worker neither acknowledged it nor ran out within the time."""

    code = "deadline_exceeded"


def list_programs(policy: PolicySnapshot, view: SwitchView) -> v1.ListProgramsResponse:
    """All programs with their enrolments, in order of name."""
    listed = v1.ListProgramsResponse(policy_version=policy.version, switch_epoch=view.epoch)
    for program in sorted(policy.programs.values(), key=lambda one: one.program):
        row = listed.programs.add(program=program.program, state=_STATES[program.state])
        for enrolment in sorted(policy.enrolments, key=lambda one: one.issuer_id):
            if enrolment.program != program.program:
                continue
            stop = view.stopped(program.program, enrolment.issuer_id)
            row.enrolments.add(
                issuer_id=enrolment.issuer_id,
                state=_STATES[effective_state(program.state, enrolment.state, stop)],
                ramp_ppm=program.ramp_ppm if enrolment.ramp_ppm is None else enrolment.ramp_ppm,
                holdout_ppm=program.holdout_ppm if enrolment.holdout_ppm is None else enrolment.holdout_ppm,
            )
    return listed


class ProgramService(rpc.ProgramServiceServicer):
    """Serves the two methods for operators; auditors may list."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        policy: Callable[[], PolicySnapshot],
        store: SwitchStore,
        board: LeaseBoard,
        clock: Clock,
        shares_already_left: Callable[[str, str], int],
    ) -> None:
        self._authenticator = authenticator
        self._policy = policy
        self._store = store
        self._board = board
        self._clock = clock
        self._shares_already_left = shares_already_left

    def _principal(self, context: Any, *roles: Role) -> Principal:
        return authorized(self._authenticator, authorization_of(context), *roles)

    async def ListPrograms(self, request: v1.ListProgramsRequest, context: Any) -> v1.ListProgramsResponse:  # noqa: N802
        self._principal(context, "operator", "auditor")
        return list_programs(self._policy(), self._store.view())

    async def KillProgram(self, request: v1.KillProgramRequest, context: Any) -> v1.KillProgramResponse:  # noqa: N802
        principal = self._principal(context, "operator")
        policy = self._policy()
        if request.program not in policy.programs:
            raise InvalidArgument("program: no such program; ListPrograms names them")
        if request.issuer_id and request.issuer_id not in policy.issuers:
            raise InvalidArgument("issuer_id: no such issuer; leave it empty to stop the program for all")
        if not 0 < len(request.reason) <= REASON_MAX_CHARACTERS:
            raise InvalidArgument(
                f"reason: say why in 1 to {REASON_MAX_CHARACTERS} characters, for the audit"
            )
        # Waits for leases: off the event loop, which serves other calls meanwhile.
        return await asyncio.to_thread(self._kill, request, principal.principal_id)

    def _kill(self, request: v1.KillProgramRequest, actor: str) -> v1.KillProgramResponse:
        stopped = switches.stop(
            self._store.kill,
            self._board,
            self._clock,
            time.sleep,
            program=request.program,
            issuer_id=request.issuer_id,
            actor=actor,
            reason=request.reason,
        )
        if stopped.workers_waiting:
            raise NotEverywhere(
                "the stop is written, and not yet in effect at every worker: end those that"
                " `ein status` shows with an older epoch, and call again"
            )
        return v1.KillProgramResponse(
            switch_epoch=stopped.epoch,
            effective_after_ms=stopped.effective_after_ms,
            workers_acknowledged=len(stopped.workers_acknowledged),
            workers_expired=len(stopped.workers_expired),
            shares_already_left=self._shares_already_left(request.program, request.issuer_id),
        )
