"""Cardholders' requests over gRPC, against a real server: the same cases as the commands write."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.keyfiles import load_keys
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.feeds.fanout import ERASURES
from gateway.feeds.ports import FanOutChange, Notice
from gateway.programs.subjects import CaseKind, CaseState
from gateway.runtime.clock import SystemClock
from gateway.sealing import base64url
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.policy import read_policy
from issuernetwork.v1 import subjects_pb2 as v1
from tests.kit.installation import SAMPLE_POLICY, quick_install
from tests.kit.operator_calls import Desk, desk
from tests.kit.payments import NORTHGATE, pan

PAN = pan(NORTHGATE, 7)
CARD = v1.SubjectCard(pan=PAN)


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Desk]:
    settings = quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
    with desk(settings) as running:
        yield running


def test_an_objection_is_written_under_its_operator_and_found_by_the_card(calls: Desk) -> None:
    told = calls.call("RecordObjection", "ops", card=CARD, reason="letter")
    assert (told.case_id, told.effect.consent_epoch) == (1, 1)
    calls.call("DecideObjection", "boss", case_id=1, state=v1.SUBJECT_CASE_STATE_UPHELD, reason="art. 21")
    found = calls.call("GetSubject", "audrey", card=CARD)
    assert [(one.kind, one.state, one.actor, one.reason) for one in found.steps] == [
        (v1.SUBJECT_CASE_KIND_OBJECTION, v1.SUBJECT_CASE_STATE_RECEIVED, "ops", "letter"),
        (v1.SUBJECT_CASE_KIND_OBJECTION, v1.SUBJECT_CASE_STATE_UPHELD, "boss", "art. 21"),
    ]
    assert (list(found.disclosures), found.disclosures_total) == ([], 0)
    other = calls.call("GetSubject", "audrey", card=v1.SubjectCard(pan=pan(NORTHGATE, 8)))
    assert not other.steps


def test_a_case_names_the_card_by_the_pseudonyms_that_payments_get(calls: Desk) -> None:
    calls.call("RecordObjection", "ops", card=CARD, reason="letter")
    reference = v1.SubjectCard(card_ref=v1.SenderCardRef(sender_id="payments", card_ref="ref-1"))
    calls.call("RecordObjection", "ops", card=reference, reason="letter")
    state = calls.settings.state
    pseudonyms = Pseudonyms(load_keys(state.keys).mac_keys)
    with closing(SqliteSubjects(str(state.consents_db), SystemClock())) as cases:
        by_number, by_reference = cases.case(1)[0].unit_keys, cases.case(2)[0].unit_keys
    assert pseudonyms.card_key("pan", PAN, "") in by_number
    assert by_reference == (pseudonyms.card_key("card_ref", "ref-1", "payments"),)


def test_an_erasure_opens_both_cases_and_has_a_signed_certificate_from_the_start(calls: Desk) -> None:
    told = calls.call("RequestErasure", "ops", card=CARD, reason="art. 17")
    assert (told.objection_case_id, told.case_id) == (1, 2)
    found = calls.call("GetErasure", "audrey", case_id=2)
    assert found.asked_at_ms
    assert (found.certified_at_ms, found.forgotten_at_ms, list(found.recipients)) == (0, 0, [])
    header, claims = (
        json.loads(base64url.decode(part.encode())) for part in found.certificate.split(".")[:2]
    )
    assert header["typ"] == "ein-erasure+jwt"
    assert (claims["case_id"], claims["asked_by"]) == (2, "ops")
    with closing(SqliteSubjects(str(calls.settings.state.consents_db), SystemClock())) as cases:
        assert [one.kind for one in cases.events(0, 9)[0]] == [CaseKind.OBJECTION, CaseKind.ERASURE]
        cases.move(2, CaseState.CERTIFIED, actor="feeds", reason="done")
    assert calls.call("GetErasure", "audrey", case_id=2).certified_at_ms


def ordered(calls: Desk, case_id: int, recipient_id: str) -> None:
    """As the feeds do: an order to erase on the recipient's stream."""
    notice = Notice(case_id=case_id, recipient_id=recipient_id, share_id="erasure-1", shares=3, told_at_ms=7)
    with closing(SqliteDeliveryStore(calls.settings.state.feeds_db)) as store:
        store.commit_fan_out(
            FanOutChange(topic=ERASURES, partition=0, position=case_id, at_ms=7, notices=[notice])
        )


def test_who_told_a_recipient_by_hand_is_in_the_certificate_with_when_and_by_what_evidence(
    calls: Desk,
) -> None:
    began_ms = SystemClock().wall_ms()
    calls.call("RequestErasure", "ops", card=CARD, reason="art. 17")
    ordered(calls, 2, "northgate-bank")
    (before,) = calls.call("GetErasure", "audrey", case_id=2).recipients
    assert not before.HasField("told_by_hand")
    told = {"case_id": 2, "recipient_id": "northgate-bank", "reason": "polls no stream"}
    assert calls.call("RecordRecipientTold", "ops", **told, evidence="letter 7").effect.consent_epoch == 2
    calls.call("RecordRecipientTold", "boss", **told, evidence="letter 8, to the right address")
    found = calls.call("GetErasure", "audrey", case_id=2)
    (row,) = found.recipients
    assert (row.recipient_id, row.shares, row.told_at_ms, row.answered_at_ms) == ("northgate-bank", 3, 7, 0)
    by_hand = row.told_by_hand
    assert (by_hand.actor, by_hand.evidence) == ("boss", "letter 8, to the right address")
    assert began_ms <= by_hand.at_ms <= SystemClock().wall_ms()
    claims = json.loads(base64url.decode(found.certificate.split(".")[1].encode()))
    assert claims["recipients"]["northgate-bank"]["told_by_hand"] == {
        "actor": "boss", "at_ms": by_hand.at_ms, "evidence": "letter 8, to the right address"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"recipient_id": "harbor-federal"}, "recipient: it has no order"),
        ({"recipient_id": ""}, "recipient: it has no order"),
        ({"case_id": 1}, "case: this is an objection"),
        ({"case_id": 9}, "none of this number"),
        ({"evidence": " "}, "evidence: takes 1 to 256"),
        ({"evidence": "4111" * 65}, "evidence: takes 1 to 256"),
        ({"reason": ""}, "reason"),
    ],
)
def test_only_who_has_an_order_of_an_erasure_is_told_by_hand_and_with_evidence(
    calls: Desk, changed: dict[str, object], says: str
) -> None:
    calls.call("RequestErasure", "ops", card=CARD, reason="art. 17")
    ordered(calls, 2, "northgate-bank")
    members = {"case_id": 2, "recipient_id": "northgate-bank", "evidence": "letter 7", "reason": "by hand"}
    code, text = calls.refused("RecordRecipientTold", "ops", **{**members, **changed})
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert says in text
    assert "4111" not in text
    with closing(SqliteSubjects(str(calls.settings.state.consents_db), SystemClock())) as cases:
        assert cases.told(2) == []


@pytest.mark.parametrize(
    ("method", "members", "says"),
    [
        ("RecordObjection", {"reason": "x"}, "card"),
        ("RecordObjection", {"card": CARD}, "reason"),
        ("RecordObjection", {"card": v1.SubjectCard(pan="4111111111111112"), "reason": "x"}, "check digit"),
        ("RecordObjection", {"card": v1.SubjectCard(card_token="a" * 26), "reason": "x"}, "card-token"),
        ("GetSubject", {"card": v1.SubjectCard(card_ref=v1.SenderCardRef(card_ref="r"))}, "sender"),
        ("DecideObjection", {"case_id": 9, "state": 2, "reason": "x"}, "none of this number"),
        ("DecideObjection", {"case_id": 1, "state": 4, "reason": "x"}, "upheld or refused"),
        ("GetErasure", {"case_id": 9}, "none of this number"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_member_and_never_a_value(
    calls: Desk, method: str, members: dict[str, object], says: str
) -> None:
    code, text = calls.refused(method, "ops", **members)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert says in text
    assert "4111" not in text
