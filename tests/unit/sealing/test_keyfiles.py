"""Our own keys at rest."""

import json
import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.backends.embedded import keyfiles, private_files
from gateway.backends.embedded.keyfiles import (
    KeyFiles,
    OwnKeys,
    add_signing_keys,
    create_keys,
    load_keys,
    rewrap,
)
from gateway.backends.embedded.passphrase import PASSPHRASE_ENV, SCRYPT_LOG2_N, PassphraseUnwrapper
from gateway.backends.embedded.private_files import KeyFileError, mark_of
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing import base64url
from gateway.sealing.keys import KeyRefused, SignatureAlgorithm

NOW_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_ENV, raising=False)


def make(directory: Path) -> OwnKeys:
    return create_keys(directory, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)


def kid(own: OwnKeys, now_ms: int = NOW_MS) -> str:
    return own.default_at(now_ms).kid


class Elsewhere:
    """An unwrapper as a module would be."""

    kind = "elsewhere"

    def wrap(self, secret: bytes) -> dict[str, object]:
        return {"held": bytes(one ^ 0x5A for one in secret).hex()}

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        return bytes(one ^ 0x5A for one in bytes.fromhex(wrapped["held"]))


def write_v1(directory: Path, private: dict[str, str], master: bytes) -> None:
    """A file as the version before wrote it."""
    salt, nonce = bytes(16), bytes(12)
    given = (directory / "passphrase").read_bytes().strip()
    key = Scrypt(salt=salt, length=32, n=1 << 4, r=8, p=1).derive(given)
    clear = {"signing": [private], "mac_master": base64url.encode(master).decode()}
    document = {
        "version": 1,
        "kdf": {"name": "scrypt", "log2_n": 4, "r": 8, "p": 1, "salt": salt.hex()},
        "nonce": nonce.hex(),
        "ciphertext": AESGCM(key).encrypt(nonce, json.dumps(clear).encode(), b"ein own keys v1").hex(),
    }
    (directory / "own.json").write_text(json.dumps(document))


def test_keys_load_as_they_were_created(tmp_path: Path) -> None:
    made, loaded = make(tmp_path), load_keys(tmp_path)
    assert made.jwks == loaded.jwks
    assert made.mac_keys == loaded.mac_keys
    assert "d" not in loaded.jwks["keys"][0]
    assert kid(loaded) == loaded.jwks["keys"][0]["kid"]


def test_files_are_for_their_owner_alone_and_hold_nothing_clear(tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    made = make(tmp_path)
    for name in ("own.json", "passphrase"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    content = (tmp_path / "own.json").read_text()
    private = KeyFiles(tmp_path).change(lambda held: held.private[kid(made)]["d"])
    assert private not in content
    assert made.mac_keys.master.hex() not in content
    assert "mac_master" not in content
    assert made.mac_keys.master.hex() not in repr(made)
    assert repr(made.mac_keys.master) not in repr(made)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path)
    before = (tmp_path / "own.json").read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        make(tmp_path)
    assert (tmp_path / "own.json").read_bytes() == before


def test_the_environment_gives_the_passphrase_and_then_no_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSPHRASE_ENV, "correct horse")
    make(tmp_path)
    assert not (tmp_path / "passphrase").exists()
    load_keys(tmp_path)
    monkeypatch.setenv(PASSPHRASE_ENV, "canary horse")
    with pytest.raises(KeyFileError, match="wrong passphrase") as caught:
        load_keys(tmp_path)
    assert "canary" not in str(caught.value)
    monkeypatch.delenv(PASSPHRASE_ENV)
    with pytest.raises(KeyFileError, match="no passphrase"):
        load_keys(tmp_path)


def test_without_a_passphrase_no_keys_are_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no passphrase"):
        create_keys(tmp_path, SystemEntropy(), scrypt_log2_n=4)
    assert not (tmp_path / "own.json").exists()


def test_absent_keys_are_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="missing") as caught:
        load_keys(tmp_path)
    assert caught.value.code == "key_files"


@pytest.mark.parametrize("name", ["own.json", "passphrase"])
def test_files_open_to_others_are_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    (tmp_path / name).chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"version": 3},
        {"ciphertext": "00"},
        {"ciphertext": "**"},
        {"nonce": ""},
        {"unwrap": None},
        {"unwrap": {"kind": "pkcs11"}},
        {"kdf": {}},
        {"wrapped": "00"},
        {"kdf": {"name": "scrypt", "log2_n": 30, "r": 8, "p": 1, "salt": "00"}},
        {"kdf": {"name": "scrypt", "log2_n": "4", "r": 8, "p": 1, "salt": "00"}},
        {"kdf": {"name": "scrypt", "log2_n": 4, "r": 16, "p": 1, "salt": "00"}},
        {"kdf": None},
    ],
)
def test_a_changed_key_file_is_a_typed_error(tmp_path: Path, change: dict[str, object]) -> None:
    make(tmp_path)
    path = tmp_path / "own.json"
    document = json.loads(path.read_text())
    inner = document["unwrap"] if {"kdf", "wrapped"} & change.keys() else document
    inner.update(change)
    path.write_text(json.dumps(document))
    with pytest.raises(KeyFileError):
        load_keys(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 50])
def test_a_key_file_that_is_no_document_is_a_typed_error(tmp_path: Path, text: str) -> None:
    make(tmp_path)
    (tmp_path / "own.json").write_text(text)
    with pytest.raises(KeyFileError):
        load_keys(tmp_path)


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_a_key_is_made_for_an_algorithm_that_has_none_and_every_other_stays_as_it_was(
    tmp_path: Path, alg: SignatureAlgorithm
) -> None:
    before, files = make(tmp_path), KeyFiles(tmp_path)
    made = add_signing_keys(files, [alg, alg])
    own = files.load()
    assert [key.alg for key in made] == ([] if alg is SignatureAlgorithm.ES256 else [alg])
    assert len(own.ring.keys) == 1 + len(made)
    assert own.jwks["keys"][:1] == before.jwks["keys"]
    assert own.mac_keys == before.mac_keys
    assert kid(own) == kid(before)
    assert own.signer_at(alg, NOW_MS).alg is alg  # type: ignore[union-attr]
    assert load_keys(tmp_path).jwks == own.jwks
    assert add_signing_keys(files, [alg]) == []
    assert stat.S_IMODE((tmp_path / "own.json").stat().st_mode) == 0o600
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"own.lock"} == {"own.json", "passphrase", "recipients"}


def test_two_rsa_algorithms_have_two_keys(tmp_path: Path) -> None:
    make(tmp_path)
    add_signing_keys(KeyFiles(tmp_path), [SignatureAlgorithm.RS256, SignatureAlgorithm.PS256])
    published = load_keys(tmp_path).jwks["keys"]
    assert [key["alg"] for key in published] == ["ES256", "RS256", "PS256"]
    assert published[1]["n"] != published[2]["n"]


def test_a_change_of_keys_waits_for_another_and_gives_up_with_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    monkeypatch.setattr(keyfiles, "LOCK_WAIT_S", 0.05)
    before = (tmp_path / "own.json").read_bytes()
    with (
        private_files.alone(tmp_path / "own.json", KeyFileError("held")),
        pytest.raises(KeyFileError, match="another command"),
    ):
        add_signing_keys(KeyFiles(tmp_path), [SignatureAlgorithm.EDDSA])
    assert (tmp_path / "own.json").read_bytes() == before


def test_changes_at_the_same_time_are_all_in_the_file(tmp_path: Path) -> None:
    make(tmp_path)

    def rotate(number: int) -> str:
        # Each as a command of its own: with what it opened itself.
        made = KeyFiles(tmp_path).add_key(SignatureAlgorithm.ES256, lambda ring, kid: NOW_MS + number)
        assert made is not None
        return made.kid

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(rotate, range(16)))
    assert {key.kid for key in load_keys(tmp_path).ring.keys} >= set(made)
    assert len(set(made)) == 16


def test_of_the_keys_of_an_algorithm_the_one_signs_whose_time_has_come(tmp_path: Path) -> None:
    first, files = kid(make(tmp_path)), KeyFiles(tmp_path, clock=SimClock(wall_ms=NOW_MS))
    later = files.add_key(SignatureAlgorithm.ES256, lambda ring, kid: NOW_MS + 10)
    own = files.load()
    assert later is not None
    assert [kid(own, NOW_MS + at_ms) for at_ms in (0, 9, 10, 11)] == [first, first, later.kid, later.kid]
    assert [key["kid"] for key in own.jwks["keys"]] == [first, later.kid]


def test_a_retired_key_leaves_its_public_half_behind_and_nothing_of_the_private_one(tmp_path: Path) -> None:
    first, files = kid(make(tmp_path)), KeyFiles(tmp_path)
    public = files.load().jwks["keys"][0]
    files.add_key(SignatureAlgorithm.ES256, lambda ring, kid: 1)
    gone = files.retire_key(first, lambda ring: None)
    assert (gone.kid, gone.public) == (first, public)
    own = KeyFiles(tmp_path).load()
    assert [one.kid for one in own.ring.retired] == [first]
    assert first not in {key["kid"] for key in own.jwks["keys"]}
    held = files.change(lambda held: json.dumps(held.as_json()))
    assert f'"kid": "{first}"' in held
    assert held.count('"d"') == 1
    with pytest.raises(KeyRefused, match="retired already"):
        files.retire_key(first, lambda ring: None)


def test_what_a_change_refuses_leaves_the_file_untouched(tmp_path: Path) -> None:
    first, files = kid(make(tmp_path)), KeyFiles(tmp_path)
    before = mark_of(tmp_path / "own.json")

    def refuse(*told: object) -> int:
        raise KeyRefused("no")

    with pytest.raises(KeyRefused):
        files.add_key(SignatureAlgorithm.ES256, refuse)
    with pytest.raises(KeyRefused):
        files.retire_key(first, refuse)  # type: ignore[arg-type]
    assert files.add_key(SignatureAlgorithm.ES256, lambda ring, kid: None) is None
    assert mark_of(tmp_path / "own.json") == before


def test_a_file_of_before_is_read_and_is_of_the_new_kind_after_the_first_change(tmp_path: Path) -> None:
    own = make(tmp_path)
    private = KeyFiles(tmp_path).change(lambda held: dict(held.private[kid(own)]))
    write_v1(tmp_path, private, own.mac_keys.master)
    files = KeyFiles(tmp_path)
    assert files.load().jwks == own.jwks
    assert files.load().mac_keys == own.mac_keys
    assert json.loads((tmp_path / "own.json").read_text())["version"] == 1
    add_signing_keys(files, [SignatureAlgorithm.EDDSA])
    document = json.loads((tmp_path / "own.json").read_text())
    assert (document["version"], document["unwrap"]["kind"]) == (2, "passphrase")
    assert document["unwrap"]["kdf"]["log2_n"] == SCRYPT_LOG2_N
    assert load_keys(tmp_path).jwks["keys"][0] == own.jwks["keys"][0]
    assert load_keys(tmp_path).mac_keys == own.mac_keys


def test_a_change_costs_no_second_stretched_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    files = KeyFiles(tmp_path)
    files.load()
    # Whoever asked for the passphrase again would find none.
    (tmp_path / "passphrase").unlink()
    add_signing_keys(files, [SignatureAlgorithm.EDDSA])
    assert len(files.load().ring.keys) == 2
    with pytest.raises(KeyFileError, match="no passphrase"):
        load_keys(tmp_path)


def test_a_file_under_a_passphrase_does_not_open_where_the_settings_name_a_module(tmp_path: Path) -> None:
    own = make(tmp_path)
    for document in (None, KeyFiles(tmp_path).change(lambda held: dict(held.private[kid(own)]))):
        if document is not None:
            write_v1(tmp_path, document, own.mac_keys.master)
        with pytest.raises(KeyFileError, match="not opened by elsewhere"):
            load_keys(tmp_path, unwrapper=Elsewhere())


def test_a_file_is_put_under_another_unwrapper_and_no_longer_opens_by_the_first(tmp_path: Path) -> None:
    own = make(tmp_path)
    rewrap(tmp_path, PassphraseUnwrapper(tmp_path), Elsewhere())
    assert load_keys(tmp_path, unwrapper=Elsewhere()).mac_keys == own.mac_keys
    with pytest.raises(KeyFileError):
        load_keys(tmp_path)


def test_the_epochs_of_tokens_are_kept_in_the_file(tmp_path: Path) -> None:
    make(tmp_path)
    files = KeyFiles(tmp_path)
    files.change_epochs(lambda epochs: epochs.changed("bank", now_ms=1, from_ms=5, both_until_ms=9))
    assert load_keys(tmp_path).token_epochs.of("bank", 6) == (2, 1, 9)
