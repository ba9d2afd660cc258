"""The policy of an installation: read from a folder, compared, put in force, taken from the store again."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.backends.embedded.policy import NoSuchSnapshot, SqlitePolicyStore
from gateway.backends.embedded.recipient_files import FileRecipientKeys
from gateway.programs.documents import Known, load_policy
from gateway.programs.issues import PolicyInvalid, PolicyIssue
from gateway.programs.model import PolicySnapshot, State
from gateway.programs.plan import EMPTY, Plan, plan
from gateway.programs.standing import recipients_without_key, recipients_without_signature
from gateway.programs.table import compile_table
from gateway.programs.transitions import state_of, transition_issues
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.sealing.keys import KeyStoreFault, KeyUnavailable
from gateway.server.own_keys import key_files
from gateway.server.settings import Settings

MAX_FILES: Final = 10_000
"""Documents of one policy: 2,000 issuers with a few enrolments each."""


MAX_DEPTH: Final = 4
"""Folders within folders looked into: documents stand in the first, what is deeper is told as a mistake."""

READ_TRIES: Final = 5
"""A ConfigMap changes about once a minute, and is read within a second."""

EARLIER_TRIED: Final = 20
"""Snapshots looked at for one that can be used: each takes up to seconds, and two in a row are rare."""


class NoPolicy(GatewayError):
    """No snapshot has been applied."""

    code = "no_policy"


class RollbackRefused(GatewayError):
    """The snapshot cannot be put in force again."""

    code = "rollback_refused"


@dataclass(frozen=True, slots=True)
class Applied:
    """What was put in force, and what that changed; None where the one before cannot be compared any more."""

    snapshot: PolicySnapshot
    plan: Plan | None


def read_policy(directory: Path) -> dict[str, str]:
    """Relative name to text of each YAML file. Raises PolicyInvalid where one cannot be read.

    Links are followed and hidden names left out: a mounted ConfigMap keeps its files in a hidden folder, and
    changes them all at once by one link. A folder that changes while it is read is read again.
    """
    for _ in range(READ_TRIES):
        generation = _generation(directory)
        files = _read_once(directory)
        if _generation(directory) == generation:
            return files
    raise PolicyInvalid([PolicyIssue(directory.name, "", "it changes while it is read", "Try again")])


def _generation(directory: Path) -> str:
    """Where the documents really are: another place after each change of a ConfigMap."""
    return os.path.realpath(directory / "..data")


def _read_once(directory: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in sorted(documents_in(directory)):
        name = path.relative_to(directory).as_posix()
        if len(files) == MAX_FILES:
            raise PolicyInvalid([PolicyIssue(name, "", "too many files", f"Keep to {MAX_FILES}")])
        try:
            files[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise PolicyInvalid([PolicyIssue(name, "", "not readable", "Make it UTF-8 text")]) from None
    return files


def documents_in(directory: Path) -> Iterator[Path]:
    """Every YAML file below, links followed, hidden ones left out."""
    for folder, inner, names in os.walk(directory, followlinks=True):
        here = Path(folder)
        if len(here.relative_to(directory).parts) == MAX_DEPTH:
            inner.clear()  # links may go round in a circle
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield from (
            here / name for name in names if name.endswith((".yaml", ".yml")) and not name.startswith(".")
        )


def apply_policy(
    policy_db: Path, files: Mapping[str, str], *, reason: str, actor: str, clock: Clock
) -> PolicySnapshot:
    """Checks the documents and puts them in force as the next snapshot.

    Raises PolicyInvalid, PolicyMoved; what was in force then stays.
    """
    store = SqlitePolicyStore(str(policy_db), clock)
    try:
        return change_policy(store, files, reason=reason, actor=actor, clock=clock).snapshot
    finally:
        store.close()


def keys_missing(settings: Settings, snapshot: PolicySnapshot, clock: Clock) -> tuple[PolicyIssue, ...]:
    """What is withheld until a key is there, a recipient's or ours: no mistake, and said at `ein apply`."""
    held, now_ms = FileRecipientKeys(settings.state.keys, clock), clock.wall_ms()

    def has_key(recipient_id: str) -> bool:
        try:
            held.current(recipient_id, now_ms=now_ms)
        except KeyUnavailable:
            return False
        return True

    issues = recipients_without_key(snapshot, now_ms, has_key)
    # Where passphrase, module or vault is not at hand nobody can tell what is in the file; the processes can.
    with suppress(KeyStoreFault):
        issues += recipients_without_signature(snapshot, now_ms, key_files(settings, clock).load().signers)
    return issues


def change_policy(
    store: SqlitePolicyStore,
    files: Mapping[str, str],
    *,
    reason: str,
    actor: str,
    clock: Clock,
    restored_from: int = 0,
) -> Applied:
    """Checks the documents against themselves and those in force, and puts them in force.

    Raises PolicyInvalid, PolicyMoved; what was in force then stays.
    """
    in_force = store.version()
    # What was in force once may be again, whatever has lapsed since: the table withholds that by itself.
    applied_at_ms = None if restored_from else clock.wall_ms()
    snapshot = check_change(store, in_force, files, applied_at_ms)
    try:
        change = plan(_before(store, in_force), snapshot, store.view(), now_ms=clock.wall_ms())
    except GatewayError:
        change = None  # a snapshot of an earlier version that this one cannot read is no reason to keep it
    version = store.apply(files, actor=actor, reason=reason, over=in_force, restored_from=restored_from)
    return Applied(replace(snapshot, version=version), change)


def check_change(
    store: SqlitePolicyStore, in_force: int, files: Mapping[str, str], applied_at_ms: int | None
) -> PolicySnapshot:
    """The documents as a policy that may follow the one in force. Raises PolicyInvalid where they may not."""
    snapshot = load_policy(files, applied_at_ms=applied_at_ms)
    compile_table(snapshot)
    version, before = _last_readable(store, in_force)
    issues = transition_issues(before, files, store.revivals_since(version))
    if issues:
        raise PolicyInvalid(issues)
    return snapshot


def plan_change(
    store: SqlitePolicyStore, files: Mapping[str, str], *, clock: Clock
) -> tuple[Plan, PolicySnapshot, PolicySnapshot]:
    """The difference, the policy in force and the one to come. Raises PolicyInvalid as applying it would."""
    in_force = store.version()
    after = check_change(store, in_force, files, clock.wall_ms())
    before = _before(store, in_force)
    return plan(before, after, store.view(), now_ms=clock.wall_ms()), before, after


def roll_back(store: SqlitePolicyStore, version: int, *, reason: str, actor: str, clock: Clock) -> Applied:
    """Puts the documents of snapshot `version` in force again, as a new snapshot.

    Switches stay as they are: a kill stays a kill. Raises NoSuchSnapshot, RollbackRefused, PolicyInvalid.
    """
    if version == store.version():
        raise RollbackRefused(f"policy {version} is the one in force: name an earlier one of `ein history`")
    files = store.snapshot(version).files
    return change_policy(store, files, reason=reason, actor=actor, clock=clock, restored_from=version)


def policy_in_force(store: SqlitePolicyStore, known: Known | None = None) -> PolicySnapshot:
    """The last applied snapshot. Raises NoPolicy, PolicyInvalid. `known`: see `load_policy`."""
    version = store.version()
    if not version:
        raise NoPolicy("no policy is in force: apply one with `ein apply DIRECTORY`")
    return load_policy(store.snapshot(version).files, version=version, known=known)


def usable_policy(store: SqlitePolicyStore, known: Known) -> PolicySnapshot:
    """The policy to start with: the one in force, or the newest before it that this version can use.

    A process that is started again acts as one that went on running. Raises NoPolicy, PolicyInvalid.
    """
    try:
        return policy_in_force(store, known)
    except NoPolicy:
        raise
    except GatewayError as refused:
        last = store.version()
        for version in range(last - 1, max(0, last - 1 - EARLIER_TRIED), -1):
            try:
                return load_policy(store.snapshot(version).files, version=version, known=known)
            except (NoSuchSnapshot, PolicyInvalid):
                continue
        raise refused


def _last_readable(store: SqlitePolicyStore, version: int) -> tuple[int, Mapping[str, str]]:
    """Documents of the snapshot in force; of the one before where its bytes are damaged."""
    while version:
        try:
            return version, store.snapshot(version).files
        except (NoSuchSnapshot, PolicyInvalid):
            version -= 1
    return 0, {}


def files_in_force(store: SqlitePolicyStore) -> Mapping[str, str]:
    """The documents of the policy in force as they were applied; none where there is none to be read."""
    version, files = _last_readable(store, store.version())
    return files if version == store.version() else {}


def killed_in_documents(store: SqlitePolicyStore, program: str) -> bool:
    """Whether the policy in force has the program as killed: it comes back by a revival too."""
    _, files = _last_readable(store, store.version())
    return state_of(files.get(f"programs/{program}.yaml")) is State.KILLED


def _before(store: SqlitePolicyStore, version: int) -> PolicySnapshot:
    return load_policy(store.snapshot(version).files, version=version) if version else EMPTY
