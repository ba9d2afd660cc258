"""The hot path by what documents say: profile A, fresh content keys, a signature that we cannot make."""

import hashlib
import json
from typing import Any

import pytest

from gateway.programs.documents import load_policy
from gateway.programs.table import ReleaseTable, compile_table
from gateway.sealing.keys import SignatureAlgorithm
from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.kit.payments import NORTHGATE
from tests.kit.stream_policy import policy
from tests.unit.sharing.kit import RELEASED, Kit, requests, sample_files

CLEAR, BANK = "merchant-notes", "northgate-bank"


def table(**recipient: str) -> ReleaseTable:
    """The sample with the program under profile A, and more members for the bank."""
    files = {**sample_files()}
    for name in ("programs/merchant-notes.yaml", "enrolments/northgate-bank-merchant-notes.yaml"):
        files[name] = policy()[name]
    for member, value in recipient.items():
        files[f"recipients/{BANK}.yaml"] += f"{member}: {value}\n"
    return compile_table(load_policy(files, version=7))


def decisions(kit: Kit, program: str = "") -> list[storage.Decision]:
    kit.results(*requests(30, iin=NORTHGATE))
    return [d for r in kit.journal.records() for d in r.decisions if program in ("", d.program)]


def test_a_record_under_profile_a_is_kept_clear_without_a_key_and_without_a_pseudonym() -> None:
    found = decisions(Kit(table=table(), without_key=BANK), CLEAR)
    assert len(found) == 30
    for one in found:
        assert (one.outcome, one.profile) == (RELEASED, "A")
        assert (one.card_token, one.token_epoch, one.recipient_kid) == ("", 0, "")
        assert json.loads(b"{%b}" % one.sealed)["fields"] == {"mcc": "5411", "merchant_country": "US"}
        assert hashlib.sha256(one.sealed).digest() == one.payload_sha256
    assert len({one.share_id for one in found}) == 30


def test_without_a_key_what_has_to_be_sealed_is_withheld_beside_it() -> None:
    kit = Kit(table=table(), without_key=BANK)
    sealed = [one for one in decisions(kit) if one.profile == "B"]
    assert sealed
    assert {one.withhold_reason for one in sealed} == {storage.WITHHOLD_REASON_KEY_UNAVAILABLE}


@pytest.mark.parametrize(("content_key", "messages"), [("fresh", 1), ("cached", 30)])
def test_a_content_key_serves_as_many_messages_as_the_recipients_document_says(
    content_key: str, messages: int
) -> None:
    found = [d for d in decisions(Kit(table=table(content_key=content_key))) if d.profile == "B" and d.sealed]
    wrapped = [d.sealed.split(b".")[1] for d in found]
    assert len(found) > 5
    assert max(wrapped.count(one) for one in wrapped) <= messages
    assert len(set(wrapped)) == (len(found) if messages == 1 else 1)


def test_a_recipient_whose_signature_we_have_no_key_for_loses_both_arms_and_both_profiles_alike() -> None:
    def without(*algorithms: str) -> Any:
        kit = Kit(table=table(signing_algorithm="RS256"))
        kit.gateway._signable = frozenset(SignatureAlgorithm) - frozenset(algorithms)
        return decisions(kit)

    refused = without("RS256")
    assert {(one.outcome, one.withhold_reason, one.eligible) for one in refused} == {
        (storage.DECISION_OUTCOME_WITHHELD, storage.WITHHOLD_REASON_KEY_UNAVAILABLE, False)
    }
    assert any(one.outcome == RELEASED for one in without("ES256"))
