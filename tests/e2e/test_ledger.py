"""The ledger of a real gateway and real feeds: what receivers got is in it, and `ein audit` says so."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.ledger import SqliteLedgerReader
from issuernetwork.v1 import enrichment_pb2_grpc
from tests.kit.installation import Installation
from tests.kit.payments import payment

PAYMENTS = 40
RECIPIENT = "northgate-bank"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("ledger"), processes=("gateway", "feeds")) as running:
        yield running


def ein(installation: Installation, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.server.cli.main", *arguments, "--config", str(installation.config)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def pay(installation: Installation, *, prefix: str = "first") -> set[str]:
    """Ids of what was told to be shared."""
    now_ms = time.time_ns() // 1_000_000
    with grpc.insecure_channel(installation.address("gateway", "grpc")) as channel:
        stub: Any = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
        answers = [
            stub.EnrichAuthorization(
                payment(number + 1, now_ms=now_ms, prefix=prefix),
                metadata=installation.metadata("payments"),
                timeout=5,
            )
            for number in range(PAYMENTS)
        ]
    return {decision.share_id for answer in answers for decision in answer.decisions if decision.share_id}


def poll(installation: Installation) -> set[str]:
    """Ids of the shares that a poll of the stream hands out."""
    url = f"{installation.address('feeds', 'http')}/ssf/streams/stream-{RECIPIENT}/poll"
    asked = urllib.request.Request(url, json.dumps({"returnImmediately": True}).encode())
    asked.add_header("Authorization", f"Bearer {installation.tokens[RECIPIENT]}")
    with urllib.request.urlopen(asked) as reply:
        return set(json.load(reply)["sets"])


def test_what_a_recipient_got_is_in_the_ledger_signed_and_proven(installation: Installation) -> None:
    pay(installation)
    got: set[str] = set()
    for _ in range(100):  # until it is fanned out
        got |= poll(installation)
        if got:
            break
    assert got
    for _ in range(60):  # a head comes within ten seconds
        code, report = ein(installation, "audit", "verify", "--json")
        if report["entries"].get("deliveries/0", 0) >= len(got) and not report["unsigned_entries"]:
            break
    assert (code, report["findings"], report["unsigned_entries"]) == (0, [], 0)
    assert report["entries"]["acts"] == 1, "the policy was applied once"
    with closing(SqliteLedgerReader(installation.state.ledger_db)) as reader:
        assert [share_id for share_id in got if not reader.find(share_id)] == []
    share_id = min(got)
    _, proof = ein(installation, "audit", "prove", share_id)
    assert {entry["entry"]["share"]["share_id"] for entry in proof["entries"]} == {share_id}
    assert "ssf" in {entry["entry"]["transport"] for entry in proof["entries"]}
    assert all(len(entry["entry"]["share"]["payload_sha256"]) == 64 for entry in proof["entries"])
    decided = {entry["entry"]["share"].get("decision_unknown") for entry in proof["entries"]}
    assert decided == {None}


def test_feeds_that_were_killed_go_on_with_the_ledger_where_it_was(installation: Installation) -> None:
    before = ein(installation, "audit", "verify", "--json")[1]
    installation.supervisor.signal("feeds", signal.SIGKILL)
    told = pay(installation, prefix="again")
    installation.supervisor.respawn("feeds")
    got: set[str] = set()
    for _ in range(500):  # until it is fanned out; what was handed out before comes again
        got |= poll(installation)
        if got & told:
            break
    code, report = 1, before
    for _ in range(60):
        code, report = ein(installation, "audit", "verify", "--json")
        if report["heads"] > before["heads"]:
            break
    assert (code, report["findings"]) == (0, [])
    proven = ein(installation, "audit", "prove", min(got & told))[1]
    assert proven["entries"][0]["head"]["number"] > before["heads"]


def test_a_ledger_that_was_touched_ends_the_command_with_a_code_of_its_own(
    installation: Installation,
) -> None:
    lines = installation.state.ledger_heads.read_bytes().splitlines(keepends=True)
    kept = installation.folder / "kept.jsonl"
    kept.write_bytes(lines[-1])
    assert ein(installation, "audit", "verify", "--json", "--anchor", str(kept))[0] == 0
    installation.supervisor.signal("feeds", signal.SIGSTOP)
    try:
        installation.state.ledger_heads.write_bytes(b"".join(lines[:-1]))
        code, report = ein(installation, "audit", "verify", "--json", "--anchor", str(kept))
        installation.state.ledger_heads.write_bytes(b"".join(lines))
    finally:
        installation.supervisor.signal("feeds", signal.SIGCONT)
    assert code == 1
    assert {(one["kind"], one["place"]) for one in report["findings"]} == {("truncated", "heads")}
