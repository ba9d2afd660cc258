"""The operators' services behind a real server on loopback, over an installation's own stores."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.programs.documents import load_policy
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.server.bootstrap.gateway import OperatorStores
from gateway.server.gateway.consent_service import ConsentService
from gateway.server.gateway.issuer_service import IssuerService
from gateway.server.gateway.program_service import ProgramParts, ProgramService
from gateway.server.gateway.subject_service import SubjectService
from gateway.server.grpc_common import ServerThread
from gateway.server.identity import Authenticator, issue_token
from gateway.server.operators import Operators, spending
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from gateway.server.verbs.consents import ConsentDesk
from gateway.server.verbs.subjects import SubjectDesk
from issuernetwork.v1 import (
    consents_pb2,
    consents_pb2_grpc,
    issuers_pb2,
    issuers_pb2_grpc,
    programs_pb2,
    programs_pb2_grpc,
    subjects_pb2,
    subjects_pb2_grpc,
)
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.operators import register, token_of

PEOPLE = {"ops": "operator", "boss": "approver", "audrey": "auditor", "ona": "operator"}
MACHINES = {"payments": "caller", "northgate-bank": "issuer"}
CALL_TIMEOUT_S = 20.0
SERVICES: dict[str, tuple[Any, Any]] = {
    "ProgramService": (programs_pb2, programs_pb2_grpc.ProgramServiceStub),
    "ConsentService": (consents_pb2, consents_pb2_grpc.ConsentServiceStub),
    "SubjectService": (subjects_pb2, subjects_pb2_grpc.SubjectServiceStub),
    "IssuerService": (issuers_pb2, issuers_pb2_grpc.IssuerServiceStub),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Calls by name, as one of PEOPLE or MACHINES. `stores` are those that the services use."""

    settings: Settings
    stores: OperatorStores
    channel: grpc.Channel
    tokens: dict[str, str] = field(repr=False)

    def metadata(self, by: str) -> list[tuple[str, str]]:
        if not by:
            return []
        token = token_of(self.settings, by) if by in PEOPLE else self.tokens[by]
        return [("authorization", f"Bearer {token}")]

    def call(self, method: str, by: str, *, token: str = "", **members: Any) -> Any:
        """Raises grpc.RpcError. The first service that has the method. A fresh token, if none is given."""
        metadata = [("authorization", f"Bearer {token}")] if token else self.metadata(by)
        for module, stub in SERVICES.values():
            run = getattr(stub(self.channel), method, None)
            if run is not None:
                request = getattr(module, f"{method}Request")(**members)
                return run(request, metadata=metadata, timeout=CALL_TIMEOUT_S)
        raise AssertionError(method)

    def refused(self, method: str, by: str, **members: Any) -> tuple[grpc.StatusCode, str]:
        """Status and text of a call that has to fail."""
        try:
            self.call(method, by, **members)
        except grpc.RpcError as fault:
            return fault.code(), fault.details() or ""
        raise AssertionError(f"{method} by {by} went through")


@contextmanager
def desk(
    settings: Settings,
    *,
    board: type[FileLeaseBoard] = FileLeaseBoard,
    shares_already_left: Callable[[str, str], int] = lambda program, issuer_id: 3,
) -> Iterator[Desk]:
    """Runs the services. People and machines are registered where they are not yet."""
    state, clock = settings.state, SystemClock()
    state.make()
    for name, role in PEOPLE.items():
        if not (settings.source.parent / f"{name}.key").exists():
            register(settings, name, role)  # type: ignore[arg-type]
    tokens = {
        name: issue_token(state, principal_id=name, role=role, entropy=SystemEntropy())  # type: ignore[arg-type]
        for name, role in MACHINES.items()
    }
    stores, policy = OperatorStores.open(state, clock), load_policy(read_policy(SAMPLE_POLICY), version=1)
    authenticator = Authenticator(state, Operators(state, settings.issuer_url, clock))
    leases = board(RealDisk(), str(state.leases))
    programs = ProgramService(
        ProgramParts(
            state=state, policy=lambda: policy, store=stores.policy,
            approvals=stores.approvals, board=leases, clock=clock, shares_already_left=shares_already_left,
        )
    )  # fmt: skip
    consents = ConsentService(desk=ConsentDesk(stores.consents, leases, clock, time.sleep))

    subjects = SubjectService(desk=SubjectDesk(state, clock), iss=settings.issuer_url)
    issuers = IssuerService(state=state, clock=clock, entropy=SystemEntropy())

    def add(server: Any) -> None:
        programs_pb2_grpc.add_ProgramServiceServicer_to_server(programs, server)  # type: ignore[no-untyped-call]
        consents_pb2_grpc.add_ConsentServiceServicer_to_server(consents, server)  # type: ignore[no-untyped-call]
        subjects_pb2_grpc.add_SubjectServiceServicer_to_server(subjects, server)  # type: ignore[no-untyped-call]

        issuers_pb2_grpc.add_IssuerServiceServicer_to_server(issuers, server)  # type: ignore[no-untyped-call]

    server = ServerThread(
        "127.0.0.1:0", add, services=(), authenticate=authenticator.principal,
        spend=spending(stores.seen, clock),
    )  # fmt: skip
    try:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Desk(settings, stores, channel, tokens)
    finally:
        server.close()
        programs.close()
        consents.close()
        subjects.close()
        issuers.close()
        stores.close()
