"""A fresh installation in a folder, with tokens and recipients' keys; its processes run where asked for."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.runtime.entropy import SystemEntropy
from gateway.server.identity import MachineRole, issue_token
from gateway.server.install import install
from gateway.server.policy import read_policy
from gateway.server.state import StateDir
from gateway.server.supervisor import PROCESSES, Supervisor
from simulator.recipient_keys import ec_pair
from tests.kit.operators import token_of

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_POLICY = ROOT / "deploy" / "sample" / "policy"
quick_install = partial(install, scrypt_log2_n=4)
"""`install` without half a second for stretching a passphrase, again in each process."""

RECIPIENTS = ("northgate-bank", "harbor-federal", "meridian-cards", "atlas-processing")


def policy_with(*issuer_ids: str) -> dict[str, str]:
    """The sample policy, and in it these issuers too, enrolled in risk-score as summit-credit-union is."""
    policy = read_policy(SAMPLE_POLICY)
    like = "summit-credit-union"
    for number, issuer_id in enumerate(issuer_ids):
        issuer = policy[f"issuers/{like}.yaml"].replace(like, issuer_id)
        policy.setdefault(f"issuers/{issuer_id}.yaml", issuer.replace("90400404", f"909000{number:02}"))
        enrolment = policy[f"enrolments/{like}-risk-score.yaml"].replace(like, issuer_id)
        policy[f"enrolments/{issuer_id}-risk-score.yaml"] = enrolment
    return policy


class Installation:
    """`with Installation(folder) as i:` runs the processes named, on ports of their own.

    Without `with` nothing runs: tokens, keys and policy are there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        front: str = "auto",
        processes: Sequence[str] = PROCESSES,
        policy: Mapping[str, str] | None = None,
        own_keys: Mapping[str, object] | None = None,
    ) -> None:
        """`own_keys`: where ours are, as in the settings."""
        keys = {recipient_id: ec_pair(f"{recipient_id}-1") for recipient_id in RECIPIENTS}
        self.recipient_keys = {recipient_id: private for recipient_id, (_, private) in keys.items()}
        self.settings = quick_install(
            folder,
            policy=read_policy(SAMPLE_POLICY) if policy is None else policy,
            recipient_jwks={name: json.dumps({"keys": [public]}) for name, (public, _) in keys.items()},
            front=front,
            keys=own_keys,
        )
        self.folder = folder
        self.config: Path = self.settings.source
        self.state: StateDir = self.settings.state
        self.tokens: dict[str, str] = {}
        self.supervisor = Supervisor(self.settings, processes=processes)
        self.token("payments", "caller")
        for recipient_id in RECIPIENTS:
            self.token(recipient_id, "issuer")

    def __enter__(self) -> Self:
        self.supervisor.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.stop()

    def signed(self, principal_id: str) -> list[tuple[str, str]]:
        """Metadata of an operator (tests/kit/operators.py), with a fresh token."""
        return [("authorization", f"Bearer {token_of(self.settings, principal_id)}")]

    def token(self, principal_id: str, role: MachineRole) -> str:
        if principal_id not in self.tokens:
            self.tokens[principal_id] = issue_token(
                self.state, principal_id=principal_id, role=role, entropy=SystemEntropy()
            )
        return self.tokens[principal_id]

    def metadata(self, principal_id: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.tokens[principal_id]}")]

    def address(self, process: str, kind: str) -> str:
        return str(self.supervisor.addresses(process)[kind])  # type: ignore[literal-required]
