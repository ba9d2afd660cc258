"""What merchants say takes effect at a running gateway, and when a command returns it has."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.journal import FileJournalReader
from gateway.records.journal import EVALUATIONS
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import common_pb2, enrichment_pb2, enrichment_pb2_grpc
from tests.kit.installation import Installation
from tests.kit.payments import ENOUGH, caller, payment

TIMEOUT_S = 20.0
ROUNDS = 6


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("consents"), processes=("gateway",)) as running:
        yield running


def ein(installation: Installation, *arguments: str) -> Any:
    done = subprocess.run(
        [
            sys.executable, "-m", "gateway.server.cli.main", "consent", *arguments, "--json",
            "--config", str(installation.config),
        ],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


def say(installation: Installation, merchant_id: str, tier: str) -> Any:
    return ein(
        installation, "set", merchant_id, "--tier", tier, "--terms", "2026-11", "--evidence", "form 7",
        "--reason", "test",
    )  # fmt: skip


class Payments:
    """Distinct payments of one merchant, over one connection."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._channel = grpc.insecure_channel(installation.address("gateway", "grpc"))
        self._enrich = enrichment_pb2_grpc.EnrichmentServiceStub(self._channel).EnrichAuthorization  # type: ignore[no-untyped-call]
        self._next, self._name = 0, caller("")

    def close(self) -> None:
        self._channel.close()

    def pay(self, merchant_id: str) -> enrichment_pb2.EnrichAuthorizationResponse:
        self._next += 1
        request = payment(self._next, merchant_id=merchant_id, prefix=f"{merchant_id}-{self._name}")
        answer: enrichment_pb2.EnrichAuthorizationResponse = self._enrich(
            request, metadata=self._installation.metadata("payments"), timeout=TIMEOUT_S
        )
        return answer

    def shared(self, merchant_id: str, count: int = ENOUGH) -> int:
        answers = [self.pay(merchant_id) for _ in range(count)]
        return sum(one.status == common_pb2.SHARE_STATUS_SHARED for a in answers for one in a.decisions)


@pytest.fixture
def payments(installation: Installation) -> Iterator[Payments]:
    made = Payments(installation)
    yield made
    made.close()


def test_a_merchant_s_word_stands_in_place_of_the_documents_and_is_in_effect_when_told(
    installation: Installation, payments: Payments
) -> None:
    assert payments.shared("m-0500") > 0, "the platform's setting is the default of a silent merchant"
    told = say(installation, "m-0500", "opted-out")
    assert told["effective_after_ms"] <= 1_000
    assert told["workers_acknowledged"]
    assert payments.shared("m-0500") == 0
    say(installation, "m-0500", "enhanced")
    assert payments.shared("m-0500") > 0
    ein(installation, "revoke", "m-0500", "--reason", "asked to")
    assert payments.shared("m-0500") == 0
    assert payments.shared("m-0501") > 0, "nobody else is touched"
    told = ein(installation, "show", "m-0500")
    assert [one["tier"] for one in told["said"]] == ["opted_out", "enhanced", "none"]


def test_what_the_registry_says_is_recorded_as_the_consent_that_covered_it(
    installation: Installation, payments: Payments
) -> None:
    say(installation, "m-0600", "basic")
    payments.shared("m-0600")
    reader = FileJournalReader(RealDisk(), str(installation.state.gateway_journal))
    entries = reader.read(EVALUATIONS, max(-1, reader.end(EVALUATIONS) - ENOUGH), 100)
    records = [journal_pb2.Evaluation.FromString(one.payload) for one in entries]
    ids = {d.consent_id for r in records if r.merchant_id == "m-0600" for d in r.decisions if d.consent_id}
    assert ids == {"merchant/m-0600/2026-11/basic"}


def test_it_holds_after_a_restart_and_under_a_new_policy(
    installation: Installation, payments: Payments
) -> None:
    say(installation, "m-0700", "none")
    subprocess.run(
        [
            sys.executable, "-m", "gateway.server.cli.main", "apply", "deploy/sample/policy", "--reason", "x",
            "--config", str(installation.config),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert payments.shared("m-0700") == 0


def test_no_new_share_under_a_consent_once_its_revocation_has_returned(installation: Installation) -> None:
    """Races: three payers without pause, while a merchant agrees and revokes again and again."""
    clock, stop = SystemClock(), threading.Event()
    seen: list[tuple[int, int]] = []

    def pay() -> None:
        mine = Payments(installation)
        while not stop.is_set():
            began_ns = clock.monotonic_ns()
            answer = mine.pay("m-0800")
            shared = sum(one.status == common_pb2.SHARE_STATUS_SHARED for one in answer.decisions)
            seen.append((began_ns, shared))
        mine.close()

    payers = [threading.Thread(target=pay) for _ in range(3)]
    for payer in payers:
        payer.start()
    closed: list[tuple[int, int]] = []
    try:
        for _ in range(ROUNDS):
            ein(installation, "revoke", "m-0800", "--reason", "race")
            returned_ns = clock.monotonic_ns()
            until = len(seen) + 30
            while len(seen) < until:
                stop.wait(0.005)
            closed.append((returned_ns, clock.monotonic_ns()))
            say(installation, "m-0800", "enhanced")
            until = len(seen) + 30
            while len(seen) < until:
                stop.wait(0.005)
    finally:
        stop.set()
        for payer in payers:
            payer.join()
    assert sum(shared for _, shared in seen) > 0, "the race is about something"
    for since_ns, until_ns in closed:
        inside = [shared for began_ns, shared in seen if since_ns <= began_ns < until_ns]
        assert inside
        assert sum(inside) == 0


def test_an_import_is_in_force_whole_and_a_bad_line_imports_nothing(
    installation: Installation, payments: Payments, tmp_path: Path
) -> None:
    head = "party,party_id,tier,terms_version,evidence,valid_from,valid_until\n"
    good = "".join(f"merchant,m-1{n:03d},none,2026,list,2025-01-01,\n" for n in range(300))
    file = tmp_path / "consents.csv"
    command = [
        sys.executable, "-m", "gateway.server.cli.main", "consent", "import", str(file), "--reason", "list",
        "--config", str(installation.config),
    ]  # fmt: skip
    file.write_text(head + good + "merchant,secret-name,gold,2026,list,2025-13-01,\n")
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode != 0
    assert "line 302" in refused.stderr
    assert "secret-name" not in refused.stderr
    assert payments.shared("m-1007") > 0
    file.write_text(head + good)
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "300 settings: in effect after" in done.stdout
    assert payments.shared("m-1007") == 0
