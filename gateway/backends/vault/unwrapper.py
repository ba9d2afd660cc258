"""The key of our file of secrets, encrypted by Vault's Transit engine. Never run against a real Vault."""

import base64
from collections.abc import Mapping

from gateway.backends.signature_proof import check_kid
from gateway.backends.vault.transit import NoSuchVaultKey, Transit
from gateway.sealing.keys import KeyStoreFault

WRAPPING_KIND = "aes256-gcm96"


class VaultUnwrapper:
    """Implements `keys.Unwrapper`. Never run against a real Vault: see the package."""

    kind = "vault"

    def __init__(self, transit: Transit, key_name: str) -> None:
        check_kid(key_name)
        self._transit = transit
        self._key_name = key_name

    def __repr__(self) -> str:
        return f"VaultUnwrapper(key={self._key_name!r})"

    def wrap(self, secret: bytes) -> dict[str, object]:
        """Makes the key that wraps where there is none. What it gives has been opened once."""
        try:
            self._transit.key(self._key_name)
        except NoSuchVaultKey:
            self._transit.create(self._key_name, WRAPPING_KIND)
        ciphertext = self._transit.encrypt(self._key_name, base64.b64encode(secret).decode())
        wrapped: dict[str, object] = {"key": self._key_name, "ciphertext": ciphertext}
        if self.unwrap(wrapped) != secret:
            raise KeyStoreFault("the vault does not open what it has just wrapped: nothing is changed")
        return wrapped

    def unwrap(self, wrapped: Mapping[str, object]) -> bytes:
        name, ciphertext = wrapped.get("key"), wrapped.get("ciphertext")
        if not isinstance(name, str) or not isinstance(ciphertext, str):
            raise KeyStoreFault(
                "the key file does not say what the vault is to open: restore it from a backup"
            )
        # The file's own word: a setting that names another key is for what is wrapped next.
        check_kid(name)
        try:
            return base64.b64decode(self._transit.decrypt(name, ciphertext), validate=True)
        except ValueError:
            raise KeyStoreFault("the vault's answer cannot be read") from None
