"""How a process follows the policy in force: off the hot path, and the last good one stays on any error.

What it holds, and what it could not take, stands in a metric, in the health of the service `policy` and in
`run/<process>.policy.json`, which `ein status` reads.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.documents import Known
from gateway.programs.issues import PolicyInvalid
from gateway.programs.model import PolicySnapshot
from gateway.programs.table import ReleaseTable, compile_table
from gateway.records.errors import GatewayError
from gateway.runtime.busy import busy
from gateway.runtime.tasks import Stop
from gateway.server import logs
from gateway.server.policy import NoPolicy, policy_in_force
from gateway.server.state import StateDir

FOLLOW_INTERVAL_S: Final = 0.1
"""Between two looks, each a pragma of SQLite: leaves nine tenths of a second to load and compile."""

HEALTH_SERVICE: Final = "policy"
"""Name in gRPC health: NOT_SERVING while a newer policy cannot be taken. Payments go on being served."""

ISSUES_TOLD: Final = 3
"""Mistakes of a refused policy in `ein status`; all of them are what `ein plan` says."""

_log = structlog.get_logger("policy")


@dataclass(frozen=True, slots=True)
class Following:
    """What a worker acts on, and what it could not take: `refused_version` 0 where there is no such thing."""

    policy_version: int
    refused_version: int = 0
    code: str = ""
    issues: tuple[str, ...] = ()


class PolicyFollower:
    """One worker's policy: `take` gets each that can be used, `on_change` what there is to say about it.

    `version`: of the policy that the worker starts with, 0 for none; `known`: its documents, so that the
    first change is no slower than the next.
    """

    def __init__(
        self,
        store: SqlitePolicyStore,
        *,
        take: Callable[[PolicySnapshot, ReleaseTable], None],
        on_change: Callable[[Following], None],
        load: Callable[[SqlitePolicyStore, Known], PolicySnapshot] = policy_in_force,
        version: int = 0,
        known: Known | None = None,
    ) -> None:
        self._store = store
        self._take = take
        self._load = load
        self._known: Known = {} if known is None else known
        self._on_change = on_change
        self._told = Following(version)
        if version:
            self._say(self._told)

    def step(self) -> None:
        """Takes a newer policy where there is one. Never raises."""
        held, wanted = self._told.policy_version, 0
        try:
            wanted = self._store.version()
            if wanted == held:
                self._tell(Following(held))
                return
            if wanted == self._told.refused_version:
                return
            policy, table = self._made()
        except NoPolicy:
            return
        except Exception as fault:
            # Whatever is wrong with a policy, or with reading it, must not end what runs on the last one.
            self._tell(_refusal(held, wanted, fault))
            return
        # Taken first: who sees the new number finds it in force.
        self._take(policy, table)
        self._tell(Following(table.version))

    def follow(self, stop: Stop) -> None:
        """On a thread of its own, until told to stop."""
        while not stop.wait(FOLLOW_INTERVAL_S):
            self.step()

    def _made(self) -> tuple[PolicySnapshot, ReleaseTable]:
        """Loads and compiles, which is busy Python: what runs beside is let in more often meanwhile."""
        with busy():
            policy = self._load(self._store, self._known)
            return policy, compile_table(policy)

    def _tell(self, following: Following) -> None:
        if following == self._told:
            return
        self._told = following
        if following.code:
            _log.error(
                "policy_not_followed",
                code=following.code,
                refused_version=following.refused_version,
                policy_version=following.policy_version,
            )
        else:
            _log.info("policy_in_force", policy_version=following.policy_version)
        self._say(following)

    def _say(self, following: Following) -> None:
        logs.policy_version = following.policy_version
        self._on_change(following)


def _refusal(held: int, wanted: int, fault: Exception) -> Following:
    """Only what documents cannot mend by themselves is given up for good: the rest is tried again."""
    code = fault.code if isinstance(fault, GatewayError) else "internal"
    final = not isinstance(fault, GatewayError) or code == "policy_invalid"
    issues = tuple(map(str, fault.issues[:ISSUES_TOLD])) if isinstance(fault, PolicyInvalid) else ()
    return Following(held, wanted if final else 0, code, issues)


class PolicyBoard:
    """Where a process says which policy it acts on, for `ein status`."""

    def __init__(self, state: StateDir, process: str) -> None:
        self._path = _path(state, process)

    def show(self, following: Following) -> None:
        said: dict[str, Any] = {"pid": os.getpid(), "policy_version": following.policy_version}
        if following.code:
            said |= {"code": following.code, "refused_version": following.refused_version}
            said |= {"issues": list(following.issues)}
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(said))
            temporary.rename(self._path)
        except OSError as fault:
            # The policy is in force all the same: only status says less.
            _log.error("policy_not_shown", errno=fault.errno)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def read_board(state: StateDir, process: str) -> dict[str, Any] | None:
    """What a process said last; None where it has said nothing."""
    try:
        said: dict[str, Any] = json.loads(_path(state, process).read_text())
    except FileNotFoundError:
        return None
    return said


def _path(state: StateDir, process: str) -> Path:
    return state.run / f"{process}.policy.json"
