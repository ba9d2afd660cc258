"""Who takes part in a simulation of the sample policy: issuers, their recipients, how each gets its data."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from simulator.decisions import BEHAVIOURS, Behaviour
from simulator.issuer import IssuerConfig
from simulator.recipient_keys import ec_pair, rsa_pair

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Member:
    """One issuer of the simulation."""

    issuer_id: str
    iin: str
    recipient_id: str = ""
    lookup: bool = False
    stream: bool = False
    rsa: bool = False


# As deploy/sample/policy enrols them. One recipient has an RSA key, so that both algorithms are used.
MEMBERS: tuple[Member, ...] = (
    Member("northgate-bank", "90100101", "northgate-bank", lookup=True, stream=True),
    Member("harbor-federal", "90200202", "harbor-federal", lookup=True, stream=True, rsa=True),
    Member("meridian-cards", "90300303", "meridian-cards", stream=True),
    Member("summit-credit-union", "90400404", "atlas-processing", lookup=True),
    Member("lakeside-trust", "90900909"),
)

SSF_PROGRAMS: Mapping[str, frozenset[str]] = {
    "northgate-bank": frozenset({"risk-score", "fraud-reports"}),
    "harbor-federal": frozenset({"enhanced-data", "fraud-reports"}),
    "meridian-cards": frozenset({"risk-score"}),
}
"""Programs that reach the issuer by its stream, for the drain of a run."""


FAULTS = ("unmatched", "late", "refusing", "slow")
FAULT_SHARE = 0.2
"""How much of its authorizations or tokens a faulty issuer gets wrong."""

SLOW_POLL_PAUSE_MS = 1_500


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that is switched on at one issuer."""

    issuer_id: str
    kind: str

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """`northgate-bank:slow`. Raises ValueError."""
        issuer_id, _, kind = text.partition(":")
        if kind not in FAULTS or issuer_id not in BEHAVIOURS:
            raise ValueError(f"a fault is ISSUER:KIND, with KIND one of {', '.join(FAULTS)}")
        return cls(issuer_id, kind)

    def of_process(self) -> dict[str, Any]:
        """What it changes in the issuer's configuration."""
        if self.kind == "refusing":
            return {"refused_share": FAULT_SHARE}
        return {"poll_pause_ms": SLOW_POLL_PAUSE_MS} if self.kind == "slow" else {}


def behaviours_with(faults: Iterable[Fault]) -> dict[str, Behaviour]:
    """How issuers decide with these faults: what they miss is part of the truth."""
    behaviours = dict(BEHAVIOURS)
    for fault in faults:
        behaviour = behaviours[fault.issuer_id]
        if fault.kind == "unmatched":
            behaviours[fault.issuer_id] = replace(behaviour, unmatched_share=FAULT_SHARE)
        elif fault.kind == "late":
            behaviours[fault.issuer_id] = replace(behaviour, late_share=FAULT_SHARE)
    return behaviours


class SimulatedIssuerFailed(Exception):
    """An issuer's process did not start, or ended."""


def make_recipient_keys(folder: Path, members: Iterable[Member] = MEMBERS) -> dict[str, str]:
    """Makes each recipient's folder with its private keys; the public JWK Sets as text, by recipient."""
    public: dict[str, str] = {}
    for member in members:
        if not member.recipient_id:
            continue
        directory = folder / member.recipient_id
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make = rsa_pair if member.rsa else ec_pair
        public_jwk, private_jwk = make(f"{member.recipient_id}-1")
        descriptor = os.open(directory / "private.jwks.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"keys": [private_jwk]}, file)
        public[member.recipient_id] = json.dumps({"keys": [public_jwk]})
    return public


def config_of(
    member: Member,
    folder: Path,
    *,
    seed: int,
    token: str = "",
    feeds_grpc: str = "",
    feeds_http: str = "",
    iss: str = "",
) -> IssuerConfig:
    """The configuration of a member's process. `folder` is that of `make_recipient_keys`."""
    return IssuerConfig(
        issuer_id=member.issuer_id,
        socket=str(folder / f"{member.issuer_id}.sock"),
        seed=seed,
        recipient_id=member.recipient_id,
        token=token,
        feeds_grpc=feeds_grpc,
        feeds_http=feeds_http,
        iss=iss,
        directory=str(folder / member.recipient_id) if member.recipient_id else "",
        lookup=member.lookup,
        stream=member.stream,
    )


class IssuerChild:
    """An issuer's process, as its starter sees it."""

    def __init__(self, config: IssuerConfig, folder: Path) -> None:
        self.config = config
        self._log_path = folder / f"{config.issuer_id}.log"
        self._config_path = folder / f"{config.issuer_id}.json"
        self._popen: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise SimulatedIssuerFailed(f"{self.config.issuer_id} is not running")
        return self._popen.pid

    def start(self, **faults: Any) -> None:
        """Starts it, also again after it ended; `faults` are fields of IssuerConfig."""
        self.config = replace(self.config, **faults)
        descriptor = os.open(self._config_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self.config), file)
        Path(self.config.socket).unlink(missing_ok=True)
        if self._log is None:
            self._log = self._log_path.open("ab")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "simulator.issuer", "--config", str(self._config_path)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def wait_ready(self) -> None:
        """Returns when it listens. Raises SimulatedIssuerFailed."""
        assert self._popen is not None
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not Path(self.config.socket).exists():
            if self._popen.poll() is not None or time.monotonic() > deadline_s:
                raise SimulatedIssuerFailed(f"{self.config.issuer_id} did not start; see {self._log_path}")
            time.sleep(POLL_S)

    def kill(self) -> None:
        """SIGKILL, as a machine that fails does."""
        assert self._popen is not None
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        """Asks it to end, and ends it when it does not."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        if self._log is not None:
            self._log.close()
            self._log = None
