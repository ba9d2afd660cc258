"""Our signing keys change while gateway and feeds run: no restart, and what goes wrong is told."""

import base64
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.server.policy import read_policy
from issuernetwork.receiver import Receiver, Share
from issuernetwork.v1 import enrichment_pb2_grpc
from tests.kit.brief_margin import make_margin_brief
from tests.kit.feeds_process import Recipients, until
from tests.kit.installation import ROOT, SAMPLE_POLICY, Installation
from tests.kit.payments import NORTHGATE, payment

BANK = "northgate-bank"
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


class Running:
    """An installation, its commands, and what its recipient gets."""

    def __init__(self, installation: Installation, policy: dict[str, str]) -> None:
        self.policy = policy
        self.installation = installation
        self.feeds = Recipients(installation)
        self._next = 0

    def ein(self, *arguments: str, check: int = 0) -> str:
        done = subprocess.run(
            [
                sys.executable, "-m", "gateway.server.cli.main", *arguments,
                "--config", str(self.installation.config),
            ],
            capture_output=True, text=True, check=False, timeout=60, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == check, done.stderr
        return done.stdout

    def kids(self) -> list[str]:
        return [key["kid"] for key in self.feeds.get("/.well-known/jwks.json")["keys"]]

    def pay(self) -> None:
        self._next += 1
        with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            stub.EnrichAuthorization(
                payment(self._next, iin=NORTHGATE, prefix="own-keys"),
                metadata=self.installation.metadata("payments"), timeout=20,
            )  # fmt: skip

    def signed(self) -> dict[str, Any]:
        """Header of a token of a payment made now, verified by the set that is published now."""
        before = set(self.feeds.poll(BANK, maxEvents=1000)["sets"])

        def fresh() -> list[str]:
            # More than one: a card may be held out.
            self.pay()
            sets = self.feeds.poll(BANK, maxEvents=1000)["sets"]
            return [token for jti, token in sets.items() if jti not in before]

        token = until(fresh)[0]
        jwks = self.feeds.get("/.well-known/jwks.json")
        receiver = Receiver(
            recipient_id=BANK, private_keys=[self.installation.recipient_keys[BANK]], jwks=lambda: jwks,
            iss=self.installation.settings.issuer_url,
        )  # fmt: skip
        assert isinstance(receiver.open(token), Share)
        head = token.split(".")[0]
        header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        return header

    def metric(self, process: str, name: str) -> float:
        url = f"http://{self.installation.address(process, 'metrics').removeprefix('http://')}/metrics"
        with urllib.request.urlopen(url, timeout=20) as reply:
            lines = reply.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def health(self, process: str) -> int:
        with grpc.insecure_channel(self.installation.address(process, "grpc")) as channel:
            asked = health_pb2.HealthCheckRequest(service="own-keys")
            return int(health_pb2_grpc.HealthStub(channel).Check(asked, timeout=20).status)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("own-keys")
    # By stream alone: what can be looked up holds its key for half an hour.
    policy = {
        name: text.replace("[lookup, ssf]", "[ssf]") if name.startswith(f"enrolments/{BANK}") else text
        for name, text in read_policy(SAMPLE_POLICY).items()
    }
    installation = Installation(folder, processes=("gateway", "feeds"), policy=policy)
    document = yaml.safe_load(installation.config.read_text())
    document["keys"] = {"jwks_max_age_s": 1}
    installation.config.write_text(yaml.safe_dump(document))
    make_margin_brief(installation.supervisor, margin_ms=0)
    with installation:
        yield Running(installation, policy)


def test_a_key_that_was_made_just_now_signs_for_a_document_that_names_it(
    running: Running, tmp_path: Path
) -> None:
    assert running.signed()["alg"] == "ES256"
    assert "made sig-" in running.ein("keys", "add", "EdDSA")
    for name, text in running.policy.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    with (tmp_path / "recipients" / f"{BANK}.yaml").open("a") as document:
        document.write("signing_algorithm: EdDSA\n")
    running.ein("apply", str(tmp_path), "--reason", "EdDSA")
    until(lambda: running.signed()["alg"] == "EdDSA")


def test_a_key_is_rotated_and_the_old_one_goes_by_itself_while_everything_runs(running: Running) -> None:
    old = running.signed()["kid"]
    alg, published = running.signed()["alg"], len(running.kids())
    running.ein("keys", "rotate", alg, "--now", "--reason", "stolen, in a drill")
    until(lambda: len(running.kids()) == published + 1 and old in running.kids())
    until(lambda: running.signed()["kid"] != old)
    assert "open token" in running.ein("keys", "list")
    sets = list(running.feeds.poll(BANK, maxEvents=1000)["sets"])
    running.feeds.poll(BANK, ack=sets, maxEvents=0)
    until(lambda: old not in running.kids())
    states = {
        key["kid"]: key["state"] for key in json.loads(running.ein("keys", "list", "--all", "--json"))["keys"]
    }
    assert states[old] == "retired"
    # Heads by whichever key, and the acts behind it all.
    assert json.loads(running.ein("audit", "verify", "--json"))["intact"]


def test_a_file_that_does_not_open_is_told_everywhere_and_stops_nothing(running: Running) -> None:
    path = running.installation.state.keys / "own.json"
    good, kids = path.read_bytes(), running.kids()
    path.write_bytes(good[: len(good) // 2])
    for process in ("gateway", "feeds"):
        until(lambda process=process: running.health(process) == NOT_SERVING)
    assert running.metric("gateway", "ein_own_keys_stale") == 1
    assert running.metric("feeds", "ein_feeds_own_keys_stale") == 1
    told = json.loads(running.ein("status", "--json", check=1))["own_keys"]
    assert {told[process]["code"] for process in ("gateway", "feeds")} == {"key_files"}
    assert running.signed()["kid"] in kids
    path.write_bytes(good)
    for process in ("gateway", "feeds"):
        until(lambda process=process: running.health(process) == SERVING)
    assert running.metric("feeds", "ein_feeds_own_keys_stale") == 0
