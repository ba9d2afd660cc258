"""Clients: machines that are known by more than a bearer token without an end.

A client proves who it is by a key of its own (private_key_jwt), by a secret that we made (its hash is kept),
or by a certificate. With any of them it gets short-lived tokens; with a certificate it may call without one.
"""

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from gateway.backends.embedded.private_files import alone
from gateway.programs.issues import near
from gateway.records.errors import GatewayError
from gateway.server.certificates import PeerCertificate
from gateway.server.private_rows import write_rows
from gateway.server.secret_words import secret_sha256
from issuernetwork._jose import BadKey, VerifyKey, verify_keys

MachineRole = Literal["caller", "issuer"]
"""Who may have credentials that no person holds."""

CLIENTS_MAX: Final = 10_000
"""Payment services and issuers of one network, some with a few."""

NAME_CHARACTERS_MAX: Final = 128
KEYS_MAX: Final = 8
"""Of one client: the one in use, the one that comes, and those of its machines."""


class ClientsInvalid(GatewayError):
    """The registry of clients cannot be used."""

    code = "identity_invalid"


class ClientConflict(GatewayError):
    """The registry as it is does not allow this change."""

    code = "client_conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One machine. `principal_id` is who it speaks for; of an issuer its recipient id."""

    client_id: str
    principal_id: str
    role: MachineRole
    keys: tuple[Mapping[str, str], ...] = ()
    """Public JWKs that it signs its assertions with."""
    secret_sha256: str = ""
    uri: str = ""
    """What its certificate says in the subject's alternative names."""
    bound: bool = False
    """Tokens are of use over connections with its certificate alone (RFC 8705 3)."""
    added_by: str = ""
    added_at_ms: int = 0

    def verify_keys(self) -> dict[str, VerifyKey]:
        return verify_keys({"keys": list(self.keys)})


class Clients:
    """The registry, followed as its file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        # By id and by URI, assigned together: another thread reads them meanwhile.
        self._known: tuple[dict[str, Client], dict[str, Client]] = ({}, {})
        self.refresh()

    def refresh(self) -> None:
        """Reads the file again if it changed. Raises ClientsInvalid; what was known then stays."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._known, self._stamp = ({}, {}), ()
            return
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp == self._stamp:
            return
        clients = read_clients(self._path)
        self._known = (
            {one.client_id: one for one in clients}, {one.uri: one for one in clients if one.uri}
        )  # fmt: skip
        self._stamp = stamp

    def get(self, client_id: str) -> Client | None:
        return self._known[0].get(client_id)

    def of_certificate(self, certificate: PeerCertificate) -> Client | None:
        """Whose certificate it is; None where it names nobody, or more than one."""
        by_uri = self._known[1]
        found = {one.client_id: one for uri in certificate.uris if (one := by_uri.get(uri)) is not None}
        return next(iter(found.values())) if len(found) == 1 else None


def read_clients(path: Path) -> list[Client]:
    """The registered ones; none without a file. Raises ClientsInvalid."""
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError):
        raise ClientsInvalid("clients.json: not readable as JSON; restore it from a backup") from None
    try:
        found = [Client(**{**row, "keys": tuple(row.get("keys", ()))}) for row in rows]
        for one in found:
            _checked(one)
        _alone(found)
    except (TypeError, AttributeError, ClientConflict, BadKey):
        raise ClientsInvalid(
            "clients.json: a row is no client with a role and a proof of its own; restore it from a backup"
        ) from None
    return found


def write_clients(path: Path, clients: Sequence[Client]) -> None:
    """The whole registry, durable and at once."""
    rows: list[dict[str, Any]] = [asdict(replace(one, keys=())) for one in clients]
    for row, one in zip(rows, clients, strict=True):
        row["keys"] = [dict(key) for key in one.keys]
    write_rows(path, rows)


def changing_clients(path: Path) -> AbstractContextManager[None]:
    """Around reading, changing and writing the registry. Raises ClientsInvalid where another does so."""
    return alone(path, ClientsInvalid("clients.json: another command is changing it; try again"))


def with_client(clients: Sequence[Client], added: Client) -> list[Client]:
    """The registry with one more. Raises ClientConflict, BadKey."""
    if len(clients) >= CLIENTS_MAX:
        raise ClientConflict(f"an installation has at most {CLIENTS_MAX} clients; remove some first")
    _checked(added)
    changed = [*clients, added]
    _alone(changed)
    return changed


def without_client(clients: Sequence[Client], client_id: str) -> list[Client]:
    """The registry with one less. Raises ClientConflict where there is none of the name."""
    left = [one for one in clients if one.client_id != client_id]
    if len(left) == len(clients):
        mend = near(client_id, {one.client_id for one in clients})
        raise ClientConflict(f"client_id: no such client. {mend or '`ein client list` names them'}")
    return left


def has_secret(client: Client, secret: str) -> bool:
    """Compares in a time that says nothing of the hash."""
    shown = secret_sha256(secret.encode())
    return bool(client.secret_sha256) and hmac.compare_digest(shown, client.secret_sha256)


def public_signing_keys(jwks: object) -> tuple[dict[str, str], ...]:
    """The keys of a client's JWK Set that verify signatures, their public members alone. Raises BadKey."""
    given = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(given, list) or not 1 <= len(given) <= KEYS_MAX:
        raise BadKey(f"the client's JWK Set needs a member keys with 1 to {KEYS_MAX} keys")
    kept = []
    for one in given:
        if not isinstance(one, Mapping) or one.get("use", "sig") != "sig":
            continue
        if any(member in one for member in ("d", "p", "q", "k")):
            raise BadKey("the client's JWK Set holds a private key: publish the public members alone")
        members = ("kty", "crv", "x", "y", "n", "e", "alg", "kid")
        kept.append({name: str(one[name]) for name in members if name in one} | {"use": "sig"})
    found = verify_keys({"keys": kept})
    if not found or len(found) != len(kept) or "" in found:
        raise BadKey("each key of the client's JWK Set needs a kid of its own, and an alg that fits it")
    return tuple(kept)


def _checked(one: Client) -> None:
    for name in (one.client_id, one.principal_id):
        if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable() or ":" in name:
            raise ClientConflict(
                f"client_id, principal_id: 1 to {NAME_CHARACTERS_MAX} printable characters without a colon"
            )
    if one.role not in get_args(MachineRole):
        raise ClientConflict("role: a client is a caller or an issuer; people have keys: `ein operator add`")
    if not (one.keys or one.secret_sha256 or one.uri):
        raise ClientConflict("client: give it a proof: a JWK Set, a secret, or the URI of its certificate")
    if one.bound and not one.uri:
        raise ClientConflict("bound: tokens are bound to a certificate: give its URI too")
    if one.keys and len(one.verify_keys()) != len(one.keys):
        raise BadKey("a key of the client cannot be used")


def _alone(clients: Iterable[Client]) -> None:
    """Raises ClientConflict: what proves one client proves no other."""
    seen: set[tuple[str, str]] = set()
    for one in clients:
        for proof in (("id", one.client_id), ("uri", one.uri), ("secret", one.secret_sha256)):
            if proof[1] and proof in seen:
                raise ClientConflict(f"{proof[0]}: another client has it; each has its own")
            seen.add(proof)
