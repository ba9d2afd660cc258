"""An installation's key file with its keys in a module (SoftHSM2), and at a vault (its recorded contract)."""

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.backends.embedded.keyfiles import KeyFiles, create_keys
from gateway.backends.embedded.private_files import KeyFileError
from gateway.backends.signature_proof import verify
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm
from gateway.server.cli.backup import backup_command
from gateway.server.cli.keys import keys_command
from gateway.server.install import write_settings
from gateway.server.own_keys import key_files
from gateway.server.policy import apply_policy, read_policy
from gateway.server.settings import Settings, load_settings
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.softhsm import PIN, SoftHsm, why_not
from tests.kit.vault_contract import TOKEN, Vault
from tests.unit.key_stores.kit import public_of

ES256, RS256 = SignatureAlgorithm.ES256, SignatureAlgorithm.RS256


@dataclass(frozen=True)
class Place:
    """An installation whose keys are elsewhere, and how that is taken away."""

    settings: Settings
    take_away: Callable[[], object]

    def files(self) -> KeyFiles:
        """As another process opens them."""
        return key_files(self.settings, SystemClock())

    @property
    def text(self) -> str:
        return (self.settings.state.keys / "own.json").read_text()


def in_a_module(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    if why_not():
        pytest.skip(why_not())
    soft = SoftHsm(folder / "module")
    label = f"ein-{os.urandom(4).hex()}"
    kept_in = soft.make_token(label)
    for name, value in {**soft.environment, "EIN_PKCS11_PIN": PIN}.items():
        patch.setenv(name, value)
    keys = {"store": "pkcs11", "module": str(soft.module), "token_label": label}
    yield Place(load_settings(write_settings(folder, keys=keys)), lambda: kept_in.rename(folder / "away"))


def at_a_vault(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Place]:
    pytest.importorskip("hvac", reason="the extra vault is not installed")
    patch.setenv("EIN_VAULT_TOKEN", TOKEN)
    with Vault() as vault:
        keys = {"store": "vault", "address": vault.address}
        yield Place(load_settings(write_settings(folder, keys=keys)), vault.keys.clear)
        assert vault.breaches == []


@pytest.fixture(params=[in_a_module, at_a_vault], ids=["pkcs11", "vault"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    yield from request.param(tmp_path, monkeypatch)


def test_the_file_names_the_store_and_has_public_halves_alone(place: Place) -> None:
    made = place.files().create()
    kind = place.settings.keys.store
    assert json.loads(place.text)["unwrap"]["kind"] == kind
    found = place.files().load()
    assert found.jwks == made.jwks
    assert [(key.store, "d" in key.public) for key in found.ring.keys] == [(kind, False)]
    assert place.files().change(lambda held: held.private) == {}
    assert found.mac_keys == made.mac_keys


def test_another_process_signs_with_the_key_that_one_made(place: Place) -> None:
    place.files().create()
    [jwk] = place.files().load().jwks["keys"]
    verify(public_of(jwk), ES256, place.files().load().default_at(SystemClock().wall_ms()).sign(b"x"), b"x")


def test_a_key_that_is_added_and_one_that_is_retired_are_so_in_the_store(place: Place) -> None:
    place.files().create()
    [first] = place.files().load().ring.keys
    for alg in (ES256, RS256):
        assert place.files().add_key(alg, lambda ring, kid: 0)
    assert len(place.files().load().jwks["keys"]) == 3
    place.files().retire_key(first.kid, lambda ring: None)
    left = place.files().load()
    assert first.kid not in {key.kid for key in left.ring.keys}
    assert [(key.kid, key.store) for key in left.ring.retired] == [(first.kid, "")], (
        "its private half is ended"
    )
    store = place.files()._stores[place.settings.keys.store]
    with pytest.raises(KeyStoreFault):
        store.signer(first.kid, ES256)
    store.signer(left.ring.of(ES256)[0].kid, ES256)


def test_without_the_store_nothing_opens_and_the_fault_is_typed(place: Place) -> None:
    place.files().create()
    place.take_away()
    with pytest.raises(KeyStoreFault):
        place.files().load()


def test_a_file_under_a_passphrase_is_not_taken_where_the_settings_name_a_store(place: Place) -> None:
    create_keys(place.settings.state.keys, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)
    with pytest.raises(KeyFileError, match="not opened by"):
        place.files().load()


def test_a_backup_has_neither_the_store_nor_its_secret_and_says_what_to_keep(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = place.settings.state
    state.make()
    place.files().create()
    for name in ("pkcs11-pin", "vault-token"):
        (state.keys / name).write_text("the secret of the store")
    apply_policy(
        state.policy_db, read_policy(SAMPLE_POLICY), actor="test", reason="first", clock=SystemClock()
    )
    # Of the whole test run, otherwise.
    monkeypatch.setattr(os, "nice", lambda more: more)
    archive = state.root.parent / "monday.ein"
    ran = CliRunner().invoke(backup_command, [str(archive), "--config", str(place.settings.source)])
    assert ran.exit_code == 0, ran.output
    assert f"keep the store ({place.settings.keys.store})" in ran.output
    assert "unknown" not in ran.output
    with tarfile.open(archive) as kept:
        names = kept.getnames()
    assert "keys/own.json" in names
    assert not [name for name in names if "pin" in name or "token" in name]


def test_an_installation_with_keys_in_files_moves_to_the_store_and_its_cards_keep_their_pseudonyms(
    place: Place,
) -> None:
    keys = place.settings.state.keys
    before = create_keys(keys, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)
    ran = CliRunner().invoke(keys_command, ["rewrap", "--config", str(place.settings.source)])
    assert (ran.exit_code, "start the processes anew" in ran.output) == (0, True), ran.output
    (keys / "passphrase").unlink()
    after = place.files().load()
    assert after.mac_keys == before.mac_keys
    assert after.jwks == before.jwks
    made = place.files().add_key(ES256, lambda ring, kid: 0)
    assert made is not None
    assert made.store == place.settings.keys.store
