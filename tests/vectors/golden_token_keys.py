"""Token keys of the golden vectors: handed out as the product does it, and the card tokens that they make."""

import json
from typing import Any

from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy, UnsafeSeededEntropy
from gateway.sealing import jwk
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import MacKey, SignatureAlgorithm, StaticRecipientKeys
from gateway.sealing.pseudonyms_macs import CardTokens
from gateway.sealing.signer import LocalSigner
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from gateway.sealing.token_key import signed_token_key, token_key_jwk
from gateway.sealing.token_spans import EpochSpan, spans
from tests.vectors.golden_keys import public_half, unsafe_recipient_jwks, unsafe_signing_key
from tests.vectors.golden_shares import ISS, ISSUED_AT_MS, RECIPIENT_ID, decoded

_SEED = 4_201
EPOCH = 2
"""Of the contact vectors."""

DAY_MS = 24 * 3_600_000
# The second begins after its key was handed out, and the third is planned.
CHANGES = (
    EpochChange(2, ISSUED_AT_MS - 2 * DAY_MS, ISSUED_AT_MS + 5 * DAY_MS),
    EpochChange(3, ISSUED_AT_MS + 9 * DAY_MS, ISSUED_AT_MS + 16 * DAY_MS),
)
# Sixteen, fifteen and nineteen digits.
PANS = ("9010010100000007", "371449635398431", "9010010100000000006")


def unsafe_token_key(epoch: int) -> MacKey:
    """Everybody has it."""
    return MacKey(UnsafeSeededEntropy(_SEED + epoch).bytes(32))


def _vector(span: EpochSpan, alg: SignatureAlgorithm, recipient_jwk: dict[str, str]) -> dict[str, Any]:
    keys = jwk.recipient_keys(RECIPIENT_ID, json.dumps({"keys": [public_half(recipient_jwk)]}))
    held = Sealer(SystemEntropy(), SimClock(), StaticRecipientKeys(keys)).held(RECIPIENT_ID, fresh=True)
    key = unsafe_token_key(span.epoch)
    token = signed_token_key(
        LocalSigner(unsafe_signing_key(alg)), held, iss=ISS, recipient_id=RECIPIENT_ID,
        issued_at_ms=ISSUED_AT_MS, span=span, key=key,
    )  # fmt: skip
    header, claims = (decoded(segment) for segment in token.split(b".")[:2])
    sealed = claims.pop("key")
    tokens = CardTokens(key.secret)
    return {
        "name": f"epoch {span.epoch}, {alg}, {recipient_jwk['alg']} with {recipient_jwk.get('crv', 'RSA')}",
        "signed_key": token.decode(),
        "header": header,
        "claims": claims,
        "sealed_header": decoded(sealed.encode().split(b".")[0]),
        "jwk": token_key_jwk(RECIPIENT_ID, span.epoch, key),
        "card_tokens": {pan: tokens.card_token(pan) for pan in PANS},
    }


def token_keys() -> list[dict[str, Any]]:
    """An epoch that ends, the one in use, one that is planned; each to another kind of key."""
    found = spans(TokenEpochs({RECIPIENT_ID: CHANGES}), RECIPIENT_ID)
    algs = (SignatureAlgorithm.ES256, SignatureAlgorithm.EDDSA, SignatureAlgorithm.PS256)
    return [
        _vector(span, alg, private)
        for span, alg, private in zip(found, algs, unsafe_recipient_jwks(), strict=True)
    ]
