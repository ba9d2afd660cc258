"""`ein measure` and `ein report` as they run: real process, real journals, real sockets."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.backends.embedded.journal import FileJournalWriter
from gateway.records import journal
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.server.identity import issue_token
from gateway.server.operators import OperatorRole
from gateway.server.settings import Settings, load_settings
from gateway.server.supervisor import Supervisor
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2, measurement_pb2, measurement_pb2_grpc
from tests.kit.operators import register, token_of
from tests.unit.measurement.lake_records import HOLDOUT, TREATMENT, decision, evaluation, outcome, receipt

EIN = [sys.executable, "-m", "gateway.server.cli.main"]
SETTINGS = """
state_dir: state
issuer_url: http://127.0.0.1:8080
gateway: {listen: "127.0.0.1:0", metrics: "127.0.0.1:0"}
feeds: {listen_grpc: "127.0.0.1:0", listen_http: "127.0.0.1:0", metrics: "127.0.0.1:0"}
measure: {listen_grpc: "127.0.0.1:0", metrics: "127.0.0.1:0"}
"""


class Journals:
    """Plays the gateway and feeds: writes their journals."""

    def __init__(self, settings: Settings) -> None:
        state = settings.state
        state.make()
        disk, clock = RealDisk(), SystemClock()
        self._gateway = FileJournalWriter(disk, clock, state.gateway_journal, journal.GATEWAY_TOPICS)
        self._feeds = FileJournalWriter(disk, clock, state.feeds_journal, journal.FEEDS_TOPICS)
        self._payments = 0

    def pay(self, count: int) -> None:
        """Payments with a card each, half of them treated; 90% of those approved, 75% of the others."""
        numbers = range(self._payments, self._payments + count)
        self._payments += count
        arms = [TREATMENT if number % 2 else HOLDOUT for number in numbers]
        self._append(
            self._gateway,
            journal.EVALUATIONS,
            [
                evaluation(
                    f"p{number}",
                    decision(arm=arm, share_id=f"s{number}" if arm == TREATMENT else ""),
                    card=f"card{number}",
                )
                for number, arm in zip(numbers, arms, strict=True)
            ],
        )
        self._append(
            self._gateway,
            journal.OUTCOMES,
            [
                outcome(f"p{number}", approved=number // 2 % (10 if arm == TREATMENT else 4) != 0)
                for number, arm in zip(numbers, arms, strict=True)
            ],
        )
        self._append(
            self._feeds,
            journal.RECEIPTS,
            [receipt(f"s{number}", feed_pb2.RECEIPT_USE_USED) for number in numbers if number % 2],
        )

    def _append(
        self,
        writer: FileJournalWriter,
        topic: str,
        records: list[storage.Evaluation] | list[storage.OutcomeRecord] | list[storage.ReceiptRecord],
    ) -> None:
        writer.append(topic, [record.SerializeToString() for record in records])

    def close(self) -> None:
        self._gateway.close()
        self._feeds.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "ein.yaml"
    path.write_text(SETTINGS)
    return load_settings(path)


@pytest.fixture
def journals(settings: Settings) -> Iterator[Journals]:
    made = Journals(settings)
    yield made
    made.close()


def _report(settings: Settings, *options: str) -> Any:
    done = subprocess.run(
        [*EIN, "report", "--json", *options, "--config", str(settings.source)],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    return json.loads(done.stdout)


def _uplift(address: str, token: str | None) -> measurement_pb2.GetUpliftResponse:
    metadata = [] if token is None else [("authorization", f"Bearer {token}")]
    with grpc.insecure_channel(address) as channel:
        stub = measurement_pb2_grpc.MeasurementServiceStub(channel)  # type: ignore[no-untyped-call]
        response: measurement_pb2.GetUpliftResponse = stub.GetUplift(
            measurement_pb2.GetUpliftRequest(), metadata=metadata, timeout=20
        )
        return response


def test_measure_fills_the_lake_answers_over_grpc_and_ends_gracefully(
    settings: Settings, journals: Journals, tmp_path: Path
) -> None:
    roles: tuple[OperatorRole, ...] = ("operator", "approver", "auditor")
    for role in roles:
        register(settings, role, role)
    tokens = {role: token_of(settings, role) for role in roles} | {
        "caller": issue_token(settings.state, principal_id="caller", role="caller", entropy=SystemEntropy())
    }
    journals.pay(1_200)
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"estimates": [{"program": "risk-score", "issuer": "bank", "truth": 0.15}]}))
    with Supervisor(settings, processes=("measure",), restart=False) as up:
        ready = up.addresses("measure")
        report = _report(settings, "--wait", "--truth", str(truth))
        with grpc.insecure_channel(ready["grpc"]) as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        for role in roles:
            first, final = _uplift(ready["grpc"], tokens[role]).estimates
        for token, code in ((None, "UNAUTHENTICATED"), (tokens["caller"], "PERMISSION_DENIED")):
            with pytest.raises(grpc.RpcError) as refused:
                _uplift(ready["grpc"], token)
            assert refused.value.code() is grpc.StatusCode[code]
        with urllib.request.urlopen(f"http://{ready['metrics']}/metrics", timeout=20) as response:
            exposition = response.read().decode()
        up.signal("measure", signal.SIGTERM)
        popen = up.children["measure"].popen
        assert popen is not None
        assert popen.wait(20) == 0
        assert settings.state.read_ready("measure") is None
    (found,) = report["estimates"]
    assert (found["treatment_n"], found["holdout_n"], found["truth"]) == (600, 600, 0.15)
    assert found["uplift"] == pytest.approx(0.15)
    assert 0 < found["lower"] < 0.15 < found["upper"]
    assert report["use"][0]["used_rate"] == 1.0
    assert report["records_behind"] == 0
    assert (first.uplift, first.lower, first.upper) == (found["uplift"], found["lower"], found["upper"])
    assert final.metric == measurement_pb2.UPLIFT_METRIC_FINAL
    assert "ein_lake_records_total 3000.0" in exposition
    # Nothing runs now: the report stands by itself.
    assert _report(settings, "--truth", str(truth)) == report


def test_killed_again_and_again_measure_loses_nothing_and_counts_nothing_twice(
    settings: Settings, journals: Journals
) -> None:
    with Supervisor(settings, processes=("measure",), restart=False) as up:
        for _ in range(5):
            journals.pay(200)
            # Anywhere in a round: rounds are half a second apart and take some ten milliseconds.
            time.sleep(0.03)
            up.signal("measure", signal.SIGKILL)
            up.respawn("measure")
        report = _report(settings, "--wait")
    (found,) = report["estimates"]
    assert found["treatment"]["payments"] + found["holdout"]["payments"] == 1_000
    assert found["treatment_n"] + found["holdout_n"] == 1_000
    assert [(use["shares"], use["used"]) for use in report["use"]] == [(500, 500)]


def test_a_second_measure_of_the_same_lake_ends_with_a_fault_and_says_why(
    settings: Settings, journals: Journals
) -> None:
    with Supervisor(settings, processes=("measure",), restart=False):
        second = subprocess.run(
            [*EIN, "measure", "--config", str(settings.source)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert second.returncode == 70
    assert "another `ein measure` writes this lake" in second.stdout + second.stderr


def test_a_report_before_there_is_a_lake_says_what_to_start(settings: Settings) -> None:
    done = subprocess.run(
        [*EIN, "report", "--config", str(settings.source)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 78
    assert "start `ein measure`" in done.stderr
