"""Shares of the golden vectors: what is sealed, sealed and signed as the product does it."""

import json
from typing import Any

from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing import jwk
from gateway.sealing.body import sealed_body
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import SignatureAlgorithm, StaticRecipientKeys
from gateway.sealing.set import SHARE_EVENT, share_set
from gateway.sealing.signer import LocalSigner
from tests.vectors.golden_keys import public_half, unsafe_recipient_jwks, unsafe_signing_key

ISS = "https://feeds.golden.example"
RECIPIENT_ID = "golden-bank"
ISSUED_AT_MS = 1_790_000_000_000
PROGRAM = "enhanced-data"
# Letters beyond ASCII, a number over 32 bits, fractions, false, an object and a list.
FIELDS: dict[str, Any] = {
    "cardholder_name": "Zoë Ångström",
    "initiated_at": ISSUED_AT_MS - 1_000,
    "geo": {"latitude": 47.37, "longitude": -8.54},
    "is_network_token": False,
    "reason_codes": ["ip_repeat", "device_repeat"],
}


def body(share_id: str) -> bytes:
    """What is sealed for one share."""
    return sealed_body(
        share_id=share_id,
        issuer_id=RECIPIENT_ID,
        recipient_id=RECIPIENT_ID,
        program=PROGRAM,
        purpose=1,
        card_token="ct_golden",
        token_epoch=1,
        match={"keys": ["rrn:529312000017:400001"], "attempted_at_ms": ISSUED_AT_MS - 1_000},
        fields=FIELDS,
    )


def seal(recipient_jwk: dict[str, str], plaintext: bytes) -> bytes:
    """A compact JWE to one of the recipient's keys."""
    keys = jwk.recipient_keys(RECIPIENT_ID, json.dumps({"keys": [public_half(recipient_jwk)]}))
    return Sealer(SystemEntropy(), SimClock(), StaticRecipientKeys(keys)).seal(RECIPIENT_ID, plaintext)[1]


def signed_share(alg: SignatureAlgorithm, sealed: bytes, share_id: str, **changed: Any) -> bytes:
    """The SET around a sealed body."""
    claims: dict[str, Any] = {
        "iss": ISS,
        "recipient_id": RECIPIENT_ID,
        "issued_at_ms": ISSUED_AT_MS,
        "jti": f"jti-{share_id}",
        "evaluation_id": "golden-evaluation",
        "share_id": share_id,
        "issuer_id": RECIPIENT_ID,
        "program": PROGRAM,
        "stream_seq": 1,
    }
    return share_set(LocalSigner(unsafe_signing_key(alg)), sealed=sealed, **{**claims, **changed})


def decoded(segment: bytes) -> Any:
    """The JSON in a segment of a token."""
    return json.loads(jwk.base64url.decode(segment))


def _vector(stream_seq: int, alg: SignatureAlgorithm, recipient_jwk: dict[str, str]) -> dict[str, Any]:
    share_id = f"golden-share-{stream_seq}"
    sealed = seal(recipient_jwk, body(share_id))
    token = signed_share(alg, sealed, share_id, stream_seq=stream_seq)
    header, claims = (decoded(segment) for segment in token.split(b".")[:2])
    # It stands in the token already, and is the one claim that is not to be compared as it is.
    del claims["events"][SHARE_EVENT]["encryptedData"]
    return {
        "name": f"{alg}, {recipient_jwk['alg']} with {recipient_jwk.get('crv', 'RSA')}",
        "signed_set": token.decode(),
        "header": header,
        "claims": claims,
        "sealed_header": decoded(sealed.split(b".")[0]),
        "body": json.loads(body(share_id)),
    }


def shares() -> list[dict[str, Any]]:
    """One of every signature and key wrap. The tokens are others each time, like all that is sealed."""
    pairs = [(alg, recipient) for alg in SignatureAlgorithm for recipient in unsafe_recipient_jwks()]
    return [_vector(number, alg, recipient) for number, (alg, recipient) in enumerate(pairs, start=1)]
