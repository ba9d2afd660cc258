"""Every signature and key wrap that a receiver takes, made by others too; none passes for another."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from joserfc import jwe as other_jwe
from joserfc import jws as other_jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import jwk
from gateway.sealing.content_key import ContentKey
from gateway.sealing.jwe import concat_kdf
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signer import LocalSigner
from issuernetwork._jose import open_key, verify_keys
from issuernetwork.receiver import BadKey, Receiver, RefusedToken, Share
from tests.unit.receiver.network import BANK, FIELDS, ISS, WRAPS, Network, signing_key
from tests.unit.receiver.test_open import b64, part, unb64

LOADERS = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


def refusal(receiver: Receiver, token: bytes) -> str:
    with pytest.raises(RefusedToken) as caught:
        receiver.open(token)
    return caught.value.code


def rsa_private(alg: SignatureAlgorithm) -> rsa.RSAPrivateKey:
    private = signing_key(alg).private_key
    assert isinstance(private, rsa.RSAPrivateKey)
    return private


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
@pytest.mark.parametrize("wrap", WRAPS, ids=" ".join)
def test_a_share_opens_under_every_signature_and_wrap(alg: SignatureAlgorithm, wrap: tuple[str, str]) -> None:
    network = Network(alg=wrap[0], curve=wrap[1], signing=signing_key(alg))
    token = network.share()
    assert json.loads(unb64(token.split(b".")[0]))["alg"] == alg
    share = network.receiver.open(token)
    assert isinstance(share, Share)
    assert share.fields == FIELDS


# joserfc warns of EdDSA since RFC 9864 names Ed25519 apart; receivers in the field still know only EdDSA.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("wrap", WRAPS, ids=" ".join)
@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_a_share_signed_and_sealed_by_joserfc_opens(alg: SignatureAlgorithm, wrap: tuple[str, str]) -> None:
    network = Network(alg=wrap[0], curve=wrap[1], signing=signing_key(alg))
    recipient = LOADERS[network.public["kty"]].import_key(network.public)
    header = {"alg": wrap[0], "enc": "A256GCM", "kid": "bank-1"}
    sealed = other_jwe.encrypt_compact(header, network.body(), recipient, algorithms=[wrap[0], "A256GCM"])
    claims = unb64(network.share(sealed=sealed.encode()).split(b".")[1])
    private = _private_for_joserfc(signing_key(alg))
    set_header = {"alg": str(alg), "kid": "sig-1", "typ": "secevent+jwt"}
    token = other_jws.serialize_compact(set_header, claims, private, algorithms=[str(alg)])
    share = network.receiver.open(token)
    assert isinstance(share, Share)
    assert share.fields == FIELDS


def _private_for_joserfc(key: SigningKey) -> Any:
    public: dict[str, Any] = jwk.public_jwk(key)
    private = key.private_key
    if isinstance(private, rsa.RSAPrivateKey):
        numbers = private.private_numbers()
        names = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
        names |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
        secret = {name: value.to_bytes((value.bit_length() + 7) // 8, "big") for name, value in names.items()}
    elif public["kty"] == "EC":
        secret = {"d": unb64(jwk.private_jwk(key)["d"].encode())}
    else:
        secret = {"d": private.private_bytes_raw()}  # type: ignore[union-attr]
    return LOADERS[public["kty"]].import_key(
        {**public, **{name: b64(octets).decode() for name, octets in secret.items()}}
    )


RSA_ALGS = [SignatureAlgorithm.RS256, SignatureAlgorithm.PS256]


@pytest.mark.parametrize("alg", RSA_ALGS)
def test_an_rsa_key_takes_no_token_of_the_other_rsa_algorithm_although_its_signature_holds(
    alg: SignatureAlgorithm,
) -> None:
    network = Network(signing=signing_key(alg))
    (other,) = (one for one in RSA_ALGS if one is not alg)
    signer = LocalSigner(SigningKey("sig-1", other, rsa_private(alg)))
    claims = network.share().split(b".")[1]
    for said, code in ((other, "algorithm"), (alg, "signature")):
        signing_input = part({"alg": said, "kid": "sig-1", "typ": "secevent+jwt"}) + b"." + claims
        token = signing_input + b"." + b64(signer.sign(signing_input))
        assert refusal(network.receiver, token) == code


@pytest.mark.parametrize("salt", [0, 20, 31, 33, padding.PSS.MAX_LENGTH])
def test_a_pss_signature_with_a_salt_of_another_length_is_refused(salt: Any) -> None:
    assert _pss_refusal(salt, SHA256(), SHA256()) == "signature"


@pytest.mark.parametrize("mask", [SHA1(), SHA512()], ids=lambda one: one.name)
def test_a_pss_signature_with_another_hash_is_refused(mask: HashAlgorithm) -> None:
    assert _pss_refusal(32, mask, SHA256()) == "signature"
    assert _pss_refusal(32, SHA256(), SHA512()) == "signature"


def _pss_refusal(salt: Any, mask: HashAlgorithm, digest: HashAlgorithm) -> str:
    network = Network(signing=signing_key(SignatureAlgorithm.PS256))
    signing_input = network.share().rpartition(b".")[0]
    pss = padding.PSS(mgf=padding.MGF1(mask), salt_length=salt)
    signature = rsa_private(SignatureAlgorithm.PS256).sign(signing_input, pss, digest)
    return refusal(network.receiver, signing_input + b"." + b64(signature))


def test_a_pss_signature_has_one_length() -> None:
    network = Network(signing=signing_key(SignatureAlgorithm.PS256))
    signing_input, _, signature = network.share().rpartition(b".")
    for changed in (b"\0" + unb64(signature), unb64(signature)[1:], b"", bytes(256)):
        assert refusal(network.receiver, signing_input + b"." + b64(changed)) == "signature"


def test_a_set_that_has_one_rsa_key_for_two_algorithms_is_not_used() -> None:
    public = jwk.public_jwk(signing_key(SignatureAlgorithm.PS256))
    network = Network(signing=signing_key(SignatureAlgorithm.PS256))
    assert isinstance(network.receiver.open(network.share()), Share)
    network.jwks = {"keys": [public, {**public, "kid": "sig-2", "alg": "RS256"}]}
    with pytest.raises(BadKey, match="two algorithms"):
        verify_keys(network.jwks)
    assert refusal(network.receiver, network.share()) == "unknown_key"


@pytest.mark.parametrize("alg", [["PS256"], {"PS256": 1}, None, "ps256", "PS384", "PS512", "ES384"])
def test_a_key_whose_alg_is_none_of_ours_is_passed_over(alg: object) -> None:
    public = jwk.public_jwk(signing_key(SignatureAlgorithm.PS256))
    other = jwk.public_jwk(signing_key(SignatureAlgorithm.ES256, "sig-2"))
    assert list(verify_keys({"keys": [{**public, "alg": alg}, other]})) == ["sig-2"]


def test_keys_of_x25519_and_ed25519_are_not_taken_for_each_other() -> None:
    private = Network(curve="X25519").private
    signing = jwk.public_jwk(signing_key(SignatureAlgorithm.EDDSA))
    assert verify_keys({"keys": [{**signing, "crv": "X25519"}]}) == {}
    for changed in ({"crv": "Ed25519"}, {"crv": "P-256"}, {"crv": "X448"}, {"kty": "EC"}, {"crv": None}):
        with pytest.raises(BadKey):
            open_key({**private, **changed})


@pytest.mark.parametrize(
    "changed",
    [{"alg": "RSA-OAEP-256"}, {"alg": "ECDH-ES"}, {"use": "sig"}, {"d": "AA"}, {"x": "AA"}, {"kid": 3}],
)
def test_a_private_x25519_key_that_does_not_fit_is_refused_unseen(changed: dict[str, Any]) -> None:
    private = Network(curve="X25519").private
    with pytest.raises(BadKey) as caught:
        Receiver(recipient_id=BANK, private_keys=[{**private, **changed}], jwks=dict, iss=ISS)
    assert private["d"] not in str(caught.value)


def test_a_private_x25519_key_with_the_public_half_of_another_is_refused() -> None:
    private, other = Network(curve="X25519").private, Network(curve="X25519").private
    with pytest.raises(BadKey, match="belong together"):
        open_key({**private, "x": other["x"]})


def _forged(network: Network, epk: object, shared: bytes) -> bytes:
    """The body sealed with a key that `shared` wraps: it opens wherever the exchange gives `shared`."""
    entropy = UnsafeSeededEntropy(7)
    secret, nonce = entropy.bytes(32), entropy.bytes(12)
    header = part({"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "bank-1", "epk": epk})
    wrapped = b64(aes_key_wrap(concat_kdf(shared, "ECDH-ES+A256KW"), secret))
    return ContentKey(secret, header + b"." + wrapped + b".", header, nonce).seal(network.body())[0]


def _epk(network: Network, **changed: Any) -> bytes:
    parts = network.sealed().split(b".")
    header = json.loads(unb64(parts[0]))
    header["epk"] = {**header["epk"], **changed}
    return b".".join([part(header), *parts[1:]])


def test_an_epk_of_low_order_is_refused_although_what_it_wraps_would_open() -> None:
    network = Network(curve="X25519")
    for octets in (bytes(32), b"\x01" + bytes(31), b"\xed" + b"\xff" * 30 + b"\x7f", b"\xed" + b"\xff" * 31):
        epk = {"kty": "OKP", "crv": "X25519", "x": b64(octets).decode()}
        sealed = _forged(network, epk, shared=bytes(32))
        assert refusal(network.receiver, network.share(sealed=sealed)) == "decryption"


def test_a_forged_body_opens_where_the_secret_is_the_right_one() -> None:
    """Holds the test above: it is the low order that is refused, and not how the body is made."""
    network = Network(curve="X25519")
    theirs = Network(curve="X25519").private
    epk = {name: theirs[name] for name in ("kty", "crv", "x")}
    ours, other = open_key(network.private).key, open_key(theirs).key
    shared = ours.exchange(other.public_key())  # type: ignore[call-arg, arg-type, union-attr]
    share = network.receiver.open(network.share(sealed=_forged(network, epk, shared)))
    assert isinstance(share, Share)


@pytest.mark.parametrize(
    "changed",
    [{"kty": "EC"}, {"crv": "P-256"}, {"crv": "Ed25519"}, {"crv": None}, {"x": "AA"}, {"x": None}, {"x": 1}],
)
def test_an_epk_that_is_not_of_the_keys_curve_is_refused(changed: dict[str, Any]) -> None:
    network = Network(curve="X25519")
    assert refusal(network.receiver, network.share(sealed=_epk(network, **changed))) == "decryption"


def test_an_epk_of_the_other_curve_is_refused_both_ways() -> None:
    p256, okp = Network(curve="P-256"), Network(curve="X25519")
    assert refusal(p256.receiver, p256.share(sealed=okp.sealed())) == "decryption"
    assert refusal(okp.receiver, okp.share(sealed=p256.sealed())) == "decryption"
