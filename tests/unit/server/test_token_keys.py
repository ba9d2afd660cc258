"""The route that hands out token keys: whose, which epochs, sealed to what, and what the ledger says."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.backends.embedded.policy import PolicyStoreUnavailable
from gateway.backends.embedded.token_keys import TOKEN_KEYS, SqliteTokenKeys
from gateway.ledger.entry import Act
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy, UnsafeSeededEntropy
from gateway.sealing import jwk
from gateway.sealing.jwe import Sealer, p256_private_key
from gateway.sealing.keys import KeyUnavailable, SignatureAlgorithm, SigningKey, StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.signer import LocalSigner
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from gateway.server.feeds.token_key_desk import KEEP_MS, TokenKeyDesk
from gateway.server.feeds.token_keys_http import TokenKeyRoutes
from gateway.server.identity import Principal
from issuernetwork.issuer_cli import new_key
from issuernetwork.token_keys import TokenKeys
from tests.kit.jwks import public_jwks

ISS, BANK, OTHER = "https://feeds.test", "northgate-bank", "harbor-federal"
NOW_MS, DAY_MS = 1_790_000_000_000, 24 * 3_600_000
PAN = "9010010100000007"
MACS = HkdfMacKeys(b"\x05" * 32)
OVER = EpochChange(2, NOW_MS - 40 * DAY_MS, NOW_MS - 30 * DAY_MS)
NOW = EpochChange(3, NOW_MS - DAY_MS, NOW_MS + 6 * DAY_MS)
PLANNED = EpochChange(4, NOW_MS + 20 * DAY_MS, NOW_MS + 27 * DAY_MS)


class Rig:
    """A desk over a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "policy.sqlite3"
        self.clock = SimClock(wall_ms=NOW_MS)
        self.epochs = TokenEpochs()
        self.signing = SigningKey("sig-1", SignatureAlgorithm.ES256, p256_private_key(UnsafeSeededEntropy(1)))
        self.privates = {name: new_key(f"{name}-enc")[0] for name in (BANK, OTHER)}
        self.recipient_keys = self.published(self.privates)
        self.handed_out = SqliteTokenKeys(str(self.path), self.clock)
        self.desk = TokenKeyDesk(
            handed_out=self.handed_out, token_epochs=lambda: self.epochs, mac_keys=MACS,
            sealer=Sealer(SystemEntropy(), self.clock, self), signer_of=lambda _: LocalSigner(self.signing),
            iss=ISS, clock=self.clock,
        )  # fmt: skip

    def published(self, privates: dict[str, dict[str, str]]) -> StaticRecipientKeys:
        public = {
            name: {member: value for member, value in one.items() if member != "d"}
            for name, one in privates.items()
        }
        return StaticRecipientKeys(
            tuple(
                key
                for name, one in public.items()
                for key in jwk.recipient_keys(name, json.dumps({"keys": [one]}))
            )
        )

    def current(self, recipient_id: str, *, now_ms: int) -> Any:
        return self.recipient_keys.current(recipient_id, now_ms=now_ms)

    def opened(self, tokens: list[str], recipient_id: str = BANK) -> TokenKeys:
        keys = TokenKeys(
            recipient_id=recipient_id, private_keys=[self.privates[recipient_id]],
            jwks=lambda: public_jwks((self.signing,)), iss=ISS,
        )  # fmt: skip
        for token in tokens:
            keys.take(token)
        return keys

    def fetch(self, recipient_id: str = BANK) -> TokenKeys:
        return self.opened(self.desk.keys_of(recipient_id), recipient_id)

    def acts(self) -> list[Act]:
        acts = StoredActs(self.path, self.path)
        try:
            return acts.after(TOKEN_KEYS, 0, 100)
        finally:
            acts.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.desk.close()


def test_a_recipient_that_never_changed_has_the_key_of_the_first_epoch_and_computes_our_tokens(
    rig: Rig,
) -> None:
    keys = rig.fetch()
    assert keys.epochs == (1,)
    ours = Pseudonyms(MACS)
    assert keys.key(1).card_token(PAN) == ours.card_tokens(BANK, 1)(PAN)
    assert keys.key(1).email_hash("A@b.co") == ours.contact_hash(BANK, 1, "email_hash", "a@b.co")
    assert rig.fetch(OTHER).key(1).card_token(PAN) != keys.key(1).card_token(PAN)


def test_the_epochs_in_use_and_to_come_are_handed_out_and_one_that_ended_while_shares_may_carry_it(
    rig: Rig,
) -> None:
    rig.epochs = TokenEpochs({BANK: (OVER, NOW, PLANNED)})
    keys = rig.fetch()
    assert keys.epochs == (2, 3, 4)
    assert [(keys.key(one).from_ms, keys.key(one).until_ms) for one in keys.epochs] == [
        (OVER.from_ms, NOW.both_until_ms), (NOW.from_ms, PLANNED.both_until_ms), (PLANNED.from_ms, 0),
    ]  # fmt: skip
    assert rig.fetch(OTHER).epochs == (1,)
    rig.clock.jump_wall_ms(NOW.both_until_ms + KEEP_MS - 1 - NOW_MS)
    assert rig.fetch().epochs == (2, 3, 4)
    rig.clock.jump_wall_ms(1)
    assert rig.fetch().epochs == (3, 4)


def test_each_handing_out_is_written_once_for_a_recipient_an_epoch_and_the_key_that_it_was_sealed_to(
    rig: Rig,
) -> None:
    assert rig.acts() == []
    for _ in range(3):
        rig.fetch()
    rig.fetch(OTHER)
    rig.epochs = TokenEpochs({BANK: (NOW,)})
    rig.fetch()
    rig.privates[BANK] = new_key("later-enc")[0]
    rig.recipient_keys = rig.published(rig.privates)
    rig.fetch()
    acts = rig.acts()
    assert {act.verb for act in acts} == {"hand_out_token_key"}
    assert [(act.row["recipient_id"], act.row["epoch"], act.row["recipient_kid"]) for act in acts] == [
        (BANK, 1, f"{BANK}-enc"), (OTHER, 1, f"{OTHER}-enc"), (BANK, 3, f"{BANK}-enc"),
        (BANK, 1, "later-enc"), (BANK, 3, "later-enc"),
    ]  # fmt: skip
    assert [act.position for act in acts] == sorted(act.position for act in acts)


def test_without_a_key_to_seal_to_nothing_is_handed_out_or_written(rig: Rig) -> None:
    rig.recipient_keys = StaticRecipientKeys(())
    with pytest.raises(KeyUnavailable):
        rig.desk.keys_of(BANK)
    assert rig.acts() == []


def test_what_cannot_be_written_down_does_not_leave(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise PolicyStoreUnavailable("the disk is full")

    monkeypatch.setattr(rig.handed_out, "hand_out", full)
    with pytest.raises(PolicyStoreUnavailable):
        rig.desk.keys_of(BANK)


def asked(rig: Rig, principal: Principal | None, recipient_id: str = BANK) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of one request over HTTP."""

    async def run() -> tuple[int, dict[str, str], Any]:
        app = web.Application()
        TokenKeyRoutes(rig.desk, lambda request: principal).add_to(app)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/token-keys/{recipient_id}"
        try:
            async with ClientSession() as session, session.get(url) as reply:
                return reply.status, dict(reply.headers), await reply.json()
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def test_over_http_the_recipient_gets_its_keys_and_no_cache_keeps_them(rig: Rig) -> None:
    status, headers, body = asked(rig, Principal(BANK, "issuer"))
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert rig.opened(body["token_keys"]).epochs == (1,)


REFUSED: dict[str, tuple[Principal | None, str, int, str]] = {
    "nobody": (None, BANK, 401, "authentication_failed"),
    "another recipient": (Principal(OTHER, "issuer"), BANK, 404, "not_found"),
    "a recipient that there is not": (Principal(BANK, "issuer"), "nobody", 404, "not_found"),
    "a payment service of that name": (Principal(BANK, "caller"), BANK, 404, "not_found"),
    "an operator": (Principal(BANK, "operator"), BANK, 404, "not_found"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_over_http_what_is_anothers_reads_as_what_is_not_there(rig: Rig, name: str) -> None:
    principal, recipient_id, status, code = REFUSED[name]
    answered, headers, body = asked(rig, principal, recipient_id)
    assert (answered, body["err"], headers["Cache-Control"]) == (status, code, "no-store")
    assert rig.acts() == []


def test_over_http_a_recipient_without_a_usable_key_is_told_so(rig: Rig) -> None:
    rig.recipient_keys = StaticRecipientKeys(())
    status, _, body = asked(rig, Principal(BANK, "issuer"))
    assert (status, body["err"]) == (409, "key_unavailable")
