"""An issuer comes in by itself: invited, proven, approved by another, sealed to; then changed and revoked."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.backends.embedded.ledger_acts import ENROLMENTS, StoredActs
from gateway.runtime.clock import SystemClock
from gateway.server.operators import KEY_ENV
from gateway.server.recipient_watch import read_watch
from issuernetwork.v1 import common_pb2, enrichment_pb2_grpc
from tests.kit.feeds_process import until
from tests.kit.installation import Installation
from tests.kit.operators import key_of, register
from tests.kit.payments import NORTHGATE, caller, payment
from tests.kit.tenants import policy

BANK, OTHER = "northgate-bank", "harbor-federal"
TIMEOUT_S = 20.0


class Bank:
    """An installation with two approvers, and the issuer's own tool beside it."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self._next, self._name = 0, caller("e")
        for name in ("ada", "bo"):
            register(installation.settings, name, "approver")

    def _run(
        self, module: str, *arguments: str, env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **(env or {})},
        )  # fmt: skip

    def ein(self, *arguments: str, by: str = "ada", check: bool = True) -> str:
        key = str(key_of(self.installation.settings, by)) if by else ""
        done = self._run(
            "gateway.server.cli.main",
            *arguments,
            "--config",
            str(self.installation.config),
            env={KEY_ENV: key},
        )
        assert (done.returncode == 0) == check, done.stderr
        return (done.stdout if check else done.stderr).strip()

    def make_keys(self, name: str) -> None:
        for use in ("enc", "sig"):
            done = self._run(
                "issuernetwork.issuer_cli", "keys", "new", "--kid", f"{name}-{use}", "--use", use,
                "--private", str(self.folder / f"{name}-{use}.jwk"),
                "--public", str(self.folder / f"{name}.jwks"),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr

    def issuer(
        self, command: str, name: str, *more: str, recipient_id: str = BANK, check: bool = True
    ) -> Any:
        base = self.installation.address("feeds", "http")
        done = self._run(
            "issuernetwork.issuer_cli", command, "--transmitter", base, "--recipient-id", recipient_id,
            "--iss", self.installation.settings.issuer_url, "--private", str(self.folder / f"{name}-enc.jwk"),
            "--signing", str(self.folder / f"{name}-sig.jwk"), *more,
        )  # fmt: skip
        assert (done.returncode == 0) == check, done.stderr + done.stdout
        return json.loads(done.stdout) if check else done.stderr

    def invited(self, recipient_id: str = BANK) -> str:
        token = self.ein("issuer", "invite", recipient_id, "--reason", "contract 7")
        path = self.folder / "invite"
        path.write_text(token)
        return str(path)

    def approval(self) -> dict[str, Any]:
        listed = json.loads(self.ein("approvals", "--json"))["approvals"]
        assert len(listed) == 1
        found: dict[str, Any] = listed[0]
        return found

    def pay(self) -> Any:
        """The decision on risk-score of one payment."""
        self._next += 1
        with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            answer = stub.EnrichAuthorization(
                payment(self._next, iin=NORTHGATE, prefix=self._name),
                metadata=self.installation.metadata("payments"), timeout=TIMEOUT_S,
            )  # fmt: skip
        return next(one for one in answer.decisions if one.program == "risk-score")

    def shared(self) -> bool:
        return bool(self.pay().status == common_pb2.SHARE_STATUS_SHARED)

    def withheld_for_its_key(self) -> bool:
        decision = self.pay()
        return bool(decision.public_reason == common_pb2.PUBLIC_REASON_KEY_UNAVAILABLE)

    def health(self) -> int:
        with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            asked = health_pb2.HealthCheckRequest(service="recipient-keys")
            return int(stub.Check(asked, timeout=TIMEOUT_S).status)

    def metric(self, name: str) -> float:
        url = f"http://{self.installation.address('gateway', 'metrics')}/metrics"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as reply:
            lines = reply.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def http(self, method: str, path: str, token: str, body: object = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.installation.address("feeds", "http") + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read())


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    installation = Installation(tmp_path, processes=("gateway", "feeds"), policy=policy())
    with installation:
        yield Bank(installation, tmp_path)


def test_an_issuer_enrols_changes_its_keys_and_loses_them(bank: Bank) -> None:
    # Before: keys that somebody put into the folder.
    assert bank.shared()
    bank.make_keys("first")
    told = bank.issuer(
        "enrol", "first", "--token-file", bank.invited(), "--contact", "mailto:keys@bank.example"
    )
    assert told["stage"] == "proven"
    # Who invited does not approve, and sees whose keys they are.
    asked = bank.approval()
    assert asked["kind"] == "enrol_issuer"
    assert asked["subject"]["thumbprints"].split() == told["thumbprints"]
    assert "second person" in bank.ein("approve", str(asked["approval_id"]), by="ada", check=False)
    bank.ein("approve", str(asked["approval_id"]), by="bo")
    until(lambda: _kid(bank) == "first-enc")
    assert bank.shared()
    # An invitation is good once.
    spent = bank.issuer("enrol", "first", "--token-file", str(bank.folder / "invite"), check=False)
    assert "invitation" in spent
    # Its signing key is in force: with it it changes its keys by itself, and a person approves.
    bank.make_keys("second")
    signed = str(bank.folder / "first-sig.jwk")
    until(lambda: bank.issuer("rotate", "second", "--signed-by", signed)["stage"] == "proven")
    bank.ein("approve", str(bank.approval()["approval_id"]), by="ada")
    until(lambda: _kid(bank) == "second-enc")
    assert bank.shared()
    # Revoked: nothing is sealed, to no other key either, and people hear of it.
    bank.ein("issuer", "revoke", BANK, "--reason", "lost laptop", by="")
    until(bank.withheld_for_its_key)
    assert [bank.withheld_for_its_key() for _ in range(5)] == [True] * 5
    until(lambda: bank.metric("ein_recipient_keys_unavailable") == 1)
    until(lambda: bank.health() == health_pb2.HealthCheckResponse.NOT_SERVING)
    told = read_watch(bank.installation.state)
    assert told is not None
    assert told["alerts"] == {BANK: {"state": "not_usable"}}
    acts = StoredActs(bank.installation.state.policy_db, bank.installation.state.consents_db)
    verbs = [act.verb for act in acts.after(ENROLMENTS, 0, 100)]
    acts.close()
    assert verbs == [
        "invite", "submit_keys", "prove_keys", "enrol", "submit_keys", "prove_keys", "rotate_keys",
        "revoke_keys",
    ]  # fmt: skip


def _kid(bank: Bank) -> str:
    path = bank.installation.state.keys / "recipients" / f"{BANK}.jwks.json"
    keys = json.loads(path.read_text())["keys"]
    return str(keys[0]["kid"]) if len(keys) == 1 else ""


def test_a_key_that_nobody_approved_is_sealed_to_by_nobody(bank: Bank) -> None:
    bank.make_keys("first")
    bank.issuer("enrol", "first", "--token-file", bank.invited())
    bank.ein("approve", str(bank.approval()["approval_id"]), by="bo")
    until(bank.shared)
    # Whoever may write the folder puts a key of their own in its place.
    bank.make_keys("thief")
    path = bank.installation.state.keys / "recipients" / f"{BANK}.jwks.json"
    good = path.read_text()
    keys = json.loads((bank.folder / "thief.jwks").read_text())["keys"]
    path.write_text(json.dumps({"keys": [key for key in keys if key["use"] == "enc"]}))
    until(bank.withheld_for_its_key)
    until(lambda: bank.metric("ein_recipient_keys_unavailable") == 1)
    path.write_text(good)
    until(bank.shared)
    until(lambda: bank.metric("ein_recipient_keys_unavailable") == 0)
    until(lambda: bank.health() == health_pb2.HealthCheckResponse.SERVING)


def test_what_is_nobodys_reads_as_what_is_anothers(bank: Bank) -> None:
    mine, others = bank.installation.tokens[BANK], bank.installation.tokens[OTHER]
    store = SqliteEnrolments(str(bank.installation.state.policy_db), SystemClock())
    made = store.submit(BANK, invite_id=0, by="x", document="{}", thumbprints=("t",), nonce_sha256="0")
    store.close()
    number = made.submission_id
    assert bank.http("GET", f"/enrol/submissions/{number}", mine)[0] == 200
    told = [bank.http("GET", f"/enrol/submissions/{one}", others) for one in (number, 999, "x")] + [
        bank.http("POST", f"/enrol/submissions/{one}/proof", others, {"proofs": []}) for one in (number, 999)
    ]
    assert [status for status, _ in told] == [404] * 5
    assert all(answer == told[0][1] for _, answer in told)
    caller = bank.installation.tokens["payments"]
    assert bank.http("GET", f"/enrol/submissions/{number}", caller) == told[0]
    strangers = [bank.http("POST", "/enrol/submissions", token, {}) for token in ("", "guess", "a.b.c")]
    assert [status for status, _ in strangers] == [401] * 3
    assert all(answer == strangers[0][1] for _, answer in strangers)
    # Keys that were put by hand are not changed by whoever has the bearer token.
    bank.make_keys("first")
    jwks = json.loads((bank.folder / "first.jwks").read_text())
    status, answer = bank.http("POST", "/enrol/submissions", mine, {"jwks": jwks})
    assert (status, "invitation" in answer["description"]) == (400, True)
