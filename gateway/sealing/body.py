"""The sealed body: what only the recipient reads. It repeats the routing claims, so that a swap is seen."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from json import JSONEncoder

from gateway.runtime.native import engines

SCHEMA_VERSION = 1

# Names of v1.Purpose, as recipients read them.
PURPOSE_NAMES: dict[int, str] = {1: "fraud_authorization", 2: "fraud_reporting"}

# Programs times issuers.
ROUTINGS_CACHED = 4096

_encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False).encode


def json_by_twin(value: object) -> bytes:
    """UTF-8 JSON without spaces, by the standard library."""
    return _encode(value).encode()


to_json: Callable[[object], bytes] = json_by_twin if engines is None else engines.json
"""By the engine where it is built: an eighth of the time."""


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
    changing = to_json(
        {
            "card_token": card_token,
            "token_epoch": token_epoch,
            "match": match,
            "fields": fields,
        }
    )
    routing = _routing(issuer_id, recipient_id, program, purpose, schema_version)
    return b'{"share_id":%b,%b,%b' % (to_json(share_id), routing, changing[1:])


@lru_cache(maxsize=ROUTINGS_CACHED)
def _routing(issuer_id: str, recipient_id: str, program: str, purpose: int, schema_version: int) -> bytes:
    """Members that are the same for a program at an issuer, without braces."""
    members = {
        "issuer_id": issuer_id,
        "recipient_id": recipient_id,
        "program": program,
        "purpose": PURPOSE_NAMES[purpose],
        "schema_version": schema_version,
    }
    return json_by_twin(members)[1:-1]
