from typing import Any

from issuernetwork.receiver import Share
from issuernetwork.v1 import feed_pb2
from simulator.decisions import BEHAVIOURS, Nature, approves
from simulator.desk import Desk, mangled, reference_keys

REFERENCES = {
    "acquiring_institution_id": "423456",
    "stan": "000001",
    "transmission_date_time": "0106010203",
    "retrieval_reference_number": "500600000001",
    "amount_minor": 1_000,
    "currency": "USD",
    "iin": "90100101",
    "last4": "1234",
    "card_acceptor_id": "CA0000000m-0001",
    "attempted_at_ms": 1_736_121_600_000,
}


def message(
    nature: Nature, *, elements: list[tuple[str, str, str, str]] | None = None, name: str = "p-1-1"
) -> dict[str, Any]:
    return {
        "id": name,
        "kind": "authorization",
        "refs": REFERENCES,
        "elements": elements or [],
        "nature": [
            nature.approval, nature.code, nature.fraud, nature.attempt_no, nature.unmatched, nature.late,
        ],
        "reported_at_ms": 0,
    }  # fmt: skip


def nature(approval: float = 0.88, *, fraud: bool = False, late: bool = False) -> Nature:
    # 0.88 lies between northgate's two probabilities: the data alone decides.
    return Nature(approval, 0.1, fraud, 1, unmatched=False, late=late)


def share(
    share_id: str = "s-1", *, program: str = "risk-score", fields: dict[str, Any] | None = None
) -> Share:
    return Share(
        share_id=share_id, program=program, issuer_id="northgate-bank", recipient_id="northgate-bank",
        stream_seq=1, jti=share_id, evaluation_id="e-1", issued_at_ms=0, received_at_ms=0,
        purpose="fraud_reporting" if program == "fraud-reports" else "fraud_authorization",
        schema_version=1, token_epoch=1, card_token="",
        match={"keys": reference_keys(REFERENCES), "attempted_at_ms": 0},
        fields={"score_norm": 20} if fields is None else fields,
    )  # fmt: skip


def desk(issuer_id: str = "northgate-bank") -> Desk:
    return Desk(BEHAVIOURS[issuer_id], seed=1)


def uses(at: Desk) -> list[tuple[str, int]]:
    return [(receipt.share_id, receipt.use) for receipt in at.take_receipts(100)]


def test_without_data_the_issuer_takes_the_world_without() -> None:
    at = desk()
    approved, code, _ = at.decide(message(nature()), [], now_ms=5)
    assert not approved
    assert code != "00"
    assert uses(at) == []


def test_with_verified_data_it_takes_the_world_with_and_says_used() -> None:
    at = desk()
    approved, _, _ = at.decide(message(nature()), [share()], now_ms=5)
    assert approved
    assert approves(BEHAVIOURS["northgate-bank"], nature(), with_data=True)
    assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_USED)]


def test_data_without_what_the_program_is_for_is_seen_and_not_used() -> None:
    for useless in (share(fields={}), share(program="enhanced-data", fields={"email": "x"})):
        at = desk()
        approved, _, _ = at.decide(message(nature()), [useless], now_ms=5)
        assert not approved
        assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_SEEN)]


def test_an_element_of_the_message_is_data_too() -> None:
    at = desk("summit-credit-union")
    worse = nature(0.86)
    told = at.decide(message(worse, elements=[("s-1", "risk-score", "DE48.SE71", "20")]), [], now_ms=5)
    untold = desk("summit-credit-union").decide(message(worse), [], now_ms=5)
    assert (told[0], untold[0]) == (False, True)
    assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_USED)]


def test_an_issuer_that_ignores_data_says_seen() -> None:
    at = desk("meridian-cards")
    at.decide(message(nature(), elements=[("s-1", "risk-score", "DE48.SE71", "20")]), [], now_ms=5)
    assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_SEEN)]


def test_a_share_that_comes_after_the_decision_is_late() -> None:
    at = desk()
    at.decide(message(nature()), [], now_ms=5)
    at.arrived(share(), now_ms=9)
    (receipt,) = at.take_receipts(10)
    assert (receipt.use, receipt.decided_at_ms, receipt.received_at_ms) == (feed_pb2.RECEIPT_USE_LATE, 5, 9)


def test_a_share_that_comes_first_waits_for_its_authorization() -> None:
    at = desk()
    at.arrived(share(), now_ms=1)
    assert at.shares_held == 1
    approved, _, _ = at.decide(message(nature()), at.held_for(REFERENCES), now_ms=5)
    assert approved
    assert at.shares_held == 0
    assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_USED)]


def test_a_share_without_an_authorization_is_not_matched_after_its_grace() -> None:
    at = desk()
    at.arrived(share(), now_ms=1)
    at.settle_overdue(now_ms=100, grace_ms=1_000)
    assert uses(at) == []
    at.settle_overdue(now_ms=1_001, grace_ms=1_000)
    assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_NOT_MATCHED)]


def test_a_share_that_came_twice_gets_one_receipt() -> None:
    at = desk()
    at.decide(message(nature()), [share()], now_ms=5)
    at.arrived(share(), now_ms=9)
    assert len(uses(at)) == 1


def test_a_late_decision_says_late_and_ignores_what_it_has() -> None:
    at = desk()
    approved, _, _ = at.decide(message(nature(late=True)), [share()], now_ms=5)
    assert not approved
    assert uses(at) == [("s-1", feed_pb2.RECEIPT_USE_LATE)]


def test_a_fraud_report_that_is_shared_is_seen_at_once() -> None:
    at = desk()
    at.arrived(share("s-9", program="fraud-reports"), now_ms=3)
    assert uses(at) == [("s-9", feed_pb2.RECEIPT_USE_SEEN)]


def test_a_withdrawn_share_is_used_no_more() -> None:
    at = desk()
    at.arrived(share(), now_ms=1)
    at.withdrawn("s-1")
    assert at.held_for(REFERENCES) == []


def test_approved_fraud_is_reported_later_in_event_time() -> None:
    due = []
    for number in range(40):
        approved, _, labels = desk().decide(
            message(nature(0.01, fraud=True), name=f"p-{number}"), [share()], now_ms=5
        )
        assert approved
        due.extend(labels)
    assert 10 < len(due) < 40
    assert all(label.due_ms > REFERENCES["attempted_at_ms"] for label in due)
    assert all(label.label.share_id == "s-1" for label in due)


def test_mangled_references_share_no_key_with_the_true_ones() -> None:
    assert not set(reference_keys(REFERENCES)) & set(reference_keys(mangled(REFERENCES)))
