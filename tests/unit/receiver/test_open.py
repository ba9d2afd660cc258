"""What a receiver opens, and the catalogue of what it refuses."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwe as other_jwe
from joserfc.jwk import ECKey

from gateway.sealing.keys import Signer
from gateway.sealing.set import sign_set
from issuernetwork._jose import TOKEN_BYTES_MAX
from issuernetwork.receiver import BadKey, Receiver, RefusedToken, Share, Withdrawn
from tests.unit.receiver.network import BANK, FIELDS, ISS, NOW_MS, Network


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def unb64(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def part(value: object) -> bytes:
    return b64(json.dumps(value).encode())


def claims_of(token: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(unb64(token.split(b".")[1]))
    return found


def signed_with(signer: Signer, header: object, claims: object) -> bytes:
    """Any header and claims, with a signature that holds."""
    signing_input = part(header) + b"." + part(claims)
    return signing_input + b"." + b64(signer.sign(signing_input))


def good_header(**changed: Any) -> dict[str, Any]:
    return {"alg": "ES256", "kid": "sig-1", "typ": "secevent+jwt", **changed}


def refusal(receiver: Receiver, token: str | bytes) -> str:
    with pytest.raises(RefusedToken) as caught:
        receiver.open(token)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert caught.value.set_error in {
        "invalid_request",
        "invalid_key",
        "invalid_issuer",
        "invalid_audience",
        "authentication_failed",
    }
    return caught.value.code


@pytest.mark.parametrize("alg", ["ECDH-ES+A256KW", "RSA-OAEP-256"])
def test_a_share_opens_to_what_was_sealed(alg: str) -> None:
    network = Network(alg=alg)
    for token in (network.share(), network.share().decode()):
        share = network.receiver.open(token)
        assert isinstance(share, Share)
        assert share.fields == FIELDS
        assert share.match == {"retrieval_reference_number": "123456789012"}
        assert (share.share_id, share.program, share.issuer_id) == ("share-1", "risk-score", BANK)
        assert (share.stream_seq, share.jti, share.evaluation_id) == (1, "jti-share-1", "evaluation-1")
        assert (share.purpose, share.card_token, share.received_at_ms) == (
            "fraud_authorization",
            "token-of-the-card",
            NOW_MS,
        )


def test_a_share_that_came_by_look_up_has_no_place_in_the_stream() -> None:
    network = Network()
    assert network.receiver.open(network.share(seq=None)).stream_seq is None


def test_a_withdrawal_opens_to_its_reason_and_place() -> None:
    network = Network()
    item = network.receiver.open(network.withdrawn(seq=4))
    assert isinstance(item, Withdrawn)
    assert (item.stream_seq, item.reason, item.share_id) == (4, "killed", "share-1")


def test_a_body_sealed_by_joserfc_opens() -> None:
    network = Network()
    key = ECKey.import_key(network.public)
    header = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": "bank-1"}
    sealed = other_jwe.encrypt_compact(header, network.body(), key, algorithms=["ECDH-ES+A256KW", "A256GCM"])
    item = network.receiver.open(network.share(sealed=sealed.encode()))
    assert isinstance(item, Share)
    assert item.fields == FIELDS


def test_nothing_of_a_share_or_a_receiver_shows_in_a_repr() -> None:
    network = Network()
    share = network.receiver.open(network.share())
    shown = repr(share) + str(share) + f"{share}" + repr(network.receiver) + repr(network.receiver.__dict__)
    for secret in ("canary", "812", "token-of-the-card", "123456789012", network.private["d"]):
        assert secret not in shown


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "crit": (good_header(crit=["exp"]), "header"),
    "zip": (good_header(zip="DEF"), "header"),
    "jku": (good_header(jku="https://evil.example/jwks"), "header"),
    "x5u": (good_header(x5u="https://evil.example/cert"), "header"),
    "x5c": (good_header(x5c=["AAAA"]), "header"),
    "b64": (good_header(b64=False), "header"),
    "jwk": (good_header(jwk={"kty": "EC"}), "header"),
    "typ of an access token": (good_header(typ="at+jwt"), "type"),
    "typ of a plain JWT": (good_header(typ="JWT"), "type"),
    "no typ": ({"alg": "ES256", "kid": "sig-1"}, "type"),
    "kid of another": (good_header(kid="sig-2"), "unknown_key"),
    "kid that is no text": (good_header(kid=["sig-1"]), "unknown_key"),
    "no kid": ({"alg": "ES256", "typ": "secevent+jwt"}, "unknown_key"),
    "alg of another key type": (good_header(alg="RS256"), "algorithm"),
    "alg none": (good_header(alg="none"), "algorithm"),
    "alg nOnE": (good_header(alg="nOnE"), "algorithm"),
    "alg HS256": (good_header(alg="HS256"), "algorithm"),
    "alg ES384": (good_header(alg="ES384"), "algorithm"),
    "alg that is no text": (good_header(alg=None), "algorithm"),
    "no alg": ({"kid": "sig-1", "typ": "secevent+jwt"}, "algorithm"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_refused_although_the_signature_over_it_holds(name: str) -> None:
    network = Network()
    header, code = HEADERS[name]
    token = signed_with(network.signer, header, claims_of(network.share()))
    assert refusal(network.receiver, token) == code


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.pop(name)


def _with(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.update({name: value})


def _event(**changed: Any) -> Callable[[dict[str, Any]], None]:
    def change(claims: dict[str, Any]) -> None:
        for event in claims["events"].values():
            event.update(changed)

    return change


CLAIMS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "iss of another": (_with("iss", ISS + "/"), "issuer"),
    "no iss": (_without("iss"), "issuer"),
    "aud of another": (_with("aud", "harbor-federal"), "audience"),
    "aud of two": (_with("aud", [BANK, "harbor-federal"]), "audience"),
    "no aud": (_without("aud"), "audience"),
    "exp": (_with("exp", 4_000_000_000), "claims"),
    "no jti": (_without("jti"), "claims"),
    "jti that is no text": (_with("jti", 7), "claims"),
    "huge jti": (_with("jti", "j" * 600), "claims"),
    "iat that is a float": (_with("iat", 1.5), "claims"),
    "iat that is true": (_with("iat", True), "claims"),
    "no txn": (_without("txn"), "claims"),
    "sub_id of another share": (_with("sub_id", {"format": "opaque", "id": "share-2"}), "claims"),
    "no events": (_with("events", {}), "claims"),
    "events that are a list": (_with("events", []), "claims"),
    "unknown event": (_with("events", {"urn:other": {}}), "unknown_event"),
    "event that is no object": (_with("events", {"urn:x-issuernetwork:event:share:v1": 1}), "claims"),
    "stream_seq 0": (_event(stream_seq=0), "claims"),
    "stream_seq below 0": (_event(stream_seq=-1), "claims"),
    "stream_seq as text": (_event(stream_seq="1"), "claims"),
    "stream_seq over 64 bits": (_event(stream_seq=2**64), "claims"),
    "no ciphertext": (_event(encryptedData=None), "claims"),
    "ciphertext that is no JWE": (_event(encryptedData="a.b.c"), "malformed"),
    "ciphertext with foreign letters": (_event(encryptedData="é.b.c.d.e"), "malformed"),
    "another share's id": (_event(share_id="share-2"), "claims"),
    "another program": (_event(program="enhanced-data"), "binding"),
    "another issuer": (_event(issuer_id="harbor-federal"), "binding"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_are_refused_although_the_signature_over_them_holds(name: str) -> None:
    network = Network()
    change, code = CLAIMS[name]
    claims = claims_of(network.share())
    change(claims)
    assert refusal(network.receiver, sign_set(network.signer, claims)) == code


def test_claims_that_name_a_member_twice_are_refused() -> None:
    network = Network()
    head, payload, _ = network.share().split(b".")
    twice = b'{"aud":"harbor-federal",' + unb64(payload)[1:]
    signing_input = head + b"." + b64(twice)
    token = signing_input + b"." + b64(network.signer.sign(signing_input))
    assert refusal(network.receiver, token) == "malformed"


def test_a_ciphertext_of_another_share_is_seen() -> None:
    network = Network()
    assert refusal(network.receiver, network.share("share-1", sealed=network.sealed("share-2"))) == "binding"


@pytest.mark.parametrize(
    "changed", [{"recipient_id": "harbor-federal"}, {"issuer_id": "other"}, {"program": "x"}]
)
def test_a_body_that_was_sealed_for_something_else_is_seen(changed: dict[str, str]) -> None:
    network = Network()
    assert refusal(network.receiver, network.share(sealed=network.sealed(**changed))) == "binding"


def test_a_signature_by_somebody_else_with_our_kid_is_refused() -> None:
    assert refusal(Network(1).receiver, Network(2).share()) == "signature"


def test_a_mac_under_the_public_key_is_refused() -> None:
    network = Network()
    pem = network.signing.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signing_input = part(good_header(alg="HS256")) + b"." + part(claims_of(network.share()))
    token = signing_input + b"." + b64(hmac.digest(pem, signing_input, hashlib.sha256))
    assert refusal(network.receiver, token) == "algorithm"


def test_a_der_signature_is_refused() -> None:
    network = Network()
    head, payload, signature = network.share().split(b".")
    raw = unb64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert refusal(network.receiver, b".".join((head, payload, b64(der)))) == "signature"


def test_a_signature_has_one_spelling() -> None:
    network = Network()
    head, payload, signature = network.share().split(b".")
    raw = unb64(signature)
    longer = b64(raw[:32] + b"\x00" + raw[32:])
    assert refusal(network.receiver, b".".join((head, payload, longer))) == "signature"
    # 86 letters carry 516 bits for 512: the last letter has sixteen spellings, and only one is taken.
    taken = 0
    for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        try:
            network.receiver.open(b".".join((head, payload, signature[:-1] + bytes([letter]))))
            taken += 1
        except RefusedToken:
            continue
    assert taken == 1
    for spelling in (signature + b"==", signature + b"    ", b"\n\n\n\n" + signature, signature + b"{{{{"):
        assert refusal(network.receiver, b".".join((head, payload, spelling))) == "malformed"


def test_a_signature_of_zeros_is_refused() -> None:
    network = Network()
    head, payload, _ = network.share().split(b".")
    assert refusal(network.receiver, b".".join((head, payload, b64(bytes(64))))) == "signature"


def test_a_token_without_signature_is_refused() -> None:
    network = Network()
    head, payload, _ = network.share().split(b".")
    assert refusal(network.receiver, head + b"." + payload + b".") == "signature"
    assert refusal(network.receiver, part({"alg": "none"}) + b"." + payload + b".") == "unknown_key"


def test_a_clear_body_in_place_of_the_jwe_is_refused() -> None:
    network = Network()
    assert refusal(network.receiver, network.share(sealed=b64(network.body()))) == "malformed"
    assert (
        refusal(network.receiver, network.share(sealed=network.body().decode("latin1").encode()))
        == "malformed"
    )


def _jwe_header(network: Network, **changed: Any) -> bytes:
    parts = network.sealed().split(b".")
    header = {**json.loads(unb64(parts[0])), **changed}
    return b".".join([part({name: value for name, value in header.items() if value is not None}), *parts[1:]])


JWE_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "alg dir": ({"alg": "dir"}, "algorithm"),
    "alg of another key type": ({"alg": "RSA-OAEP-256"}, "algorithm"),
    "no alg": ({"alg": None}, "algorithm"),
    "enc A128GCM": ({"enc": "A128GCM"}, "algorithm"),
    "enc A256CBC-HS512": ({"enc": "A256CBC-HS512"}, "algorithm"),
    "kid of another": ({"kid": "bank-2"}, "unknown_recipient_key"),
    "zip": ({"zip": "DEF"}, "header"),
    "crit": ({"crit": ["exp"]}, "header"),
    "p2c": ({"p2c": 10_000_000}, "header"),
    "apu": ({"apu": "AAAA"}, "header"),
    "no epk": ({"epk": None}, "decryption"),
    "epk that is no object": ({"epk": "x"}, "decryption"),
    "epk off the curve": ({"epk": {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}}, "decryption"),
    "epk of another curve": ({"epk": {"kty": "EC", "crv": "P-384", "x": "AQ", "y": "AQ"}}, "decryption"),
}


@pytest.mark.parametrize("name", JWE_HEADERS)
def test_a_jwe_header_is_refused_although_the_set_around_it_is_signed(name: str) -> None:
    network = Network()
    changed, code = JWE_HEADERS[name]
    assert refusal(network.receiver, network.share(sealed=_jwe_header(network, **changed))) == code


@pytest.mark.parametrize("keep", [0, 4, 8, 12, 15])
def test_a_truncated_tag_is_refused(keep: int) -> None:
    network = Network()
    parts = network.sealed().split(b".")
    parts[4] = b64(unb64(parts[4])[:keep])
    assert refusal(network.receiver, network.share(sealed=b".".join(parts))) == "malformed"


def test_a_nonce_of_sixteen_bytes_is_refused() -> None:
    network = Network()
    parts = network.sealed().split(b".")
    parts[2] = b64(bytes(16))
    assert refusal(network.receiver, network.share(sealed=b".".join(parts))) == "malformed"


def test_a_flipped_bit_of_the_ciphertext_is_refused_also_when_the_content_key_is_cached() -> None:
    network = Network()
    network.receiver.open(network.share())
    parts = network.sealed().split(b".")
    body = bytearray(unb64(parts[3]))
    body[20] ^= 1
    parts[3] = b64(bytes(body))
    assert refusal(network.receiver, network.share(sealed=b".".join(parts))) == "decryption"


@pytest.mark.parametrize("name", ["alg dir", "kid of another", "zip", "enc A128GCM"])
def test_a_header_is_read_also_when_the_content_key_under_it_is_cached(name: str) -> None:
    network = Network()
    network.receiver.open(network.share())
    changed, code = JWE_HEADERS[name]
    header, wrapped, nonce, _, _ = _jwe_header(network, **changed).split(b".")
    # Under the content key that the receiver knows by now, so this one decrypts.
    (content_key,) = network.receiver._opener._cached.values()
    body = content_key.encrypt(unb64(nonce), network.body(), header)
    sealed = b".".join((header, wrapped, nonce, b64(body[:-16]), b64(body[-16:])))
    assert refusal(network.receiver, network.share(sealed=sealed)) == code


def test_a_body_for_another_recipients_key_is_refused() -> None:
    network = Network()
    assert refusal(network.receiver, network.share(sealed=Network(2).sealed())) == "decryption"


def test_deep_and_huge_tokens_are_refused() -> None:
    network = Network()
    deep = b64(b"[" * 20_000 + b"]" * 20_000)
    head, payload, signature = network.share().split(b".")
    assert refusal(network.receiver, deep + b"." + payload + b"." + signature) == "malformed"
    signing_input = head + b"." + b64(b'{"a":' * 8_000 + b"1" + b"}" * 8_000)
    assert refusal(network.receiver, signing_input + b"." + b64(network.signer.sign(signing_input))) in {
        "malformed",
        "issuer",
    }
    assert refusal(network.receiver, b"a" * (TOKEN_BYTES_MAX + 1)) == "too_large"
    number = head + b"." + b64(b'{"iat":' + b"9" * 6_000 + b"}")
    assert refusal(network.receiver, number + b"." + b64(network.signer.sign(number))) == "malformed"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "....", "a.b.c", "\u0000.\u0000.\u0000", "é.é.é", "=.=.=", b"\xff"]
)
def test_what_is_no_token_is_refused(token: str | bytes) -> None:
    assert refusal(Network().receiver, token) == "malformed"


def test_a_jwks_without_usable_keys_makes_the_key_unknown() -> None:
    network = Network()
    for jwks in (
        {},
        {"keys": None},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "AAAA", "kid": "sig-1"}, 1]},
    ):
        network.jwks = jwks
        assert refusal(network.receiver, network.share()) == "unknown_key"


def test_a_rotated_key_is_taken_once_the_provider_gives_it() -> None:
    old, new = Network(1), Network(2)
    token = old.share()
    receiver = old.receiver
    old.jwks = {"keys": []}
    assert refusal(receiver, token) == "unknown_key"
    old.jwks = {"keys": [{"kty": "unknown"}, *new.jwks["keys"]]}
    assert refusal(receiver, token) == "signature"


@pytest.mark.parametrize(
    "changed", [{"alg": "RSA-OAEP-256"}, {"alg": None}, {"use": "sig"}, {"d": "AA"}, {"x": "AA"}, {"kid": 3}]
)
def test_a_private_key_that_does_not_fit_is_refused_without_showing_it(changed: dict[str, Any]) -> None:
    network = Network()
    with pytest.raises(BadKey) as caught:
        Receiver(recipient_id=BANK, private_keys=[{**network.private, **changed}], jwks=dict, iss=ISS)
    assert network.private["d"] not in str(caught.value)
