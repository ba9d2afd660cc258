"""Signing keys in a module. They are made there, sensitive and not extractable, and never leave it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pkcs11 import MGF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass

from gateway.backends.pkcs11.token import Held, Token
from gateway.backends.signature_proof import PublicKey, check_kid, prove
from gateway.sealing.jwk import public_jwk_of
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm

RSA_BITS: Final = 2048
"""As long as our keys in files: see there for why."""

# Named curves as DER: object identifiers of RFC 5480 2.1.1.1 and RFC 8410 3.
_P256: Final = bytes.fromhex("06082a8648ce3d030107")
_ED25519: Final = bytes.fromhex("06032b6570")
_UNCOMPRESSED_P256_OCTETS: Final = 65
_ED25519_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class _Way:
    """How a module makes a key for an algorithm, and signs with it."""

    generate: Mechanism
    sign: Mechanism
    key_type: KeyType
    parameter: Any = None
    hashed: bool = False
    """The module signs a hash that we take: CKM_ECDSA is what every module has, and gives R || S."""


_WAYS: Final = {
    SignatureAlgorithm.ES256: _Way(Mechanism.EC_KEY_PAIR_GEN, Mechanism.ECDSA, KeyType.EC, hashed=True),
    SignatureAlgorithm.EDDSA: _Way(
        Mechanism.EC_EDWARDS_KEY_PAIR_GEN, Mechanism.EDDSA, KeyType.EC_EDWARDS
    ),
    SignatureAlgorithm.RS256: _Way(
        Mechanism.RSA_PKCS_KEY_PAIR_GEN, Mechanism.SHA256_RSA_PKCS, KeyType.RSA
    ),
    # A salt of just the hash's length: RFC 7518 3.5.
    SignatureAlgorithm.PS256: _Way(
        Mechanism.RSA_PKCS_KEY_PAIR_GEN,
        Mechanism.SHA256_RSA_PKCS_PSS,
        KeyType.RSA,
        parameter=(Mechanism.SHA256, MGF.SHA256, 32),
    ),
}  # fmt: skip

_PRIVATE: Final = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
    Attribute.DERIVE: False,
}
"""Of a private key: it signs, and is never to be read or wrapped."""


class Pkcs11Signer:
    """Signs in the module. Implements `keys.Signer`."""

    __slots__ = ("_token", "alg", "kid")

    def __init__(self, token: Token, kid: str, alg: SignatureAlgorithm) -> None:
        self._token = token
        self.kid = kid
        self.alg = alg

    def __repr__(self) -> str:
        return f"Pkcs11Signer(kid={self.kid!r}, alg={str(self.alg)!r})"

    def sign(self, signing_input: bytes) -> bytes:
        """The JWS signature octets. Raises KeyStoreFault."""
        way = _WAYS[self.alg]
        data = hashlib.sha256(signing_input).digest() if way.hashed else signing_input

        def work(held: Held) -> bytes:
            key = _private_key(held, self.kid, self.alg)
            return bytes(key.sign(data, mechanism=way.sign, mechanism_param=way.parameter))

        return self._token.run(work)


class Pkcs11Store:
    """Implements `keys.SigningStore` over one token. A key's label and id are its kid."""

    def __init__(self, token: Token) -> None:
        self._token = token

    def __repr__(self) -> str:
        return f"Pkcs11Store({self._token!r})"

    def create(self, kid: str, alg: SignatureAlgorithm) -> dict[str, str]:
        check_kid(kid)
        way = _WAYS[alg]
        if not {way.generate, way.sign} <= self._token.run(lambda held: held.mechanisms):
            raise KeyStoreFault(f"the module has no keys for {alg}: name another algorithm")
        # Not again by itself: the first try may have made the key before the token was lost.
        public = self._token.run(lambda held: _make(held, kid, alg), again=False)
        try:
            prove(self.signer(kid, alg), public)
        except KeyStoreFault:
            self.destroy(kid)
            raise
        return public_jwk_of(public, kid=kid, alg=alg)

    def signer(self, kid: str, alg: SignatureAlgorithm) -> Pkcs11Signer:
        check_kid(kid)
        self._token.run(lambda held: _private_key(held, kid, alg))
        return Pkcs11Signer(self._token, kid, alg)

    def destroy(self, kid: str) -> None:
        check_kid(kid)

        def work(held: Held) -> None:
            held.keys.pop(kid, None)
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
                for found in _found(held, kid, kind):
                    found.destroy()

        self._token.run(work)


def _found(held: Held, kid: str, kind: ObjectClass) -> list[Any]:
    search = {Attribute.CLASS: kind, Attribute.LABEL: kid, Attribute.ID: kid.encode()}
    return list(held.session.get_objects(search))


def _private_key(held: Held, kid: str, alg: SignatureAlgorithm) -> Any:
    key = held.keys.get(kid)
    if key is None:
        found = _found(held, kid, ObjectClass.PRIVATE_KEY)
        if len(found) != 1:
            raise KeyStoreFault(
                "the token has no such signing key: was it destroyed, or is this another token?"
                if not found
                else "the token has several keys of one kid: remove what is not ours"
            )
        key = found[0]
        if key.key_type is not _WAYS[alg].key_type:
            raise KeyStoreFault(f"the key of that kid is not of the type for {alg}")
        if not key[Attribute.SIGN]:
            raise KeyStoreFault("the module does not let the key of that kid sign")
        held.keys[kid] = key
    return key


def _make(held: Held, kid: str, alg: SignatureAlgorithm) -> PublicKey:
    if _found(held, kid, ObjectClass.PRIVATE_KEY):
        raise KeyStoreFault("the token has a key of this kid already")
    way = _WAYS[alg]
    given: dict[str, Any] = {
        "id": kid.encode(),
        "label": kid,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "mechanism": way.generate,
        "private_template": _PRIVATE,
    }
    if way.key_type is KeyType.RSA:
        public, private = held.session.generate_keypair(KeyType.RSA, RSA_BITS, **given)
    else:
        curve = {Attribute.EC_PARAMS: _P256 if alg is SignatureAlgorithm.ES256 else _ED25519}
        parameters = held.session.create_domain_parameters(way.key_type, curve, local=True)
        public, private = parameters.generate_keypair(**given)
    if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
        private.destroy()
        public.destroy()
        raise KeyStoreFault(
            "the module makes keys that can be taken out of it: its policy has to forbid that"
        )
    return _READ[way.key_type](public)


def _p256(public: Any) -> ec.EllipticCurvePublicKey:
    point = _octets(public[Attribute.EC_POINT], _UNCOMPRESSED_P256_OCTETS)
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def _ed25519(public: Any) -> ed25519.Ed25519PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(public[Attribute.EC_POINT], _ED25519_OCTETS))


def _rsa(public: Any) -> rsa.RSAPublicKey:
    modulus, exponent = (
        int.from_bytes(public[name], "big") for name in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
    )
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _octets(point: bytes, size: int) -> bytes:
    """A point as it is, or as the DER OCTET STRING that the standard asks for (PKCS #11 v2.40, 2.3.3)."""
    return point[2:] if point[:2] == bytes((4, size)) and len(point) == size + 2 else point


_READ: Final[dict[KeyType, Callable[[Any], PublicKey]]] = {
    KeyType.EC: _p256,
    KeyType.EC_EDWARDS: _ed25519,
    KeyType.RSA: _rsa,
}
