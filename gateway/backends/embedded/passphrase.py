"""Opens the file of secrets by a passphrase, stretched by scrypt (RFC 7914)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.backends.embedded.private_files import KeyFileError
from gateway.backends.secret_source import SecretSource
from gateway.runtime.entropy import Entropy, SystemEntropy

PASSPHRASE_ENV = "EIN_KEYS_PASSPHRASE"  # noqa: S105 - the name of the variable
PASSPHRASE_FILE = "passphrase"  # noqa: S105 - the name of the file
CREDENTIAL = "keys-passphrase"
"""Name of the systemd credential (systemd.exec(5), LoadCredential) that holds the passphrase."""

# N = 2^17, r = 8, p = 1, as the OWASP cheat sheet on password storage and ASVS 5.0 V11.4.4 ask: 128 r N bytes
# are 128 MiB for half a second, at a start and at each `ein keys`; a process that runs keeps what it opened.
SCRYPT_LOG2_N = 17
SCRYPT_LOG2_N_MAX = 18
"""A file may ask for no more than this: 256 MiB."""

_AAD = b"ein own keys wrap v2"
DAMAGED = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
DAMAGED_TEXT = "the key file is damaged: restore it from a backup"


class PassphraseUnwrapper:
    """Implements `keys.Unwrapper`.

    The passphrase comes from EIN_KEYS_PASSPHRASE, else from the systemd credential keys-passphrase, else from
    `directory`/passphrase. It is read where it is needed, and kept nowhere.
    """

    kind = "passphrase"

    def __init__(
        self, directory: str | Path, *, entropy: Entropy | None = None, scrypt_log2_n: int = SCRYPT_LOG2_N
    ) -> None:
        self._base = Path(directory)
        self._entropy = entropy or SystemEntropy()
        self._log2_n = scrypt_log2_n

    def __repr__(self) -> str:
        return "PassphraseUnwrapper()"

    def wrap(self, secret: bytes) -> dict[str, object]:
        salt, nonce = self._entropy.bytes(16), self._entropy.bytes(12)
        key = _stretched(passphrase(self._base), salt, self._log2_n)
        return {
            "kdf": {"name": "scrypt", "log2_n": self._log2_n, "r": 8, "p": 1, "salt": salt.hex()},
            "nonce": nonce.hex(),
            "wrapped": AESGCM(key).encrypt(nonce, secret, _AAD).hex(),
        }

    def unwrap(self, wrapped: Mapping[str, object]) -> bytes:
        return self._opened(wrapped, "wrapped", _AAD)

    def open_v1(self, document: Mapping[str, object], aad: bytes) -> bytes:
        """What a file of before holds: there the passphrase's key was the one that all is encrypted under."""
        return self._opened(document, "ciphertext", aad)

    def _opened(self, document: Mapping[str, Any], member: str, aad: bytes) -> bytes:
        try:
            salt, log2_n = _parameters(document["kdf"])
            nonce, sealed = bytes.fromhex(document["nonce"]), bytes.fromhex(document[member])
            key = _stretched(passphrase(self._base), salt, log2_n)
            return AESGCM(key).decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise KeyFileError("the key file does not open: wrong passphrase, or it was changed") from None
        except DAMAGED:
            raise KeyFileError(DAMAGED_TEXT) from None


def _parameters(kdf: Mapping[str, Any]) -> tuple[bytes, int]:
    log2_n = kdf["log2_n"]
    if kdf["name"] != "scrypt" or (kdf["r"], kdf["p"]) != (8, 1):
        raise KeyFileError("the key file was written by another version")
    if not isinstance(log2_n, int) or not 1 <= log2_n <= SCRYPT_LOG2_N_MAX:
        raise KeyFileError("the key file asks for scrypt parameters out of bounds")
    return bytes.fromhex(kdf["salt"]), log2_n


def _stretched(given: bytes, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=8, p=1).derive(given)


def has_passphrase(base: Path) -> bool:
    """Whether one is given, or stands in its file."""
    return bool(os.environ.get(PASSPHRASE_ENV)) or (base / PASSPHRASE_FILE).exists()


def passphrase(base: Path) -> bytes:
    """As it is now. Raises KeyFileError where there is none."""
    return SecretSource(
        "passphrase", PASSPHRASE_ENV, CREDENTIAL, base / PASSPHRASE_FILE, KeyFileError
    ).read_bytes()
