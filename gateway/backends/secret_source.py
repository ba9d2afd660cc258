"""A passphrase, the PIN of a token, or what proves us to a vault: read where it is needed, shown nowhere.

Nothing is kept here. Of a PIN a process keeps no more than the hash of one that was refused; a client of a
vault keeps its token in memory, since it sends it with each call.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gateway.sealing.keys import KeyStoreFault

SECRET_BYTES_MAX = 256 * 1024
"""PINs and tokens are short; a passphrase may be a file of anybody's making."""


class KeyStoreMisconfigured(KeyStoreFault):
    """Settings, an extra or a secret are missing or wrong: starting again does not mend it."""

    code = "key_store_settings"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret is looked for: environment, then a systemd credential, then a file of mode 0600."""

    what: str
    """As errors name it."""
    variable: str
    credential: str
    """Name of the systemd credential (systemd.exec(5), LoadCredential)."""
    file: Path
    fault: type[KeyStoreFault] = KeyStoreMisconfigured
    """Raised where there is none, or it is open to others."""

    def read(self) -> str:
        """The secret as it is now: another process may change it. Raises `fault`."""
        try:
            return self.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise self.fault(f"{self.what} is not text in UTF-8") from None

    def read_bytes(self) -> bytes:
        """The same where it need not be text."""
        given = os.environ.get(self.variable)
        if given:
            return os.fsencode(given)
        credential = self._credential()
        found = (self._private() if credential is None else credential).strip()
        if not found:
            raise self.fault(f"{self.what} is empty")
        return found

    def _credential(self) -> bytes | None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder and (Path(folder) / self.credential).exists():
            # systemd's own folder: readable by the unit alone, whatever the mode of the file says.
            return (Path(folder) / self.credential).read_bytes()[:SECRET_BYTES_MAX]
        return None

    def _private(self) -> bytes:
        try:
            fd = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise self.fault(
                f"no {self.what}: set {self.variable}, or put it into the file keys/{self.file.name} of the"
                " state directory, mode 0600"
            ) from None
        except OSError:
            raise self.fault(f"{self.what}: {self.file.name} cannot be read by this user") from None
        with os.fdopen(fd, "rb") as file:
            if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
                raise self.fault(f"{self.what}: {self.file.name} is open to others: chmod 600")
            return file.read(SECRET_BYTES_MAX)
