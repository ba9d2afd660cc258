"""Tokens of the golden vectors that a receiver has to refuse, each good but for the one thing named."""

import hmac
import json
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.base64url import decode, encode
from gateway.sealing.content_key import ContentKey
from gateway.sealing.jwe import concat_kdf
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.set import SHARE_EVENT
from gateway.sealing.signer import LocalSigner
from tests.vectors.golden_clear import clear
from tests.vectors.golden_keys import unsafe_recipient_jwks, unsafe_signing_key
from tests.vectors.golden_shares import body, decoded, seal, signed_share

ES256, RS256, PS256 = SignatureAlgorithm.ES256, SignatureAlgorithm.RS256, SignatureAlgorithm.PS256
SHARE_ID = "golden-refused"


def _part(value: object) -> bytes:
    return encode(json.dumps(value, separators=(",", ":")).encode())


def _good(alg: SignatureAlgorithm = ES256, *, sealed_to: int = 0) -> bytes:
    return signed_share(alg, seal(unsafe_recipient_jwks()[sealed_to], body(SHARE_ID)), SHARE_ID)


def _signed(header: dict[str, Any], claims: object, key: SigningKey | None = None) -> bytes:
    """Signed with a signature that holds, whatever header and claims say."""
    signing_input = _part(header) + b"." + _part(claims)
    signer = LocalSigner(unsafe_signing_key(ES256) if key is None else key)
    return signing_input + b"." + encode(signer.sign(signing_input))


def _changed(*, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> bytes:
    parts = _good().split(b".")
    return _signed({**decoded(parts[0]), **(header or {})}, {**decoded(parts[1]), **(claims or {})})


def _other_rsa_algorithm() -> bytes:
    key = unsafe_signing_key(PS256)
    claims = decoded(_good(PS256).split(b".")[1])
    rs256 = SigningKey(key.kid, RS256, key.private_key)
    return _signed({"alg": "RS256", "kid": key.kid, "typ": "secevent+jwt"}, claims, rs256)


def _short_salt() -> bytes:
    private = unsafe_signing_key(PS256).private_key
    assert isinstance(private, rsa.RSAPrivateKey)
    signing_input = _good(PS256).rpartition(b".")[0]
    pss = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=20)
    return signing_input + b"." + encode(private.sign(signing_input, pss, SHA256()))


def _der() -> bytes:
    signing_input, _, signature = _good().rpartition(b".")
    raw = decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return signing_input + b"." + encode(der)


def _unsigned() -> bytes:
    header, claims, _ = _good().split(b".")
    return _part({**decoded(header), "alg": "none"}) + b"." + claims + b"."


def _mac() -> bytes:
    key = unsafe_signing_key(ES256)
    public = key.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = _part({"alg": "HS256", "kid": key.kid, "typ": "secevent+jwt"})
    signing_input = header + b"." + _good().split(b".")[1]
    return signing_input + b"." + encode(hmac.digest(public, signing_input, sha256))


def _flipped_claim() -> bytes:
    header, claims, signature = _good().split(b".")
    return b".".join((header, _part({**decoded(claims), "iat": 1}), signature))


def _around(sealed: bytes) -> bytes:
    return signed_share(ES256, sealed, SHARE_ID)


def _body_of_another_share() -> bytes:
    return _around(seal(unsafe_recipient_jwks()[0], body("golden-share-1")))


def _sealed_with(recipient: int, **changed: Any) -> bytes:
    """With other members in the header of the JWE."""
    header, *rest = seal(unsafe_recipient_jwks()[recipient], body(SHARE_ID)).split(b".")
    return b".".join((_part({**decoded(header), **changed}), *rest))


def _truncated_tag() -> bytes:
    *rest, tag = seal(unsafe_recipient_jwks()[0], body(SHARE_ID)).split(b".")
    return _around(b".".join((*rest, encode(decode(tag)[:12]))))


def _stripped() -> bytes:
    event = {**decoded(_good().split(b".")[1])["events"][SHARE_EVENT], **json.loads(body(SHARE_ID))}
    del event["encryptedData"]
    return _changed(claims={"events": {SHARE_EVENT: event}})


def _clear_with_a_card() -> bytes:
    header, claims, _ = clear()[0]["signed_set"].encode().split(b".")
    ((uri, event),) = decoded(claims)["events"].items()
    event["card_token"] = "ct_golden"
    return _signed(decoded(header), {**decoded(claims), "events": {uri: event}})


def _epk_of_low_order() -> bytes:
    """Opens where a shared secret of zeros is not refused: anyone can make it, without a key."""
    entropy = UnsafeSeededEntropy(4_201)
    secret, nonce = entropy.bytes(32), entropy.bytes(12)
    kid = unsafe_recipient_jwks()[1]["kid"]
    epk = {"kty": "OKP", "crv": "X25519", "x": encode(bytes(32)).decode()}
    header = _part({"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": kid, "epk": epk})
    wrapped = encode(aes_key_wrap(concat_kdf(bytes(32), "ECDH-ES+A256KW"), secret))
    return _around(ContentKey(secret, header + b"." + wrapped + b".", header, nonce).seal(body(SHARE_ID))[0])


def refused() -> list[dict[str, Any]]:
    """With the code for `setErrs` (RFC 8935 2.4) that each is answered with."""
    p256_epk = decoded(seal(unsafe_recipient_jwks()[0], b"").split(b".")[0])["epk"]
    event = {SHARE_EVENT: {**decoded(_good().split(b".")[1])["events"][SHARE_EVENT], "encryptedData": "e30"}}
    cases: list[tuple[str, str, bytes]] = [
        ("a PS256 key, signed by it with RS256, and alg says RS256", "invalid_key", _other_rsa_algorithm()),
        ("PS256 with a salt of 20 octets, where it has to be 32", "authentication_failed", _short_salt()),
        ("ES256 with its signature as DER, where it has to be R || S", "authentication_failed", _der()),
        ("alg none and no signature", "invalid_key", _unsigned()),
        ("alg HS256, a MAC under the public key", "invalid_key", _mac()),
        ("a kid that the JWK Set does not have", "invalid_key", _changed(header={"kid": "unknown"})),
        ("typ JWT", "invalid_request", _changed(header={"typ": "JWT"})),
        ("crit with an unknown extension", "invalid_request", _changed(header={"crit": ["golden"]})),
        ("a claim changed after signing", "authentication_failed", _flipped_claim()),
        ("iss of another", "invalid_issuer", _changed(claims={"iss": "https://other.example"})),
        ("aud of another", "invalid_audience", _changed(claims={"aud": "other-bank"})),
        ("exp, which a SET does not have", "invalid_request", _changed(claims={"exp": 4_000_000_000})),
        ("a sealed body taken out, its fields clear", "invalid_request", _stripped()),
        ("a share that is not sealed, with a card's pseudonym", "invalid_request", _clear_with_a_card()),
        ("encryptedData that is no JWE", "invalid_request", _changed(claims={"events": event})),
        ("the sealed body of another share", "authentication_failed", _body_of_another_share()),
        ("a sealed body whose tag has 12 octets", "invalid_request", _truncated_tag()),
        ("a sealed body with zip", "invalid_request", _around(_sealed_with(0, zip="DEF"))),
        ("a sealed body with alg dir", "invalid_key", _around(_sealed_with(0, alg="dir"))),
        ("an epk of P-256 for an X25519 key", "invalid_key", _around(_sealed_with(1, epk=p256_epk))),
        ("an epk of low order, whose shared secret is zero", "invalid_key", _epk_of_low_order()),
    ]
    return [{"name": name, "err": err, "signed_set": token.decode()} for name, err, token in cases]
