"""The engine seals, and writes JSON, as its twins do; a body says what was put in."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.runtime.native import engines
from gateway.sealing.body import (
    PREVIOUS_EPOCH,
    PREVIOUS_TOKEN,
    json_by_twin,
    members_of,
    routing_of,
    write_body,
)
from gateway.sealing.content_key import ContentKey

if not hasattr(engines, "ContentKey"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

NONCES = st.binary(min_size=12, max_size=12) | st.sampled_from(
    [bytes(12), b"\xff" * 12, bytes(4) + b"\xff" * 8]
)
# Around the blocks of AES and of SHA-256, and longer than a body is.
SIZES = st.sampled_from([0, 1, 2, 3, 15, 16, 17, 55, 56, 63, 64, 65, 4096, 100_003])
PLAINTEXTS = st.binary(max_size=200) | SIZES.map(lambda size: b"\xa5" * size) | st.none() | st.just("text")
TEXTS = st.text(max_size=40)
VALUES = (
    TEXTS | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=4)
)  # fmt: skip


def _sealed(key: Any, plaintext: Any) -> Any:
    try:
        return key.seal(plaintext)
    except TypeError:
        return TypeError


@given(
    secret=st.binary(min_size=32, max_size=32),
    prefix=st.binary(max_size=300),
    header=st.binary(max_size=300),
    first_nonce=NONCES,
    plaintexts=st.lists(PLAINTEXTS, min_size=1, max_size=6),
)
@settings(max_examples=500, deadline=None)
def test_both_seal_the_same_messages_to_the_same_bytes(
    secret: bytes, prefix: bytes, header: bytes, first_nonce: bytes, plaintexts: list[Any]
) -> None:
    engine = engines.ContentKey(secret, prefix, header, first_nonce)
    twin = ContentKey(secret, prefix, header, first_nonce)
    for plaintext in plaintexts:
        assert _sealed(engine, plaintext) == _sealed(twin, plaintext)


@given(
    share_id=TEXTS,
    program=TEXTS,
    card_token=TEXTS,
    token_epoch=st.integers(0, 2**32),
    keys=st.lists(TEXTS, max_size=4).map(tuple),
    attempted_at_ms=st.integers(0, 2**45),
    previous=st.none() | st.tuples(TEXTS, st.integers(1, 2**31)),
    fields=st.dictionaries(TEXTS, VALUES, max_size=8),
)
@settings(max_examples=500, deadline=None)
def test_a_body_says_what_was_put_in(
    share_id: str, program: str, card_token: str, token_epoch: int, keys: tuple[str, ...],
    attempted_at_ms: int, previous: tuple[str, int] | None, fields: dict[str, Any],
) -> None:  # fmt: skip
    routing = routing_of("issuer", "recipient", program, 1)
    match: dict[str, Any] = {"keys": keys, "attempted_at_ms": attempted_at_ms}
    if previous is not None:
        match |= {PREVIOUS_TOKEN: previous[0], PREVIOUS_EPOCH: previous[1]}
    written = write_body(share_id, routing, card_token, token_epoch, match, fields)
    assert json.loads(written) == {
        "share_id": share_id,
        "issuer_id": "issuer",
        "recipient_id": "recipient",
        "program": program,
        "purpose": "fraud_authorization",
        "schema_version": 1,
        "card_token": card_token,
        "token_epoch": token_epoch,
        "match": {**match, "keys": list(keys)},
        "fields": fields,
    }


@given(fields=st.dictionaries(TEXTS, VALUES, max_size=3), more=st.dictionaries(TEXTS, VALUES, max_size=3))
@settings(max_examples=300, deadline=None)
def test_members_written_before_make_the_body_that_they_make_amid_the_others(
    fields: dict[str, Any], more: dict[str, Any]
) -> None:
    more = {name: value for name, value in more.items() if name not in fields}
    whole = write_body("s", b'"a":1', "t", 1, {}, fields | more)
    assert write_body("s", b'"a":1', "t", 1, {}, fields, members_of(more)) == whole


@given(number=st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=1000, deadline=None)
@example(0.0001)
@example(1e16)
@example(-0.0)
@example(9999999999999998.0)
@example(70368744177664.62)
@example(0.5000076293945312)
@example(0.00010000000000000002)
@example(1023.9999999999999)
def test_both_write_a_number_as_python_does(number: float) -> None:
    assert engines.json(number).decode() == repr(number)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_no_json_is_refused_by_both(value: object) -> None:
    for write in (engines.json, json_by_twin):
        with pytest.raises((ValueError, TypeError)):
            write({"field": value})
