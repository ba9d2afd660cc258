"""The sealed body: what only the recipient reads. It repeats the routing claims, so that a swap is seen."""

from collections.abc import Mapping
from functools import lru_cache
from json import JSONEncoder

SCHEMA_VERSION = 1

# Names of v1.Purpose, as recipients read them.
PURPOSE_NAMES: dict[int, str] = {1: "fraud_authorization", 2: "fraud_reporting"}

# Members of `match` while two epochs of card tokens overlap: beside the card's present token, the one before.
PREVIOUS_TOKEN = "previous_card_token"  # noqa: S105 - the name of the member
PREVIOUS_EPOCH = "previous_token_epoch"

# Programs times issuers.
ROUTINGS_CACHED = 4096

_encode = JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False, allow_nan=False).encode


def json_by_twin(value: object) -> bytes:
    """UTF-8 JSON without spaces, by the standard library."""
    return _encode(value).encode()


def write_body(
    share_id: str,
    routing: bytes,
    card_token: str,
    token_epoch: int,
    matching: Mapping[str, object],
    fields: dict[str, object],
    more: bytes = b"",
) -> bytes:
    """The body around `routing`. The members in one order: recipients see it. A payment's are written by the
    engine, where it is built, to the same bytes (native/src/sealing/share.rs).

    `more` follows the fields in their object: members that were written before, as JSON without braces.
    """
    changing = {"card_token": card_token, "token_epoch": token_epoch, "match": matching, "fields": fields}
    written = json_by_twin(changing)[1:-2]
    if more:
        written += b",%b" % more if fields else more
    return b'{"share_id":%b,%b,%b}}' % (json_by_twin(share_id), routing, written)


def clear_members(purpose: int, fields: Mapping[str, object], schema_version: int = SCHEMA_VERSION) -> bytes:
    """Members of an event under profile A, as JSON without braces: no card, no match, nothing sealed."""
    members = {"purpose": PURPOSE_NAMES[purpose], "schema_version": schema_version, "fields": fields}
    return json_by_twin(members)[1:-1]


def members_of(fields: Mapping[str, object]) -> bytes:
    """JSON of members without braces, for `more`."""
    return json_by_twin(fields)[1:-1]


@lru_cache(maxsize=ROUTINGS_CACHED)
def routing_of(
    issuer_id: str, recipient_id: str, program: str, purpose: int, schema_version: int = SCHEMA_VERSION
) -> bytes:
    """Members that are the same for a program at an issuer, as JSON without braces."""
    members = {
        "issuer_id": issuer_id,
        "recipient_id": recipient_id,
        "program": program,
        "purpose": PURPOSE_NAMES[purpose],
        "schema_version": schema_version,
    }
    return json_by_twin(members)[1:-1]


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
    fields: dict[str, object],
    schema_version: int = SCHEMA_VERSION,
) -> bytes:
    """The sealed body of docs/reference/feed.md. `purpose` is of v1.Purpose; `card_token` may be empty."""
    routing = routing_of(issuer_id, recipient_id, program, purpose, schema_version)
    return write_body(share_id, routing, card_token, token_epoch, match, fields)
