"""The policy of an installation: read from a folder, put in force, and taken from the store again."""

from collections.abc import Mapping
from pathlib import Path

from gateway.backends.embedded.keyfiles import FileRecipientKeys
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.documents import load_policy
from gateway.programs.issues import PolicyInvalid, PolicyIssue
from gateway.programs.model import PolicySnapshot
from gateway.programs.standing import recipients_without_key
from gateway.programs.table import compile_table
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.sealing.keys import KeyUnavailable

MAX_FILES = 10_000
"""Documents of one policy: 2,000 issuers with a few enrolments each."""


class NoPolicy(GatewayError):
    """No snapshot has been applied."""

    code = "no_policy"


def read_policy(directory: Path) -> dict[str, str]:
    """Relative name to text of each YAML file. Raises PolicyInvalid where one cannot be read."""
    files: dict[str, str] = {}
    for path in sorted([*directory.rglob("*.yaml"), *directory.rglob("*.yml")]):
        name = path.relative_to(directory).as_posix()
        if len(files) == MAX_FILES:
            raise PolicyInvalid([PolicyIssue(name, "", "too many files", f"Keep to {MAX_FILES}")])
        try:
            files[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise PolicyInvalid([PolicyIssue(name, "", "not readable", "Make it UTF-8 text")]) from None
    return files


def apply_policy(
    policy_db: Path, files: Mapping[str, str], *, reason: str, actor: str, clock: Clock
) -> PolicySnapshot:
    """Checks the documents and puts them in force as the next snapshot.

    Raises PolicyInvalid; what was in force then stays.
    """
    compile_table(load_policy(files, applied_at_ms=clock.wall_ms()))
    store = SqlitePolicyStore(str(policy_db), clock)
    try:
        version = store.apply(files, actor=actor, reason=reason)
    finally:
        store.close()
    return load_policy(files, version=version)


def keys_missing(keys: Path, snapshot: PolicySnapshot, clock: Clock) -> tuple[PolicyIssue, ...]:
    """What is withheld until a recipient's key is there: no mistake, and said when a policy is applied."""
    held, now_ms = FileRecipientKeys(keys, clock), clock.wall_ms()

    def has_key(recipient_id: str) -> bool:
        try:
            held.current(recipient_id, now_ms=now_ms)
        except KeyUnavailable:
            return False
        return True

    return recipients_without_key(snapshot, now_ms, has_key)


def policy_in_force(store: SqlitePolicyStore) -> PolicySnapshot:
    """The last applied snapshot. Raises NoPolicy, PolicyInvalid."""
    version = store.version()
    if not version:
        raise NoPolicy("no policy is in force: apply one with `ein apply DIRECTORY`")
    return load_policy(store.snapshot(version).files, version=version)
