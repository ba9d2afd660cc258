"""A policy that is applied is in force at every worker within a second, and a broken one changes nothing."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.runtime.clock import SystemClock
from gateway.server import exit_codes
from gateway.server.policy import read_policy
from issuernetwork.v1 import common_pb2, enrichment_pb2, enrichment_pb2_grpc
from tests.kit.installation import ROOT, SAMPLE_POLICY, Installation
from tests.kit.payments import caller, payment

DEADLINE_S = 20.0
POLL_S = 0.02

IN_FORCE_WITHIN_S = 5.0
"""A second on a machine that does nothing else; this bound holds on a busy one."""

RISK = "programs/risk-score.yaml"
SAMPLE = read_policy(SAMPLE_POLICY)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("reload")) as running:
        yield running


class Payments:
    """Pays, and says under which policy."""

    def __init__(self, installation: Installation) -> None:
        self._channel = grpc.insecure_channel(installation.address("gateway", "grpc"))
        self._stub = enrichment_pb2_grpc.EnrichmentServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._metadata = installation.metadata("payments")
        self._number, self._name = 0, caller("reload")

    def pay(self) -> enrichment_pb2.EnrichAuthorizationResponse:
        self._number += 1
        answer: enrichment_pb2.EnrichAuthorizationResponse = self._stub.EnrichAuthorization(
            payment(self._number, prefix=self._name), metadata=self._metadata, timeout=DEADLINE_S
        )
        return answer

    def version(self) -> int:
        return int(self.pay().policy_version)

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def payments(installation: Installation) -> Iterator[Payments]:
    caller = Payments(installation)
    yield caller
    caller.close()


def ein(installation: Installation, *arguments: str) -> tuple[int, Any]:
    """Exit code and JSON of a command, run as an operator runs it."""
    config = str(installation.config)
    done = subprocess.run(
        [sys.executable, "-m", "gateway.server.cli.main", *arguments, "--json", "--config", config],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def write(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(folder)


def until(holds: Callable[[], object], what: str, within_s: float = DEADLINE_S) -> float:
    """Seconds until it held."""
    start_s = time.monotonic()
    while not holds():
        assert time.monotonic() - start_s < within_s, what
        time.sleep(POLL_S)
    return time.monotonic() - start_s


def health(installation: Installation, process: str, service: str) -> int:
    with grpc.insecure_channel(installation.address(process, "grpc")) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE_S).status)


def metric(installation: Installation, process: str, name: str) -> float:
    address = installation.address(process, "metrics")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=DEADLINE_S) as page:
        lines = page.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def following(installation: Installation, *processes: str) -> list[int]:
    _, status = ein(installation, "status")
    return [status["policy"][process]["policy_version"] for process in processes]


def test_what_is_applied_is_planned_in_force_at_once_and_taken_back(
    installation: Installation, payments: Payments, tmp_path: Path
) -> None:
    first = payments.version()
    cards = {payments.pay().evaluation_id for _ in range(20)}
    assert len(cards) == 20
    changed = {**SAMPLE, RISK: SAMPLE[RISK].replace("holdout_percent: 50", "holdout_percent: 0")}
    folder = write(tmp_path, changed)
    code, planned = ein(installation, "plan", folder, "--check")
    assert (code, planned["policy_version"], planned["changes"]) == (exit_codes.CHECK_FAILED, first, True)
    assert planned["arms"]["cards"] >= 21
    [northgate] = [one for one in planned["arms"]["programs"] if one["issuer_id"] == "northgate-bank"]
    assert [(one["before"], one["after"]) for one in northgate["moves"]] == [("holdout", "treatment")]
    assert 0 < northgate["changed"] < northgate["cards"]
    assert payments.version() == first, "a plan changes nothing"

    code, applied = ein(installation, "apply", folder, "--reason", "no holdout")
    assert (code, applied["policy_version"]) == (0, first + 1)
    took_s = until(lambda: payments.version() == first + 1, "the gateway does not follow", IN_FORCE_WITHIN_S)
    print(f"in force {took_s:.3f} s after `ein apply` ended")
    until(lambda: following(installation, "gateway", "feeds") == [first + 1] * 2, "feeds do not follow")
    assert metric(installation, "gateway", "ein_policy_version") == first + 1
    assert metric(installation, "feeds", "ein_feeds_policy_version") == first + 1
    code, planned = ein(installation, "plan", folder, "--check")
    assert (code, planned["changes"]) == (0, False)

    code, _ = ein(installation, "rollback", str(first), "--reason", "holdout again")
    assert code == 0
    until(lambda: payments.version() == first + 2, "the gateway does not go back", IN_FORCE_WITHIN_S)
    _, history = ein(installation, "history")
    newest = history["events"][-1]
    assert (newest["what"], newest["policy_version"], newest["restored_from"]) == (
        "rolled back",
        first + 2,
        first,
    )


def test_a_broken_snapshot_leaves_the_last_good_one_in_force_and_everyone_says_so(
    installation: Installation, payments: Payments, tmp_path: Path
) -> None:
    good = payments.version()
    store = SqlitePolicyStore(str(installation.state.policy_db), SystemClock())
    broken = store.apply({**SAMPLE, RISK: "program: risk-score\n"}, actor="eve", reason="past every check")
    store.close()

    def refused() -> bool:
        _, status = ein(installation, "status")
        return all("code" in status["policy"][process] for process in ("gateway", "feeds"))

    until(refused, "ein status does not say so")
    code, status = ein(installation, "status")
    assert code == exit_codes.CHECK_FAILED
    for process in ("gateway", "feeds"):
        said = status["policy"][process]
        assert (said["policy_version"], said["refused_version"], said["code"]) == (
            good,
            broken,
            "policy_invalid",
        )
        assert said["issues"][0].startswith(f"{RISK}: ")
        assert health(installation, process, "policy") == health_pb2.HealthCheckResponse.NOT_SERVING
        assert health(installation, process, "") == health_pb2.HealthCheckResponse.SERVING
    assert metric(installation, "gateway", "ein_policy_refused") == broken
    assert metric(installation, "feeds", "ein_feeds_policy_refused") == broken
    answers = [payments.pay() for _ in range(20)]
    assert {answer.policy_version for answer in answers} == {good}
    shared = {one.status for answer in answers for one in answer.decisions}
    assert common_pb2.SHARE_STATUS_SHARED in shared

    # A process that is started again goes on with the last good one too.
    installation.supervisor.children["gateway"].popen.terminate()  # type: ignore[union-attr]
    installation.supervisor.respawn("gateway")
    again = Payments(installation)
    try:
        assert again.version() == good
        until(refused, "the new gateway does not say so")
        code, _ = ein(installation, "apply", write(tmp_path, SAMPLE), "--reason", "mended")
        assert code == 0
        until(lambda: again.version() == broken + 1, "the gateway does not follow", IN_FORCE_WITHIN_S)
    finally:
        again.close()
    until(lambda: following(installation, "gateway", "feeds") == [broken + 1] * 2, "feeds do not follow")
    for process in ("gateway", "feeds"):
        assert health(installation, process, "policy") == health_pb2.HealthCheckResponse.SERVING
    assert metric(installation, "gateway", "ein_policy_refused") == 0
    assert ein(installation, "status")[0] == 0
