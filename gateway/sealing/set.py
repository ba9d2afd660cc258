"""Security event tokens (RFC 8417) of a share, its withdrawal and its erasure, signed as compact JWS."""

from collections.abc import Sequence
from functools import lru_cache
from json.encoder import encode_basestring

from gateway.sealing import base64url
from gateway.sealing.compact import Template, Values, compact, encode_json, make_template
from gateway.sealing.keys import Signer

SHARE_EVENT = "urn:x-issuernetwork:event:share:v1"
CLEAR_SHARE_EVENT = "urn:x-issuernetwork:event:clear-share:v1"
"""Of profile A. An event of its own, so that a share whose sealed body was taken out is no such thing."""
WITHDRAWN_EVENT = "urn:x-issuernetwork:event:withdrawn:v1"
ERASURE_EVENT = "urn:x-issuernetwork:event:erasure:v1"
SET_TYPE = "secevent+jwt"

# Of signing keys in use at once (one a stream's algorithm, two while a key changes) and forms of a share.
TEMPLATES_CACHED = 64

# As `encode_json` writes strings; it would make itself anew for each token.
_quoted = encode_basestring


def header_segment(alg: str, kid: str) -> bytes:
    """What every token by that key begins with, up to its first dot."""
    return base64url.encode(encode_json({"alg": alg, "kid": kid, "typ": SET_TYPE}).encode())


def sign_set(signer: Signer, claims: dict[str, object]) -> bytes:
    """Compact JWS over `claims` with the header of a SET. No `exp`: RFC 8417 2.2 advises against it."""
    return compact(signer, _of_claims(signer.alg, signer.kid), (encode_json(claims).encode(),))


@lru_cache(maxsize=TEMPLATES_CACHED)
def _of_claims(alg: str, kid: str) -> Template:
    return make_template(header_segment(alg, kid), (b"", b""))


def share_set(
    signer: Signer,
    *,
    iss: str,
    recipient_id: str,
    issued_at_ms: int,
    jti: str,
    evaluation_id: str,
    share_id: str,
    issuer_id: str,
    program: str,
    sealed: bytes,
    stream_seq: int | None = None,
    clear: bool = False,
) -> bytes:
    """The signed SET that carries `sealed` (compact JWE). `stream_seq` is None where it is on no stream.

    With `clear` (profile A) `sealed` is not sealed: the members that `body.clear_members` wrote.
    """
    if not (clear or sealed.isascii()):
        raise ValueError("a compact JWE is of base64url and dots")  # which need no escaping
    template = _of_shares(signer.alg, signer.kid, iss, stream_seq is not None, clear)
    iat = issued_at_ms // 1000
    values: Values = (
        (recipient_id, iat, jti, evaluation_id, share_id, program, share_id, issuer_id, sealed)
        if stream_seq is None else
        (recipient_id, iat, jti, evaluation_id, share_id, program, share_id, issuer_id, stream_seq, sealed)
    )  # fmt: skip
    return compact(signer, template, values)


@lru_cache(maxsize=TEMPLATES_CACHED)
def _of_shares(alg: str, kid: str, iss: str, on_stream: bool, clear: bool) -> Template:
    """What all shares by that key have. Of recipients and programs nothing: one that serves all of them stays
    in the processor's caches, and to write their few ids anew takes less than to fetch one's own."""
    last = b"," if clear else b',"encryptedData":"'
    chunks = (
        f'{{"iss":{_quoted(iss)},"aud":'.encode(),
        b',"iat":',
        b',"jti":',
        b',"txn":',
        b',"sub_id":{"format":"opaque","id":',
        f'}},"events":{{"{CLEAR_SHARE_EVENT if clear else SHARE_EVENT}":{{"program":'.encode(),
        b',"share_id":',
        b',"issuer_id":',
        *((b',"stream_seq":', last) if on_stream else (last,)),
        b"}}}" if clear else b'"}}}',
    )
    return make_template(header_segment(alg, kid), chunks)


def withdrawn_set(
    signer: Signer,
    *,
    iss: str,
    recipient_id: str,
    issued_at_ms: int,
    jti: str,
    evaluation_id: str,
    share_id: str,
    issuer_id: str,
    program: str,
    stream_seq: int,
    reason: str,
    void_from_seq: int | None = None,
) -> bytes:
    """The signed tombstone that takes the sequence number of a share withdrawn before it was delivered.

    With `void_from_seq` it takes all numbers from that one on, which no share has.
    """
    event: dict[str, object] = {
        "stream_seq": stream_seq,
        "program": program,
        "share_id": share_id,
        "issuer_id": issuer_id,
        "reason": reason,
    }
    if void_from_seq is not None:
        event["void_from_seq"] = void_from_seq
    claims = _claims(
        iss=iss, recipient_id=recipient_id, issued_at_ms=issued_at_ms, jti=jti,
        evaluation_id=evaluation_id, share_id=share_id, event_uri=WITHDRAWN_EVENT, event=event,
    )  # fmt: skip
    return sign_set(signer, claims)


def erasure_set(
    signer: Signer,
    *,
    iss: str,
    recipient_id: str,
    issued_at_ms: int,
    jti: str,
    erasure_id: str,
    share_ids: Sequence[str],
    stream_seq: int,
) -> bytes:
    """The signed order to erase shares that the recipient has. It names no card."""
    event: dict[str, object] = {
        "stream_seq": stream_seq,
        "erasure_id": erasure_id,
        "share_ids": list(share_ids),
    }
    claims = _claims(
        iss=iss, recipient_id=recipient_id, issued_at_ms=issued_at_ms, jti=jti, evaluation_id=erasure_id,
        share_id=erasure_id, event_uri=ERASURE_EVENT, event=event,
    )  # fmt: skip
    return sign_set(signer, claims)


def _claims(
    *,
    iss: str,
    recipient_id: str,
    issued_at_ms: int,
    jti: str,
    evaluation_id: str,
    share_id: str,
    event_uri: str,
    event: dict[str, object],
) -> dict[str, object]:
    return {
        "iss": iss,
        "aud": recipient_id,
        "iat": issued_at_ms // 1000,
        "jti": jti,
        "txn": evaluation_id,
        "sub_id": {"format": "opaque", "id": share_id},
        "events": {event_uri: event},
    }
