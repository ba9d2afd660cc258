"""The store and the unwrapper of files, by the suites that every other one runs too."""

from pathlib import Path

import pytest

from gateway.backends.embedded.in_file import InFile
from gateway.backends.embedded.passphrase import PASSPHRASE_ENV, PassphraseUnwrapper
from gateway.runtime.entropy import SystemEntropy
from tests.conformance.key_suites import SigningStoreSuite, Stores, Unwrappers, UnwrapperSuite

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
