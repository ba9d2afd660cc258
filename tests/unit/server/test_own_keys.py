"""Keys that a process follows while it runs: what it takes, what it tells, and what it goes on with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.backends.embedded.keyfiles import KeyFiles, create_keys
from gateway.backends.embedded.passphrase import PASSPHRASE_ENV
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.key_ring import AT_ONCE_MS
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm
from gateway.server.oauth.access_tokens import AccessTokenRefused, AccessTokens, make_access_token
from gateway.server.own_keys import FOLLOWED_MS, RETRY_EVERY_S, KeysTold, KeyWatch, LiveKeys, read_told
from gateway.server.state import StateDir
from tests.unit.sealing.test_key_files_apart import Module

ES256, RS256 = SignatureAlgorithm.ES256, SignatureAlgorithm.RS256
ISS = "https://issuernetwork.test"


class Rig:
    """A process that follows the keys of an installation, and a command beside it."""

    def __init__(self, folder: Path) -> None:
        self.state, self.clock = StateDir(folder), SimClock()
        self.state.make()
        create_keys(self.state.keys, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)
        self.command = KeyFiles(self.state.keys, clock=self.clock)
        self.live = LiveKeys(KeyFiles(self.state.keys, clock=self.clock), self.clock)
        self.told: list[KeysTold] = []
        self.watch = KeyWatch(self.live, self.state, "feeds", self.told.append)

    @property
    def path(self) -> Path:
        return self.state.keys / "own.json"

    def rotate(self, ahead_ms: int = 60_000, alg: SignatureAlgorithm = ES256) -> str:
        made = self.command.add_key(alg, lambda ring, kid: self.clock.wall_ms() + ahead_ms)
        assert made is not None
        return made.kid

    def published(self) -> list[str]:
        return [key["kid"] for key in self.live.jwks()["keys"]]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.delenv(PASSPHRASE_ENV, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return Rig(tmp_path)


def test_a_new_key_is_published_from_the_next_look_on_and_signs_when_its_time_comes(rig: Rig) -> None:
    first = rig.live.default().kid
    later = rig.rotate()
    assert rig.published() == [first]
    assert rig.live.look()
    assert rig.published() == [first, later]
    rig.clock.advance_ms(59_999)
    assert rig.live.default().kid == first
    # Without another look: the time alone decides, so that all processes change over at once.
    rig.clock.advance_ms(1)
    assert rig.live.default().kid == later
    assert rig.live.signer(ES256) is rig.live.default()
    assert rig.live.signer(RS256) is None


def test_a_look_at_a_file_that_did_not_change_opens_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = rig.live.jwks()
    monkeypatch.setattr(rig.live.files, "load", lambda: pytest.fail("opened"))
    assert not rig.live.look()
    assert rig.live.jwks() is held


def test_an_algorithm_can_be_signed_with_when_every_process_has_its_key_and_not_before(rig: Rig) -> None:
    assert ES256 in rig.live
    assert "RS256" not in rig.live
    rig.rotate(AT_ONCE_MS, RS256)
    rig.live.look()
    assert RS256 not in rig.live
    rig.clock.advance_ms(AT_ONCE_MS - 1)
    assert rig.live.signer(RS256) is None
    rig.clock.advance_ms(1)
    rig.live.look()
    assert "RS256" in rig.live
    assert rig.live.signer(RS256) is not None


def test_a_clock_that_is_set_back_brings_no_key_back_into_use(rig: Rig) -> None:
    first = rig.live.default().kid
    later = rig.rotate(AT_ONCE_MS)
    rig.rotate(AT_ONCE_MS, RS256)
    rig.live.look()
    rig.clock.advance_ms(AT_ONCE_MS)
    assert rig.live.default().kid == later
    rig.clock.jump_wall_ms(-AT_ONCE_MS)
    rig.watch.step()
    signer = rig.live.signer(ES256)
    assert signer is not None
    assert {signer.kid, rig.live.default().kid, rig.told[-1].in_use["ES256"]} == {later} != {first}
    assert RS256 in rig.live
    assert rig.live.signer(RS256) is not None


def test_keys_are_followed_while_looks_are_frequent_and_the_file_opens(rig: Rig) -> None:
    assert rig.live.followed()
    rig.clock.advance_ms(FOLLOWED_MS)
    assert not rig.live.followed(), "another process may have a key that is used by now"
    rig.live.look()
    assert rig.live.followed()
    corrupt(rig)
    rig.live.look()
    assert not rig.live.followed()


def test_a_key_that_its_store_has_lost_holds_up_nothing_else_of_the_file(rig: Rig) -> None:
    module = Module({}, SystemEntropy())
    rig.command = KeyFiles(rig.state.keys, stores={"module": module}, make_in="module", clock=rig.clock)
    rig.live = LiveKeys(KeyFiles(rig.state.keys, stores={"module": module}, clock=rig.clock), rig.clock)
    rig.watch = KeyWatch(rig.live, rig.state, "feeds", rig.told.append)
    first, later = rig.live.default().kid, rig.rotate()
    rig.command.change_epochs(lambda epochs: epochs.changed("bank", now_ms=1, from_ms=5, both_until_ms=9))
    module.away = True
    rig.watch.step()
    assert rig.told[-1] == KeysTold({"ES256": first}, 2, "key_store", "the module does not answer")
    assert rig.published() == [first, later]
    assert rig.live.current.token_epochs.of("bank", 9) == (2, 0, 1 << 62)
    assert rig.live.default().sign(b"x")
    rig.clock.advance_ms(60_000)
    with pytest.raises(KeyStoreFault):
        rig.live.default().sign(b"x")
    module.away = False
    assert rig.live.default().sign(b"x")
    rig.clock.advance_ms(int(RETRY_EVERY_S * 1000))
    rig.watch.step()
    assert rig.told[-1] == KeysTold({"ES256": later}, 2)


def test_a_process_begins_without_a_key_that_its_store_has_lost_and_tells(rig: Rig) -> None:
    module = Module({}, SystemEntropy())
    rig.command = KeyFiles(rig.state.keys, stores={"module": module}, make_in="module", clock=rig.clock)
    rig.rotate()
    module.away = True
    live = LiveKeys(KeyFiles(rig.state.keys, stores={"module": module}, clock=rig.clock), rig.clock)
    assert live.told().code == "key_store"
    assert live.default().sign(b"x")


def corrupt(rig: Rig) -> None:
    document = json.loads(rig.path.read_text())
    rig.path.write_text(json.dumps({**document, "ciphertext": document["nonce"]}))


def absent(rig: Rig) -> None:
    rig.path.rename(rig.path.with_suffix(".away"))


def open_to_others(rig: Rig) -> None:
    rig.path.write_bytes(rig.path.read_bytes())
    rig.path.chmod(0o644)


def another_installation(rig: Rig) -> None:
    absent(rig)
    rig.command = KeyFiles(rig.state.keys)
    rig.command.create()


@pytest.mark.parametrize("damage", [corrupt, absent, open_to_others, another_installation])
def test_a_file_that_cannot_be_taken_leaves_the_last_keys_in_use_and_is_told(
    rig: Rig, damage: Callable[[Rig], None]
) -> None:
    rig.watch.step()
    before, good = rig.live.current, rig.path.read_bytes()
    damage(rig)
    rig.watch.step()
    assert rig.live.current is before
    assert rig.live.default().sign(b"still")
    assert [one.code for one in rig.told] == ["", "key_files"]
    shown = read_told(rig.state, "feeds")
    assert shown is not None
    assert shown["code"] == "key_files"
    assert shown["fault"] == rig.told[-1].public
    assert before.mac_keys.master.hex() not in json.dumps(shown)
    rig.path.unlink(missing_ok=True)
    rig.path.write_bytes(good)
    rig.path.chmod(0o600)
    rig.watch.step()
    assert rig.told[-1].code == ""
    assert "code" not in (read_told(rig.state, "feeds") or {})


def test_a_file_that_did_not_open_is_not_tried_again_and_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt(rig)
    tries, load = [], rig.live.files.load
    monkeypatch.setattr(rig.live.files, "load", lambda: tries.append(1) or load())
    for _ in range(3):
        rig.live.look()
    assert len(tries) == 1
    rig.clock.advance_ms(int(RETRY_EVERY_S * 1000))
    rig.live.look()
    assert len(tries) == 2


def test_what_is_told_names_the_key_in_use_of_each_algorithm(rig: Rig) -> None:
    later = rig.rotate()
    rig.watch.step()
    rig.clock.advance_ms(60_000)
    rig.watch.step()
    assert rig.told[-1] == KeysTold({"ES256": later}, 2)
    assert [one.in_use["ES256"] == later for one in rig.told] == [False, True]
    rig.watch.close()
    assert read_told(rig.state, "feeds") is None


def test_an_access_token_by_a_key_that_was_taken_out_lets_nobody_in_known_or_not(rig: Rig) -> None:
    tokens = AccessTokens(issuer=ISS, jwks=rig.live.jwks, clock=rig.clock)
    old = rig.live.default()
    token = make_access_token(old, issuer=ISS, client_id="shop", jti="j", now_ms=rig.clock.wall_ms()).encode()
    assert tokens.verified(token).client_id == "shop"
    rig.rotate(0)
    rig.live.look()
    assert tokens.verified(token).client_id == "shop"
    rig.command.retire_key(old.kid, lambda ring: None)
    rig.live.look()
    with pytest.raises(AccessTokenRefused):
        tokens.verified(token)
