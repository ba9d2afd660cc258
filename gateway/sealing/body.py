"""The sealed body: what only the recipient reads. It repeats the routing claims, so that a swap is seen."""

from collections.abc import Mapping
from json import JSONEncoder

SCHEMA_VERSION = 1

# Names of v1.Purpose, as recipients read them.
PURPOSE_NAMES: dict[int, str] = {1: "fraud_authorization", 2: "fraud_reporting"}

_encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False).encode


def sealed_body(
    *,
    share_id: str,
    issuer_id: str,
    recipient_id: str,
    program: str,
    purpose: int,
    card_token: str,
    token_epoch: int,
    match: Mapping[str, object],
    fields: Mapping[str, object],
    schema_version: int = SCHEMA_VERSION,
) -> bytes:
    """JSON of CONTRACT's SealedBody. `purpose` is a number of v1.Purpose; `card_token` may be empty."""
    return _encode(
        {
            "share_id": share_id,
            "issuer_id": issuer_id,
            "recipient_id": recipient_id,
            "program": program,
            "purpose": PURPOSE_NAMES[purpose],
            "schema_version": schema_version,
            "card_token": card_token,
            "token_epoch": token_epoch,
            "match": dict(match),
            "fields": dict(fields),
        }
    ).encode()
