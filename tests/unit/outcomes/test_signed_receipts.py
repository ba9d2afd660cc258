"""Receipts in a signed token: they say what was signed, and each record keeps whose word it is."""

import json
from typing import Any

import pytest

from gateway.outcomes.receipts import MAX_ITEMS, take_receipts
from gateway.outcomes.signed_receipts import RECEIPTS_BYTES_MAX, SIGNED_RECEIPTS, receipts_of
from gateway.sealing.inbound import InboundVerifier, Party, TokenRefused
from issuernetwork._jose import verify_keys
from issuernetwork.issuer_cli import new_signing_key
from issuernetwork.receipts import RECEIPTS_MAX, signed_receipts
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.tokens import sign_key
from issuernetwork.v1 import feed_pb2 as v1
from tests.kit.seen_ids import MemorySeenIds
from tests.unit.outcomes.test_reports import BANK, GOOD, NOW_MS, Index, row

ISS = "https://network.example"
PRIVATE, PUBLIC = new_signing_key("bank-sig")
FULL = v1.Receipt(
    receipt_id="r1", share_id="share-0", match=v1.MATCH_RESULT_UNIQUE, use=v1.RECEIPT_USE_LATE,
    received_at_ms=NOW_MS - 2, decided_at_ms=NOW_MS - 1, approved=False,
)  # fmt: skip


def signed(*receipts: v1.Receipt) -> str:
    return signed_receipts(
        receipts, key=sign_key(PRIVATE), recipient_id=BANK, iss=ISS, now_s=lambda: NOW_MS / 1000
    )


def taken(token: str) -> Any:
    verifier = InboundVerifier(SIGNED_RECEIPTS, audience=ISS, seen=MemorySeenIds())
    return verifier.verify(token.encode(), Party(BANK, verify_keys({"keys": [PUBLIC]})), now_ms=NOW_MS)


@pytest.mark.parametrize("receipt", [FULL, v1.Receipt(**GOOD), v1.Receipt()])
def test_what_the_sdk_signs_is_what_is_read(receipt: v1.Receipt) -> None:
    assert receipts_of(taken(signed(receipt)).claims) == [receipt]


def test_every_field_that_a_recipient_sets_is_signed() -> None:
    ours = {"recorded_at_ms"}
    assert {one.name for one, _ in FULL.ListFields()} == set(v1.Receipt.DESCRIPTOR.fields_by_name) - ours


def test_each_word_of_the_contract_is_read_as_its_number() -> None:
    for number in v1.ReceiptUse.values()[1:]:
        for match in v1.MatchResult.values()[1:]:
            receipt = v1.Receipt(receipt_id="r", share_id="s", use=number, match=match)  # type: ignore[arg-type]
            assert receipts_of(taken(signed(receipt)).claims) == [receipt]


def test_as_many_as_one_report_takes_fit_whatever_their_ids() -> None:
    receipts = [
        v1.Receipt(
            receipt_id=f"{number:064d}", share_id="s" * 64, match=v1.MATCH_RESULT_NOT_MATCHED,
            use=v1.RECEIPT_USE_NOT_MATCHED, received_at_ms=NOW_MS, decided_at_ms=NOW_MS, approved=True,
        )
        for number in range(RECEIPTS_MAX)
    ]  # fmt: skip
    token = signed(*receipts)
    assert MAX_ITEMS == RECEIPTS_MAX
    assert RECEIPTS_BYTES_MAX * 0.8 < len(token) < RECEIPTS_BYTES_MAX
    assert receipts_of(taken(token).claims) == receipts
    for count in (0, RECEIPTS_MAX + 1):
        with pytest.raises(ValueError, match="1 to 1000"):
            signed(*[FULL] * count)


@pytest.mark.parametrize(
    "receipts",
    [
        None, {}, "x", ["x"], [None], [[]],
        *([{"receipt_id": "r", **one}] for one in (
            {"receipt_id": 7}, {"share_id": None}, {"share_id": "\u00e9"}, {"use": 1}, {"use": ["USED"]},
            {"match": 1}, {"received_at_ms": "1"}, {"received_at_ms": True}, {"received_at_ms": 1.0},
            {"decided_at_ms": -1}, {"decided_at_ms": 1 << 63}, {"approved": "yes"}, {"approved": 1},
        )),
    ],
)  # fmt: skip
def test_claims_of_another_form_are_refused_as_a_whole(receipts: Any) -> None:
    with pytest.raises(TokenRefused, match="claims"):
        receipts_of({"receipts": receipts})


def test_words_that_nobody_knows_are_told_of_the_receipt_and_members_of_later_are_passed_over() -> None:
    (found,) = receipts_of({"receipts": [{"receipt_id": "r", "share_id": "share-0", "later": {"a": 1}}]})
    assert found == v1.Receipt(receipt_id="r", share_id="share-0")
    (odd,) = receipts_of({"receipts": [{**json.loads('{"use":"used","match":"MAYBE"}'), "receipt_id": "r"}]})
    (verdict,) = take_receipts([odd], recipient_id=BANK, index=Index(row(0)), known=set(), now_ms=NOW_MS)
    assert verdict.record is None
    assert "use" in {one.field for one in verdict.issues}


def test_each_record_names_the_token_and_the_first_keeps_it_whole() -> None:
    by = storage.SignedBy(token_sha256=b"h" * 32, kid="k", key_thumbprint="t", token="a.b.c")
    receipts = [v1.Receipt(**{**GOOD, "receipt_id": name}) for name in ("bad id", "a", "b", "a", "c")]
    verdicts = take_receipts(
        receipts, recipient_id=BANK, index=Index(row(0)), known=set(), now_ms=NOW_MS, signed_by=by
    )
    kept = [storage.ReceiptRecord.FromString(one.record).signed_by for one in verdicts if one.record]
    assert [one.token for one in kept] == ["a.b.c", "", ""]
    assert {(one.token_sha256, one.kid, one.key_thumbprint) for one in kept} == {(b"h" * 32, "k", "t")}


def test_a_receipt_that_nobody_signed_says_so() -> None:
    (verdict,) = take_receipts(
        [v1.Receipt(**GOOD)], recipient_id=BANK, index=Index(row(0)), known=set(), now_ms=NOW_MS
    )
    assert verdict.record is not None
    assert not storage.ReceiptRecord.FromString(verdict.record).HasField("signed_by")
