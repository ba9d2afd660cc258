"""Keys at rest, and recipients' keys that change."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.backends.embedded import keyfiles
from gateway.backends.embedded.keyfiles import (
    PASSPHRASE_ENV,
    RECIPIENTS_LOOK_EVERY_MS,
    FileRecipientKeys,
    KeyFileError,
    OwnKeys,
    add_signing_keys,
    create_keys,
    load_keys,
    publish_recipient_keys,
)
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import BadKey, KeyUnavailable, SignatureAlgorithm
from issuernetwork.issuer_cli import new_key

NOW_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_ENV, raising=False)


def make(directory: Path) -> OwnKeys:
    return create_keys(directory, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)


def test_keys_load_as_they_were_created(tmp_path: Path) -> None:
    made, loaded = make(tmp_path), load_keys(tmp_path)
    assert made.public_jwks() == loaded.public_jwks()
    assert made.mac_keys == loaded.mac_keys
    assert "d" not in loaded.public_jwks()["keys"][0]
    assert loaded.signer.kid == loaded.public_jwks()["keys"][0]["kid"]


def test_files_are_for_their_owner_alone_and_hold_nothing_clear(tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    made = make(tmp_path)
    for name in ("own.json", "passphrase"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    content = (tmp_path / "own.json").read_text()
    private = keyfiles.jwk.private_jwk(made.signing_keys[0])["d"]
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
        {"version": 2},
        {"ciphertext": "00"},
        {"ciphertext": "zz"},
        {"nonce": ""},
        {"kdf": {}},
        {"kdf": {"name": "scrypt", "log2_n": 30, "r": 8, "p": 1, "salt": "00"}},
        {"kdf": {"name": "scrypt", "log2_n": "4", "r": 8, "p": 1, "salt": "00"}},
        {"kdf": None},
    ],
)
def test_a_changed_key_file_is_a_typed_error(tmp_path: Path, change: dict[str, object]) -> None:
    make(tmp_path)
    path = tmp_path / "own.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KeyFileError):
        load_keys(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 50])
def test_a_key_file_that_is_no_document_is_a_typed_error(tmp_path: Path, text: str) -> None:
    make(tmp_path)
    (tmp_path / "own.json").write_text(text)
    with pytest.raises(KeyFileError):
        load_keys(tmp_path)


def jwks(kid: str, **changed: object) -> str:
    return json.dumps({"keys": [{**new_key(kid)[1], **changed}]})


def kid_of(keys: FileRecipientKeys) -> str:
    return keys.current("bank", now_ms=NOW_MS).kid


def test_a_recipients_key_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    clock = SimClock()
    keys = FileRecipientKeys(tmp_path, clock)
    with pytest.raises(KeyUnavailable):
        kid_of(keys)
    publish_recipient_keys(tmp_path, "bank", jwks("one"))
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert kid_of(keys) == "one"
    same = keys.current("bank", now_ms=NOW_MS)
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert keys.current("bank", now_ms=NOW_MS) is same
    publish_recipient_keys(tmp_path, "bank", jwks("two"))
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert kid_of(keys) == "two"


def test_a_key_taken_away_or_damaged_is_unavailable_and_the_old_one_is_not_used(tmp_path: Path) -> None:
    clock = SimClock()
    keys = FileRecipientKeys(tmp_path, clock)
    path = tmp_path / "recipients" / "bank.jwks.json"
    publish_recipient_keys(tmp_path, "bank", jwks("one"))
    for text in ("{", "[]", json.dumps({"keys": []}), jwks("x", alg="none"), " " * 300_000, None):
        publish_recipient_keys(tmp_path, "bank", jwks("one"))
        clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
        assert kid_of(keys) == "one"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
        for _ in range(2):
            with pytest.raises(KeyUnavailable):
                kid_of(keys)
        clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)


def test_an_expired_key_is_unavailable(tmp_path: Path) -> None:
    publish_recipient_keys(tmp_path, "bank", jwks("one", exp=NOW_MS // 1000))
    keys = FileRecipientKeys(tmp_path, SimClock())
    assert keys.current("bank", now_ms=NOW_MS - 1).kid == "one"
    with pytest.raises(KeyUnavailable):
        keys.current("bank", now_ms=NOW_MS)


def test_of_a_set_put_by_hand_the_first_key_is_the_one_until_the_file_says_another(tmp_path: Path) -> None:
    first, second = new_key("one")[1], new_key("two")[1]
    ending = {**first, "exp": NOW_MS // 1000}
    publish_recipient_keys(tmp_path, "bank", json.dumps({"keys": [ending, second]}))
    clock = SimClock()
    keys = FileRecipientKeys(tmp_path, clock)
    assert keys.current("bank", now_ms=NOW_MS - 1).kid == "one"
    with pytest.raises(KeyUnavailable):
        keys.current("bank", now_ms=NOW_MS)
    # Whoever puts the other one first says that it is the one.
    publish_recipient_keys(tmp_path, "bank", json.dumps({"keys": [second, ending]}))
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert keys.current("bank", now_ms=NOW_MS).kid == "two"


@pytest.mark.parametrize("recipient_id", ["", "..", "../own", "a/b", "a.b", "a\x00b", "ä", "a" * 200])
def test_a_recipient_id_is_never_a_path(tmp_path: Path, recipient_id: str) -> None:
    with pytest.raises(KeyUnavailable):
        FileRecipientKeys(tmp_path, SimClock()).current(recipient_id, now_ms=NOW_MS)


def test_a_jwks_without_an_encryption_key_is_not_published(tmp_path: Path) -> None:
    for text in (json.dumps({"keys": []}), "{"):
        with pytest.raises(BadKey):
            publish_recipient_keys(tmp_path, "bank", text)
    assert not (tmp_path / "recipients" / "bank.jwks.json").exists()


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_a_key_is_made_for_an_algorithm_that_has_none_and_every_other_stays_as_it_was(
    tmp_path: Path, alg: SignatureAlgorithm
) -> None:
    before = make(tmp_path)
    own = add_signing_keys(tmp_path, [alg, alg], SystemEntropy())
    new = 0 if alg is SignatureAlgorithm.ES256 else 1
    assert len(own.signing_keys) == 1 + new
    assert own.public_jwks()["keys"][:1] == before.public_jwks()["keys"]
    assert own.mac_keys == before.mac_keys
    assert own.signer.kid == before.signer.kid
    assert own.signers[alg].alg is alg
    assert load_keys(tmp_path).public_jwks() == own.public_jwks()
    assert add_signing_keys(tmp_path, [alg], SystemEntropy()).public_jwks() == own.public_jwks()
    assert stat.S_IMODE((tmp_path / "own.json").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.json", "passphrase", "recipients"]


def test_two_rsa_algorithms_have_two_keys(tmp_path: Path) -> None:
    make(tmp_path)
    rsa_algorithms = [SignatureAlgorithm.RS256, SignatureAlgorithm.PS256]
    published = add_signing_keys(tmp_path, rsa_algorithms, SystemEntropy()).public_jwks()["keys"]
    assert [key["alg"] for key in published] == ["ES256", "RS256", "PS256"]
    assert published[1]["n"] != published[2]["n"]


def test_a_change_of_keys_that_another_command_is_making_is_left_to_it(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "own.json.new").touch(0o600)
    before = (tmp_path / "own.json").read_bytes()
    with pytest.raises(KeyFileError, match=r"remove own\.json\.new"):
        add_signing_keys(tmp_path, [SignatureAlgorithm.EDDSA], SystemEntropy())
    assert (tmp_path / "own.json").read_bytes() == before


def test_of_two_keys_for_one_algorithm_the_first_signs(tmp_path: Path) -> None:
    own = make(tmp_path)
    later = keyfiles.new_signing_key(SignatureAlgorithm.ES256, SystemEntropy())
    both = replace(own, signing_keys=(*own.signing_keys, later))
    assert both.signers[SignatureAlgorithm.ES256].kid == own.signer.kid
