"""What people do about machines that may call: tokens without an end, and clients.

Each act is written down first, and done then: the ledger says at least what was done.
"""

from dataclasses import dataclass

from gateway.backends.embedded.identity_acts import IdentityVerb, SqliteIdentityActs
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing.jwk import thumbprint
from gateway.server import identity
from gateway.server.clients import (
    Client,
    changing_clients,
    read_clients,
    with_client,
    without_client,
    write_clients,
)
from gateway.server.identity import MachineRole
from gateway.server.state import StateDir


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as `acting` names them, and why."""

    by: str
    reason: str = ""


def issue_token(
    state: StateDir, clock: Clock, entropy: Entropy, *, principal_id: str, role: MachineRole, actor: Actor
) -> str:
    """The token: it cannot be shown again. Raises IdentityInvalid, and what the store of acts raises."""

    def intend() -> None:
        _write(state, clock, IdentityVerb.ISSUE_TOKEN, principal_id, principal_id, role, (), actor)

    return identity.issue_token(state, principal_id=principal_id, role=role, entropy=entropy, before=intend)


def revoke_tokens(
    state: StateDir, clock: Clock, *, principal_id: str, keep_newest: bool, actor: Actor
) -> int:
    """How many were forgotten. Raises IdentityInvalid where there are none."""

    def intend() -> None:
        kept = ("newest kept",) if keep_newest else ()
        _write(state, clock, IdentityVerb.REVOKE_TOKENS, principal_id, principal_id, "", kept, actor)

    return identity.revoke_tokens(state, principal_id=principal_id, keep_newest=keep_newest, before=intend)


def add_client(state: StateDir, clock: Clock, client: Client, *, actor: Actor) -> None:
    """Raises ClientConflict, ClientsInvalid, BadKey: then nothing was written down either."""
    with changing_clients(state.clients):
        changed = with_client(read_clients(state.clients), client)
        _write(
            state, clock, IdentityVerb.ADD_CLIENT, client.client_id, client.principal_id, client.role,
            _proofs(client), actor,
        )  # fmt: skip
        write_clients(state.clients, changed)


def remove_client(state: StateDir, clock: Clock, client_id: str, *, actor: Actor) -> None:
    """Raises ClientConflict where there is none of the name."""
    with changing_clients(state.clients):
        known = read_clients(state.clients)
        changed = without_client(known, client_id)
        (gone,) = (one for one in known if one.client_id == client_id)
        _write(
            state, clock, IdentityVerb.REMOVE_CLIENT, client_id, gone.principal_id, gone.role,
            _proofs(gone), actor,
        )  # fmt: skip
        write_clients(state.clients, changed)


def _proofs(client: Client) -> tuple[str, ...]:
    """What it proves itself by, told apart from what others prove themselves by; nothing secret."""
    secret = ("secret",) if client.secret_sha256 else ()
    uri = (client.uri,) if client.uri else ()
    return (*(thumbprint(key) for key in client.keys), *secret, *uri, *(("bound",) if client.bound else ()))


def _write(
    state: StateDir, clock: Clock, verb: IdentityVerb, subject_id: str, principal_id: str, role: str,
    proofs: tuple[str, ...], actor: Actor,
) -> None:  # fmt: skip
    store = SqliteIdentityActs(str(state.policy_db), clock)
    try:
        store.write(
            verb, subject_id, principal_id=principal_id, role=role, proofs=proofs, by=actor.by,
            reason=actor.reason,
        )  # fmt: skip
    finally:
        store.close()
