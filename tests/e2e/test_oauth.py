"""Short-lived tokens at running processes: got at the feeds, taken by the gateway, over with their client."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest

from gateway.server.clients import changing_clients, read_clients, without_client, write_clients
from issuernetwork.v1 import enrichment_pb2_grpc
from tests.kit.clients import add_secret
from tests.kit.feeds_process import until
from tests.kit.installation import Installation
from tests.kit.payments import payment

TIMEOUT_S = 20.0


class Shop:
    """A payment service with a secret in place of a token without an end."""

    def __init__(self, installation: Installation, secret: str) -> None:
        self.installation = installation
        self._secret = secret
        self._next = 0

    def asked(self, **changes: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        form = {
            "grant_type": "client_credentials", "client_id": "shop", "client_secret": self._secret, **changes
        }  # fmt: skip
        url = self.installation.address("feeds", "http") + "/oauth/token"
        try:
            with urllib.request.urlopen(url, urlencode(form).encode(), timeout=TIMEOUT_S) as reply:
                return reply.status, json.loads(reply.read()), dict(reply.headers)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.loads(refused.read()), dict(refused.headers)

    def pay(self, token: str) -> grpc.StatusCode:
        self._next += 1
        with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            try:
                metadata = [("authorization", f"Bearer {token}")]
                stub.EnrichAuthorization(
                    payment(self._next, prefix="oauth"), metadata=metadata, timeout=TIMEOUT_S
                )
            except grpc.RpcError as refused:
                return refused.code()
        return grpc.StatusCode.OK


@pytest.fixture(params=["auto", "grpcio"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("oauth")
    installation = Installation(folder, processes=("gateway", "feeds"), front=request.param)
    secret = add_secret(installation.state, "shop", "caller", "payments")
    with installation:
        yield Shop(installation, secret)


def test_a_token_of_the_feeds_pays_at_the_gateway_until_its_client_is_removed(shop: Shop) -> None:
    status, answer, headers = shop.asked()
    assert (status, answer["token_type"], headers["Cache-Control"]) == (200, "Bearer", "no-store")
    token = answer["access_token"]
    assert shop.pay(token) is grpc.StatusCode.OK
    head, body, signature = token.split(".")
    assert shop.pay(f"{head}.{body}.{signature[::-1]}") is grpc.StatusCode.UNAUTHENTICATED
    status, answer, headers = shop.asked(client_secret="guess")
    assert (status, answer["error"]) == (401, "invalid_client")
    assert headers["WWW-Authenticate"] == 'Basic realm="oauth"'
    path = shop.installation.state.clients
    with changing_clients(path):
        write_clients(path, without_client(read_clients(path), "shop"))
    until(lambda: shop.pay(token) is grpc.StatusCode.UNAUTHENTICATED)
    until(lambda: shop.asked()[0] == 401)
