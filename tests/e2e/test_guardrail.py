"""Measurement pauses a program at an issuer while a real gateway shares: nothing is shared from then on."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.ledger.entry import ACTS_CHAIN, PREFIX
from gateway.measurement.guardrails import Crossing, Paused
from gateway.runtime.clock import SystemClock
from gateway.server.bootstrap.measure import build_measure
from tests.e2e.test_consents import Payments
from tests.kit.installation import Installation

ROUNDS = 5
SCOPE = {"program": "risk-score", "issuer_id": "northgate-bank"}
LEDGER_WITHIN_S = 10.0


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path, processes=("gateway", "feeds")) as running:
        yield running


def ein(installation: Installation, *arguments: str) -> Any:
    done = subprocess.run(
        [
            sys.executable, "-m", "gateway.server.cli.main", *arguments, "--json", "--config",
            str(installation.config),
        ],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


def crossing(number: int) -> Crossing:
    return Crossing(finding_id=f"f-{number}", guardrail="approval_rate", **SCOPE, figures={"drop_pp": number})


def acts(installation: Installation) -> list[dict[str, Any]]:
    reader = SqliteLedgerReader(installation.state.ledger_db)
    try:
        return [json.loads(data[PREFIX.size :]) for _, _, data in reader.rows(ACTS_CHAIN)]
    finally:
        reader.close()


def test_nothing_is_shared_once_a_guardrail_has_paused_until_a_person_resumes(
    installation: Installation,
) -> None:
    clock, stop = SystemClock(), threading.Event()
    seen: list[tuple[int, int]] = []
    parts = build_measure(installation.state)

    def pay() -> None:
        mine = Payments(installation)
        while not stop.is_set():
            began_ns = clock.monotonic_ns()
            decisions = mine.pay("m-0001").decisions
            seen.append((began_ns, sum(one.program == "risk-score" and one.status == 1 for one in decisions)))
        mine.close()

    def pass_by(payments: int) -> None:
        until = len(seen) + payments
        while len(seen) < until:
            stop.wait(0.005)

    payers = [threading.Thread(target=pay) for _ in range(2)]
    for payer in payers:
        payer.start()
    closed: list[tuple[int, int]] = []
    try:
        for number in range(ROUNDS):
            pass_by(20)
            done = parts.guardrails.pause(crossing(number))
            returned_ns = clock.monotonic_ns()
            assert isinstance(done, Paused)
            assert done.stopped.workers_acknowledged
            assert not done.stopped.workers_waiting
            pass_by(20)
            closed.append((returned_ns, clock.monotonic_ns()))
            if number < ROUNDS - 1:
                ein(installation, "resume", "risk-score", "--issuer", "northgate-bank", "--reason", "drill")
    finally:
        stop.set()
        for payer in payers:
            payer.join()
        parts.close()
    assert sum(shared for _, shared in seen) > 0, "the race is about something"
    for since_ns, until_ns in closed:
        inside = [shared for began_ns, shared in seen if since_ns <= began_ns < until_ns]
        assert inside
        assert sum(inside) == 0
    event = ein(installation, "history", "--limit", "1")["events"][0]
    assert (event["what"], event["actor"], event["reason"]) == (
        "paused", "guardrail:approval_rate", f"finding f-{ROUNDS - 1}: drop_pp={ROUNDS - 1}"
    )  # fmt: skip
    states = {
        (row["program"], row["issuer_id"]): row["state"]
        for row in ein(installation, "programs")["programs"]
    }  # fmt: skip
    assert states["risk-score", "northgate-bank"] == "paused"
    deadline_ns = clock.monotonic_ns() + int(LEDGER_WITHIN_S * 1e9)
    while sum(one.get("act") == "pause" for one in acts(installation)) < ROUNDS:
        assert clock.monotonic_ns() < deadline_ns, "the ledger has no pause of a guardrail"
        threading.Event().wait(0.05)
    paused = next(one for one in acts(installation) if one.get("act") == "pause")
    assert (paused["program"], paused["issuer_id"], paused["source"]) == (*SCOPE.values(), "switches")
