"""The sealed body: what only the recipient reads. It repeats the routing claims, so that a swap is seen."""

from collections.abc import Mapping
from functools import lru_cache
from json import JSONEncoder
from json.encoder import encode_basestring as _quoted

SCHEMA_VERSION = 1

# Names of v1.Purpose, as recipients read them.
PURPOSE_NAMES: dict[int, str] = {1: "fraud_authorization", 2: "fraud_reporting"}

# Programs times issuers.
ROUTINGS_CACHED = 4096

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
    # The members in one order, whatever is put together here: recipients see plain JSON.
    changing = _encode({"match": match, "fields": fields})
    routing = _routing(issuer_id, recipient_id, program, purpose, schema_version)
    return (
        f'{{"share_id":{_quoted(share_id)},{routing},"card_token":{_quoted(card_token)},'
        f'"token_epoch":{token_epoch},{changing[1:]}'
    ).encode()


@lru_cache(maxsize=ROUTINGS_CACHED)
def _routing(issuer_id: str, recipient_id: str, program: str, purpose: int, schema_version: int) -> str:
    """Members that are the same for a program at an issuer, without braces."""
    members = {
        "issuer_id": issuer_id,
        "recipient_id": recipient_id,
        "program": program,
        "purpose": PURPOSE_NAMES[purpose],
        "schema_version": schema_version,
    }
    return _encode(members)[1:-1]
