"""Operators: people who act on an installation, each with a key of their own. Only public halves are kept.

Without a registered operator the installation is somebody's own machine: acts carry the name of the operating
system's user. From the first one on, whatever widens what may leave needs an operator's key; what stops it
never does.
"""

import getpass
import json
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from gateway.backends.embedded.private_files import alone
from gateway.programs.issues import near
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing import jwk
from gateway.sealing.inbound import KEPT_LONGER_MS, SKEW_S_MAX, SeenIds, TokenRefused
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import BadKey, SignatureAlgorithm, SigningKey
from gateway.sealing.operator_token import (
    OperatorTokenRefused,
    TokenId,
    key_named,
    make_token,
    operator_public_jwk,
    thumbprint,
    verify_token,
)
from gateway.sealing.signer import LocalSigner
from gateway.server.private_rows import write_rows
from gateway.server.state import StateDir

OperatorRole = Literal["operator", "approver", "auditor"]
"""An approver does what operators do, and approves what another asked for; an auditor only reads."""

KEY_ENV: Final = "EIN_OPERATOR_KEY"
"""Path of the private key of who acts, for every `ein` command that changes something."""

OPERATORS_MAX: Final = 1000
"""People, not machines."""

ACTS_MAX: Final = 4096
"""Tokens of one operator that acted and are remembered: six acts a second for eleven minutes."""

KEY_FILE_BYTES_MAX: Final = 4096
"""A P-256 JWK has under 300 bytes."""


class OperatorsInvalid(GatewayError):
    """The registry of operators cannot be used."""

    code = "operators_invalid"


class OperatorRefused(GatewayError):
    """Who acts is not known, or may not do this."""

    code = "permission_denied"


class OperatorConflict(OperatorRefused):
    """The registry as it is does not allow this change."""

    code = "operator_conflict"


@dataclass(frozen=True, slots=True)
class Operator:
    """One person. `thumbprint` names the key (RFC 7638)."""

    principal_id: str
    role: OperatorRole
    thumbprint: str
    public: dict[str, str]
    added_by: str
    added_at_ms: int


class Operators:
    """The registry, followed as its file changes."""

    def __init__(self, state: StateDir, audience: str, clock: Clock) -> None:
        self._path = state.operators
        self._audience = audience
        self._clock = clock
        self._stamp: tuple[int, ...] = ()
        self._known: dict[str, Operator] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads the file again if it changed. Raises OperatorsInvalid; what was known then stays."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._known = (), {}
            return
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._known = {one.thumbprint: one for one in read_operators(self._path)}
            self._stamp = stamp

    def verified(self, token: str) -> tuple[Operator, TokenId]:
        """Whose token it is, and which one. Raises OperatorTokenRefused."""
        operator = self._known.get(key_named(token))
        if operator is None:
            raise OperatorTokenRefused("authorization: the key is not registered; see `ein operator list`")
        now_ms = self._clock.wall_ms()
        return operator, verify_token(token, operator.public, audience=self._audience, now_ms=now_ms)

    def all(self) -> list[Operator]:
        return sorted(self._known.values(), key=lambda one: one.principal_id)


def spending(seen: SeenIds, clock: Clock) -> Callable[[TokenId], None]:
    """What an act takes its token by: from then on no act is done with it, at no process of this state.

    The call raises OperatorTokenRefused, and what the store raises where it does not answer.
    """

    def spend(shown: TokenId) -> None:
        if seen.began_ms and shown.issued_s < seen.began_ms // 1000 + SKEW_S_MAX:
            raise OperatorTokenRefused(
                "authorization: iat: made before tokens are remembered here; make a new one in a minute"
            )
        now_ms, ends_ms = clock.wall_ms(), shown.expires_s * 1000
        # It was good when it was verified; since then its call may have waited.
        if now_ms >= ends_ms:
            raise OperatorTokenRefused(
                "authorization: exp: the token ran out before its act was done; make a new one"
            )
        try:
            seen.take(
                f"operator/{shown.thumbprint}", shown.jti,
                until_ms=ends_ms + KEPT_LONGER_MS, now_ms=now_ms, most=ACTS_MAX,
            )  # fmt: skip
        except TokenRefused as refused:
            mend = (
                "too many acts within ten minutes: wait"
                if refused.check == "busy"
                else "an act was done with this token; make one for each: `ein operator token`"
            )
            raise OperatorTokenRefused(f"authorization: jti: {mend}") from None

    return spend


def read_operators(path: Path) -> list[Operator]:
    """The registered ones; none without a file. Raises OperatorsInvalid."""
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError):
        raise OperatorsInvalid("operators.json: not readable as JSON; restore it from a backup") from None
    try:
        found = [Operator(**row) for row in rows]
        good = all(
            one.role in get_args(OperatorRole) and one.thumbprint == thumbprint(one.public) for one in found
        )
    except (TypeError, BadKey, KeyError):
        good = False
    if not good or len({one.principal_id for one in found}) != len(found):
        raise OperatorsInvalid(
            "operators.json: a row is no operator with a role and a key of its own; restore it from a backup"
        )
    return found


def write_operators(path: Path, operators: Sequence[Operator]) -> None:
    """The whole registry, durable and at once."""
    write_rows(path, [asdict(one) for one in operators])


def changing_operators(path: Path) -> AbstractContextManager[None]:
    """Around reading, changing and writing the registry. Raises OperatorsInvalid where another does so."""
    return alone(path, OperatorsInvalid("operators.json: another command is changing it; try again"))


def with_operator(
    operators: Sequence[Operator],
    *,
    principal_id: str,
    role: OperatorRole,
    public: object,
    by: str,
    now_ms: int,
) -> list[Operator]:
    """The registry with one more. Raises OperatorConflict, BadKey: one name and one key a person."""
    kept = operator_public_jwk(public)
    print_of = thumbprint(kept)
    if ":" in principal_id or not principal_id.isprintable():
        raise OperatorConflict(
            "principal_id: without a colon, which tells `os:USER` and guardrails from people"
        )
    if any(one.principal_id == principal_id for one in operators):
        raise OperatorConflict("principal_id: an operator of this name is registered; remove that one first")
    if any(one.thumbprint == print_of for one in operators):
        raise OperatorConflict("key: it is registered under another name; two people have two keys")
    if len(operators) >= OPERATORS_MAX:
        raise OperatorConflict(f"an installation has at most {OPERATORS_MAX} operators; remove some first")
    return [*operators, Operator(principal_id, role, print_of, kept, by, now_ms)]


def without_operator(operators: Sequence[Operator], principal_id: str) -> list[Operator]:
    """The registry with one less. Raises OperatorConflict where there is none of the name."""
    left = [one for one in operators if one.principal_id != principal_id]
    if len(left) == len(operators):
        mend = near(principal_id, {one.principal_id for one in operators})
        raise OperatorConflict(f"principal_id: no such operator. {mend or '`ein operator list` names them'}")
    return left


def make_key(path: Path, entropy: Entropy) -> dict[str, str]:
    """A new private key in `path`, readable by its owner alone; its public half. Never overwrites."""
    private = p256_private_key(entropy)
    unnamed = SigningKey(kid="", alg=SignatureAlgorithm.ES256, private_key=private)
    public = operator_public_jwk(jwk.public_jwk(unnamed))
    named = SigningKey(kid=thumbprint(public), alg=SignatureAlgorithm.ES256, private_key=private)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OperatorRefused("key: the file is there already, and keys are never overwritten") from None
    with os.fdopen(descriptor, "w") as file:
        json.dump(jwk.private_jwk(named), file)
        file.flush()
        os.fsync(file.fileno())
    return public


def read_key(path: Path) -> LocalSigner:
    """Raises OperatorRefused where the file is missing, open to others, or holds no key."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        raise OperatorRefused("key: the file cannot be read; make one with `ein operator key FILE`") from None
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            raise OperatorRefused("key: the file is open to others: chmod 600")
        content = file.read(KEY_FILE_BYTES_MAX)
    try:
        found: Any = json.loads(content)
        return LocalSigner(jwk.signing_key({**found, "kid": thumbprint(found), "alg": "ES256"}))
    except (ValueError, TypeError, KeyError, RecursionError, BadKey):
        raise OperatorRefused(
            "key: the file holds no P-256 private key; make one with `ein operator key`"
        ) from None


def acting(
    state: StateDir,
    audience: str,
    clock: Clock,
    entropy: Entropy,
    *,
    stops: bool = False,
    reads: bool = False,
) -> str:
    """The name that an act is written under. Raises OperatorRefused, OperatorsInvalid.

    `stops`: the act only takes away, and nobody is held up in it. `reads`: an auditor may.
    """
    path = os.environ.get(KEY_ENV)
    if path:
        signer = read_key(Path(path))
        # As a server would see it: what is not good enough there does not pass here.
        token = make_token(signer, audience=audience, jti=entropy.bytes(16).hex(), now_ms=clock.wall_ms())
        # It never leaves this process, so there is none to be used again.
        operator, _ = Operators(state, audience, clock).verified(token)
        if operator.role == "auditor" and not reads:
            raise OperatorRefused("operator: an auditor reads; this needs the role operator or approver")
        return operator.principal_id
    if stops or reads or not read_operators(state.operators):
        return os_user()
    raise OperatorRefused(f"operator: this installation knows its operators: set {KEY_ENV} to your key file")


def os_user() -> str:
    """The operating system's name of the user, told from an operator's."""
    try:
        return f"os:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"os:uid-{os.getuid()}"
