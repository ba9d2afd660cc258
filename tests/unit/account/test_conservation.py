"""The account adds up for an honest run, and names each way in which a run can be dishonest."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.outcomes.conservation import Account
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as v1

ENQUEUED, SENT = storage.DELIVERY_EVENT_ENQUEUED, storage.DELIVERY_EVENT_SENT
ACKNOWLEDGED, WITHDRAWN = storage.DELIVERY_EVENT_ACKNOWLEDGED, storage.DELIVERY_EVENT_WITHDRAWN


def sender_line(number: int, status: str = "shared", *, answered: bool = True) -> dict[str, Any]:
    share = f"share-{number}" if status != "withheld" else ""
    decision = {"program": "risk-score", "status": status, "reason": None, "share_id": share}
    return {
        "request_id": f"req-{number}",
        "answered": answered,
        "error": None,
        "decisions": [decision] if answered else [],
    }


def evaluation(number: int, *, released: bool = True) -> storage.Evaluation:
    record = storage.Evaluation(evaluation_id=f"eval-{number}", request_id=f"req-{number}")
    if released:
        record.decisions.add(
            share_id=f"share-{number}",
            outcome=storage.DECISION_OUTCOME_RELEASED,
            transports=[v1.TRANSPORT_SSF],
        )
    else:
        record.decisions.add(
            outcome=storage.DECISION_OUTCOME_WITHHELD, withhold_reason=storage.WITHHOLD_REASON_HOLDOUT
        )
    return record


def delivery(number: int, event: int) -> storage.DeliveryRecord:
    return storage.DeliveryRecord(
        share_id=f"share-{number}",
        stream_id="stream-a",
        stream_seq=number,
        event=event,  # type: ignore[arg-type]
        transport=v1.TRANSPORT_SSF,
    )


def log_line(number: int, **changes: Any) -> dict[str, Any]:
    line = {
        "share_id": f"share-{number}",
        "transport": "ssf",
        "kind": "data",
        "verified": True,
        "duplicate": False,
    }
    return {**line, **changes}


def honest() -> Account:
    """Three payments shared and received, one held out, one withdrawn, one unanswered and yet shared."""
    account = Account()
    for number in (1, 2, 3):
        account.sender(sender_line(number))
    account.sender(sender_line(4, "withheld"))
    account.evaluation(evaluation(4, released=False))
    account.sender(sender_line(5, answered=False))
    for number in (1, 2, 3, 5):
        account.evaluation(evaluation(number))
    # Places in the stream follow the order of fan-out.
    for place, number in enumerate((1, 2, 3, 5), start=1):
        record = delivery(number, ENQUEUED)
        record.stream_seq = place
        account.delivery(record)
    for number in (1, 2, 5):
        account.delivery(delivery(number, SENT))
        account.delivery(delivery(number, ACKNOWLEDGED))
        account.receiver(log_line(number))
    account.receiver(log_line(2, duplicate=True))
    account.delivery(delivery(3, WITHDRAWN))
    account.receiver(log_line(3, kind="withdrawn"))
    return account


def test_an_honest_run_adds_up_with_a_column_for_what_the_sender_never_heard() -> None:
    result = honest().result()
    assert result.adds_up, result.broken
    assert result.columns["received"] == 5
    assert result.columns["answered"] == 4
    assert result.columns["released"] == 4
    assert result.columns["undetermined"] == 1
    assert result.columns["verified"] == 3
    assert result.columns["withdrawn"] == 1
    assert result.columns["duplicates"] == 0
    assert result.columns["repeats_dropped"] == 1
    assert result.columns["lost"] == 0
    assert result.withheld == {"holdout": 1}


BREACHES: dict[str, Callable[[Account], None]] = {
    "told shared, not in the journal": lambda a: a.sender(sender_line(9)),
    "answered with a share, not evaluated": lambda a: a.sender(sender_line(9)),
    "evaluated, never sent by the sender": lambda a: a.evaluation(evaluation(9, released=False)),
    "share released twice": lambda a: a.evaluation(_again()),
    "released, never enqueued": lambda a: (a.sender(sender_line(9)), a.evaluation(evaluation(9)))[0],
    "enqueued, never released": lambda a: a.delivery(delivery(9, ENQUEUED)),
    "two shares at one place of a stream": lambda a: a.delivery(_at_place(9, 1)),
    "gap in a stream": lambda a: a.delivery(_at_place(5, 9)),
    "acknowledged, not in the receiver's log": lambda a: (
        a.delivery(delivery(9, ENQUEUED)),
        a.delivery(delivery(9, ACKNOWLEDGED)),
    )[0],
    "left without a record": lambda a: a.receiver(log_line(3)),
    "in a message, never released": lambda a: a.receiver(log_line(9, transport="message")),
    "doubled in effect": lambda a: a.receiver(log_line(1)),
}


def _again() -> storage.Evaluation:
    record = evaluation(1)
    record.evaluation_id = "eval-other"
    return record


def _at_place(number: int, place: int) -> storage.DeliveryRecord:
    record = delivery(number, ENQUEUED)
    record.stream_seq = place
    return record


@pytest.mark.parametrize("rule", BREACHES)
def test_each_breach_is_named(rule: str) -> None:
    account = honest()
    BREACHES[rule](account)
    assert rule in account.result().broken


def test_what_is_still_queued_is_outstanding_and_not_lost() -> None:
    account = honest()
    account.sender(sender_line(6))
    account.evaluation(evaluation(6))
    record = delivery(6, ENQUEUED)
    record.stream_seq = 5
    account.delivery(record)
    result = account.result()
    assert result.adds_up, result.broken
    assert result.columns["outstanding"] == 1
