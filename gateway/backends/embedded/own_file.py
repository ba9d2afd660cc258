"""The encrypted file of our own keys: an envelope of which an `Unwrapper` opens the key, around JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.backends.embedded.passphrase import DAMAGED, DAMAGED_TEXT, PassphraseUnwrapper
from gateway.backends.embedded.private_files import KeyFileError, read_private, replace_private, write_new
from gateway.runtime.entropy import Entropy
from gateway.sealing import base64url
from gateway.sealing.keys import Unwrapper

OWN_KEYS_FILE: Final = "own.json"

OWN_FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Some 6,000 retired RSA keys: public halves are kept for good."""

SECRET_BYTES: Final = 32

_AAD_V1: Final = b"ein own keys v1"
_AAD_V2: Final = b"ein own keys v2"


class OwnFile:
    """Reads and writes the file. For any thread; who writes holds the lock (`private_files.alone`).

    What the unwrapper opened is kept, so that a change costs neither a stretched passphrase nor a call of a
    module or vault: the key behind a file's `unwrap` stays as long as that does.
    """

    def __init__(self, directory: str | Path, unwrapper: Unwrapper, entropy: Entropy) -> None:
        self.path = Path(directory) / OWN_KEYS_FILE
        self._unwrapper = unwrapper
        self._entropy = entropy
        self._opened: tuple[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"OwnFile({self._unwrapper.kind!r})"

    def read(self) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
        """What it holds, and its `unwrap` to write again; None for a file of before. Raises KeyStoreFault."""
        raw = read_private(self.path, OWN_FILE_BYTES_MAX)
        try:
            document = json.loads(raw)
            version = document["version"]
            if version == 1:
                # Not where settings name a module: a file under somebody's own passphrase would do.
                self._check_kind(PassphraseUnwrapper.kind)
                clear = PassphraseUnwrapper(self.path.parent).open_v1(document, _AAD_V1)
                return dict(json.loads(clear)), None
            if version != 2:
                raise KeyFileError("the key file was written by another version")
            unwrap = dict(document["unwrap"])
            nonce, sealed = (base64url.decode(document[name].encode()) for name in ("nonce", "ciphertext"))
            clear = AESGCM(self._secret(unwrap)).decrypt(nonce, sealed, _AAD_V2)
            return dict(json.loads(clear)), unwrap
        except InvalidTag:
            raise KeyFileError("the key file does not open: it was changed, or its key is another") from None
        except DAMAGED:
            raise KeyFileError(DAMAGED_TEXT) from None

    def write(
        self, clear: Mapping[str, object], unwrap: Mapping[str, Any] | None = None, *, new: bool = False
    ) -> None:
        """Puts it in place, durable and at once. `new`: raises FileExistsError where there is one."""
        kept = self._wrapped() if unwrap is None else dict(unwrap)
        nonce = self._entropy.bytes(12)
        sealed = AESGCM(self._secret(kept)).encrypt(nonce, json.dumps(clear).encode(), _AAD_V2)
        document = {
            "version": 2,
            "unwrap": kept,
            "nonce": base64url.encode(nonce).decode(),
            "ciphertext": base64url.encode(sealed).decode(),
        }
        data = json.dumps(document, indent=1).encode() + b"\n"
        if len(data) > OWN_FILE_BYTES_MAX:
            raise KeyFileError("the key file would be too large to be read again: too many retired keys")
        (write_new if new else replace_private)(self.path, data)

    def _wrapped(self) -> dict[str, Any]:
        secret = self._entropy.bytes(SECRET_BYTES)
        made = {"kind": self._unwrapper.kind, **self._unwrapper.wrap(secret)}
        self._opened = (_name(made), secret)
        return made

    def _secret(self, unwrap: Mapping[str, Any]) -> bytes:
        # Looked at once: another thread may keep what opens another file meanwhile.
        name, opened = _name(unwrap), self._opened
        if opened is None or opened[0] != name:
            self._check_kind(unwrap.get("kind"))
            secret = self._unwrapper.unwrap({key: one for key, one in unwrap.items() if key != "kind"})
            opened = self._opened = (name, secret)
        return opened[1]

    def _check_kind(self, kind: object) -> None:
        if kind != self._unwrapper.kind:
            raise KeyFileError(f"the key file is not opened by {self._unwrapper.kind}, as the settings say")


def _name(unwrap: Mapping[str, Any]) -> str:
    return json.dumps(unwrap, sort_keys=True)
