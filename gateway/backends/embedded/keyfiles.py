"""Keys in files: ours encrypted at rest, recipients' public ones as JWK Sets that may change at any time."""

import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.records.errors import GatewayError
from gateway.runtime.clock import MS, Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing import base64url, jwk
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import (
    BadKey,
    KeyUnavailable,
    MacKey,
    RecipientKey,
    SignatureAlgorithm,
    SigningKey,
    StaticRecipientKeys,
)
from gateway.sealing.pseudonyms_macs import canonical
from gateway.sealing.signer import LocalSigner

PASSPHRASE_ENV = "EIN_KEYS_PASSPHRASE"  # noqa: S105 - the name of the variable
PASSPHRASE_FILE = "passphrase"  # noqa: S105 - the name of the file
CREDENTIAL = "keys-passphrase"
"""Name of the systemd credential (systemd.exec(5), LoadCredential) that holds the passphrase."""
OWN_KEYS_FILE = "own.json"
RECIPIENTS_DIR = "recipients"

# scrypt N = 2^15, r = 8, p = 1: 32 MB and a tenth of a second at each start (RFC 7914; OWASP lists it).
SCRYPT_LOG2_N = 15
# A file may ask for no more than this: 256 MB.
SCRYPT_LOG2_N_MAX = 18
# How long a changed recipient's key may go unseen.
RECIPIENTS_LOOK_EVERY_MS = 500
# A JWK Set of 32 RSA-4096 keys is 30 kB.
FILE_BYTES_MAX = 256 * 1024

# Of a signing key. A signature has to hold while receivers still take the token, some days, and NIST SP
# 800-57 takes 2048 bits until 2030; 3072 cost three times as much for each message.
RSA_BITS = 2048
RSA_EXPONENT = 65537

_AAD = b"ein own keys v1"


class KeyFileError(GatewayError):
    """Key files are missing, open to others, damaged, or do not open with this passphrase."""

    code = "key_files"


@dataclass(frozen=True, slots=True)
class HkdfMacKeys:
    """Every MAC key from one master (RFC 5869), each under a name of its own. Implements `keys.MacKeys`."""

    master: bytes = field(repr=False)

    def _derive(self, name: bytes, *parts: str) -> MacKey:
        info = canonical(b"ein mac key v1 " + name, *parts)
        return MacKey(HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self.master))

    def unit(self) -> MacKey:
        return self._derive(b"unit")

    def velocity(self) -> MacKey:
        return self._derive(b"velocity")

    def share(self) -> MacKey:
        return self._derive(b"share")

    def token(self, recipient_id: str, epoch: int) -> MacKey:
        return self._derive(b"token", recipient_id, str(epoch))


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """What `load_keys` opens. The first signing key of an algorithm signs with it; all are published."""

    signing_keys: tuple[SigningKey, ...]
    mac_keys: HkdfMacKeys
    signer: LocalSigner
    """Of the ledger, of certificates, and of streams that name no algorithm."""

    @property
    def signers(self) -> dict[SignatureAlgorithm, LocalSigner]:
        """Who signs with each algorithm that there is a key for."""
        return {key.alg: LocalSigner(key) for key in reversed(self.signing_keys)}

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Our JWK Set, for receivers."""
        return jwk.public_jwks(self.signing_keys)


def create_keys(
    directory: str | Path,
    entropy: Entropy,
    *,
    make_passphrase: bool = False,
    scrypt_log2_n: int = SCRYPT_LOG2_N,
) -> OwnKeys:
    """Makes the signing key and the MAC master, encrypted under the passphrase. Never overwrites.

    The passphrase comes from EIN_KEYS_PASSPHRASE, else from the systemd credential keys-passphrase, else from
    `directory`/passphrase, which `make_passphrase` makes where there is none.
    """
    base = Path(directory)
    (base / RECIPIENTS_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
    if (base / OWN_KEYS_FILE).exists():
        raise KeyFileError("keys exist already: they are never overwritten; move them away first")
    has_passphrase = bool(os.environ.get(PASSPHRASE_ENV)) or (base / PASSPHRASE_FILE).exists()
    if make_passphrase and not has_passphrase:
        _write_new(base / PASSPHRASE_FILE, base64url.encode(entropy.bytes(32)) + b"\n")
    signing = new_signing_key(SignatureAlgorithm.ES256, entropy)
    clear = {
        "signing": [jwk.private_jwk(signing)],
        "mac_master": base64url.encode(entropy.bytes(32)).decode(),
    }
    _write_new(base / OWN_KEYS_FILE, _encrypted(clear, base, entropy, scrypt_log2_n))
    return load_keys(base)


def add_signing_keys(
    directory: str | Path, algorithms: Iterable[SignatureAlgorithm], entropy: Entropy
) -> OwnKeys:
    """Makes a key for each algorithm that has none yet. Keys that are there stay as they are.

    Processes that run go on with what they opened: they have the new keys from their next start.
    """
    base = Path(directory)
    clear, log2_n = _open_own(base)
    there = [key.alg for key in _own_keys(clear).signing_keys]
    made = [new_signing_key(alg, entropy) for alg in dict.fromkeys(algorithms) if alg not in there]
    if made:
        clear["signing"] += [jwk.private_jwk(key) for key in made]
        temporary = base / f"{OWN_KEYS_FILE}.new"
        try:
            _write_new(temporary, _encrypted(clear, base, entropy, log2_n))
        except FileExistsError:
            raise KeyFileError(
                f"the keys are being changed by another command; where none runs, remove {temporary.name}"
            ) from None
        os.replace(temporary, base / OWN_KEYS_FILE)
    return load_keys(base)


def new_signing_key(alg: SignatureAlgorithm, entropy: Entropy) -> SigningKey:
    """A key of ours for one algorithm. RSA keys are made with the randomness of `cryptography` itself."""
    private: EllipticCurvePrivateKey | Ed25519PrivateKey | rsa.RSAPrivateKey
    if alg is SignatureAlgorithm.ES256:
        private = p256_private_key(entropy)
    elif alg is SignatureAlgorithm.EDDSA:
        private = Ed25519PrivateKey.from_private_bytes(entropy.bytes(32))
    else:
        private = rsa.generate_private_key(RSA_EXPONENT, RSA_BITS)
    return SigningKey(kid="sig-" + entropy.bytes(8).hex(), alg=alg, private_key=private)


def _encrypted(clear: Mapping[str, object], base: Path, entropy: Entropy, log2_n: int) -> bytes:
    salt, nonce = entropy.bytes(16), entropy.bytes(12)
    aead = AESGCM(_file_key(_passphrase(base), salt, log2_n))
    document = {
        "version": 1,
        "kdf": {"name": "scrypt", "log2_n": log2_n, "r": 8, "p": 1, "salt": salt.hex()},
        "nonce": nonce.hex(),
        "ciphertext": aead.encrypt(nonce, json.dumps(clear).encode(), _AAD).hex(),
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def load_keys(directory: str | Path) -> OwnKeys:
    """Opens the keys of `create_keys`. Raises KeyFileError."""
    return _own_keys(_open_own(Path(directory))[0])


def _own_keys(clear: dict[str, Any]) -> OwnKeys:
    try:
        signing = tuple(jwk.signing_key(key) for key in clear["signing"])
        master = base64url.decode(clear["mac_master"].encode())
        return OwnKeys(signing_keys=signing, mac_keys=HkdfMacKeys(master), signer=LocalSigner(signing[0]))
    except _DAMAGED:
        raise KeyFileError(_DAMAGED_TEXT) from None


_DAMAGED = (ValueError, KeyError, IndexError, TypeError, AttributeError)
_DAMAGED_TEXT = "the key file is damaged: restore it from a backup"


def _open_own(base: Path) -> tuple[dict[str, Any], int]:
    """What the key file holds, and the cost of its passphrase. Raises KeyFileError."""
    raw = _read_private(base / OWN_KEYS_FILE)
    try:
        document = json.loads(raw)
        kdf = document["kdf"]
        log2_n = kdf["log2_n"]
        if document["version"] != 1 or kdf["name"] != "scrypt" or (kdf["r"], kdf["p"]) != (8, 1):
            raise KeyFileError("the key file was written by another version")
        if not isinstance(log2_n, int) or not 1 <= log2_n <= SCRYPT_LOG2_N_MAX:
            raise KeyFileError("the key file asks for scrypt parameters out of bounds")
        aead = AESGCM(_file_key(_passphrase(base), bytes.fromhex(kdf["salt"]), log2_n))
        clear = aead.decrypt(bytes.fromhex(document["nonce"]), bytes.fromhex(document["ciphertext"]), _AAD)
        return dict(json.loads(clear)), log2_n
    except InvalidTag:
        raise KeyFileError("the key file does not open: wrong passphrase, or it was changed") from None
    except _DAMAGED:
        raise KeyFileError(_DAMAGED_TEXT) from None


def recipients_with_keys(directory: str | Path) -> list[str]:
    """Ids of all recipients that ever had keys here, in order."""
    suffix = ".jwks.json"
    found = (Path(directory) / RECIPIENTS_DIR).glob(f"*{suffix}")
    return sorted(path.name.removesuffix(suffix) for path in found)


def publish_recipient_keys(directory: str | Path, recipient_id: str, jwks: str) -> None:
    """Puts a recipient's public JWK Set in place, atomically, after checking it. Raises BadKey."""
    if not jwk.recipient_keys(recipient_id, jwks):
        raise BadKey("the recipient's JWK Set holds no key with use enc")
    path = recipient_path(Path(directory), recipient_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    _write_new(temporary, jwks.encode())
    os.replace(temporary, path)


class FileRecipientKeys:
    """Recipients' keys from keys/recipients/<recipient_id>.jwks.json, read again when the file changes.

    Implements `keys.RecipientKeys`. A file that is absent, damaged or out of date is KeyUnavailable: a key
    that was withdrawn is used no longer than RECIPIENTS_LOOK_EVERY_MS.
    """

    __slots__ = ("_check", "_clock", "_directory", "_held")

    def __init__(
        self,
        directory: str | Path,
        clock: Clock,
        check: Callable[[str, str], None] = lambda name, text: None,
    ) -> None:
        """`check` is given a recipient and its document; it raises BadKey where a key is not approved."""
        self._directory = Path(directory)
        self._clock = clock
        self._check = check
        self._held: dict[str, _Held] = {}

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        held = self._held.get(recipient_id)
        now_ns = self._clock.monotonic_ns()
        if held is None or now_ns >= held.look_again_ns:
            held = self._look(recipient_id, held, now_ns)
        return held.keys.current(recipient_id, now_ms=now_ms)

    def _look(self, recipient_id: str, held: "_Held | None", now_ns: int) -> "_Held":
        path = recipient_path(self._directory, recipient_id)
        again_ns = now_ns + RECIPIENTS_LOOK_EVERY_MS * MS
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_ino, status.st_size)
            if held is not None and held.mark == mark:
                held.look_again_ns = again_ns
                return held
            if status.st_size > FILE_BYTES_MAX:
                raise BadKey("the recipient's JWK Set is too large")
            text = path.read_text()
            keys = jwk.recipient_keys(recipient_id, text)
            self._check(recipient_id, text)
        except FileNotFoundError:
            mark, keys = None, ()
        except (OSError, ValueError, BadKey) as fault:
            # No key until it is mended; the last good one may be the one that was withdrawn.
            self._held[recipient_id] = _Held(None, StaticRecipientKeys(()), again_ns)
            raise KeyUnavailable(recipient_id) from fault
        if len(self._held) >= _HELD_MAX:
            self._held.pop(next(iter(self._held)))
        found = _Held(mark=mark, keys=StaticRecipientKeys(keys), look_again_ns=again_ns)
        self._held[recipient_id] = found
        return found


# Recipients known to one policy number hundreds.
_HELD_MAX = 4096


@dataclass(slots=True)
class _Held:
    mark: tuple[int, int, int] | None
    keys: StaticRecipientKeys
    look_again_ns: int


def recipient_path(base: Path, recipient_id: str) -> Path:
    """Where a recipient's JWK Set is. Raises KeyUnavailable for what is no id."""
    # The id becomes a file name: nothing that leaves the directory.
    plain = recipient_id.replace("-", "").replace("_", "")
    if not plain.isascii() or not plain.isalnum() or len(recipient_id) > 128:
        raise KeyUnavailable(recipient_id)
    return base / RECIPIENTS_DIR / f"{recipient_id}.jwks.json"


def _file_key(passphrase: bytes, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << log2_n, r=8, p=1).derive(passphrase)


def _passphrase(base: Path) -> bytes:
    given = os.environ.get(PASSPHRASE_ENV)
    if given:
        return given.encode()
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        # systemd's own folder: readable by the unit alone, whatever the mode of the file says.
        return (Path(credentials) / CREDENTIAL).read_bytes()[:FILE_BYTES_MAX].strip()
    try:
        found = _read_private(base / PASSPHRASE_FILE).strip()
    except KeyFileError:
        if (base / PASSPHRASE_FILE).exists():
            raise
        raise KeyFileError(
            f"no passphrase: set {PASSPHRASE_ENV}, or put one into the file keys/passphrase of the state"
            " directory, mode 0600"
        ) from None
    if not found:
        raise KeyFileError("the passphrase file is empty")
    return found


def _read_private(path: Path) -> bytes:
    """Reads a file that nobody else may read. Raises KeyFileError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise KeyFileError(f"{path.name} is missing: make keys by `ein init`") from None
    except OSError:
        raise KeyFileError(f"{path.name} cannot be read by this user") from None
    with os.fdopen(fd, "rb") as file:
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o077:
            raise KeyFileError(f"{path.name} is open to others: chmod 600")
        return file.read(FILE_BYTES_MAX)


def _write_new(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
