"""Who calls: machines by bearer tokens, kept as SHA-256 alone; people by short-lived tokens that they sign.

Identity comes from credentials, never from a field.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import get_args

from gateway.backends.embedded.private_files import alone
from gateway.programs.issues import near
from gateway.records.access import Role
from gateway.records.errors import GatewayError
from gateway.runtime.entropy import Entropy
from gateway.sealing.operator_token import OperatorTokenRefused, TokenId
from gateway.server.certificates import PeerCertificate
from gateway.server.clients import Client, Clients
from gateway.server.clients import MachineRole as MachineRole
from gateway.server.oauth.access_tokens import TOKEN_TYPE, AccessTokenRefused, AccessTokens, type_of
from gateway.server.operators import Operators
from gateway.server.private_rows import write_rows
from gateway.server.secret_words import make_secret, secret_sha256
from gateway.server.state import StateDir
from gateway.sharing.ports import Credential

MAX_HEADER_BYTES = 512
CACHE_MAX_ENTRIES = 4096
"""Known headers kept at hand; more callers than that are looked up by hash again."""


class IdentityInvalid(GatewayError):
    """The identities file cannot be used."""

    code = "identity_invalid"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. An issuer's `principal_id` is its recipient id."""

    principal_id: str
    role: Role
    shown: TokenId | None = field(default=None, compare=False, repr=False)
    """An operator's token: good for one act."""


class Authenticator:
    """Finds the principal of an Authorization header. Follows the identities file as it changes."""

    def __init__(
        self, state: StateDir, operators: Operators | None = None, tokens: AccessTokens | None = None
    ) -> None:
        self._path = state.identities
        self._operators = operators
        self._tokens = tokens
        self.clients = Clients(state.clients)
        self._stamp: tuple[int, ...] = ()
        # Assigned together: a header that was looked up in the old file must not get into the new cache.
        self._known: tuple[dict[str, Principal], dict[bytes, Principal]] = ({}, {})
        self.refresh()

    def refresh(self) -> None:
        """Reads the file again if it changed; without the file nobody is known. Called from a poll."""
        if self._operators is not None:
            self._operators.refresh()
        self.clients.refresh()
        try:
            stat = self._path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if stamp == self._stamp:
                return
            content = self._path.read_bytes()
        except FileNotFoundError:
            self._known, self._stamp = ({}, {}), ()
            return
        self._known = (_read(content), {})
        self._stamp = stamp

    def principal(self, header: Credential, certificate: PeerCertificate | None = None) -> Principal | None:
        """The caller behind `Bearer <token>`, or behind a certificate where there is no header; else None.

        A header that says nothing known is not helped by a certificate.
        """
        if header is None:
            return None if certificate is None else _of(self.clients.of_certificate(certificate))
        if not isinstance(header, str | bytes):
            return header if isinstance(header, Principal) else None
        raw = header.encode("utf-8", "replace") if isinstance(header, str) else header
        by_digest, cache = self._known
        found = cache.get(raw)
        if found is not None:
            return found
        if raw[:7].lower() != b"bearer ":
            return None
        if b"." in raw:
            token = raw[7:].strip()
            known = self._tokens is not None and self._tokens.knows(token)
            if known or type_of(token) == TOKEN_TYPE:
                return self._client(token, certificate)
            return self._operator(token)
        if len(raw) > MAX_HEADER_BYTES:
            return None
        found = by_digest.get(secret_sha256(raw[7:].strip()))
        if found is not None and len(cache) < CACHE_MAX_ENTRIES:
            cache[raw] = found
        return found

    def _client(self, token: bytes, certificate: PeerCertificate | None) -> Principal | None:
        """What it may do is looked up each time: who was removed is nobody, whatever the token says."""
        if self._tokens is None:
            return None
        try:
            access = self._tokens.verified(token)
        except AccessTokenRefused:
            return None
        if access.thumbprint and (certificate is None or certificate.thumbprint != access.thumbprint):
            return None
        client = self.clients.get(access.client_id)
        return None if client is None or (client.bound and not access.thumbprint) else _of(client)

    def _operator(self, token: bytes) -> Principal | None:
        """Not kept at hand: such a token runs out."""
        if self._operators is None:
            return None
        try:
            operator, shown = self._operators.verified(token.decode("ascii"))
        except (OperatorTokenRefused, UnicodeDecodeError):
            return None
        return Principal(operator.principal_id, operator.role, shown)


def _of(client: Client | None) -> Principal | None:
    return None if client is None else Principal(client.principal_id, client.role)


def _read(content: bytes) -> dict[str, Principal]:
    try:
        rows = json.loads(content)
        principals = {row["token_sha256"]: Principal(row["principal_id"], row["role"]) for row in rows}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise IdentityInvalid("identities.json: expected a list of principals; issue tokens anew") from None
    if any(principal.role not in get_args(MachineRole) for principal in principals.values()):
        raise IdentityInvalid(
            "identities.json: a role that is neither caller nor issuer; people have keys: `ein operator add`"
        )
    return principals


def _rows(state: StateDir) -> list[dict[str, str]]:
    """The checked rows of the file, in the order in which tokens were issued; none without it."""
    try:
        content = state.identities.read_bytes()
    except FileNotFoundError:
        return []
    _read(content)
    rows: list[dict[str, str]] = json.loads(content)
    return rows


@contextmanager
def _changing(state: StateDir) -> Iterator[list[dict[str, str]]]:
    """Rows to change, written back when all went well."""
    busy = IdentityInvalid("identities.json: another `ein token` is changing it; try again")
    with alone(state.identities, busy):
        rows = _rows(state)
        yield rows
        write_rows(state.identities, rows)


def issue_token(
    state: StateDir,
    *,
    principal_id: str,
    role: MachineRole,
    entropy: Entropy,
    before: Callable[[], None] = lambda: None,
) -> str:
    """Makes a token for `principal_id`, stores its hash and returns it: it cannot be shown again.

    `before` is called when it is known that it can be done. Raises IdentityInvalid where the file that is
    there cannot be used.
    """
    token, digest = make_secret(entropy)
    with _changing(state) as rows:
        before()
        rows.append({"principal_id": principal_id, "role": role, "token_sha256": digest})
    return token


def revoke_tokens(
    state: StateDir,
    *,
    principal_id: str,
    keep_newest: bool = False,
    before: Callable[[], None] = lambda: None,
) -> int:
    """Forgets the tokens of `principal_id`, or all but the one issued last; how many.

    `before` as above. Raises IdentityInvalid where it has none: a name misspelt must not read like a token
    taken back.
    """
    with _changing(state) as rows:
        own = [row for row in rows if row["principal_id"] == principal_id]
        if not own:
            mend = near(principal_id, {row["principal_id"] for row in rows})
            raise IdentityInvalid(
                f"identities.json: no token of this principal. {mend or '`ein token list` names them'}"
            )
        before()
        gone = own[:-1] if keep_newest else own
        rows[:] = [row for row in rows if row not in gone]
    return len(gone)


def count_tokens(state: StateDir) -> dict[Principal, int]:
    """Principals in the order of their names, and how many tokens each has. Raises IdentityInvalid."""
    counts = Counter(Principal(row["principal_id"], row["role"]) for row in _rows(state))  # type: ignore[arg-type]
    return dict(sorted(counts.items(), key=lambda one: (one[0].principal_id, one[0].role)))
