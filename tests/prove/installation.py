"""A fresh installation in a folder: settings with free ports, keys, recipients' keys, tokens, sample policy, processes."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


from gateway.runtime.entropy import SystemEntropy
from gateway.server.identity import Role, issue_token
from gateway.server.settings import load_settings
from gateway.server.state import StateDir
from gateway.server.supervisor import PROCESSES, Supervisor

ROOT = Path(__file__).resolve().parents[2]
RECIPIENTS = ("northgate-bank", "harbor-federal", "meridian-cards", "atlas-processing")


class Installation:
    """`with Installation(folder) as i:` runs the processes named, on ports of their own."""

    def __init__(
        self, folder: Path, *, front: str = "auto", processes: Sequence[str] = PROCESSES, start: bool = True
    ) -> None:
        from gateway.server.install import install

        self._start = start
        self.folder = folder
        installed = install(
            folder, policy_dir=ROOT / "deploy" / "sample" / "policy", recipients=RECIPIENTS, front=front
        )
        self.config: Path = installed.config
        self.recipient_keys: dict[str, dict[str, Any]] = installed.recipient_private_keys
        self.settings = load_settings(self.config)
        self.state: StateDir = self.settings.state
        self.tokens: dict[str, str] = {}
        self.supervisor = Supervisor(self.settings, processes=processes)

    def __enter__(self) -> Self:
        self.token("payments", "caller")
        for recipient_id in RECIPIENTS:
            self.token(recipient_id, "issuer")
        self.token("ops", "operator")
        if self._start:
            self.supervisor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.stop()

    def token(self, principal_id: str, role: Role) -> str:
        if principal_id not in self.tokens:
            self.tokens[principal_id] = issue_token(
                self.state, principal_id=principal_id, role=role, entropy=SystemEntropy()
            )
        return self.tokens[principal_id]

    def metadata(self, principal_id: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.tokens[principal_id]}")]

    def address(self, process: str, kind: str) -> str:
        return str(self.supervisor.addresses(process)[kind])  # type: ignore[literal-required]
