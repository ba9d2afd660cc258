"""Stores of signing keys and unwrappers: files, a module (SoftHSM2), a vault (its recorded contract).

Never run against a real Vault.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.in_file import InFile
from gateway.backends.embedded.passphrase import PASSPHRASE_ENV, PassphraseUnwrapper
from gateway.backends.secret_source import SecretSource
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from tests.conformance.key_suites import SigningStoreSuite, Stores, Unwrappers, UnwrapperSuite
from tests.kit.softhsm import PIN, SoftHsm, needs_softhsm
from tests.kit.vault_contract import TOKEN, Vault

QUICK = 4


class TestInFile(SigningStoreSuite):
    @pytest.fixture
    def stores(self) -> Stores:
        private: dict[str, dict[str, str]] = {}
        return lambda: InFile(private, SystemEntropy())


@pytest.fixture(autouse=True)
def _no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_ENV, raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def under(folder: Path, passphrase: str) -> Unwrappers:
    folder.mkdir()
    (folder / "passphrase").write_text(passphrase)
    (folder / "passphrase").chmod(0o600)
    return lambda: PassphraseUnwrapper(folder, scrypt_log2_n=QUICK)


class TestPassphrase(UnwrapperSuite):
    @pytest.fixture
    def unwrappers(self, tmp_path: Path) -> Unwrappers:
        return under(tmp_path / "one", "correct horse")

    @pytest.fixture
    def others(self, tmp_path: Path) -> Unwrappers:
        return under(tmp_path / "other", "battery staple")


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    # One for all: a module reads where its tokens are when it begins, once in a process.
    made = SoftHsm(tmp_path_factory.mktemp("softhsm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**made.environment, "EIN_PKCS11_PIN": PIN}.items():
            patch.setenv(name, value)
        yield made


def pin(folder: Path) -> SecretSource:
    return SecretSource("the PIN", "EIN_PKCS11_PIN", "pkcs11-pin", folder / "pkcs11-pin")


@needs_softhsm
class TestPkcs11(SigningStoreSuite):
    @pytest.fixture
    def stores(self, soft: SoftHsm, tmp_path: Path) -> Stores:
        from gateway.backends.pkcs11.store import Pkcs11Store
        from gateway.backends.pkcs11.token import Token

        soft.make_token(label := f"suite-{os.urandom(4).hex()}")
        return lambda: Pkcs11Store(Token(soft.module, label, pin(tmp_path), SystemClock()))


@needs_softhsm
class TestPkcs11Unwrapper(UnwrapperSuite):
    @pytest.fixture
    def unwrappers(self, soft: SoftHsm, tmp_path: Path) -> Unwrappers:
        return self.in_a_token(soft, tmp_path)

    @pytest.fixture
    def others(self, soft: SoftHsm, tmp_path: Path) -> Unwrappers:
        # A key of the same label, in another token.
        return self.in_a_token(soft, tmp_path)

    def in_a_token(self, soft: SoftHsm, folder: Path) -> Unwrappers:
        from gateway.backends.pkcs11.token import Token
        from gateway.backends.pkcs11.unwrapper import Pkcs11Unwrapper

        soft.make_token(label := f"suite-{os.urandom(4).hex()}")

        def made() -> Pkcs11Unwrapper:
            token = Token(soft.module, label, pin(folder), SystemClock())
            return Pkcs11Unwrapper(token, "ein-file-key", SystemEntropy())

        made().wrap(bytes(32))
        return made


@pytest.fixture
def vault() -> Iterator[Vault]:
    pytest.importorskip("hvac", reason="the extra vault is not installed")
    with Vault() as served:
        yield served
        assert served.breaches == [], "the contract was broken"


class TestVaultByItsContract(SigningStoreSuite):
    @pytest.fixture
    def stores(self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
        monkeypatch.setenv("EIN_VAULT_TOKEN", TOKEN)
        from gateway.backends.vault.store import VaultStore

        return lambda: VaultStore(engine(vault, tmp_path))


class TestVaultUnwrapperByItsContract(UnwrapperSuite):
    @pytest.fixture
    def unwrappers(self, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unwrappers:
        monkeypatch.setenv("EIN_VAULT_TOKEN", TOKEN)
        return self.at(vault, tmp_path)

    @pytest.fixture
    def others(self, vault: Vault, tmp_path: Path) -> Iterator[Unwrappers]:
        with Vault() as another:
            unwrappers = self.at(another, tmp_path)
            unwrappers().wrap(bytes(32))
            yield unwrappers

    def at(self, vault: Vault, folder: Path) -> Unwrappers:
        from gateway.backends.vault.unwrapper import VaultUnwrapper

        return lambda: VaultUnwrapper(engine(vault, folder), "ein-file-key")


def engine(vault: Vault, folder: Path) -> Any:
    from gateway.backends.vault.transit import Transit, VaultPlace

    token = SecretSource("the vault's token", "EIN_VAULT_TOKEN", "vault-token", folder / "vault-token")
    return Transit(VaultPlace(address=vault.address, mount="transit", token=token), SystemClock())
