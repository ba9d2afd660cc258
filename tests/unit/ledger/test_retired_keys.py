"""Heads of the ledger by keys that were retired since: good from their time, and no later."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.ledger.heads import line_hash, next_head, signed_line
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signer import LocalSigner
from gateway.server.cli.audit import signature_check, verify_state
from tests.kit.jwks import public_jwks
from tests.unit.ledger.kit import ISS, KEY, Ledger

NEXT = SigningKey("sig-2", SignatureAlgorithm.ES256, p256_private_key(UnsafeSeededEntropy(7)))


@pytest.fixture
def rotated(ledger: Ledger) -> Ledger:
    """Two heads by the first key, two by the second."""
    for numbers in ((1, 2), (3, 4)):
        for number in numbers:
            ledger.share(number)
        ledger.key = NEXT
    return ledger


def found(ledger: Ledger, **members: Any) -> list[tuple[str, str, int, int]]:
    """Findings with a JWK Set in which the first key has more `members`, or is missing."""
    (first,), (second,) = (public_jwks((key,))["keys"] for key in (KEY, NEXT))
    known = [second] if members.pop("missing", False) else [second, {**first, **members}]
    report = verify_state(ledger.state, signature_check({"keys": known}))
    return [(one.kind, one.place, one.first, one.last) for one in report.findings]


def at_ms(ledger: Ledger, number: int) -> int:
    """When head `number` was signed."""
    return int(json.loads(ledger.lines()[number - 1])["at_ms"])


def test_heads_by_a_key_that_was_retired_later_are_good_with_it_and_not_without(rotated: Ledger) -> None:
    assert found(rotated, retired_at_ms=at_ms(rotated, 2)) == []
    assert found(rotated) == []
    assert found(rotated, missing=True) == [("edited", "heads", number, number) for number in (1, 2)]


def test_a_head_that_is_dated_after_its_key_was_retired_is_named(rotated: Ledger) -> None:
    assert found(rotated, retired_at_ms=at_ms(rotated, 2) - 1) == [("edited", "heads", 2, 2)]


def test_heads_that_were_there_when_their_key_was_retired_are_good_by_a_clock_that_was_ahead_too(
    rotated: Ledger,
) -> None:
    # Signed an hour ahead; then the clock was put right, and the key retired within that hour.
    retired_at_ms = at_ms(rotated, 1) - 3_600_000
    assert found(rotated, retired_at_ms=retired_at_ms, retired_after_head=2) == []
    assert found(rotated, retired_at_ms=retired_at_ms, retired_after_head=1) == [("edited", "heads", 2, 2)]
    assert found(rotated, retired_at_ms=retired_at_ms) == [
        ("edited", "heads", number, number) for number in (1, 2)
    ]


@pytest.mark.parametrize("dated", [lambda now_ms: now_ms, lambda now_ms: 1])
def test_a_head_that_somebody_signs_with_a_retired_key_is_named_however_it_is_dated(
    rotated: Ledger, dated: Callable[[int], int]
) -> None:
    lines, retired_at_ms = rotated.lines(), at_ms(rotated, 3) - 1
    tails = rotated.store.tails()
    forged = next_head(tails, last_number=3, last_line=lines[2], at_ms=dated(at_ms(rotated, 4)))
    line = signed_line(forged, LocalSigner(KEY), iss=ISS)
    assert forged.previous == line_hash(lines[2])
    rotated.rewrite_heads(lambda held: [*held[:3], line])
    rotated.sql("update head set line = ?", line)
    assert found(rotated) == [], "by a key that is not retired it would be a head like any other"
    for after_head in (0, 2, 3):
        told = found(rotated, retired_at_ms=retired_at_ms, retired_after_head=after_head)
        assert told == [("edited", "heads", 4, 4)]
