"""Cardholders' requests over gRPC, against a real server: the same cases as the commands write."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from gateway.backends.embedded.keyfiles import load_keys
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.programs.subjects import CaseKind, CaseState
from gateway.runtime.clock import SystemClock
from gateway.sealing import base64url
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.install import install
from gateway.server.policy import read_policy
from issuernetwork.v1 import subjects_pb2 as v1
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.operator_calls import Desk, desk
from tests.kit.payments import NORTHGATE, pan

PAN = pan(NORTHGATE, 7)
CARD = v1.SubjectCard(pan=PAN)


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Desk]:
    settings = install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
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
