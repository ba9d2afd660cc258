"""Tokens taken back while the processes run."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from gateway.server import exit_codes
from gateway.server.operators import KEY_ENV
from issuernetwork.v1 import (
    enrichment_pb2,
    enrichment_pb2_grpc,
    feed_pb2,
    feed_pb2_grpc,
    measurement_pb2,
    measurement_pb2_grpc,
    outcomes_pb2,
    outcomes_pb2_grpc,
    programs_pb2,
    programs_pb2_grpc,
)
from tests.kit.installation import Installation
from tests.kit.operators import key_of, register

REFUSED_WITHIN_S = 1.0
"""What docs/reference/cli.md promises."""

CALL_TIMEOUT_S = 10.0
BANK = "northgate-bank"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("t"))
    installation.token("watcher", "caller")
    register(installation.settings, "ops")
    with installation:
        yield installation


def ein(running: Installation, *arguments: str, key: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.server.cli.main", *arguments, "--config", str(running.config)],
        capture_output=True, text=True, check=True, timeout=60, env={**os.environ, KEY_ENV: key},
    )  # fmt: skip
    return done.stdout


def identities(running: Installation) -> str:
    return running.state.identities.read_text()


def calls(running: Installation) -> dict[str, tuple[str, Callable[[], bool]]]:
    """Each way in: the principal that uses it, and whether it is let in now."""

    def over_grpc(process: str, stub: Callable[[Any], Any], method: str, request: Any, who: str) -> bool:
        with grpc.insecure_channel(running.address(process, "grpc")) as channel:
            try:
                answer = getattr(stub(channel), method)
                metadata = running.signed(who) if who == "ops" else running.metadata(who)
                answer(request, metadata=metadata, timeout=CALL_TIMEOUT_S)
            except grpc.RpcError as refused:
                assert isinstance(refused, grpc.Call)
                return refused.code() is not grpc.StatusCode.UNAUTHENTICATED
            return True

    def by_poll() -> bool:
        url = f"{running.address('feeds', 'http')}/ssf/streams/stream-{BANK}/poll"
        poll = urllib.request.Request(url, b'{"returnImmediately": true, "maxEvents": 0}')
        poll.add_header("Authorization", f"Bearer {running.tokens[BANK]}")
        try:
            urllib.request.urlopen(poll, timeout=CALL_TIMEOUT_S).close()
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code != 401
        return True

    grpc_calls: dict[str, tuple[str, Any, str, Any, str]] = {
        "enrichment": (
            "gateway", enrichment_pb2_grpc.EnrichmentServiceStub, "EnrichAuthorization",
            enrichment_pb2.EnrichAuthorizationRequest(), "payments",
        ),
        "outcomes": (
            "gateway", outcomes_pb2_grpc.OutcomeServiceStub, "ReportOutcomes",
            outcomes_pb2.ReportOutcomesRequest(), "payments",
        ),
        "programs": (
            "gateway", programs_pb2_grpc.ProgramServiceStub, "ListPrograms",
            programs_pb2.ListProgramsRequest(), "ops",
        ),
        "look-up": ("feeds", feed_pb2_grpc.FeedServiceStub, "Lookup", feed_pb2.LookupRequest(), BANK),
        "receipts": (
            "feeds", feed_pb2_grpc.FeedServiceStub, "ReportReceipts", feed_pb2.ReportReceiptsRequest(), BANK,
        ),
        "uplift": (
            "measure", measurement_pb2_grpc.MeasurementServiceStub, "GetUplift",
            measurement_pb2.GetUpliftRequest(), "ops",
        ),
    }  # fmt: skip
    made: dict[str, tuple[str, Callable[[], bool]]] = {
        name: (one[4], lambda one=one: over_grpc(*one))  # type: ignore[misc]
        for name, one in grpc_calls.items()
    }
    return {**made, "poll": (BANK, by_poll)}


def test_a_revoked_token_is_refused_by_every_process_within_a_second(running: Installation) -> None:
    ways = calls(running)
    principals = {who for who, _ in ways.values()}
    assert {name for name, (_, let_in) in ways.items() if not let_in()} == set()
    for principal in sorted(principals):
        if principal == "ops":
            key = str(key_of(running.settings, "ops"))
            removed = ein(running, "operator", "remove", "ops", "--reason", "drill", key=key)
            assert removed == "ops: removed\n"
        else:
            assert ein(running, "token", "revoke", principal) == f"{principal}: 1 token revoked\n"
        since_s = time.monotonic()
        waiting = {name: let_in for name, (who, let_in) in ways.items() if who == principal}
        while waiting and time.monotonic() - since_s < REFUSED_WITHIN_S:
            waiting = {name: let_in for name, let_in in waiting.items() if let_in()}
        assert not waiting, f"{', '.join(waiting)} still let {principal} in"
        listed = ein(running, "token", "list")
        assert principal not in listed.split()
        secrets = [*running.tokens.values(), *re.findall(r'"token_sha256": "(\w+)"', identities(running))]
        assert not [secret for secret in secrets if secret in listed]
    assert "harbor-federal" in ein(running, "token", "list").split(), "nobody else has lost a token"


def watched(running: Installation) -> float:
    """Streams of outcomes opened so far."""
    with urllib.request.urlopen(f"http://{running.address('gateway', 'metrics')}/metrics") as reply:
        found = re.search(r'ein_outcome_calls_total\{method="WatchOutcomes"\} (\S+)', reply.read().decode())
    assert found
    return float(found[1])


def test_a_stream_of_outcomes_ends_when_its_token_is_revoked(running: Installation) -> None:
    opened = watched(running)
    with grpc.insecure_channel(running.address("gateway", "grpc")) as channel:
        stub: Any = outcomes_pb2_grpc.OutcomeServiceStub(channel)  # type: ignore[no-untyped-call]
        stream = stub.WatchOutcomes(
            outcomes_pb2.WatchOutcomesRequest(), metadata=running.metadata("watcher"), timeout=CALL_TIMEOUT_S
        )
        until_s = time.monotonic() + CALL_TIMEOUT_S
        while watched(running) == opened and time.monotonic() < until_s:
            time.sleep(0.01)
        ein(running, "token", "revoke", "watcher")
        since_s = time.monotonic()
        with pytest.raises(grpc.RpcError) as ended:
            next(stream)
        took_s = time.monotonic() - since_s
    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
    assert took_s < REFUSED_WITHIN_S


def test_a_revocation_of_nobody_is_no_success(running: Installation) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        ein(running, "token", "revoke", "harbor-fedral")
    assert refused.value.returncode == exit_codes.CONFIG
    assert 'Did you mean "harbor-federal"' in refused.value.stderr
