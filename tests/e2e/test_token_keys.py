"""Epochs in a running installation: scheduled by a command, fetched by the issuer's tool, then in shares."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.backends.embedded.token_keys import TOKEN_KEYS
from issuernetwork.receiver import Receiver, Share
from issuernetwork.token_keys import TokenKeys
from issuernetwork.v1 import enrichment_pb2_grpc
from tests.kit.feeds_process import Recipients, until
from tests.kit.installation import Installation
from tests.kit.payments import NORTHGATE, caller, pan, payment

BANK = "northgate-bank"
TIMEOUT_S = 20.0


class Bank:
    """An issuer with its tool, its receiver and payments of its cards."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.feeds = Recipients(installation)
        self.out = folder / "token-keys.jwks"
        self.private, self.token = folder / "bank.jwk", folder / "bank.token"
        self.private.write_text(json.dumps(installation.recipient_keys[BANK]))
        self.token.write_text(installation.tokens[BANK])
        self._next, self._name = 0, caller("k")

    def _run(
        self, module: str, *arguments: str, check: bool = True, given: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            capture_output=True, text=True, check=False, timeout=60, input=given,
        )  # fmt: skip
        assert (done.returncode == 0) == check, done.stderr + done.stdout
        return done

    def ein(self, *arguments: str, given: str = "") -> str:
        config = str(self.installation.config)
        return self._run("gateway.server.cli.main", *arguments, "--config", config, given=given).stdout

    def fetch(self, *, recipient_id: str = BANK, check: bool = True) -> Any:
        done = self._run(
            "issuernetwork.issuer_cli", "token-keys",
            "--transmitter", self.installation.address("feeds", "http"), "--recipient-id", recipient_id,
            "--iss", self.installation.settings.issuer_url, "--private", str(self.private),
            "--token-file", str(self.token), "--out", str(self.out), check=check,
        )  # fmt: skip
        return json.loads(done.stdout)["epochs"] if check else done

    def keys(self) -> TokenKeys:
        found = TokenKeys(
            recipient_id=BANK, private_keys=[self.installation.recipient_keys[BANK]],
            jwks=lambda: {"keys": []}, iss=self.installation.settings.issuer_url,
        )  # fmt: skip
        found.restore(json.loads(self.out.read_text()))
        return found

    def pay(self, card: int) -> None:
        self._next += 1
        with grpc.insecure_channel(self.installation.address("gateway", "grpc")) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            stub.EnrichAuthorization(
                payment(self._next, iin=NORTHGATE, card=card, prefix=self._name),
                metadata=self.installation.metadata("payments"), timeout=TIMEOUT_S,
            )  # fmt: skip

    def shares(self) -> list[Share]:
        jwks = self.feeds.get("/.well-known/jwks.json")
        receiver = Receiver(
            recipient_id=BANK, private_keys=[self.installation.recipient_keys[BANK]], jwks=lambda: jwks,
            iss=self.installation.settings.issuer_url,
        )  # fmt: skip
        sets = self.feeds.poll(BANK, maxEvents=1000)["sets"]
        opened = [receiver.open(one) for one in sets.values()]
        return [one for one in opened if isinstance(one, Share)]

    def card_in_treatment(self) -> int:
        """A card that is shared about: arms are drawn by card."""
        for card in range(40):
            self.pay(card)
        keys = self.keys()
        found = until(self.shares)
        return next(card for card in range(40) if keys.matches(found[0], pan(NORTHGATE, card)))


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder = tmp_path_factory.mktemp("bank")
    with Installation(tmp_path_factory.mktemp("network"), processes=("gateway", "feeds")) as running:
        yield Bank(running, folder)


def test_a_recipient_has_the_next_key_before_it_is_used_and_matches_through_the_change(bank: Bank) -> None:
    assert bank.fetch() == [1]
    assert stat.S_IMODE(bank.out.stat().st_mode) == 0o600
    card = bank.card_in_treatment()
    number = pan(NORTHGATE, card)
    assert bank.ein("keys", "rotate-tokens", BANK, "--ahead", "8s", "--overlap", "1h").startswith(
        f"{BANK}: epoch 2 from "
    )
    until(lambda: bank.fetch() == [1, 2])
    keys = bank.keys()
    assert keys.key(1).until_ms > keys.key(2).from_ms

    def changed() -> list[Share]:
        bank.pay(card)
        return [one for one in bank.shares() if one.token_epoch == 2]

    share = until(changed)[0]
    assert share.previous_token_epoch == 1
    assert share.card_token == keys.key(2).card_token(number)
    assert share.previous_card_token == keys.key(1).card_token(number)
    assert keys.matches(share, number)
    assert not keys.matches(share, pan(NORTHGATE, card + 1))
    # By the clock of the gateway, not a batch too early.
    assert share.match["attempted_at_ms"] >= keys.key(2).from_ms - 1_000

    def shown() -> set[str]:
        told = json.loads(bank.ein("subject", "show", "--pan-stdin", "--json", given=number))
        return {one["share_id"] for one in told["shares"]}

    of_card = {one.share_id for one in bank.shares() if keys.matches(one, number)}
    epochs = {one.token_epoch for one in bank.shares() if one.share_id in of_card}
    assert epochs == {1, 2}
    assert until(lambda: shown() >= of_card)

    def acts() -> list[Any]:
        state = bank.installation.state
        source = StoredActs(state.policy_db, state.consents_db)
        try:
            return [(one.verb, one.row["epoch"]) for one in source.after(TOKEN_KEYS, 0, 99)]
        finally:
            source.close()

    assert acts() == [
        ("hand_out_token_key", 1), ("schedule_token_epoch", 2), ("hand_out_token_key", 2),
    ]  # fmt: skip
    bank.ein("audit", "verify")


def test_the_tool_fetches_no_keys_of_another_recipient_and_takes_none_into_anothers_file(bank: Bank) -> None:
    bank.fetch()
    kept = bank.out.read_bytes()
    refused = bank.fetch(recipient_id="harbor-federal", check=False)
    assert "the file of keys is damaged, or another recipient's" in refused.stderr
    assert bank.out.read_bytes() == kept
    bank.out.unlink()
    refused = bank.fetch(recipient_id="harbor-federal", check=False)
    assert "status 404" in refused.stderr
    assert not bank.out.exists()
