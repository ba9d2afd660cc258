"""Signed SETs, as other libraries see them."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as other_jws
from joserfc.jwk import KeySet

from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import jwk
from gateway.sealing.body import sealed_body
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import BadKey, SignatureAlgorithm, SigningKey
from gateway.sealing.set import SHARE_EVENT, WITHDRAWN_EVENT, share_set, withdrawn_set
from gateway.sealing.signer import LocalSigner
from tests.kit.jwks import public_jwks

KEYS = (
    SigningKey("k-ES256", SignatureAlgorithm.ES256, p256_private_key(UnsafeSeededEntropy(1))),
    SigningKey("k-EdDSA", SignatureAlgorithm.EDDSA, ed25519.Ed25519PrivateKey.generate()),
    SigningKey("k-RS256", SignatureAlgorithm.RS256, rsa.generate_private_key(65537, 2048)),
    SigningKey("k-PS256", SignatureAlgorithm.PS256, rsa.generate_private_key(65537, 2048)),
)


def share(key: SigningKey, stream_seq: int | None = 3) -> bytes:
    return share_set(
        LocalSigner(key),
        iss="https://network.example",
        recipient_id="bank",
        issued_at_ms=1_700_000_000_999,
        jti="jti-1",
        evaluation_id="evaluation-1",
        share_id="share-1",
        issuer_id="issuer-1",
        program="risk-score",
        sealed=b"a.b.c.d.e",
        stream_seq=stream_seq,
    )


# joserfc warns of EdDSA since RFC 9864 names Ed25519 apart; receivers in the field still know only EdDSA.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.alg))
def test_joserfc_verifies_a_share_with_our_public_jwks(key: SigningKey) -> None:
    keys = KeySet.import_key_set(public_jwks(KEYS))  # type: ignore[arg-type]
    for _ in range(20):
        found = other_jws.deserialize_compact(share(key), keys, algorithms=[str(key.alg)])
        assert found.headers() == {"alg": str(key.alg), "kid": key.kid, "typ": "secevent+jwt"}
        assert json.loads(found.payload) == {
            "iss": "https://network.example",
            "aud": "bank",
            "iat": 1_700_000_000,
            "jti": "jti-1",
            "txn": "evaluation-1",
            "sub_id": {"format": "opaque", "id": "share-1"},
            "events": {
                SHARE_EVENT: {
                    "stream_seq": 3,
                    "program": "risk-score",
                    "share_id": "share-1",
                    "issuer_id": "issuer-1",
                    "encryptedData": "a.b.c.d.e",
                }
            },
        }


class _Silent:
    """Signs nothing: for what does not depend on the signature."""

    kid, alg = "none", SignatureAlgorithm.ES256

    def sign(self, signing_input: bytes) -> bytes:
        return b"\0" * 64


SILENT = _Silent()
# UTF-8 has no lone surrogates, and protobuf lets none through.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def payload(token: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(jwk.base64url.decode(token.split(b".")[1]))
    return found


def test_a_share_on_no_stream_names_no_place_in_one() -> None:
    events = payload(share(KEYS[0], stream_seq=None))["events"]
    assert isinstance(events, dict)
    assert "stream_seq" not in events[SHARE_EVENT]


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_no_id_changes_what_a_share_says(
    recipient_id: str, share_id: str, evaluation_id: str, issuer_id: str, program: str
) -> None:
    token = share_set(
        SILENT, iss="https://us.test", recipient_id=recipient_id, issued_at_ms=1_700_000_000_999,
        jti=share_id, evaluation_id=evaluation_id, share_id=share_id, issuer_id=issuer_id,
        program=program, sealed=b"e30.a.b.c.d", stream_seq=7,
    )  # fmt: skip
    event = {
        "program": program, "share_id": share_id, "issuer_id": issuer_id, "stream_seq": 7,
        "encryptedData": "e30.a.b.c.d",
    }  # fmt: skip
    assert payload(token) == {
        "iss": "https://us.test", "aud": recipient_id, "iat": 1_700_000_000, "jti": share_id,
        "txn": evaluation_id, "sub_id": {"format": "opaque", "id": share_id},
        "events": {SHARE_EVENT: event},
    }  # fmt: skip


def test_a_withdrawal_carries_its_place_and_no_data() -> None:
    token = withdrawn_set(
        LocalSigner(KEYS[0]),
        iss="https://network.example",
        recipient_id="bank",
        issued_at_ms=1,
        jti="jti-2",
        evaluation_id="evaluation-1",
        share_id="share-1",
        issuer_id="issuer-1",
        program="risk-score",
        stream_seq=9,
        reason="killed",
    )
    assert payload(token)["events"] == {
        WITHDRAWN_EVENT: {
            "stream_seq": 9,
            "program": "risk-score",
            "share_id": "share-1",
            "issuer_id": "issuer-1",
            "reason": "killed",
        }
    }


def test_a_key_signs_with_no_algorithm_but_its_own() -> None:
    for alg, key in (
        (SignatureAlgorithm.ES256, KEYS[1]),
        (SignatureAlgorithm.EDDSA, KEYS[2]),
        (SignatureAlgorithm.RS256, KEYS[0]),
        (SignatureAlgorithm.PS256, KEYS[1]),
    ):
        with pytest.raises(BadKey, match="alg"):
            LocalSigner(SigningKey("k", alg, key.private_key))
    with pytest.raises(BadKey, match="alg"):
        LocalSigner(SigningKey("k", SignatureAlgorithm.ES256, ec.generate_private_key(ec.SECP384R1())))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: str(key.alg))
def test_a_signing_key_shows_nothing_in_its_repr(key: SigningKey) -> None:
    assert "object at" not in repr(key)
    assert repr(LocalSigner(key)) == f"LocalSigner(kid={key.kid!r}, alg={str(key.alg)!r})"


def test_a_body_says_its_purpose_by_name_and_has_no_nan() -> None:
    common = {
        "share_id": "s",
        "issuer_id": "i",
        "recipient_id": "r",
        "program": "p",
        "card_token": "t",
        "token_epoch": 2,
        "match": {},
    }
    body = json.loads(sealed_body(**common, purpose=1, fields={"name": "Zoë"}))  # type: ignore[arg-type]
    assert (body["purpose"], body["fields"], body["schema_version"]) == (
        "fraud_authorization",
        {"name": "Zoë"},
        1,
    )
    with pytest.raises(KeyError):
        sealed_body(**common, purpose=0, fields={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="JSON"):
        sealed_body(**common, purpose=1, fields={"score": float("nan")})  # type: ignore[arg-type]


def test_a_pss_signature_has_a_salt_of_the_length_of_the_hash() -> None:
    key = KEYS[3].private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    signing_input, _, signature = share(KEYS[3]).rpartition(b".")
    pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)
    key.public_key().verify(jwk.base64url.decode(signature), signing_input, pss, SHA256())


def test_one_rsa_key_is_never_published_for_two_algorithms() -> None:
    rs256 = KEYS[2]
    twice = SigningKey("k-2", SignatureAlgorithm.PS256, rs256.private_key)
    with pytest.raises(BadKey, match="exactly one"):
        public_jwks((rs256, twice))
    renamed = SigningKey("k-2", SignatureAlgorithm.RS256, rs256.private_key)
    assert len(public_jwks((rs256, renamed))["keys"]) == 2


def test_an_ed25519_key_is_told_from_an_x25519_key_by_its_curve_and_has_two_halves_of_one_key() -> None:
    first, second = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    private = {
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k",
        "d": jwk.base64url.encode(first.private_bytes_raw()).decode(),
        "x": jwk.base64url.encode(first.public_key().public_bytes_raw()).decode(),
    }  # fmt: skip
    assert jwk.public_jwk(jwk.signing_key(private))["x"] == private["x"]
    other = jwk.base64url.encode(second.public_key().public_bytes_raw()).decode()
    for changed in ({"crv": "X25519"}, {"kty": "EC"}, {"x": other}, {"d": "AA"}):
        with pytest.raises(BadKey) as caught:
            jwk.signing_key({**private, **changed})
        assert private["d"] not in caught.value.public
