"""Where the passphrase of the key files comes from."""

from pathlib import Path

import pytest

from gateway.backends.embedded.keyfiles import create_keys, load_keys
from gateway.backends.embedded.private_files import KeyFileError
from gateway.runtime.entropy import UnsafeSeededEntropy

QUICK = 4


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EIN_KEYS_PASSPHRASE", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def test_a_systemd_credential_opens_the_keys_and_another_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "keys-passphrase").write_text("first secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    made = create_keys(tmp_path / "keys", UnsafeSeededEntropy(1), scrypt_log2_n=QUICK)
    assert load_keys(tmp_path / "keys").jwks == made.jwks
    (credentials / "keys-passphrase").write_text("second secret\n")
    with pytest.raises(KeyFileError):
        load_keys(tmp_path / "keys")


def test_without_any_passphrase_no_keys_are_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="EIN_KEYS_PASSPHRASE"):
        create_keys(tmp_path / "keys", UnsafeSeededEntropy(1), scrypt_log2_n=QUICK)
    assert not (tmp_path / "keys" / "own.json").exists()
