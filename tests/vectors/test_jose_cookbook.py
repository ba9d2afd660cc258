"""The examples of RFC 7520 and RFC 8037, read in place, through the product's own verify and open paths."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from gateway.runtime.clock import SimClock
from gateway.sealing import jwk as gateway_jwk
from gateway.sealing.jwe import Sealer, concat_kdf
from gateway.sealing.keys import StaticRecipientKeys
from gateway.sealing.signer import LocalSigner
from issuernetwork._jose import (
    BadKey,
    JweOpener,
    RefusedToken,
    ec_public_key,
    open_key,
    verify_jws,
    verify_key,
)

COOKBOOK = Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "jose-cookbook"
pytestmark = pytest.mark.skipif(
    not COOKBOOK.is_dir(), reason="the outside vectors (../shared/vectors/jose-cookbook) are not here"
)

# Those whose algorithms the product supports; all others have to be refused.
SUPPORTED_JWS = {"jws/4_1.rsa_v15_signature.json", "curve25519/jws.json"}
JWS = [
    "curve25519/jws.json",
    "jws/4_1.rsa_v15_signature.json",
    "jws/4_2.rsa-pss_signature.json",
    "jws/4_3.ecdsa_signature.json",
    "jws/4_4.hmac-sha2_integrity_protection.json",
    "jws/4_5.signature_with_detached_content.json",
]
JWE = [
    "curve25519/ecdh-es.json",
    "jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json",
    "jwe/5_2.key_encryption_using_rsa-oaep_with_aes-gcm.json",
    "jwe/5_3.key_wrap_using_pbes2-aes-keywrap_with-aes-cbc-hmac-sha2.json",
    "jwe/5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm.json",
    "jwe/5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2.json",
    "jwe/5_6.direct_encryption_using_aes-gcm.json",
    "jwe/5_7.key_wrap_using_aes-gcm_keywrap_with_aes-cbc-hmac-sha2.json",
    "jwe/5_8.key_wrap_using_aes-keywrap_with_aes-gcm.json",
    "jwe/5_9.compressed_content.json",
]


def vector(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((COOKBOOK / name).read_text())
    return found


def test_every_compact_vector_is_in_one_of_the_lists() -> None:
    compact = {
        str(path.relative_to(COOKBOOK))
        for path in COOKBOOK.rglob("*.json")
        if "compact" in (json.loads(path.read_text()).get("output") or {})
    }
    assert compact == set(JWS) | set(JWE)


@pytest.mark.parametrize("name", sorted(SUPPORTED_JWS))
def test_a_supported_signature_verifies_and_a_changed_one_does_not(name: str) -> None:
    example = vector(name)
    key = verify_key({**example["input"]["key"], "alg": example["input"]["alg"]})
    token = example["output"]["compact"].encode()
    header, payload = verify_jws(token, {key.kid: key})
    assert header == example["signing"]["protected"]
    assert payload.decode() == example["input"]["payload"]
    head, body, signature = token.split(b".")
    for changed in (
        b".".join((head, body[:-4] + b"AAAA", signature)),
        b".".join((head, body, b"A" + signature[1:])),
    ):
        with pytest.raises(RefusedToken, match=r"signature|malformed"):
            verify_jws(changed, {key.kid: key})


@pytest.mark.parametrize("name", sorted(SUPPORTED_JWS))
def test_our_signer_makes_the_very_signature_of_the_vector(name: str) -> None:
    example = vector(name)
    key = gateway_jwk.signing_key({"kid": "k", **example["input"]["key"], "alg": example["input"]["alg"]})
    signing_input, _, signature = example["output"]["compact"].encode().rpartition(b".")
    assert gateway_jwk.base64url.encode(LocalSigner(key).sign(signing_input)) == signature
    public = gateway_jwk.public_jwk(key)
    assert all(public[name] == example["input"]["key"][name] for name in ("n", "e", "x") if name in public)


@pytest.mark.parametrize("name", sorted(set(JWS) - SUPPORTED_JWS))
def test_an_unsupported_signature_is_refused_with_any_key_of_ours(name: str) -> None:
    example = vector(name)
    token = example["output"]["compact"].encode()
    with pytest.raises(BadKey):
        verify_key({**example["input"]["key"], "alg": example["input"]["alg"]})
    ours = verify_key({**vector("curve25519/jws.json")["input"]["key"], "alg": "EdDSA"})
    kid = example["signing"]["protected"].get("kid", "")
    pss = verify_key({**vector("jwk/3_3.rsa_public_key.json"), "alg": "PS256"})
    for key in (ours, pss):
        with pytest.raises(RefusedToken, match="algorithm"):
            verify_jws(token, {kid: key})
    with pytest.raises(RefusedToken, match="unknown_key"):
        verify_jws(token, {})


@pytest.mark.parametrize("name", JWE)
def test_an_unsupported_encryption_is_refused_with_any_key_of_ours(name: str) -> None:
    example = vector(name)
    key = example["input"].get("key")
    if isinstance(key, dict):
        with pytest.raises(BadKey):
            open_key({**key, "alg": example["input"]["alg"], "use": "enc"})
    token = example["output"]["compact"].encode()
    header = json.loads(gateway_jwk.base64url.decode(token.split(b".")[0]))
    for ours in (
        {**vector("jwk/3_4.rsa_private_key.json"), "alg": "RSA-OAEP-256", "use": "enc"},
        {**vector("curve25519/ecdh-es.json")["input"]["key"], "alg": "ECDH-ES+A256KW"},
    ):
        with pytest.raises(RefusedToken, match=r"algorithm|header"):
            JweOpener({header.get("kid", ""): open_key(ours)}).open(token)
    with pytest.raises(RefusedToken, match=r"unknown_recipient_key|header"):
        JweOpener({}).open(token)


def test_the_signature_of_the_nested_example_is_ps256_and_verifies_and_its_encryption_is_refused() -> None:
    example = vector("6.nesting_signatures_and_encryption.json")
    signed, sealed = example["sign"], example["encrypt"]
    key = {**signed["input"]["key"], "alg": signed["input"]["alg"]}
    token = signed["output"]["compact"].encode()
    # The example names no kid, so it is looked for under none.
    header, payload = verify_jws(token, {"": verify_key(key)})
    assert header == {"alg": "PS256", "typ": "JWT"}
    assert payload.decode() == signed["input"]["payload"]
    with pytest.raises(RefusedToken, match="algorithm"):
        verify_jws(token, {"": verify_key({**key, "alg": "RS256"})})
    with pytest.raises(RefusedToken, match="signature"):
        verify_jws(token, {"": verify_key({**vector("jwk/3_3.rsa_public_key.json"), "alg": "PS256"})})
    with pytest.raises(BadKey):
        open_key({**sealed["input"]["key"], "alg": sealed["input"]["alg"]})
    recipient = open_key({**sealed["input"]["key"], "alg": "RSA-OAEP-256"})
    with pytest.raises(RefusedToken, match="algorithm"):
        JweOpener({"": recipient}).open(sealed["output"]["compact"].encode())


def test_rsa_keys_of_the_cookbook_load_and_curves_we_do_not_use_are_refused() -> None:
    private = vector("jwk/3_4.rsa_private_key.json")
    public = vector("jwk/3_3.rsa_public_key.json")
    for alg in ("RS256", "PS256"):
        assert gateway_jwk.signing_key({**private, "alg": alg}).alg == alg
        assert verify_key({**public, "alg": alg}).kid == public["kid"]
    with pytest.raises(BadKey, match="P-256"):
        ec_public_key(vector("jwk/3_1.ec_public_key.json"))


# RFC 8037 A.6: the ephemeral private key of its exchange with Bob, its public half, and the shared secret Z.
A6_PRIVATE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
A6_EPK = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"
A6_SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


class _UnsafeEntropyOfA6:
    """Gives the ephemeral key of the example where 32 bytes are asked for; unsafe like every known key."""

    def bytes(self, n: int) -> bytes:
        return A6_PRIVATE if n == 32 else bytes(n)


def test_an_agreement_over_x25519_comes_to_the_secret_of_rfc_8037() -> None:
    bob = {**vector("curve25519/ecdh-es.json")["input"]["key"], "alg": "ECDH-ES+A256KW"}
    public = {name: value for name, value in bob.items() if name != "d"}
    keys = StaticRecipientKeys(gateway_jwk.recipient_keys("bob", json.dumps({"keys": [public]})))
    token = Sealer(_UnsafeEntropyOfA6(), SimClock(), keys).seal("bob", b"payload")[1]
    header, wrapped = (gateway_jwk.base64url.decode(part) for part in token.split(b".")[:2])
    assert json.loads(header)["epk"] == {"kty": "OKP", "crv": "X25519", "x": A6_EPK}
    assert aes_key_unwrap(concat_kdf(A6_SHARED, "ECDH-ES+A256KW"), wrapped) == A6_PRIVATE
    assert JweOpener({"Bob": open_key(bob)}).open(token) == b"payload"
