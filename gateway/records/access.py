"""Who may call which method: the one table, read from the option `access` of each method of the contract.

Whatever carries a call asks here. A method that says nothing is open to nobody.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args

from gateway.records.errors import GatewayError
from issuernetwork.v1 import (
    access_pb2,
    consents_pb2,
    enrichment_pb2,
    feed_pb2,
    issuers_pb2,
    measurement_pb2,
    outcomes_pb2,
    programs_pb2,
    subjects_pb2,
)

Role = Literal["caller", "issuer", "operator", "approver", "auditor"]

ROLES: Final[tuple[str, ...]] = get_args(Role)

CONTRACTS: Final[tuple[Any, ...]] = (
    enrichment_pb2, outcomes_pb2, feed_pb2, programs_pb2, consents_pb2, subjects_pb2, issuers_pb2,
    measurement_pb2,
)  # fmt: skip
"""Files of the contract that have services. A test holds the list to the folder."""

POLL_ROUTE: Final = "/ssf/streams/{stream_id}/poll"
TOKEN_KEYS_ROUTE: Final = "/token-keys/{recipient_id}"  # noqa: S105 - an address
ENROL_ROUTE: Final = "/enrol/submissions"
SUBMISSION_ROUTE: Final = "/enrol/submissions/{submission_id}"
PROOF_ROUTE: Final = "/enrol/submissions/{submission_id}/proof"

HTTP_ACCESS: Final[Mapping[str, frozenset[str]]] = {
    POLL_ROUTE: frozenset(("issuer",)),
    TOKEN_KEYS_ROUTE: frozenset(("issuer",)),
    ENROL_ROUTE: frozenset(("issuer",)),
    SUBMISSION_ROUTE: frozenset(("issuer",)),
    PROOF_ROUTE: frozenset(("issuer",)),
}
"""Routes over HTTP that need a caller, or an invitation. What they are about has to be the caller's own."""

OPEN_ROUTES: Final = frozenset(
    (
        "/.well-known/ssf-configuration", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server",
        "/healthz", "/oauth/token",
    )
)  # fmt: skip
"""Routes for everybody: what is public, and where a caller first says who it is."""

OPEN_SERVICES: Final = (
    "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
    "grpc.reflection.v1.ServerReflection",
)  # fmt: skip
"""Not of our contract, and open to all: they tell what anybody may know, that we run and what we speak."""

UNKNOWN_CALLER: Final = (
    "authorization: unknown; send `Bearer <token>` with a token issued to you, or call with your certificate"
)


class Unauthenticated(GatewayError):
    """No known credentials."""

    code = "unauthenticated"


class PermissionDenied(GatewayError):
    """Known, but not allowed to do this."""

    code = "permission_denied"


def _roles(method: Any) -> frozenset[str]:
    named = method.GetOptions().Extensions[access_pb2.access].roles
    words = (access_pb2.Role.Name(number).removeprefix("ROLE_").lower() for number in named)
    return frozenset(word for word in words if word in ROLES)


def table_of(contracts: Iterable[Any]) -> dict[str, frozenset[str]]:
    """Path of each method, as it stands in a call, and the roles that may call it."""
    return {
        f"/{service.full_name}/{method.name}": _roles(method)
        for contract in contracts
        for service in contract.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


ACCESS: Final[Mapping[str, frozenset[str]]] = table_of(CONTRACTS)


def is_act(path: str) -> bool:
    """Whether people change something by a method: auditors, who read, may call every other one of theirs."""
    roles = ACCESS.get(path, frozenset())
    return not roles.isdisjoint(("operator", "approver")) and "auditor" not in roles


def is_open(path: str) -> bool:
    """Whether a method needs no caller at all."""
    return path.rpartition("/")[0].removeprefix("/") in OPEN_SERVICES


def denial(path: str) -> str:
    """The text for who may not call a method. The same for every caller, whatever the request names."""
    named = [role for role in ROLES if role in ACCESS.get(path, ())]
    if not named:
        return "authorization: this method is open to nobody: it has no rule of access"
    return f"authorization: this needs the role {' or '.join(named)}"


def check_access(path: str, role: str | None) -> None:
    """Raises Unauthenticated where nobody known calls, PermissionDenied where the role may not."""
    if role is None:
        raise Unauthenticated(UNKNOWN_CALLER)
    if role not in ACCESS.get(path, ()):
        raise PermissionDenied(denial(path))
