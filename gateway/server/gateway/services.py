"""The services beside enrichment: outcomes, and what operators do over gRPC."""

import time
from typing import Any, Final, NamedTuple

from gateway.backends.embedded.delivery import shares_already_left
from gateway.backends.embedded.journal import FileJournalReader
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.server.bootstrap.gateway import GatewayParts
from gateway.server.gateway import (
    consent_service,
    issuer_service,
    outcome_service,
    program_service,
    subject_service,
)
from gateway.server.gateway.consent_service import ConsentService
from gateway.server.gateway.issuer_service import IssuerService
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.server.gateway.outcome_service import OutcomeServicer
from gateway.server.gateway.program_service import ProgramParts, ProgramService
from gateway.server.gateway.subject_service import SubjectService
from gateway.server.state import StateDir
from gateway.server.verbs.consents import ConsentDesk
from gateway.server.verbs.keys import KeyDesk
from gateway.server.verbs.subjects import SubjectDesk
from issuernetwork.v1 import (
    consents_pb2_grpc,
    issuers_pb2_grpc,
    outcomes_pb2_grpc,
    programs_pb2_grpc,
    subjects_pb2_grpc,
)

SERVICES: Final = tuple(
    module.SERVICE
    for module in (outcome_service, program_service, consent_service, subject_service, issuer_service)
)
"""Their names, for reflection and health."""


class Services(NamedTuple):
    """What is served beside enrichment."""

    outcomes: OutcomeServicer
    programs: ProgramService
    consents: ConsentService
    subjects: SubjectService
    issuers: IssuerService

    def add(self, server: Any) -> None:
        outcomes_pb2_grpc.add_OutcomeServiceServicer_to_server(self.outcomes, server)  # type: ignore[no-untyped-call]
        programs_pb2_grpc.add_ProgramServiceServicer_to_server(self.programs, server)  # type: ignore[no-untyped-call]
        consents_pb2_grpc.add_ConsentServiceServicer_to_server(self.consents, server)  # type: ignore[no-untyped-call]
        subjects_pb2_grpc.add_SubjectServiceServicer_to_server(self.subjects, server)  # type: ignore[no-untyped-call]
        issuers_pb2_grpc.add_IssuerServiceServicer_to_server(self.issuers, server)  # type: ignore[no-untyped-call]


def make_services(
    parts: GatewayParts, state: StateDir, metrics: GatewayMetrics, issuer_url: str, keys: KeyDesk
) -> Services:
    """All of them, over the stores of `parts`."""
    programs = ProgramParts(
        state=state,
        policy=lambda: parts.policy,
        store=parts.operator_stores.policy,
        approvals=parts.operator_stores.approvals,
        board=parts.board,
        clock=parts.clock,
        shares_already_left=lambda program, issuer_id: (
            shares_already_left(state.feeds_db, program, issuer_id or None).shares
        ),
        keys=keys,
    )
    outcomes = OutcomeServicer(
        recorder=parts.outcomes,
        make_reader=lambda: FileJournalReader(RealDisk(), state.feeds_journal),
        on_call=metrics.called,
        restored_at_ms=state.restored_at_ms(),
    )
    desk = ConsentDesk(parts.operator_stores.consents, parts.board, parts.clock, time.sleep)
    subjects = SubjectDesk(state, parts.clock, own_keys=lambda: parts.keys.current)
    return Services(
        outcomes,
        ProgramService(programs),
        ConsentService(desk=desk),
        SubjectService(desk=subjects, iss=issuer_url),
        IssuerService(state=state, clock=parts.clock, entropy=SystemEntropy()),
    )
