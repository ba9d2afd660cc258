"""A small server that speaks the recorded contract of Vault's Transit engine. It is no Vault.

`CONTRACT` is what the API's documentation says of the calls that we make ("Transit Secrets Engine (API)", of
Vault 1.12 and later): members of requests, statuses, members of replies. A request with anything else is
answered with 418 and kept in `breaches`, which a test looks at. Nothing here ever met a real Vault.
"""

import base64
import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN: Final = "hvs.CAESIJcontract"
MOUNT: Final = "transit"

CONTRACT: Final[dict[str, dict[str, Any]]] = {
    "GET keys": {"members": set(), "needed": set()},
    "POST keys": {
        "members": {
            "type", "derived", "convergent_encryption", "exportable", "allow_plaintext_backup",
            "auto_rotate_period", "key_size", "managed_key_name", "managed_key_id",
        },
        "needed": set(),
    },
    "POST config": {
        "members": {
            "min_decryption_version", "min_encryption_version", "deletion_allowed", "exportable",
            "allow_plaintext_backup", "auto_rotate_period",
        },
        "needed": set(),
    },
    "DELETE keys": {"members": set(), "needed": set()},
    "POST sign": {
        "members": {
            "input", "key_version", "hash_algorithm", "prehashed", "signature_algorithm",
            "marshaling_algorithm", "salt_length", "context", "reference", "batch_input",
        },
        "needed": {"input"},
    },
    "POST encrypt": {
        "members": {
            "plaintext", "context", "associated_data", "key_version", "nonce", "reference", "batch_input",
            "type", "convergent_encryption",
        },
        "needed": {"plaintext"},
    },
    "POST decrypt": {
        "members": {"ciphertext", "context", "associated_data", "nonce", "reference", "batch_input"},
        "needed": {"ciphertext"},
    },
}  # fmt: skip
"""By method and endpoint: the members that a request may have, and those that it has to."""

VALUES: Final = {
    "hash_algorithm": {"sha1", "sha2-224", "sha2-256", "sha2-384", "sha2-512"},
    "signature_algorithm": {"pss", "pkcs1v15"},
    "marshaling_algorithm": {"asn1", "jws"},
    "salt_length": {"auto", "hash"},
    "type": {"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "ed25519", "ecdsa-p256", "rsa-2048"},
}

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | AESGCM
_MAKE: Final[dict[str, Callable[[], Private]]] = {
    "ecdsa-p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa-2048": lambda: rsa.generate_private_key(65537, 2048),
    "aes256-gcm96": lambda: AESGCM(AESGCM.generate_key(256)),
}
_PATH: Final = re.compile(r"/v1/transit/(keys|sign|encrypt|decrypt)/([A-Za-z0-9_.-]+)(/config)?$")


@dataclass
class Key:
    kind: str
    versions: list[Private]
    deletion_allowed: bool = False


@dataclass
class Vault:
    """`with Vault() as vault:` serves on a free loopback port."""

    token: str = TOKEN
    keys: dict[str, Key] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Method and endpoint of each call that came, with its body."""
    breaches: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Answered in place of the next calls, in order; 0 answers one as it should be."""
    stalled: threading.Event = field(default_factory=threading.Event)
    """While it is set no call is answered."""
    sealed: threading.Event = field(default_factory=threading.Event)
    """While it is set every call is answered with 503, as by a vault that was started anew."""

    def __enter__(self) -> Self:
        vault = self

        class Handler(_Handler):
            served = vault

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._resume = threading.Event()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resume.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self, name: str) -> None:
        """As an administrator may: a second version of a key."""
        key = self.keys[name]
        key.versions.append(_MAKE[key.kind]())

    def answer(self, method: str, path: str, body: dict[str, Any], token: str) -> tuple[int, Any]:
        found = _PATH.fullmatch(path)
        if found is None:
            self.breaches.append(f"{method} {path}")
            return 404, {"errors": ["no handler for route"]}
        name = found[2]
        endpoint = f"{method} {'config' if found[3] else found[1]}"
        self.asked.append((endpoint, body))
        if self.stalled.is_set():
            self._resume.wait(20)
        if self.sealed.is_set():
            return 503, {"errors": ["Vault is sealed"]}
        if self.statuses and (status := self.statuses.pop(0)):
            return status, {"errors": ["injected"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        if breach := _breach(endpoint, body):
            self.breaches.append(breach)
            return 418, {"errors": [breach]}
        return _ENDPOINTS[endpoint](self, name, body)

    def told(self, name: str) -> dict[str, Any]:
        """The reply of Read Key."""
        key = self.keys[name]
        versions: dict[str, Any] = {
            str(number): _told(key.kind, private) for number, private in enumerate(key.versions, 1)
        }
        return {
            "name": name, "type": key.kind, "derived": False, "exportable": False,
            "allow_plaintext_backup": False, "deletion_allowed": key.deletion_allowed, "keys": versions,
            "latest_version": len(key.versions), "min_available_version": 0, "min_decryption_version": 1,
            "min_encryption_version": 0, "supports_encryption": key.kind == "aes256-gcm96",
            "supports_decryption": key.kind == "aes256-gcm96", "supports_signing": key.kind != "aes256-gcm96",
            "supports_derivation": key.kind in ("aes256-gcm96", "ed25519"), "imported_key": False,
            "auto_rotate_period": 0,
        }  # fmt: skip


def _breach(endpoint: str, body: dict[str, Any]) -> str:
    said = CONTRACT[endpoint]
    if unknown := body.keys() - said["members"]:
        return f"{endpoint}: members that are not documented: {sorted(unknown)}"
    if missing := said["needed"] - body.keys():
        return f"{endpoint}: members that are missing: {sorted(missing)}"
    wrong = [member for member, known in VALUES.items() if member in body and body[member] not in known]
    return f"{endpoint}: values that are not documented: {wrong}" if wrong else ""


def _told(kind: str, private: Private) -> Any:
    if isinstance(private, AESGCM):
        return 1442851412
    if isinstance(private, ed25519.Ed25519PrivateKey):
        raw = private.public_key().public_bytes_raw()
        return {
            "name": kind,
            "public_key": base64.b64encode(raw).decode(),
            "creation_time": "2026-01-01T00:00:00Z",
        }
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    name = "P-256" if kind == "ecdsa-p256" else kind
    return {"name": name, "public_key": pem.decode(), "creation_time": "2026-01-01T00:00:00Z"}


def _read(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    return (200, {"data": vault.told(name)}) if name in vault.keys else (404, {"errors": []})


def _create(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    kind = body.get("type", "aes256-gcm96")
    if name not in vault.keys:
        vault.keys[name] = Key(kind, [_MAKE[kind]()])
    # Before 1.12: 204 without a body. A key that is there already is no error.
    return 200, {"data": vault.told(name)}


def _config(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    if name not in vault.keys:
        return 400, {"errors": [f"no existing key named {name} could be found"]}
    vault.keys[name].deletion_allowed = bool(body.get("deletion_allowed", vault.keys[name].deletion_allowed))
    return 200, {"data": vault.told(name)}


def _delete(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    if name not in vault.keys or not vault.keys[name].deletion_allowed:
        return 400, {"errors": ["error deleting policy: deletion is not allowed for this policy"]}
    del vault.keys[name]
    return 204, None


def _sign(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    if name not in vault.keys:
        return 400, {"errors": ["signing key not found"]}
    key, data = vault.keys[name], base64.b64decode(body["input"], validate=True)
    version = body.get("key_version", 0) or len(key.versions)
    private = key.versions[version - 1]
    if isinstance(private, AESGCM):
        return 400, {"errors": ["key type aes256-gcm96 does not support signing"]}
    signature = _signature(private, data, body)
    return 200, {"data": {"signature": f"vault:v{version}:{signature}", "key_version": version}}


def _signature(
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
    data: bytes,
    body: dict[str, Any],
) -> str:
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return base64.b64encode(private.sign(data)).decode()
    sha256 = hashes.SHA256()
    hashed: Any = Prehashed(sha256) if body.get("prehashed") else sha256
    if isinstance(private, ec.EllipticCurvePrivateKey):
        der = private.sign(data, ec.ECDSA(hashed))
        if body.get("marshaling_algorithm", "asn1") == "asn1":
            return base64.b64encode(der).decode()
        r, s = decode_dss_signature(der)
        return base64.urlsafe_b64encode((r << 256 | s).to_bytes(64, "big")).rstrip(b"=").decode()
    if body.get("signature_algorithm", "pss") == "pkcs1v15":
        return base64.b64encode(private.sign(data, padding.PKCS1v15(), hashed)).decode()
    # "auto": as long as it can be, which is not what RFC 7518 3.5 asks for.
    longest = body.get("salt_length", "auto") == "auto"
    salt = padding.PSS.MAX_LENGTH if longest else padding.PSS.DIGEST_LENGTH
    pss = padding.PSS(mgf=padding.MGF1(sha256), salt_length=salt)
    return base64.b64encode(private.sign(data, pss, hashed)).decode()


def _encrypt(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    # With the capability `create` a key that is not there would be made; a policy of ours need not give it.
    if name not in vault.keys:
        return 400, {"errors": ["encryption key not found"]}
    key = vault.keys[name]
    version, nonce, [*_, aead] = len(key.versions), os.urandom(12), key.versions
    if not isinstance(aead, AESGCM):
        return 400, {"errors": ["message encryption not supported for this key type"]}
    sealed = aead.encrypt(nonce, base64.b64decode(body["plaintext"], validate=True), None)
    ciphertext = f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}"
    return 200, {"data": {"ciphertext": ciphertext, "key_version": version}}


def _decrypt(vault: Vault, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    found = re.fullmatch(r"vault:v(\d+):([A-Za-z0-9+/=]+)", body["ciphertext"])
    if name not in vault.keys or found is None:
        return 400, {"errors": ["invalid ciphertext: no prefix"]}
    raw, aead = base64.b64decode(found[2]), vault.keys[name].versions[int(found[1]) - 1]
    assert isinstance(aead, AESGCM)
    try:
        plaintext = aead.decrypt(raw[:12], raw[12:], None)
    except Exception:
        return 400, {"errors": ["invalid ciphertext: unable to decrypt"]}
    return 200, {"data": {"plaintext": base64.b64encode(plaintext).decode()}}


_ENDPOINTS: Final[dict[str, Callable[[Vault, str, dict[str, Any]], tuple[int, Any]]]] = {
    "GET keys": _read,
    "POST keys": _create,
    "POST config": _config,
    "DELETE keys": _delete,
    "POST sign": _sign,
    "POST encrypt": _encrypt,
    "POST decrypt": _decrypt,
}


class _Handler(BaseHTTPRequestHandler):
    served: Vault
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = self.headers.get("X-Vault-Token") or ""
        status, reply = self.served.answer(self.command, self.path, json.loads(raw or b"{}"), token)
        body = b"" if reply is None else json.dumps(reply).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://127.0.0.1:9/v1/transit")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the names of http.server

    def log_message(self, *args: object) -> None:
        """Quiet."""
