"""The key behind the card tokens of one recipient and epoch, as it is handed to that recipient.

A signed token of a type of its own. The key inside is an `oct` JWK (RFC 7518 6.4) in a compact JWE to the
recipient, and says whose and which it is: a swapped ciphertext is seen.
"""

from typing import Final

from gateway.sealing import base64url
from gateway.sealing.jwe import Held
from gateway.sealing.keys import MacKey, Signer
from gateway.sealing.signed_json import encode_json, signed_json
from gateway.sealing.token_spans import EpochSpan

TOKEN_KEY_TYPE: Final = "ein-token-key+jwt"  # noqa: S105 - the type's name


def token_key_id(recipient_id: str, epoch: int) -> str:
    """Member `kid` of the key."""
    return f"{recipient_id}.{epoch}"


def token_key_jwk(recipient_id: str, epoch: int, key: MacKey) -> dict[str, str]:
    """The key itself, a secret."""
    return {
        "kty": "oct", "alg": "HS256", "kid": token_key_id(recipient_id, epoch),
        "k": base64url.encode(key.secret).decode(),
    }  # fmt: skip


def signed_token_key(
    signer: Signer, held: Held, *, iss: str, recipient_id: str, issued_at_ms: int, span: EpochSpan,
    key: MacKey,
) -> bytes:  # fmt: skip
    """The compact JWS that holds the sealed key. Without `until_ms` no end of the epoch is known."""
    sealed, _ = held.seal_hashed(encode_json(token_key_jwk(recipient_id, span.epoch, key)).encode())
    claims: dict[str, object] = {
        "iss": iss, "aud": recipient_id, "iat": issued_at_ms // 1000, "epoch": span.epoch,
        "from_ms": span.from_ms, "key": sealed.decode("ascii"),
    }  # fmt: skip
    if span.until_ms:
        claims["until_ms"] = span.until_ms
    return signed_json(signer, TOKEN_KEY_TYPE, claims)
