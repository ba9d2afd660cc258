"""The registry of clients, and the commands that change it."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.records.errors import GatewayError
from gateway.server.cli.client import client_command
from gateway.server.clients import (
    Client,
    ClientConflict,
    Clients,
    ClientsInvalid,
    has_secret,
    public_signing_keys,
    read_clients,
    with_client,
    without_client,
    write_clients,
)
from gateway.server.install import write_settings
from gateway.server.settings import load_settings
from issuernetwork._jose import BadKey
from tests.kit.clients import Key

SHOP = Client(client_id="shop", principal_id="payments", role="caller", uri="urn:ein:shop")


def test_a_client_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    keyed = Client(client_id="bank", principal_id="northgate-bank", role="issuer", keys=Key("b-1").public)
    write_clients(path, [SHOP, keyed])
    assert read_clients(path) == [SHOP, keyed]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    known = Clients(path)
    assert known.get("bank") == keyed
    write_clients(path, [SHOP])
    known.refresh()
    assert known.get("bank") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "shop"}, {"uri": "urn:ein:shop"}, {"role": "operator"}, {"uri": ""},
        {"client_id": "a:b"},
        {"principal_id": ""}, {"bound": True, "uri": "", "secret_sha256": "0"}, {"client_id": "x" * 200},
    ],
)  # fmt: skip
def test_what_would_make_two_clients_one_or_one_nobody_is_refused(changes: dict[str, object]) -> None:
    members = {"client_id": "new", "principal_id": "p", "role": "caller", "uri": "urn:ein:new", **changes}
    with pytest.raises(ClientConflict):
        with_client([SHOP], Client(**members))  # type: ignore[arg-type]


def test_a_file_that_somebody_wrote_by_hand_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    write_clients(path, [SHOP])
    rows = json.loads(path.read_text())
    for bad in ([{**rows[0], "role": "approver"}], [*rows, *rows], [{"client_id": "x"}], {"a": 1}, [1]):
        path.write_text(json.dumps(bad))
        with pytest.raises(ClientsInvalid):
            read_clients(path)


def test_a_name_misspelt_removes_nobody() -> None:
    with pytest.raises(ClientConflict, match="shop"):
        without_client([SHOP], "shp")


@pytest.mark.parametrize("spoilt", [{"d": "x"}, {"kid": ""}, {"alg": "RS256"}, {"x": "AA"}, {"use": "enc"}])
def test_a_set_of_keys_that_proves_nothing_is_refused(spoilt: dict[str, str]) -> None:
    good = Key("k-1").jwks["keys"][0]
    with pytest.raises(BadKey):
        public_signing_keys({"keys": [{**good, **spoilt}]})
    for nothing in ({"keys": []}, {}, [], None, {"keys": [1]}):
        with pytest.raises(BadKey):
            public_signing_keys(nothing)


def test_the_commands_add_list_and_remove_and_show_a_secret_once(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    path = load_settings(config).state.clients

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(
            client_command, [*arguments, "--config", str(config)], catch_exceptions=False
        )
        return done.output.strip()

    (tmp_path / "jwks.json").write_text(json.dumps(Key("k-1").jwks))
    assert run("add", "bank", "--role", "issuer", "--jwks", str(tmp_path / "jwks.json")) == "bank: registered"
    secret = run("add", "shop", "--principal", "payments", "--role", "caller", "--secret")
    known = Clients(path)
    shop = known.get("shop")
    assert shop is not None
    assert has_secret(shop, secret)
    assert not has_secret(shop, secret + "x")
    assert secret not in path.read_text()
    listed = json.loads(run("list", "--json"))["clients"]
    assert [(one["client_id"], one["proofs"]) for one in listed] == [("bank", "key k-1"), ("shop", "secret")]
    assert run("remove", "bank") == "bank: removed"
    with pytest.raises(GatewayError):
        run("remove", "bank")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ClientConflict, match="--jwks"):
        run("add", "bank", "--role", "issuer", "--jwks", str(tmp_path / "bad.json"))
