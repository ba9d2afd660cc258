"""TLS on the ports of running processes, certificates that say who calls, and tokens got over them."""

import itertools
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.clients import Client
from gateway.server.dev_ca import DevCa, Issued
from issuernetwork.issuer_cli import new_key, new_signing_key
from issuernetwork.v1 import enrichment_pb2, enrichment_pb2_grpc, feed_pb2, feed_pb2_grpc
from tests.kit.clients import Key, add_client
from tests.kit.feeds_process import until
from tests.kit.installation import Installation
from tests.kit.payments import payment

DEADLINE_S = 20.0
NUMBERS = itertools.count(1)
SHOP, BANK = "urn:ein:caller:shop", "urn:ein:issuer:northgate-bank"


@dataclass(frozen=True)
class Running:
    installation: Installation
    ca: DevCa
    shop: Issued
    bank: Issued
    stranger: Issued
    key: Key

    def channel(self, process: str, client: Issued | None) -> grpc.Channel:
        root = self.ca.certificate.read_bytes()
        shown = (None, None) if client is None else (client.key.read_bytes(), client.certificate.read_bytes())
        credentials = grpc.ssl_channel_credentials(root, *shown)
        return grpc.secure_channel(self.installation.address(process, "grpc"), credentials)

    def enrich(self, client: Issued | None, metadata: Any = ()) -> Any:
        with self.channel("gateway", client) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            return stub.EnrichAuthorization(payment(next(NUMBERS)), metadata=metadata, timeout=DEADLINE_S)

    def http(self, path: str, client: Issued | None, **options: Any) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(self.ca.certificate))
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        request = urllib.request.Request(self.installation.address("feeds", "http") + path, **options)
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_S, context=context) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("tls")
    installation = Installation(folder, processes=("gateway", "feeds"))
    ca = DevCa(folder / "ca", SystemClock(), SystemEntropy())
    ours = ca.server(["localhost", "127.0.0.1"])
    with installation.config.open("a") as settings:
        settings.write(
            f"tls:\n  certificate: {ours.certificate}\n  key: ca/server.key\n  client_ca: ca/ca.pem\n"
        )
    key, state = Key("bank-1"), installation.state
    add_client(state, Client(client_id="shop", principal_id="payments", role="caller", uri=SHOP))
    bank = Client(
        client_id="northgate-bank", principal_id="northgate-bank", role="issuer", keys=key.public, uri=BANK,
        bound=True, added_by="ada",
    )  # fmt: skip
    add_client(state, bank)
    with installation:
        yield Running(
            installation, ca, ca.client("shop", SHOP), ca.client("bank", BANK),
            ca.client("stranger", "urn:ein:caller:nobody"), key,
        )  # fmt: skip


def code_of(call: Any, *arguments: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        call(*arguments)
    return refused.value.code()  # type: ignore[no-any-return]


def test_the_certificate_alone_says_who_enriches(running: Running) -> None:
    answer = running.enrich(running.shop)
    assert answer.completeness == enrichment_pb2.COMPLETENESS_FULL


@pytest.mark.parametrize("process", ["gateway", "feeds"])
def test_the_metrics_are_read_with_a_certificate_alone(running: Running, process: str) -> None:
    url = f"https://{running.installation.address(process, 'metrics')}/metrics"
    context = ssl.create_default_context(cafile=str(running.ca.certificate))
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(url, timeout=DEADLINE_S, context=context)
    context.load_cert_chain(running.shop.certificate, running.shop.key)
    with urllib.request.urlopen(url, timeout=DEADLINE_S, context=context) as reply:
        assert b"ein_" in reply.read()
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(url.replace("https", "http"), timeout=DEADLINE_S)


def test_without_a_certificate_no_connection_is_made(running: Running) -> None:
    assert code_of(running.enrich, None) is grpc.StatusCode.UNAVAILABLE
    token = [("authorization", f"Bearer {running.installation.tokens['payments']}")]
    assert code_of(running.enrich, None, token) is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_names_nobody_known_is_nobody_and_a_bank_enriches_nothing(
    running: Running,
) -> None:
    assert code_of(running.enrich, running.stranger) is grpc.StatusCode.UNAUTHENTICATED
    assert code_of(running.enrich, running.bank) is grpc.StatusCode.PERMISSION_DENIED
    # A connection is one thing, who calls another: a token of its own still counts.
    token = [("authorization", f"Bearer {running.installation.tokens['payments']}")]
    assert running.enrich(running.stranger, token).request_id


def test_a_certificate_of_another_authority_is_refused(running: Running, tmp_path: Path) -> None:
    forged = DevCa(tmp_path, SystemClock(), SystemEntropy()).client("shop", SHOP)
    assert code_of(running.enrich, forged) is grpc.StatusCode.UNAVAILABLE


def test_a_bank_looks_up_and_polls_by_its_certificate(running: Running) -> None:
    with running.channel("feeds", running.bank) as channel:
        stub = feed_pb2_grpc.FeedServiceStub(channel)  # type: ignore[no-untyped-call]
        found = stub.Lookup(feed_pb2.LookupRequest(), timeout=DEADLINE_S)
    assert found.match == feed_pb2.MATCH_RESULT_NOT_MATCHED
    poll = {"data": b'{"returnImmediately": true}', "method": "POST"}
    own, others = "/ssf/streams/stream-northgate-bank/poll", "/ssf/streams/stream-harbor-federal/poll"
    assert running.http(own, running.bank, **poll)[0] == 200
    assert running.http(others, running.bank, **poll)[0] == 404
    assert running.http(own, running.shop, **poll)[0] == 404
    assert running.http(own, running.stranger, **poll)[0] == 401
    assert running.http(own, None, **poll)[0] == 401


def test_what_is_public_needs_no_certificate(running: Running) -> None:
    status, jwks = running.http("/.well-known/jwks.json", None)
    assert (status, len(jwks["keys"])) == (200, 1)
    assert running.http("/.well-known/oauth-authorization-server", None)[1]["grant_types_supported"]


def test_a_token_bound_to_a_certificate_is_of_no_use_with_another(running: Running) -> None:
    form = running.key.form("northgate-bank", running.installation.settings.issuer_url)
    asked = {"data": urlencode(form).encode(), "method": "POST"}
    status, refused = running.http("/oauth/token", running.shop, **asked)
    assert (status, refused["error"]) == (401, "invalid_client")
    form = running.key.form("northgate-bank", running.installation.settings.issuer_url)
    status, answer = running.http("/oauth/token", running.bank, data=urlencode(form).encode(), method="POST")
    assert status == 200, answer
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    poll = {"data": b'{"returnImmediately": true}', "method": "POST", "headers": bearer}
    own = "/ssf/streams/stream-northgate-bank/poll"
    assert running.http(own, running.bank, **poll)[0] == 200
    assert running.http(own, running.stranger, **poll)[0] == 401
    assert running.http(own, None, **poll)[0] == 401


def test_the_issuers_tool_gets_tokens_by_its_key_and_certificate_and_polls_with_them(
    running: Running, tmp_path: Path
) -> None:
    for name, document in (
        ("enc.jwk", running.installation.recipient_keys["northgate-bank"]), ("sig.jwk", running.key.private)
    ):  # fmt: skip
        (tmp_path / name).write_text(json.dumps(document))

    def receive(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [
                sys.executable, "-m", "issuernetwork.issuer_cli", "receive", "--once", "--json",
                "--transmitter", running.installation.address("feeds", "http"),
                "--recipient-id", "northgate-bank", "--iss", running.installation.settings.issuer_url,
                "--private", str(tmp_path / "enc.jwk"), "--ca", str(running.ca.certificate), *arguments,
            ],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    shown = ("--certificate", str(running.bank.certificate), "--certificate-key", str(running.bank.key))
    signed = ("--signing", str(tmp_path / "sig.jwk"))
    for good in ((*signed, *shown), shown):
        done = receive(*good)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["refused"] == {}
    bad = receive(*signed)
    assert (bad.returncode, "asking for a token" in bad.stderr) == (3, True)


def test_a_registered_certificate_stands_for_an_invitation(running: Running) -> None:
    public = [new_key("first")[1], new_signing_key("first-sig")[1]]
    asked = {"data": json.dumps({"jwks": {"keys": public}}).encode(), "method": "POST"}
    status, answer = running.http("/enrol/submissions", running.bank, **asked)
    assert (status, answer["stage"]) == (201, "submitted")
    refused = [
        running.http("/enrol/submissions", client, **asked)[0]
        for client in (running.shop, running.stranger, None)
    ]
    assert refused == [404, 401, 401]


def test_a_new_certificate_of_ours_is_taken_without_a_restart(running: Running) -> None:
    http = running.installation.address("feeds", "http").removeprefix("https://")
    addresses = [
        (host, int(port))
        for host, _, port in (
            one.rpartition(":") for one in (http, running.installation.address("gateway", "grpc"))
        )
    ]
    before = [ssl.get_server_certificate(address) for address in addresses]
    running.ca.server(["localhost", "127.0.0.1"])
    for address, old in zip(addresses, before, strict=True):
        until(lambda at=address, was=old: ssl.get_server_certificate(at) != was)  # type: ignore[misc]
    assert running.http("/healthz", None)[0] == 200
    assert running.enrich(running.shop).request_id


def test_clear_text_is_not_answered(running: Running) -> None:
    with grpc.insecure_channel(running.installation.address("gateway", "grpc")) as channel:
        stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
        began_s = time.monotonic()
        assert code_of(lambda: stub.EnrichAuthorization(payment(1), timeout=5)) in (
            grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED
        )  # fmt: skip
        assert time.monotonic() - began_s < DEADLINE_S
