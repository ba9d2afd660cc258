"""The key of our file of secrets, wrapped by a key that stays in a module."""

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pkcs11 import MGF, Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass

from gateway.backends.pkcs11.token import Held, Token
from gateway.backends.signature_proof import check_kid
from gateway.runtime.entropy import Entropy
from gateway.sealing import base64url
from gateway.sealing.keys import KeyStoreFault

AES_BITS: Final = 256
NONCE_OCTETS: Final = 12
TAG_BITS: Final = 128

AES_GCM: Final = "AES-GCM"
"""With an AES key: NIST SP 800-38D, nonces of ours. One is drawn for each change of the key file."""
OAEP: Final = ("RSA-OAEP-256", "RSA-OAEP")
"""With an RSA key, SHA-256 before SHA-1: not every module takes the first (RFC 7518 4.3 has both)."""

_AAD: Final = b"ein file key v1"
_BROKEN: Final = "the key file does not say what the module is to open: restore it from a backup"
_HASHES: Final = {
    "RSA-OAEP-256": (hashes.SHA256(), (Mechanism.SHA256, MGF.SHA256, None)),
    # Its collisions do not matter here: RFC 8017 B.1.
    "RSA-OAEP": (hashes.SHA1(), (Mechanism.SHA_1, MGF.SHA1, None)),  # noqa: S303
}


class Pkcs11Unwrapper:
    """Implements `keys.Unwrapper` with the AES or RSA key of that label; made as AES where there is none."""

    kind = "pkcs11"

    def __init__(self, token: Token, key_label: str, entropy: Entropy) -> None:
        check_kid(key_label)
        self._token = token
        self._key_label = key_label
        self._entropy = entropy

    def __repr__(self) -> str:
        return f"Pkcs11Unwrapper(key={self._key_label!r})"

    def wrap(self, secret: bytes) -> dict[str, object]:
        """What it gives has been opened once: a file that its module cannot open would be lost."""
        self._token.run(lambda held: _key(held, self._key_label) or _make(held, self._key_label), again=False)
        for mechanism in (AES_GCM, *OAEP):
            wrapped = self._wrapped(secret, mechanism)
            if wrapped is not None and self._opens(wrapped, secret):
                return wrapped
        raise KeyStoreFault(
            f"the module's key {self._key_label} wraps neither by AES-GCM nor by RSA-OAEP: name another one"
        )

    def unwrap(self, wrapped: Mapping[str, object]) -> bytes:
        label, mechanism = wrapped.get("key"), wrapped.get("mechanism")
        nonce, ciphertext = (_octets(wrapped.get(name, "")) for name in ("nonce", "ciphertext"))
        if not isinstance(label, str) or mechanism not in (AES_GCM, *OAEP):
            raise KeyStoreFault(_BROKEN)
        check_kid(label)

        def work(held: Held) -> bytes:
            key = _key(held, label)
            if key is None:
                raise KeyStoreFault(f"the token has no key {label}: the key file was wrapped by another one")
            if mechanism == AES_GCM:
                parameter: Any = GCMParams(nonce, _AAD, TAG_BITS)
                return bytes(key.decrypt(ciphertext, mechanism=Mechanism.AES_GCM, mechanism_param=parameter))
            return bytes(
                key.decrypt(
                    ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_HASHES[str(mechanism)][1]
                )
            )

        return self._token.run(work)

    def _wrapped(self, secret: bytes, mechanism: str) -> dict[str, object] | None:
        """None where the key is of the other kind."""
        nonce = self._entropy.bytes(NONCE_OCTETS) if mechanism == AES_GCM else b""

        def work(held: Held) -> bytes | None:
            key = _key(held, self._key_label)
            if (key.key_type is KeyType.AES) != (mechanism == AES_GCM):
                return None
            if mechanism == AES_GCM:
                parameter: Any = GCMParams(nonce, _AAD, TAG_BITS)
                return bytes(key.encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=parameter))
            # With the public half nothing has to be asked of the module.
            numbers = (int.from_bytes(key[name], "big") for name in _RSA_PUBLIC)
            algorithm = _HASHES[mechanism][0]
            oaep = padding.OAEP(mgf=padding.MGF1(algorithm), algorithm=algorithm, label=None)
            return rsa.RSAPublicNumbers(*numbers).public_key().encrypt(secret, oaep)

        ciphertext = self._token.run(work)
        if ciphertext is None:
            return None
        return {
            "key": self._key_label,
            "mechanism": mechanism,
            "nonce": base64url.encode(nonce).decode(),
            "ciphertext": base64url.encode(ciphertext).decode(),
        }

    def _opens(self, wrapped: Mapping[str, object], secret: bytes) -> bool:
        try:
            return self.unwrap(wrapped) == secret
        except KeyStoreFault:
            return False


_RSA_PUBLIC: Final = (Attribute.PUBLIC_EXPONENT, Attribute.MODULUS)


def _key(held: Held, label: str) -> Any:
    """The AES key, or the private RSA key, of that label; None where there is neither."""
    for kind in (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY):
        found = list(held.session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))
        if len(found) > 1:
            raise KeyStoreFault(f"the token has several keys {label}: remove what is not ours")
        if found:
            return found[0]
    return None


def _make(held: Held, label: str) -> Any:
    return held.session.generate_key(
        KeyType.AES,
        AES_BITS,
        id=label.encode(),
        label=label,
        store=True,
        capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
        template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _octets(given: object) -> bytes:
    try:
        return base64url.decode(given.encode()) if isinstance(given, str) else b""
    except ValueError:
        raise KeyStoreFault(_BROKEN) from None
