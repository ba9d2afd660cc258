"""Fan-out: what one batch of the journals comes to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.feeds.fanout import FanOut, FanOutBatch
from gateway.programs.subjects import CaseEvent, CaseKind, CaseState, Subjects
from gateway.records.journal import EVALUATIONS, LABELS
from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.unit.feeds.records import (
    BASE_MS,
    LOOKUP,
    MESSAGE,
    SSF,
    FakeSigner,
    FakeSwitches,
    decision,
    entries,
    evaluation,
    quick_store,
)


class Bench:
    def __init__(self, path: Path) -> None:
        self.store = quick_store(path / "feeds.sqlite3")
        self.reader = self.store.reader()
        self.signer = FakeSigner()
        self.switches = FakeSwitches()
        self.subjects = Subjects()
        self.fan_out = FanOut(
            store=self.store, reader=self.reader, signer_of=lambda _: self.signer, iss="https://us.test",
            stops_card=self.subjects.stops,
        )  # fmt: skip

    def run(self, *records: storage.Evaluation, first: int = 0) -> FanOutBatch:
        return self.take(EVALUATIONS, *records, first=first)

    def take(
        self, topic: str, *records: storage.Evaluation | storage.LabelRecord, first: int = 0
    ) -> FanOutBatch:
        batch = self.fan_out.plan(topic, entries(records, first=first), self.switches, now_ms=BASE_MS)
        self.store.commit_fan_out(batch.change)
        return batch

    def close(self) -> None:
        self.reader.close()
        self.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def _kinds(batch: FanOutBatch) -> list[tuple[str, int]]:
    records = [storage.DeliveryRecord.FromString(record) for record in batch.change.records]
    return [(record.share_id, record.event) for record in records]


def test_a_share_on_two_transports_is_signed_once(bench: Bench) -> None:
    batch = bench.run(evaluation(0, decision("a", transports=(SSF, LOOKUP))))
    assert bench.signer.count == 1
    stream, lookup = batch.change.items
    assert stream.set_bytes == lookup.set_bytes
    assert (stream.stream_seq, lookup.stream_seq, lookup.stream_id) == (1, 0, "")
    assert batch.wake == {"stream-northgate-bank"}


def test_a_share_seen_before_takes_no_second_place(bench: Bench) -> None:
    batch = bench.run(evaluation(0, decision("a")), evaluation(1, decision("a")))
    assert len(batch.change.shares) == 1
    again = bench.run(evaluation(2, decision("a")), evaluation(3, decision("b")), first=2)
    assert [item.stream_seq for item in again.change.items if item.transport == SSF] == [2]


def test_only_released_decisions_become_shares(bench: Bench) -> None:
    held = decision("")
    held.outcome = storage.DECISION_OUTCOME_WITHHELD
    shadow = decision("")
    shadow.outcome = storage.DECISION_OUTCOME_SHADOW
    batch = bench.run(evaluation(0, held, shadow))
    assert (batch.change.shares, batch.change.items) == ([], [])
    assert len(batch.change.evaluations) == 1, "labels of what was held back still find their payment"


def test_what_goes_by_message_alone_is_known_and_not_delivered(bench: Bench) -> None:
    batch = bench.run(evaluation(0, decision("a", transports=(MESSAGE,))))
    assert (len(batch.change.shares), batch.change.items, bench.signer.count) == (1, [], 0)


def test_a_stopped_programs_share_takes_its_place_as_a_tombstone(bench: Bench) -> None:
    bench.switches.stop("risk-score")
    batch = bench.run(evaluation(0, decision("a")), evaluation(1, decision("b", program="enhanced-data")))
    items = {(item.share_id, item.transport): item for item in batch.change.items}
    assert (items["a", SSF].withdrawn, items["a", SSF].stream_seq, items["a", SSF].jti) == (True, 1, "a.w")
    assert items["a", LOOKUP].withdrawn
    assert (items["b", SSF].withdrawn, items["b", SSF].stream_seq) == (False, 2)
    assert ("a", storage.DELIVERY_EVENT_WITHDRAWN) in _kinds(batch)
    found = bench.reader.lookup(
        "northgate-bank", "rrn:000000000000:400001", from_ms=0, to_ms=1 << 60, now_ms=0
    )
    assert found == []


@pytest.mark.parametrize("of_label", [False, True])
def test_a_holder_who_objects_by_the_number_stops_what_was_shared_under_the_par(
    bench: Bench, *, of_label: bool
) -> None:
    """Nothing else joins the two names yet: the record of the payment has both."""
    number = b"n" * 16
    payment = evaluation(0, decision("a"), unit_key=b"p" * 16, card_key=number, decided_at_ms=BASE_MS)
    label = storage.LabelRecord(
        sender_id="payments", payment_intent_id="payment-0", attempt_no=1, issuer_id="northgate-bank",
        unit_key=b"p" * 16, card_key=number, decisions=[decision("c")],
    )  # fmt: skip
    if of_label:
        bench.run(payment)
    bench.subjects.take(
        [
            CaseEvent(
                case_id=1, kind=CaseKind.OBJECTION, state=CaseState.RECEIVED, unit_keys=(number,), epoch=1,
                actor="a", reason="r", at_ms=1,
            )
        ]
    )  # fmt: skip
    batch = bench.take(LABELS, label) if of_label else bench.run(payment)
    assert [item.withdrawn for item in batch.change.items] == [True, True]
    (found,) = bench.reader.evaluations_of_key("rrn:000000000000:400001", from_ms=0, to_ms=1 << 60)
    assert (found.unit_key, found.card_key) == (b"p" * 16, number)


def test_what_is_shared_of_a_label_belongs_to_the_payment_that_it_is_about(bench: Bench) -> None:
    bench.run(evaluation(0, decision("a")))
    label = storage.LabelRecord(
        reporter_id="payments", sender_id="payments", payment_intent_id="payment-0", attempt_no=1,
        issuer_id="northgate-bank", label_evaluation_id="label-evaluation",
        decisions=[decision("c", program="fraud-reports", transports=(SSF,))],
    )  # fmt: skip
    batch = bench.take(LABELS, label)
    [item] = batch.change.items
    assert (item.evaluation_id, item.stream_seq) == ("label-evaluation", 2)
    stored = bench.reader.share("c")
    assert stored is not None
    assert stored.evaluation.payment_intent_id == "payment-0"
