"""What signs in memory: by the engine and by its twin, with a key that nobody reads back."""

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.runtime.native import engines
from gateway.sealing import base64url
from gateway.sealing.compact import compact, make_template
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import BadKey, KeyStoreFault, SignatureAlgorithm, Signer, SigningKey
from gateway.sealing.signer import LateSigner, LocalSigner
from tests.unit.sealing.twins import both_twins, needs_engine

PRIVATE = p256_private_key(UnsafeSeededEntropy(1))
KEY = SigningKey("k-1", SignatureAlgorithm.ES256, PRIVATE)
TEMPLATE, VALUES = make_template(b"aGVhZA", (b'{"jti":', b',"iat":', b"}")), ("one", 7)
SIGNING_INPUT = b"aGVhZA." + base64url.encode(b'{"jti":"one","iat":7}')


def check(signature: bytes, signing_input: bytes = SIGNING_INPUT) -> None:
    """By OpenSSL."""
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    PRIVATE.public_key().verify(encode_dss_signature(r, s), signing_input, ec.ECDSA(SHA256()))


def of_token(token: bytes) -> bytes:
    head, _, segment = token.rpartition(b".")
    assert head == SIGNING_INPUT
    return base64url.decode(segment)


@both_twins
def test_every_signature_is_another_and_openssl_takes_them_all(native: Any) -> None:
    signer = LocalSigner(KEY, native=native)
    made = [signer.sign(SIGNING_INPUT) for _ in range(50)]
    made += [of_token(compact(signer, TEMPLATE, VALUES)) for _ in range(50)]
    assert {len(one) for one in made} == {64}
    # R follows from the nonce alone: two alike would give the key away.
    assert len({one[:32] for one in made}) == len(made)
    for one in made:
        check(one)
    with pytest.raises(InvalidSignature):
        check(made[0], SIGNING_INPUT + b"A")


@both_twins
def test_neither_signer_nor_engine_shows_its_key(native: Any) -> None:
    signer = LocalSigner(KEY, native=native)
    shown = repr(signer) + repr(signer._engine)
    assert repr(signer) == "LocalSigner(kid='k-1', alg='ES256')"
    assert native is None or repr(signer._engine) == "Es256(****)"
    scalar = PRIVATE.private_numbers().private_value
    assert str(scalar) not in shown
    assert f"{scalar:x}" not in shown.lower()


@needs_engine
def test_where_the_engine_has_the_key_no_other_holder_is_kept() -> None:
    signer = LocalSigner(KEY)
    assert signer._engine is not None
    assert signer._key is None
    assert not [
        name for name in dir(signer._engine) if not name.startswith("__") and name not in ENGINE_CALLS
    ]


ENGINE_CALLS = ("compact", "sign")


def pkcs8(private: Any) -> bytes:
    der: bytes = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return der


def mismatched() -> bytes:
    """A private half of P-256 with the public half of another key."""
    ours, other = pkcs8(PRIVATE), pkcs8(p256_private_key(UnsafeSeededEntropy(2)))
    return ours[:-64] + other[-64:]


@needs_engine
@pytest.mark.parametrize(
    "key",
    [
        b"", b"\0" * 138, pkcs8(PRIVATE)[:-1], pkcs8(PRIVATE) + b"\0", mismatched(),
        pkcs8(ec.generate_private_key(ec.SECP384R1())), pkcs8(ed25519.Ed25519PrivateKey.generate()),
        pkcs8(rsa.generate_private_key(65537, 2048)),
    ],
    ids=["nothing", "zeros", "cut", "longer", "two halves", "P-384", "Ed25519", "RSA"],
)  # fmt: skip
def test_the_engine_takes_no_key_but_one_of_p256_and_does_not_say_what_it_got(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a private key of P-256 in PKCS #8$"):
        engines.Es256(key)


def test_what_the_engine_refuses_is_a_bad_key() -> None:
    class Refuses:
        @staticmethod
        def Es256(key: bytes) -> None:  # noqa: N802 - the engine's name
            raise ValueError("no")

    with pytest.raises(BadKey, match="P-256") as caught:
        LocalSigner(KEY, native=Refuses)
    assert caught.value.__cause__ is None


@needs_engine
def test_what_is_no_value_of_a_payload_is_refused_and_the_signer_goes_on() -> None:
    signer = LocalSigner(KEY)
    with pytest.raises(TypeError):
        signer.compact(TEMPLATE, ("one", object()))  # type: ignore[arg-type]
    check(of_token(signer.compact(TEMPLATE, VALUES)))


class OnlySigns:
    """As a signer in a module or a vault."""

    kid, alg = "k-1", SignatureAlgorithm.ES256

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def sign(self, signing_input: bytes) -> bytes:
        self.asked.append(signing_input)
        return b"\0" * 64


@pytest.mark.parametrize("late", [False, True], ids=["itself", "late"])
def test_a_signer_that_makes_no_whole_token_is_asked_for_the_signature_alone(late: bool) -> None:
    only = OnlySigns()
    signer: Signer = LateSigner("k-1", SignatureAlgorithm.ES256, lambda: only) if late else only
    assert of_token(compact(signer, TEMPLATE, VALUES)) == b"\0" * 64
    assert only.asked == [SIGNING_INPUT]


def test_a_late_signer_asks_for_its_key_until_it_has_it_for_whole_tokens_too() -> None:
    tries = []

    def opened() -> Signer:
        tries.append(1)
        if len(tries) < 2:
            raise KeyStoreFault("not yet")
        return LocalSigner(KEY)

    late = LateSigner("k-1", SignatureAlgorithm.ES256, opened)
    with pytest.raises(KeyStoreFault):
        compact(late, TEMPLATE, VALUES)
    opens = late.compact
    for _ in range(3):
        check(of_token(compact(late, TEMPLATE, VALUES)))
        assert late.compact is not opens, "it asks no more whether it is open"
    assert len(tries) == 2
