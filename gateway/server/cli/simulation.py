"""A trial installation with simulated issuers and payments: what `ein demo` and `ein replay` share."""

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.records.errors import GatewayError
from gateway.runtime.entropy import SystemEntropy
from gateway.server.identity import issue_token
from gateway.server.install import install
from gateway.server.policy import read_policy
from gateway.server.settings import Settings, load_settings
from gateway.server.supervisor import Supervisor
from issuernetwork.client import PATIENT, PaymentClient
from simulator.lines import LineList
from simulator.members import (
    MEMBERS,
    SSF_PROGRAMS,
    Fault,
    IssuerChild,
    SimulatedIssuerFailed,
    behaviours_with,
    config_of,
    make_recipient_keys,
)
from simulator.network import NetworkLink
from simulator.payments import SimulatedPayment, TraceNumbers
from simulator.traffic import Counters, Traffic

SAMPLE_POLICY = Path(__file__).resolve().parents[3] / "deploy" / "sample" / "policy"
CALLER = "demo-processor"
PROGRESS_PERIOD_S = 0.2
DRAIN_STABLE_S = 1.0
"""Counts that stand still for so long, with nothing waiting, have come to their end."""

DRAIN_STALLED_S = 20.0
"""Without any progress for so long the drain is given up; the account then says what is missing."""


class SimulationFailed(GatewayError):
    """The trial installation did not start, or a part of it ended."""

    code = "simulation_failed"


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Resident memory of each process when a quarter of the payments was done."""

    quarter: int
    rss_bytes: Mapping[str, int]


@dataclass(slots=True)
class RunResult:
    """What the payment side saw of a run."""

    counters: Counters
    duration_s: float
    drained: bool
    issuers: dict[str, dict[str, Any]]
    memory: list[MemoryReading] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    """Processor time of each process, start-up included."""


Progress = Callable[[Counters], None]


class Simulation:
    """`with Simulation(folder, seed=1) as simulation:` has everything running; it stops at the end."""

    def __init__(
        self, folder: Path, *, seed: int, policy: Path = SAMPLE_POLICY, faults: Sequence[Fault] = ()
    ) -> None:
        if not policy.is_dir():
            raise SimulationFailed(f"{policy}: no such folder; name one with --policy")
        self.folder = folder
        self.seed = seed
        self._policy = policy
        self._faults = faults
        self._stack = ExitStack()
        self.issuers: dict[str, IssuerChild] = {}
        self.settings: Settings
        self.supervisor: Supervisor
        self._caller_token = ""

    @property
    def sender_list(self) -> Path:
        return self.folder / "sender.ndjson"

    @property
    def truth_file(self) -> Path:
        return self.folder / "truth.json"

    @property
    def receiver_logs(self) -> list[Path]:
        return sorted(self.folder.glob("issuers/*/receiver-*.ndjson"))

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stops the issuers, then the gateway's processes, which take the last acknowledgements."""
        self._stack.close()

    def _start(self) -> None:
        issuers = self.folder / "issuers"
        issuers.mkdir(mode=0o700, parents=True, exist_ok=True)
        installed = install(
            self.folder, policy=read_policy(self._policy), recipient_jwks=make_recipient_keys(issuers)
        )
        self.settings = with_fixed_ports(installed)
        entropy, state = SystemEntropy(), self.settings.state
        self._caller_token = issue_token(state, principal_id=CALLER, role="caller", entropy=entropy)
        tokens = {
            member.recipient_id: issue_token(
                state, principal_id=member.recipient_id, role="issuer", entropy=entropy
            )
            for member in MEMBERS
            if member.recipient_id
        }
        feeds = self.settings.feeds
        for member in MEMBERS:
            config = config_of(
                member,
                issuers,
                seed=self.seed,
                token=tokens.get(member.recipient_id, ""),
                feeds_grpc=feeds.listen_grpc,
                feeds_http=f"http://{feeds.listen_http}",
                iss=self.settings.issuer_url,
            )
            self.issuers[member.issuer_id] = IssuerChild(config, issuers)
        self.supervisor = Supervisor(self.settings)
        # Undone in reverse: the issuers stop first.
        self._stack.callback(self.supervisor.stop)
        for child in self.issuers.values():
            self._stack.callback(child.stop)
        # They wait for the feeds by themselves: started first, they are ready when the feeds are.
        try:
            for child in self.issuers.values():
                child.start(**self._process_faults(child.config.issuer_id))
            self.supervisor.start()
            for child in self.issuers.values():
                child.wait_ready()
        except SimulatedIssuerFailed as failed:
            raise SimulationFailed(str(failed)) from failed

    def _process_faults(self, issuer_id: str) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for fault in self._faults:
            if fault.issuer_id == issuer_id:
                changes |= fault.of_process()
        return changes

    def run(
        self, payments: Iterable[SimulatedPayment], total: int, traces: TraceNumbers, progress: Progress
    ) -> RunResult:
        """Makes the payments, drains, writes truth.json. Raises SimulationFailed."""
        return asyncio.run(self._run(payments, total, traces, progress))

    async def _run(
        self, payments: Iterable[SimulatedPayment], total: int, traces: TraceNumbers, progress: Progress
    ) -> RunResult:
        members = {member.iin: member for member in MEMBERS}
        links = {
            iin: NetworkLink(Path(self.issuers[member.issuer_id].config.socket))
            for iin, member in members.items()
        }
        feeds = self.settings.feeds.listen_grpc
        client = PaymentClient(
            self.settings.gateway.listen, self._caller_token, feeds_target=feeds, preset=PATIENT
        )
        sender_list = LineList(self.sender_list)
        behaviours = behaviours_with(self._faults)
        traffic = Traffic(client, links, sender_list, traces, seed=self.seed, behaviours=behaviours)
        result = RunResult(traffic.counters, 0.0, False, {})
        watching = asyncio.create_task(traffic.watch())
        following = asyncio.create_task(self._follow(result, total, progress))
        started_s = time.monotonic()
        try:
            await traffic.run(payments)
            result.duration_s = time.monotonic() - started_s
            result.drained = await self._drain(links, result)
            result.cpu_s = {name: processor_s(pid) for name, pid in self._processes().items()}
        finally:
            for task in (watching, following):
                task.cancel()
            await asyncio.gather(watching, following, return_exceptions=True)
            await asyncio.gather(*(link.close() for link in links.values()))
            await client.close()
            sender_list.close()
        progress(traffic.counters)
        (self.folder / "issuers.json").write_text(json.dumps(result.issuers, indent=1))
        self.truth_file.write_text(json.dumps({"estimates": traffic.truth.rows()}, indent=1))
        return result

    async def _follow(self, result: RunResult, total: int, progress: Progress) -> None:
        while True:
            progress(result.counters)
            quarter = 4 * result.counters.payments // max(1, total)
            while len(result.memory) < quarter:
                result.memory.append(MemoryReading(len(result.memory) + 1, self._resident()))
            await asyncio.sleep(PROGRESS_PERIOD_S)

    def _processes(self) -> dict[str, int]:
        processes = {name: child.pid for name, child in self.supervisor.children.items()}
        processes |= {f"issuer {name}": child.pid for name, child in self.issuers.items()}
        return {**processes, "payments": os.getpid()}

    def _resident(self) -> dict[str, int]:
        return {name: resident_bytes(pid) for name, pid in self._processes().items()}

    async def _drain(self, links: Mapping[str, NetworkLink], result: RunResult) -> bool:
        """Waits until every stream is acknowledged and every receipt reported; False when it stalls."""
        last: list[Any] = []
        changed_s = time.monotonic()
        number = 0
        while True:
            number += 1
            message = {"kind": "finish", "event_ms": result.counters.event_ms}
            replies = await asyncio.gather(
                *(link.ask({**message, "id": f"finish-{number}"}) for link in links.values())
            )
            statuses = [reply["status"] for reply in replies]
            result.issuers = {status["issuer_id"]: status for status in statuses}
            seen = [*statuses, sum(result.counters.watched_receipts.values()), result.counters.watched_labels]
            now_s = time.monotonic()
            if seen != last:
                last, changed_s = seen, now_s
            still_s = now_s - changed_s
            if self._is_drained(result) and still_s >= DRAIN_STABLE_S:
                return True
            if still_s >= DRAIN_STALLED_S:
                return False
            await asyncio.sleep(PROGRESS_PERIOD_S)

    def _is_drained(self, result: RunResult) -> bool:
        for issuer_id, status in result.issuers.items():
            expected = sum(
                count
                for (program, issuer), count in result.counters.shared.items()
                if issuer == issuer_id and program in SSF_PROGRAMS.get(issuer_id, ())
            )
            arrived = status["unique"].get("ssf", 0) + status["withdrawn"] + status["refused"]
            waiting = (
                status["unacknowledged"]
                + status["receipts_waiting"]
                + status["labels_waiting"]
                + status["held"]
            )
            if waiting or arrived < expected:
                return False
        return True


def with_fixed_ports(settings: Settings) -> Settings:
    """The same settings with every free port chosen now, so that a restarted process keeps its address."""
    text = settings.source.read_text()
    while "127.0.0.1:0" in text:
        text = text.replace("127.0.0.1:0", f"127.0.0.1:{_free_port()}", 1)
    settings.source.write_text(text)
    return load_settings(settings.source)


_given: set[int] = set()


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        pass
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(shown.stdout.strip() or 0) * 1024


def processor_s(pid: int) -> float:
    """User and system time of a process so far; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
