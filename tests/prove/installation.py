"""A fresh installation in a folder, with tokens and recipients' keys, and its processes running."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from joserfc.jwk import ECKey

from gateway.runtime.entropy import SystemEntropy
from gateway.server.identity import Role, issue_token
from gateway.server.install import install
from gateway.server.policy import read_policy
from gateway.server.state import StateDir
from gateway.server.supervisor import PROCESSES, Supervisor

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_POLICY = ROOT / "deploy" / "sample" / "policy"
RECIPIENTS = ("northgate-bank", "harbor-federal", "meridian-cards", "atlas-processing")


def recipient_key(recipient_id: str) -> tuple[dict[str, Any], str]:
    """A new private JWK of a recipient, and its public JWK Set."""
    key = ECKey.generate_key(
        "P-256", {"kid": f"{recipient_id}-1", "use": "enc", "alg": "ECDH-ES+A256KW"}, private=True
    )
    return dict(key.as_dict(private=True)), json.dumps({"keys": [key.as_dict(private=False)]})


class Installation:
    """`with Installation(folder) as i:` runs the processes named, on ports of their own."""

    def __init__(
        self,
        folder: Path,
        *,
        front: str = "auto",
        processes: Sequence[str] = PROCESSES,
        start: bool = True,
    ) -> None:
        keys = {recipient_id: recipient_key(recipient_id) for recipient_id in RECIPIENTS}
        self.recipient_keys = {recipient_id: private for recipient_id, (private, _) in keys.items()}
        self.settings = install(
            folder,
            policy=read_policy(SAMPLE_POLICY),
            recipient_jwks={recipient_id: public for recipient_id, (_, public) in keys.items()},
            front=front,
        )
        self.folder = folder
        self.config: Path = self.settings.source
        self.state: StateDir = self.settings.state
        self.tokens: dict[str, str] = {}
        self.supervisor = Supervisor(self.settings, processes=processes)
        self._start = start

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
