"""Vault's Transit engine by its recorded contract (tests/kit/vault_contract.py), and no real Vault, ever."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("hvac", reason="the extra vault is not installed")

from gateway.backends.secret_source import KeyStoreMisconfigured, SecretSource
from gateway.backends.signature_proof import verify
from gateway.backends.vault import transit as module
from gateway.backends.vault.store import KINDS, VaultStore
from gateway.backends.vault.transit import REST_MS, TRIES_MAX, Transit, VaultPlace
from gateway.backends.vault.unwrapper import VaultUnwrapper
from gateway.runtime.clock import SimClock
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm
from tests.kit.vault_contract import TOKEN, Vault
from tests.unit.key_stores.kit import public_of

ES256 = SignatureAlgorithm.ES256


class Engine:
    """A transit engine to ask, its clock, and what it waited between tries."""

    def __init__(self, vault: Vault, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("EIN_VAULT_TOKEN", raising=False)
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        # What hvac and requests would otherwise take from the surroundings.
        monkeypatch.setenv("VAULT_TOKEN", "of-somebody-else")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        self.vault = vault
        self.file = folder / "vault-token"
        self.write_token(TOKEN)
        self.clock = SimClock()
        self.waited_s: list[float] = []
        token = SecretSource("the vault's token", "EIN_VAULT_TOKEN", "vault-token", self.file)
        self.transit = Transit(
            VaultPlace(address=vault.address, mount="transit", token=token), self.clock, self.waited_s.append
        )
        self.store = VaultStore(self.transit)

    def write_token(self, token: str) -> None:
        self.file.touch(mode=0o600)
        self.file.write_text(token + "\n")


@pytest.fixture
def vault() -> Iterator[Vault]:
    with Vault() as served:
        yield served
        assert served.breaches == [], "the contract was broken"


@pytest.fixture
def engine(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(vault, tmp_path, monkeypatch)


@pytest.mark.parametrize("alg", SignatureAlgorithm)
def test_a_key_that_is_made_there_signs_as_the_rfc_wants_it(engine: Engine, alg: SignatureAlgorithm) -> None:
    jwk = engine.store.create("sig-1", alg)
    assert (jwk["kid"], jwk["alg"], jwk["use"]) == ("sig-1", alg, "sig")
    assert "d" not in jwk
    data = b"header.payload" * 100
    verify(public_of(jwk), alg, engine.store.signer("sig-1", alg).sign(data), data)


def test_what_is_shared_is_not_sent_to_the_vault_but_as_its_hash(engine: Engine) -> None:
    for alg in set(SignatureAlgorithm) - {SignatureAlgorithm.EDDSA}:
        kid = f"sig-{alg}"
        engine.store.create(kid, alg)
        engine.store.signer(kid, alg).sign(b"something long that stays here" * 9)
    inputs = [body["input"] for endpoint, body in engine.vault.asked if endpoint == "POST sign"]
    assert {len(one) for one in inputs} == {44}, "32 octets in base64"


def test_a_vault_that_does_not_know_the_salts_length_is_found_out_when_the_key_is_made(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.backends.vault import store

    # Vault before 1.12 has no such member, and signs with the longest salt.
    members = dict(store._MEMBERS[SignatureAlgorithm.PS256])
    del members["salt_length"]
    monkeypatch.setitem(store._MEMBERS, SignatureAlgorithm.PS256, members)
    with pytest.raises(KeyStoreFault, match="not as RFC 7518 wants"):
        engine.store.create("sig-1", SignatureAlgorithm.PS256)
    assert engine.vault.keys == {}, "the key is left there"


def test_a_kid_that_is_taken_is_refused_and_its_key_stays(engine: Engine) -> None:
    first = engine.store.create("sig-1", ES256)
    with pytest.raises(KeyStoreFault, match="already"):
        engine.store.create("sig-1", ES256)
    data = b"x"
    verify(public_of(first), ES256, engine.store.signer("sig-1", ES256).sign(data), data)


def test_a_key_of_another_type_or_none_is_no_signer(engine: Engine) -> None:
    engine.store.create("sig-1", ES256)
    with pytest.raises(KeyStoreFault, match="not of the type"):
        engine.store.signer("sig-1", SignatureAlgorithm.RS256)
    with pytest.raises(KeyStoreFault, match="no such key"):
        engine.store.signer("sig-2", ES256)


@pytest.mark.parametrize("kid", ["../sys/seal", "a/b", "", "é", "k" * 65])
def test_a_name_that_is_no_plain_name_never_becomes_a_path(engine: Engine, kid: str) -> None:
    for ask in (lambda: engine.store.signer(kid, ES256), lambda: engine.store.destroy(kid)):
        with pytest.raises(KeyStoreFault, match="ASCII"):
            ask()
    with pytest.raises(KeyStoreFault, match="ASCII"):
        VaultUnwrapper(engine.transit, "k").unwrap({"key": kid, "ciphertext": "vault:v1:AAAA"})
    assert engine.vault.asked == []


def test_what_is_destroyed_signs_no_more_and_may_be_destroyed_again(engine: Engine) -> None:
    engine.store.create("sig-1", ES256)
    signer = engine.store.signer("sig-1", ES256)
    engine.store.destroy("sig-1")
    engine.store.destroy("sig-1")
    assert engine.vault.keys == {}
    with pytest.raises(KeyStoreFault):
        signer.sign(b"x")


def test_a_rotation_at_the_vault_does_not_change_who_signs(engine: Engine) -> None:
    jwk = engine.store.create("sig-1", ES256)
    engine.vault.rotate("sig-1")
    verify(public_of(jwk), ES256, engine.store.signer("sig-1", ES256).sign(b"x"), b"x")


def test_keys_are_made_so_that_nobody_can_take_them_out(engine: Engine) -> None:
    engine.store.create("sig-1", ES256)
    VaultUnwrapper(engine.transit, "file-key").wrap(bytes(32))
    made = [body for endpoint, body in engine.vault.asked if endpoint == "POST keys"]
    assert [body["type"] for body in made] == [KINDS[ES256], "aes256-gcm96"]
    assert [(body["exportable"], body["allow_plaintext_backup"]) for body in made] == [(False, False)] * 2


def test_the_file_key_is_opened_again_after_the_wrapping_key_was_rotated(engine: Engine) -> None:
    unwrapper, secret = VaultUnwrapper(engine.transit, "file-key"), bytes(range(32))
    wrapped = json.loads(json.dumps(unwrapper.wrap(secret)))
    assert secret.hex() not in json.dumps(wrapped)
    engine.vault.rotate("file-key")
    assert unwrapper.unwrap(wrapped) == secret
    assert VaultUnwrapper(engine.transit, "other").unwrap(wrapped) == secret, "the file says by which key"


@pytest.mark.parametrize(
    "wrapped",
    [
        {},
        {"key": "file-key"},
        {"key": "file-key", "ciphertext": 7},
        {"key": "gone", "ciphertext": "vault:v1:AAAA"},
    ],
)
def test_what_does_not_open_is_a_typed_fault(engine: Engine, wrapped: dict[str, object]) -> None:
    with pytest.raises(KeyStoreFault):
        VaultUnwrapper(engine.transit, "file-key").unwrap(wrapped)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_passes_by_itself_is_tried_again(engine: Engine, status: int) -> None:
    engine.store.create("sig-1", ES256)
    signer = engine.store.signer("sig-1", ES256)
    engine.vault.statuses[:] = [status, status]
    assert len(signer.sign(b"x")) == 64
    assert engine.waited_s == list(module.PAUSES_S)


def test_after_the_last_try_calls_fail_at_once_for_a_while_and_then_are_made_again(engine: Engine) -> None:
    engine.store.create("sig-1", ES256)
    signer = engine.store.signer("sig-1", ES256)
    engine.vault.asked.clear()
    engine.vault.statuses[:] = [503] * TRIES_MAX
    for _ in range(2):
        with pytest.raises(KeyStoreFault, match="VaultDown"):
            signer.sign(b"x")
    assert len(engine.vault.asked) == TRIES_MAX
    engine.clock.advance_ms(REST_MS)
    assert len(signer.sign(b"x")) == 64


def test_a_vault_that_does_not_answer_holds_nobody_up_for_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_TIMEOUT_S", 0.05)
    engine.vault.stalled.set()
    with pytest.raises(KeyStoreFault, match="ReadTimeout"):
        engine.transit.key("sig-1")
    assert len(engine.waited_s) == TRIES_MAX - 1


def test_a_token_that_was_renewed_is_taken_up_and_one_that_ran_out_is_told(engine: Engine) -> None:
    engine.store.create("sig-1", ES256)
    signer = engine.store.signer("sig-1", ES256)
    engine.vault.token = "hvs.second"
    with pytest.raises(KeyStoreFault, match="it ran out, or its policy"):
        signer.sign(b"x")
    engine.write_token("hvs.second")
    assert len(signer.sign(b"x")) == 64


def test_a_redirect_is_not_followed_so_that_the_token_goes_nowhere_else(engine: Engine) -> None:
    engine.vault.statuses[:] = [307]
    with pytest.raises(KeyStoreFault, match="elsewhere"):
        engine.transit.create("sig-1", "ecdsa-p256")


def test_no_fault_and_no_repr_shows_the_token(engine: Engine) -> None:
    told = [repr(engine.transit), repr(engine.store), repr(engine.transit._place)]
    for statuses in ([403], [400], [404], [503] * TRIES_MAX):
        engine.vault.statuses[:] = statuses
        with pytest.raises(KeyStoreFault) as caught:
            engine.transit.decrypt("file-key", "vault:v1:AAAA")
        assert caught.value.__cause__ is None
        told += [str(caught.value), caught.value.public]
        engine.clock.advance_ms(REST_MS)
    assert not any(TOKEN in one or "of-somebody-else" in one for one in told)


def test_without_a_token_the_text_says_where_to_put_one(engine: Engine) -> None:
    engine.file.unlink()
    with pytest.raises(KeyStoreMisconfigured, match="EIN_VAULT_TOKEN"):
        engine.transit.key("sig-1")
