"""Signing keys in Vault's Transit engine. Never run against a real Vault: see the package."""

import base64
import binascii
import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.backends.signature_proof import PublicKey, check_kid, prove
from gateway.backends.vault.transit import NoSuchVaultKey, Transit
from gateway.sealing import base64url
from gateway.sealing.jwk import public_jwk_of
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm

KEY_VERSION: Final = 1
"""A key of ours has one version: a rotation makes another key, under another kid."""

_PREFIX: Final = f"vault:v{KEY_VERSION}:"
_RSA: Final = "rsa-2048"
"""As long as our keys in files: see there for why."""

KINDS: Final = {
    SignatureAlgorithm.ES256: "ecdsa-p256",
    SignatureAlgorithm.EDDSA: "ed25519",
    SignatureAlgorithm.RS256: _RSA,
    SignatureAlgorithm.PS256: _RSA,
}
"""The engine's name for the type of key."""

# The engine gets the hash alone, but for Ed25519, which signs what it is given whole (RFC 8032 5.1).
_HASHED: Final = {"prehashed": True, "hash_algorithm": "sha2-256", "key_version": KEY_VERSION}
_MEMBERS: Final[dict[SignatureAlgorithm, dict[str, object]]] = {
    # R || S, in base64url (RFC 7518 3.4).
    SignatureAlgorithm.ES256: {**_HASHED, "marshaling_algorithm": "jws"},
    SignatureAlgorithm.EDDSA: {"key_version": KEY_VERSION},
    SignatureAlgorithm.RS256: {**_HASHED, "signature_algorithm": "pkcs1v15"},
    # The engine's own default is the longest salt; RFC 7518 3.5 wants the hash's length. Since Vault 1.12.
    SignatureAlgorithm.PS256: {**_HASHED, "signature_algorithm": "pss", "salt_length": "hash"},
}


class VaultSigner:
    """Signs at the vault. Implements `keys.Signer`. Never run against a real Vault."""

    __slots__ = ("_transit", "alg", "kid")

    def __init__(self, transit: Transit, kid: str, alg: SignatureAlgorithm) -> None:
        self._transit = transit
        self.kid = kid
        self.alg = alg

    def __repr__(self) -> str:
        return f"VaultSigner(kid={self.kid!r}, alg={str(self.alg)!r})"

    def sign(self, signing_input: bytes) -> bytes:
        """The JWS signature octets. Raises KeyStoreFault within some seconds."""
        members = _MEMBERS[self.alg]
        data = hashlib.sha256(signing_input).digest() if "prehashed" in members else signing_input
        found = self._transit.sign(self.kid, base64.b64encode(data).decode(), members)
        prefix, text = found[: len(_PREFIX)], found[len(_PREFIX) :]
        if prefix != _PREFIX:
            raise KeyStoreFault("the vault signed with another version of the key: never rotate it there")
        try:
            if self.alg is SignatureAlgorithm.ES256:
                return base64url.decode(text.encode())
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise KeyStoreFault("the vault's signature cannot be read") from None


class VaultStore:
    """Implements `keys.SigningStore` over Transit. Never run against a real Vault: see the package."""

    def __init__(self, transit: Transit) -> None:
        self._transit = transit

    def __repr__(self) -> str:
        return f"VaultStore({self._transit!r})"

    def create(self, kid: str, alg: SignatureAlgorithm) -> dict[str, str]:
        check_kid(kid)
        # The engine takes a second creation without a word.
        if self._there(kid):
            raise KeyStoreFault("the vault has a key of this kid already")
        self._transit.create(kid, KINDS[alg])
        public = _public(self._transit.key(kid), alg)
        try:
            prove(VaultSigner(self._transit, kid, alg), public)
        except KeyStoreFault:
            self.destroy(kid)
            raise
        return public_jwk_of(public, kid=kid, alg=alg)

    def signer(self, kid: str, alg: SignatureAlgorithm) -> VaultSigner:
        check_kid(kid)
        _public(self._transit.key(kid), alg)
        return VaultSigner(self._transit, kid, alg)

    def destroy(self, kid: str) -> None:
        check_kid(kid)
        if self._there(kid):
            self._transit.destroy(kid)

    def _there(self, kid: str) -> bool:
        try:
            self._transit.key(kid)
        except NoSuchVaultKey:
            return False
        return True


def _public(told: dict[str, Any], alg: SignatureAlgorithm) -> PublicKey:
    """The public half of the version that signs. Raises KeyStoreFault where the key is of another type."""
    if told.get("type") != KINDS[alg]:
        raise KeyStoreFault(f"the vault's key is not of the type for {alg}: {KINDS[alg]}")
    try:
        text = told["keys"][str(KEY_VERSION)]["public_key"]
        if alg is SignatureAlgorithm.EDDSA:
            return ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
        found = load_pem_public_key(text.encode())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyStoreFault("the vault does not tell the public half of its key's first version") from None
    if isinstance(found, ec.EllipticCurvePublicKey if alg is SignatureAlgorithm.ES256 else rsa.RSAPublicKey):
        assert isinstance(found, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        return found
    raise KeyStoreFault("the vault tells a public half of another type than the key's")
