"""An installation whose signing keys are in a module, SoftHSM2, or at a vault: verified, away and back.

The vault is a server of ours that speaks its recorded contract: never run against a real Vault.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.server.install import ISSUER_URL
from issuernetwork.receiver import Receiver, Share
from issuernetwork.v1 import enrichment_pb2_grpc
from issuernetwork.v1.common_pb2 import SHARE_STATUS_SHARED
from tests.kit.feeds_process import Recipients, until
from tests.kit.installation import Installation
from tests.kit.payments import ENOUGH, NORTHGATE, payment
from tests.kit.softhsm import PIN, SoftHsm, why_not
from tests.kit.vault_contract import TOKEN, Vault

BANK = "northgate-bank"


class Running:
    """A gateway and feeds, and the store that they sign in."""

    def __init__(
        self,
        installation: Installation,
        secret: str,
        take_away: Callable[[], object],
        put_back: Callable[[], object],
    ) -> None:
        self.installation = installation
        self.feeds = Recipients(installation)
        self.store = installation.settings.keys.store
        self.secret = secret
        self.take_away = take_away
        self.put_back = put_back
        self._next = 0

    def pay(self, count: int) -> set[str]:
        """Ids of what the answers say was shared by stream."""
        numbers = range(self._next, self._next + count)
        self._next += count
        with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            return {
                decision.share_id
                for number in numbers
                for decision in stub.EnrichAuthorization(
                    payment(number, iin=NORTHGATE),
                    metadata=self.installation.metadata("payments"),
                    timeout=20,
                ).decisions
                if decision.status == SHARE_STATUS_SHARED
            }

    def sets(self) -> dict[str, str]:
        found: dict[str, str] = self.feeds.poll(BANK, maxEvents=1000)["sets"]
        return found

    def receiver(self) -> Receiver:
        jwks = self.feeds.get("/.well-known/jwks.json")
        return Receiver(
            recipient_id=BANK,
            private_keys=[self.installation.recipient_keys[BANK]],
            jwks=lambda: jwks,
            iss=ISSUER_URL,
        )

    def faults(self) -> list[dict[str, Any]]:
        log = self.installation.state.logs / "feeds.log"
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("code") == "key_store"]


def in_a_module(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Running]:
    if why_not():
        pytest.skip(why_not())
    soft = SoftHsm(folder / "module")
    kept_in, away = soft.make_token("ein-e2e"), folder / "away"
    for name, value in {**soft.environment, "EIN_PKCS11_PIN": PIN}.items():
        patch.setenv(name, value)
    keys = {"store": "pkcs11", "module": str(soft.module), "token_label": "ein-e2e"}
    with installed(folder, keys) as installation:
        yield Running(installation, PIN, lambda: kept_in.rename(away), lambda: away.rename(kept_in))


def at_a_vault(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Running]:
    pytest.importorskip("hvac", reason="the extra vault is not installed")
    patch.setenv("EIN_VAULT_TOKEN", TOKEN)
    with Vault() as vault, installed(folder, {"store": "vault", "address": vault.address}) as installation:
        yield Running(installation, TOKEN, vault.sealed.set, vault.sealed.clear)
        assert vault.breaches == [], "the contract was broken"


def installed(folder: Path, keys: Mapping[str, object]) -> Installation:
    (folder / "installation").mkdir()
    return Installation(folder / "installation", processes=("gateway", "feeds"), own_keys=keys)


@pytest.fixture(scope="module", params=[in_a_module, at_a_vault], ids=["pkcs11", "vault"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        yield from request.param(tmp_path_factory.mktemp("stores"), patch)


def test_the_file_is_opened_by_the_store_and_has_no_private_half_of_a_signing_key(running: Running) -> None:
    state = running.installation.state
    document = json.loads((state.keys / "own.json").read_text())
    assert document["unwrap"]["kind"] == running.store
    assert not (state.keys / "passphrase").exists()
    jwks = running.feeds.get("/.well-known/jwks.json")
    assert jwks["keys"]
    assert not any({"d", "p", "q"} & key.keys() for key in jwks["keys"])


def test_a_receiver_verifies_what_the_store_signed(running: Running) -> None:
    shared = running.pay(ENOUGH)
    assert shared
    sets = until(lambda: found if shared <= (found := running.sets()).keys() else None)
    receiver = running.receiver()
    opened = [receiver.open(token) for token in sets.values()]
    assert shared <= {one.share_id for one in opened if isinstance(one, Share)}


def test_while_the_store_is_away_payments_are_answered_nothing_new_leaves_and_all_leaves_once_it_is_back(
    running: Running,
) -> None:
    before = running.sets().keys()
    running.take_away()
    try:
        shared = running.pay(ENOUGH)
        assert shared, "the payment does not wait for the store"
        faults = until(running.faults)
        assert {fault["event"] for fault in faults} <= {"fan_out_put_off", "ledger_put_off"}
        assert running.secret not in json.dumps(faults)
        assert running.sets().keys() == before, "signed by what?"
    finally:
        running.put_back()
    sets = until(lambda: found if shared <= (found := running.sets()).keys() else None)
    receiver = running.receiver()
    assert shared <= {
        one.share_id for token in sets.values() if isinstance(one := receiver.open(token), Share)
    }


def test_a_key_that_rotates_in_the_store_takes_over_in_what_runs(running: Running) -> None:
    def ein(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "gateway.server.cli.main", "keys", *arguments, "--config",
             running.installation.config],
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout  # fmt: skip

    assert "made sig-" in ein("add", "EdDSA")
    before = {key["kid"] for key in json.loads(ein("list", "--json"))["keys"]}
    kid = ein("rotate", "ES256", "--now", "--reason", "a drill").split("made ")[1].split(";")[0]
    assert kid not in before
    shared = set[str]()

    def by_the_new_key() -> bool:
        shared.update(running.pay(1))
        tokens = running.sets()
        return any(_kid_of(token) == kid for token in tokens.values())

    until(by_the_new_key)
    receiver = running.receiver()
    for token in running.sets().values():
        receiver.open(token)
    rows = {key["kid"]: key for key in json.loads(ein("list", "--json"))["keys"]}
    assert {row["store"] for row in rows.values()} == {running.store}
    assert (rows[kid]["state"], len(rows)) == ("in_use", len(before) + 1)


def _kid_of(token: str) -> str:
    header = token.split(".")[0]
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    return found["kid"]


def test_neither_pin_nor_token_stands_in_a_file_of_the_installation(running: Running) -> None:
    folder = running.installation.folder
    files = [Path(base) / name for base, _, names in os.walk(folder) for name in names]
    readable = [path for path in files if path.is_file()]
    assert len(readable) > 10
    assert [path.name for path in readable if running.secret.encode() in path.read_bytes()] == []
