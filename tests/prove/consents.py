"""Consents of a million merchants: what their import takes, and what it costs the payments beside it.

Each round has an installation of its own. Payments come in an open loop, of merchants of the file; they are
judged from when they were due, first alone and then while `ein consent import` runs. The file is in no order.
A last round writes stops and revocations while an import runs.
"""

import asyncio
import gc
import json
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.programs.consents import Party, Setting
from gateway.programs.model import Tier
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.native import engines
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from tests.kit.installation import Installation
from tests.kit.payments import payment
from tests.prove.open_loop import OpenConnection, connect

RATE_PER_S = 500
IMPORT_LIMIT_S = 60.0
P99_RATIO_LIMIT = 1.5
GROWTH_LIMIT_MB = 120.0
STOP_LIMIT_MS = 1_000
"""Of a kill, a pause or a revocation while an import stages."""

MILLION = 1_000_000
WARM_UP_S = 3.0
IMPORT_AND_MORE_S = 240.0
"""Payments made beforehand: for four times the limit of an import, so that a slow one is measured too."""

TICK_S = 0.001
DRAIN_ROUNDS = 500
SEED = 11
STOPS_ROWS = 200_000
"""Of the import that is stopped beside: some seconds of staging, also at reduced counts."""

CLOCK = SystemClock()
PROGRAM = "risk-score"
_ENRICH = "/issuernetwork.v1.EnrichmentService/EnrichAuthorization"


def _write_file(path: Path, count: int) -> None:
    numbers = list(range(count))
    random.Random(SEED).shuffle(numbers)
    with path.open("w") as file:
        file.write("party,party_id,tier,terms_version,evidence,valid_from,valid_until\n")
        file.writelines(
            f"merchant,merchant-{n:07d},enhanced,2026-11,contract {n},2025-01-01,\n" for n in numbers
        )


def _command(installation: Installation, *arguments: str) -> list[str]:
    ein = [sys.executable, "-m", "gateway.server.cli.main", *arguments]
    return [*ein, "--reason", "prove", "--config", str(installation.config)]


def _import(installation: Installation, file: Path) -> float:
    """Seconds from the start of the command until every worker acts on the file."""
    began = time.perf_counter()
    done = subprocess.run(
        _command(installation, "consent", "import", str(file)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - began


def _memory_mb(pid: int, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found, name
    return int(found[1]) / 1024


def _alone(file: Path) -> dict[str, Any]:
    """The import without payments: what it takes, what a worker grows by, how long it starts then."""
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        Installation(Path(folder), processes=("gateway",)) as installation,
    ):
        gateway = installation.supervisor.children["gateway"]
        before_mb = _memory_mb(gateway.pid, "VmRSS")
        took_s = _import(installation, file)
        # The most that it ever had, what it needed on the way included.
        grown_mb = _memory_mb(gateway.pid, "VmHWM") - before_mb
        gateway.send(signal.SIGTERM)
        assert gateway.popen is not None
        gateway.popen.wait()
        began = time.perf_counter()
        installation.supervisor.respawn("gateway")
        ready_s = time.perf_counter() - began
        size_mb = installation.state.consents_db.stat().st_size / 2**20
    return {
        "import_alone_s": round(took_s, 1),
        "worker_grows_by_mb": round(grown_mb, 1),
        "worker_starts_in_s": round(ready_s, 2),
        "registry_mb": round(size_mb),
    }


class _Payments:
    """An open loop over one connection. A payment goes out when it is due, whatever became of others."""

    def __init__(self, seconds: float, merchants: int) -> None:
        begin_ms = time.time_ns() // 1_000_000
        source = random.Random(SEED)
        self._requests = [
            payment(
                number + 1,
                now_ms=begin_ms + number * 1_000 // RATE_PER_S,
                merchant_id=f"merchant-{source.randrange(merchants):07d}",
            ).SerializeToString()
            for number in range(int(seconds * RATE_PER_S))
        ]
        self.shared = self.failed = 0
        self.late_ms: list[float] = []
        self._answers: list[tuple[float, float]] = []
        self._over = False

    async def run(self, connection: OpenConnection) -> None:
        started, number = time.perf_counter(), 0
        while not self._over:
            assert number < len(self._requests), "the import takes longer than there are payments for"
            now = time.perf_counter()
            calls = []
            while number < len(self._requests) and (due := started + number / RATE_PER_S) <= now:
                calls.append((self._requests[number], partial(self._answered, due)))
                self.late_ms.append((now - due) * 1e3)
                number += 1
            if calls:
                connection.call(calls)
            await asyncio.sleep(TICK_S)
        for _ in range(DRAIN_ROUNDS):
            if not connection.in_flight:
                break
            await asyncio.sleep(0.01)

    def stop(self) -> None:
        self._over = True

    def _answered(self, due: float, message: bytes | None, read_at: float) -> None:
        if message is None:
            self.failed += 1
            return
        self._answers.append((due, (read_at - due) * 1e3))
        decisions = v1.EnrichAuthorizationResponse.FromString(message).decisions
        self.shared += any(one.status == common.SHARE_STATUS_SHARED for one in decisions)

    def p99_ms(self, since: float, until: float) -> tuple[int, float]:
        """Of the payments that were due in between: how many, and their p99."""
        found = sorted(took_ms for due, took_ms in self._answers if since <= due < until)
        assert found, "no payment in between"
        return len(found), found[int(len(found) * 0.99)]


async def _beside(installation: Installation, file: Path, quiet_s: float, count: int) -> dict[str, Any]:
    """One round: payments alone, then payments beside an import."""
    headers = [*installation.metadata("payments"), ("grpc-timeout", "5S")]
    connection = await connect(installation.address("gateway", "grpc"), _ENRICH, headers)
    payments = _Payments(WARM_UP_S + quiet_s + IMPORT_AND_MORE_S, count)
    gc.collect()
    gc.disable()
    paying = asyncio.create_task(payments.run(connection))
    await asyncio.sleep(WARM_UP_S)
    quiet = time.perf_counter()
    await asyncio.sleep(quiet_s)
    began = time.perf_counter()
    importing = await asyncio.create_subprocess_exec(
        *_command(installation, "consent", "import", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await importing.communicate()
    ended = time.perf_counter()
    payments.stop()
    await paying
    gc.enable()
    connection.close()
    assert importing.returncode == 0, said.decode()
    assert payments.failed == 0, f"{payments.failed} payments had no answer"
    assert payments.shared, "nothing was shared: the rounds are about nothing"
    alone, alone_ms = payments.p99_ms(quiet, began)
    beside, beside_ms = payments.p99_ms(began, ended)
    return {
        "payments_alone": alone,
        "payments_beside": beside,
        "p99_alone_ms": round(alone_ms, 2),
        "p99_beside_ms": round(beside_ms, 2),
        "ratio": round(beside_ms / alone_ms, 2),
        "import_s": round(ended - began, 1),
        "generator_late_p99_ms": round(sorted(payments.late_ms)[int(len(payments.late_ms) * 0.99)], 2),
    }


def _round(file: Path, quiet_s: float, count: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        Installation(Path(folder), processes=("gateway",)) as installation,
    ):
        return asyncio.run(_beside(installation, file, quiet_s, count))


class _Staging:
    """Looks at the registry's file whether an import stages."""

    def __init__(self, installation: Installation) -> None:
        self._db = sqlite3.connect(f"file:{installation.state.consents_db}?mode=ro", uri=True)

    def close(self) -> None:
        self._db.close()

    def __bool__(self) -> bool:
        open_acts = "select act_id from acts where kind = 'import' and epoch is null"
        staged = f"select 1 from packs where act_id in ({open_acts}) limit 1"
        return self._db.execute(staged).fetchone() is not None


def _stops(file: Path) -> dict[str, Any]:
    """While an import stages: `ein kill`, and stops and revocations one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        Installation(Path(folder), processes=("gateway",)) as installation,
        closing(_Staging(installation)) as staging,
        closing(SqlitePolicyStore(str(installation.state.policy_db), CLOCK)) as policy,
        closing(SqliteConsents(str(installation.state.consents_db), CLOCK)) as registry,
    ):
        board = FileLeaseBoard(RealDisk(), str(installation.state.leases))
        command = _command(installation, "consent", "import", str(file))
        importing = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stops_ms: list[int] = []
        revocations_ms: list[int] = []
        try:
            while not staging:
                assert importing.poll() is None, "the import ended before it staged anything"
                time.sleep(0.01)
            kill = _command(installation, "kill", PROGRAM, "--json")
            killed = subprocess.run(kill, capture_output=True, text=True, check=True)
            assert staging, "the import was over before the kill"
            while staging:
                stops_ms.append(_paused(policy, board))
                revocations_ms.append(_revoked(registry, board, len(stops_ms)))
            assert importing.wait() == 0
        finally:
            importing.kill()
            importing.wait()
    return {
        "kill_ms": json.loads(killed.stdout)["effective_after_ms"],
        "stops": len(stops_ms),
        "stop_max_ms": max(stops_ms, default=0),
        "revocation_max_ms": max(revocations_ms, default=0),
    }


def _paused(policy: SqlitePolicyStore, board: FileLeaseBoard) -> int:
    """Milliseconds of a stop, as `ein pause` makes it; of a program that is killed it weakens nothing."""
    stopped = switches.stop(
        policy.pause, board, CLOCK, time.sleep, program=PROGRAM, actor="prove", reason="prove"
    )
    assert not stopped.workers_waiting, stopped
    return stopped.effective_after_ms


def _revoked(registry: SqliteConsents, board: FileLeaseBoard, number: int) -> int:
    began_ns = CLOCK.monotonic_ns()
    setting = Setting(Party.MERCHANT, f"other-{number}", Tier.NONE, "2026-11", "revocation", CLOCK.wall_ms())
    epoch = registry.put([setting], actor="prove", reason="prove")
    effect = switches.await_epoch(board, CLOCK, time.sleep, epoch, since_ns=began_ns, of_consents=True)
    assert not effect.workers_waiting, effect
    return effect.effective_after_ms


def _shortfalls(measured: dict[str, Any], count: int) -> list[str]:
    limits = (
        ("import_s", IMPORT_LIMIT_S * count / MILLION),
        ("p99_ratio", P99_RATIO_LIMIT),
        ("worker_grows_by_mb", GROWTH_LIMIT_MB),
        ("kill_ms", STOP_LIMIT_MS),
        ("stop_max_ms", STOP_LIMIT_MS),
        ("revocation_max_ms", STOP_LIMIT_MS),
    )
    return [f"{name}: {measured[name]} of at most {most}" for name, most in limits if measured[name] > most]


def run(full: bool) -> dict[str, Any]:
    count, rounds, quiet_s = (MILLION, 5, 15.0) if full else (50_000, 1, 3.0)
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        file, longer = Path(folder, "consents.csv"), Path(folder, "longer.csv")
        _write_file(file, count)
        _write_file(longer, max(count, STOPS_ROWS))
        alone = _alone(file)
        each = [_round(file, quiet_s, count) for _ in range(rounds)]
        stops = _stops(longer)
    measured = {
        "merchants": count,
        "engine": engines is not None,
        "rate_per_s": RATE_PER_S,
        **alone,
        "import_s": statistics.median(one["import_s"] for one in each),
        "p99_alone_ms": statistics.median(one["p99_alone_ms"] for one in each),
        "p99_beside_ms": statistics.median(one["p99_beside_ms"] for one in each),
        "p99_ratio": statistics.median(one["ratio"] for one in each),
        "rounds": each,
        **stops,
    }
    # Fifty thousand are imported in a second or two: too short for a tail, and starting up is most of it.
    return {**measured, "shortfalls": _shortfalls(measured, count) if full else []}
