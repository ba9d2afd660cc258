"""Fan-out: what one batch of the journals comes to."""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.feeds.fanout import FanOut, FanOutBatch
from gateway.feeds.records import told_reason
from gateway.programs.consent_rows import Consent, Consents
from gateway.programs.consents import lapsed
from gateway.programs.model import FOREVER_MS, Tier
from gateway.programs.subjects import CaseEvent, CaseKind, CaseState, Subjects
from gateway.programs.switches import EVERY_ISSUER, SwitchView
from gateway.records.journal import EVALUATIONS, LABELS
from gateway.records.reasons import Reason
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1
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


def test_a_share_has_a_signer_of_its_own_and_what_takes_its_place_has_the_streams(bench: Bench) -> None:
    of_shares = FakeSigner()
    bench.fan_out = FanOut(
        store=bench.store, reader=bench.reader, signer_of=lambda _: bench.signer, iss="https://us.test",
        share_signer_of=lambda _: of_shares,
    )  # fmt: skip
    bench.run(evaluation(0, decision("a")))
    assert (of_shares.count, bench.signer.count) == (1, 0)
    bench.fan_out.notify(1, {"northgate-bank": ["a"]}, name_of=lambda recipient_id, part: "n", now_ms=BASE_MS)
    assert (of_shares.count, bench.signer.count) == (1, 1)


def test_a_share_that_nobody_can_sign_is_withdrawn_and_the_next_recipients_is_not(bench: Bench) -> None:
    bench.fan_out = FanOut(
        store=bench.store, reader=bench.reader, signer_of=lambda _: bench.signer, iss="https://us.test",
        share_signer_of=lambda recipient_id: None if recipient_id == "northgate-bank" else bench.signer,
    )  # fmt: skip
    other = decision("b", transports=(SSF,))
    other.recipient_id = "harbor-federal"
    batch = bench.run(evaluation(0, decision("a", transports=(SSF, LOOKUP)), other))
    found = {(item.share_id, item.transport): item for item in batch.change.items}
    assert {key: item.withdrawn for key, item in found.items()} == {
        ("a", SSF): True, ("a", LOOKUP): True, ("b", SSF): False,
    }  # fmt: skip
    tombstone = found["a", SSF].set_bytes.split(b".")[1]
    assert b'"reason":"key_unavailable"' in urlsafe_b64decode(tombstone + b"==")


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


UNIT_KEY = b"u" * 16
"""As `records.evaluation` has it."""


class AfterTheFact:
    """A label of a payment, decided while nothing stood against it and journalled behind an act."""

    def __init__(self, bench: Bench) -> None:
        self.view = SwitchView(epoch=1)
        self.merchants: dict[str, Consent] = {
            "m-0001": (int(Tier.BASIC), 0, FOREVER_MS, "merchant/m-0001/2026/basic")
        }
        self.platforms: dict[str, Consent] = {}
        self.subjects = Subjects()
        self._bench = bench
        bench.run(evaluation(0, decision("a")))

    def ask(self, kind: CaseKind) -> None:
        asked = CaseEvent(
            case_id=1, kind=kind, state=CaseState.RECEIVED, unit_keys=(UNIT_KEY,), epoch=1,
            actor="maria", reason="letter", at_ms=BASE_MS + 1,
        )  # fmt: skip
        self.subjects.take([asked])

    def fanned_out(self) -> FanOutBatch:
        shared = decision("c", program="fraud-reports", transports=(SSF,))
        shared.consent_id = "merchant/m-0001/2026/basic"
        label = storage.LabelRecord(
            reporter_id="payments", sender_id="payments", payment_intent_id="payment-0", attempt_no=1,
            issuer_id="northgate-bank", label_evaluation_id="label-evaluation", unit_key=UNIT_KEY,
            label=v1.LabelEvent(label_id="l", recorded_at_ms=BASE_MS), decisions=[shared],
        )  # fmt: skip
        fan_out = FanOut(
            store=self._bench.store, reader=self._bench.reader, signer_of=lambda _: self._bench.signer,
            iss="https://us.test", stops_card=self.subjects.stops,
            lapsed=partial(self._lapsed, Consents(self.merchants, self.platforms)),
        )  # fmt: skip
        return fan_out.plan(LABELS, entries([label]), self.view, now_ms=BASE_MS + 2)

    def _lapsed(self, known: Consents, merchant_id: str, platform_id: str, consent_id: str) -> Reason | None:
        reason, _ = lapsed(
            known, merchant_id=merchant_id, platform_id=platform_id, consent_id=consent_id, now_ms=BASE_MS + 2
        )
        return reason


def _kill(state: AfterTheFact, issuer_id: str) -> None:
    state.view = SwitchView(epoch=2, stops={("fraud-reports", issuer_id): Reason.KILLED})


def _revoke_merchant(state: AfterTheFact) -> None:
    state.merchants["m-0001"] = (int(Tier.NONE), BASE_MS, FOREVER_MS, "merchant/m-0001/2026/none")


def _revoke_platform(state: AfterTheFact) -> None:
    state.platforms["plat-1"] = (int(Tier.NONE), BASE_MS, FOREVER_MS, "platform/plat-1/2026/none")


def test_a_label_against_which_nothing_stands_is_queued(bench: Bench) -> None:
    [item] = AfterTheFact(bench).fanned_out().change.items
    assert not item.withdrawn


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (partial(_kill, issuer_id=EVERY_ISSUER), Reason.KILLED),
        (partial(_kill, issuer_id="northgate-bank"), Reason.KILLED),
        (_revoke_merchant, Reason.MERCHANT_CONSENT_MISSING),
        (_revoke_platform, Reason.MERCHANT_CONSENT_MISSING),
        (lambda state: state.ask(CaseKind.OBJECTION), Reason.SUBJECT_OBJECTED),
        (lambda state: state.ask(CaseKind.ERASURE), Reason.SUBJECT_OBJECTED),
    ],
    ids=["kill", "kill of an issuer", "revoke", "revoke of a platform", "object", "erase"],
)
def test_a_label_that_was_journalled_behind_an_act_takes_its_place_as_a_tombstone(
    bench: Bench, act: Callable[[AfterTheFact], None], reason: Reason
) -> None:
    state = AfterTheFact(bench)
    act(state)
    batch = state.fanned_out()
    [item] = batch.change.items
    assert (item.withdrawn, item.stream_seq, item.jti) == (True, 2, "c.w")
    assert ("c", storage.DELIVERY_EVENT_WITHDRAWN) in _kinds(batch)
    payload = item.set_bytes.split(b".")[1]
    assert told_reason(reason).encode() in urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))
