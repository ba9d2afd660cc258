"""Erasures are carried out step by step, each once, and are certified when nothing is left to wait for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.delivery_states import StoredDeliveries
from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.feeds.delivery import Action, Apply, DeliveryCore, Polled
from gateway.feeds.fanout import FanOut, FanOutBatch
from gateway.feeds.ports import OutboxItem
from gateway.feeds.records import SHARES_A_NOTICE_MAX
from gateway.programs.subjects import EFFECT_MS, CaseKind, CaseState, SubjectRefused
from gateway.programs.switches import SwitchView
from gateway.records.journal import EVALUATIONS, Entry
from gateway.sealing.signer import LocalSigner
from gateway.server.feeds import erasures
from gateway.server.feeds.erasures import BY_HAND_REASON, Eraser, ErasureParts
from gateway.server.verbs.erasure_certificate import certificate
from tests.unit.feeds.records import decision, evaluation
from tests.unit.ledger.kit import KEY, SSF, Ledger

UNIT = b"unit-of-the-card"
BANK = "northgate-bank"


class Desk:
    """An eraser over the stores of one installation, and what the recipient sees of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.state, self.clock = ledger, ledger.state, ledger.clock
        self.cases = SqliteSubjects(str(self.state.consents_db), self.clock)
        self.store = SqliteDeliveryStore(self.state.feeds_db)
        self.reader = self.store.reader()
        self.fan_out = FanOut(
            store=self.store, reader=self.reader, signer_of=lambda _: LocalSigner(KEY), iss="https://us"
        )
        self.core = DeliveryCore(store=self.store, signer_of=lambda _: LocalSigner(KEY), iss="https://us")
        self.lag_s = 0.0
        self.bodies_since_ms: int | None = 0
        self.lake_at: int | None = None
        self.end = -1
        self._position = -1
        self.eraser = self.start()

    def start(self) -> Eraser:
        """As after a restart of the process."""
        parts = ErasureParts(
            clock=self.clock, cases=self.cases, store=self.store, reader=self.reader, fan_out=self.fan_out,
            open_ledger=lambda: SqliteLedgerReader(self.state.ledger_db),
            deliveries=StoredDeliveries(self.state.feeds_db), ledger_lag_s=lambda: self.lag_s,
            bodies_since_ms=lambda: self.bodies_since_ms, journal_end=lambda: self.end,
            name_of=lambda case, recipient_id, part: f"{case.case_id}-{part}-{recipient_id}",
            lake_at=lambda: self.lake_at,
        )  # fmt: skip
        self.eraser = Eraser(parts, self.commit, lambda: self._position)
        return self.eraser

    def commit(self, plan: Callable[[], FanOutBatch]) -> None:
        self.store.commit_fan_out(plan().change)

    def share(self, *numbers: int) -> None:
        """Payments of the card: fanned out, sent, and in the ledger."""
        records = []
        for number in numbers:
            record = evaluation(number, decision(f"share-{number}", transports=(SSF,)))
            record.unit_key = UNIT
            record.decided_at_ms = self.clock.wall_ms()
            records.append(record.SerializeToString())
        self.ledger.gateway.append(EVALUATIONS, records)
        entries = [Entry(self._position + 1 + at, payload) for at, payload in enumerate(records)]
        self._position += len(entries)
        self.end = self._position
        batch = self.fan_out.plan(EVALUATIONS, entries, SwitchView(1), now_ms=self.clock.wall_ms())
        self.store.commit_fan_out(batch.change)
        self.ledger.send(*numbers)
        self.ledger.step()

    def ask(self) -> int:
        ids, _ = self.cases.open([CaseKind.ERASURE], [UNIT], actor="maria", reason="Art. 17")
        # As the objection does that comes with it.
        self.carry_out(self.core.object([UNIT], self.clock.wall_ms()))
        return ids[0]

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Apply):
                self.store.apply(action.change)

    def pass_ms(self, milliseconds: int) -> None:
        self.clock.advance_ms(milliseconds)
        self.eraser.step()

    def poll(self, **answers: Any) -> list[OutboxItem]:
        now_ms = self.clock.wall_ms()
        actions = self.core.on(Polled(stream_id=f"stream-{BANK}", **answers), SwitchView(1), now_ms)
        self.carry_out(actions)
        return list(actions[-1].items)  # type: ignore[union-attr]

    def orders(self) -> list[OutboxItem]:
        return [item for item in self.poll() if item.share_id.startswith("erasure-")]

    def certificate(self, case_id: int) -> dict[str, Any]:
        return certificate(self.state, self.cases.case(case_id), self.cases.told(case_id))

    def state_of(self, case_id: int) -> CaseState:
        return self.cases.case(case_id)[-1].state

    def close(self) -> None:
        self.cases.close()
        self.reader.close()
        self.store.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    ledger = Ledger(tmp_path)
    made = Desk(ledger)
    yield made
    made.close()
    ledger.close()


def test_recipients_are_told_when_the_ledger_has_read_all_that_left_before_it(desk: Desk) -> None:
    desk.share(1, 2)
    desk.ask()
    desk.pass_ms(EFFECT_MS - 1)
    assert desk.orders() == []
    desk.lag_s = 3.0
    desk.pass_ms(1_000)
    assert desk.orders() == [], "the ledger is behind the erasure"
    desk.lag_s = 0.1
    desk.eraser.step()
    (order,) = desk.orders()
    assert (order.stream_seq, order.recipient_id) == (3, BANK)


def test_every_recipient_is_told_once_whatever_is_started_again(desk: Desk) -> None:
    desk.share(1)
    first, second = desk.ask(), desk.ask()
    desk.pass_ms(EFFECT_MS)
    desk.start()
    desk.pass_ms(1)
    desk.start()
    desk.pass_ms(1)
    assert [item.share_id for item in desk.orders()] == [
        f"erasure-{number}-0-{BANK}" for number in (first, second)
    ]


def test_many_shares_make_several_orders_and_all_have_to_be_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.feeds.fanout.SHARES_A_NOTICE_MAX", 2)
    assert SHARES_A_NOTICE_MAX >= 2
    desk.share(1, 2, 3, 4, 5)
    case_id = desk.ask()
    desk.pass_ms(EFFECT_MS)
    orders = desk.orders()
    assert len(orders) == 3
    desk.poll(acknowledged=tuple(item.jti for item in orders[1:]))
    row = desk.certificate(case_id)["recipients"][BANK]
    assert (row["shares"], row["answered_at_ms"]) == (5, 0)
    desk.poll(acknowledged=(orders[0].jti,))
    row = desk.certificate(case_id)["recipients"][BANK]
    assert row["answered_at_ms"] == desk.clock.wall_ms()


def test_rows_of_the_card_are_forgotten_in_steps_to_the_last(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "KEYS_A_STEP", 2)
    desk.share(1, 2, 3)
    case_id = desk.ask()
    desk.pass_ms(EFFECT_MS)
    found = []
    for _ in range(4):
        found.append(desk.reader.erasure(case_id))
        desk.eraser.step()
    assert found[0] is None
    assert found[-1] == (3, desk.clock.wall_ms())
    assert desk.reader.evaluations_of_cards([UNIT], -1, 1 << 62) == []
    assert desk.reader.share("share-1") is None


def test_an_erasure_is_certified_when_all_have_answered_and_no_sealed_body_of_before_is_left(
    desk: Desk,
) -> None:
    desk.share(1)
    case_id = desk.ask()
    asked_at_ms = desk.clock.wall_ms()
    desk.pass_ms(EFFECT_MS)
    desk.bodies_since_ms = asked_at_ms + EFFECT_MS + 1
    desk.eraser.step()
    assert desk.state_of(case_id) is CaseState.RECEIVED, "nobody has answered"
    (order,) = desk.orders()
    desk.poll(acknowledged=(order.jti,))
    desk.bodies_since_ms = asked_at_ms + EFFECT_MS
    desk.eraser.step()
    assert desk.state_of(case_id) is CaseState.RECEIVED, "a segment of before is still there"
    desk.bodies_since_ms, desk.lake_at = asked_at_ms + EFFECT_MS + 1, 0
    desk.eraser.step()
    assert desk.state_of(case_id) is CaseState.RECEIVED, "the lake has not let go"
    desk.lake_at = 1
    desk.pass_ms(5)
    assert desk.state_of(case_id) is CaseState.CERTIFIED
    found = desk.certificate(case_id)
    assert found["certified_at_ms"] == desk.clock.wall_ms()
    assert found["asked_at_ms"] == asked_at_ms
    desk.start()
    desk.eraser.step()
    assert len(desk.cases.case(case_id)) == 2


def test_a_recipient_that_refuses_the_order_is_named_in_the_certificate(desk: Desk) -> None:
    desk.share(1)
    case_id = desk.ask()
    desk.pass_ms(EFFECT_MS)
    for _ in range(5):
        (order,) = desk.orders()
        desk.poll(set_errors={order.jti: "unknown_event"})
    row = desk.certificate(case_id)["recipients"][BANK]
    assert row["refused"] == "unknown_event"
    desk.bodies_since_ms = None
    desk.eraser.step()
    assert desk.state_of(case_id) is CaseState.RECEIVED, "it has not erased anything"


@pytest.mark.parametrize("refused", [False, True], ids=["polls no stream", "refuses the order"])
def test_a_recipient_that_was_told_by_hand_is_waited_for_no_longer(desk: Desk, refused: bool) -> None:
    desk.share(1)
    case_id = desk.ask()
    desk.pass_ms(EFFECT_MS)
    for _ in range(5 if refused else 0):
        (order,) = desk.orders()
        desk.poll(set_errors={order.jti: "unknown_event"})
    desk.bodies_since_ms = None
    desk.cases.tell(case_id, "another-bank", "letter 6", actor="maria", reason="by hand")
    desk.pass_ms(5)
    assert desk.state_of(case_id) is CaseState.RECEIVED, "another one was told"
    desk.cases.tell(case_id, BANK, "letter 7", actor="maria", reason="by hand")
    told_at_ms = desk.clock.wall_ms()
    desk.bodies_since_ms = 0
    desk.pass_ms(5)
    assert desk.state_of(case_id) is CaseState.RECEIVED, "a segment of before is still there"
    desk.bodies_since_ms = None
    desk.pass_ms(5)
    last = desk.cases.case(case_id)[-1]
    assert (last.state, last.reason) == (CaseState.CERTIFIED, BY_HAND_REASON)
    row = desk.certificate(case_id)["recipients"][BANK]
    assert row["told_by_hand"] == {"actor": "maria", "at_ms": told_at_ms, "evidence": "letter 7"}
    assert (row["refused"], row["answered_at_ms"] > 0) == (
        ("unknown_event", True) if refused else ("", False)
    )
    with pytest.raises(SubjectRefused, match="certified; nothing is added"):
        desk.cases.tell(case_id, BANK, "letter 8", actor="maria", reason="too late")


def test_an_order_that_is_passed_over_again_and_again_is_answered_by_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.feeds.delivery.MAX_REDELIVERIES", 2)
    desk.share(1)
    case_id = desk.ask()
    desk.pass_ms(EFFECT_MS)
    for number in range(2, 6):
        desk.orders()
        desk.share(number)
        newest = desk.poll()[-1]
        desk.poll(acknowledged=(newest.jti,))
    row = desk.certificate(case_id)["recipients"][BANK]
    assert (row["refused"], row["answered_at_ms"]) == ("unanswered", 0)
    desk.bodies_since_ms = None
    desk.eraser.step()
    assert desk.state_of(case_id) is CaseState.RECEIVED


def test_rows_are_forgotten_only_when_fan_out_has_passed_what_was_decided_before(desk: Desk) -> None:
    desk.share(1)
    case_id = desk.ask()
    desk.end = 5
    desk.pass_ms(EFFECT_MS)
    assert desk.reader.erasure(case_id) is None, "payments of the card are still on their way"
    desk.share(2, 3, 4, 5, 6)
    desk.pass_ms(1)
    assert desk.reader.erasure(case_id) is not None


def test_a_card_that_nothing_was_shared_about_is_forgotten_and_nobody_is_told(desk: Desk) -> None:
    desk.ledger.step()
    desk.share(7)
    ids, _ = desk.cases.open([CaseKind.ERASURE], [b"another-unit-key"], actor="a", reason="r")
    desk.pass_ms(EFFECT_MS)
    assert desk.orders() == []
    found = desk.certificate(ids[0])
    assert found["recipients"] == {}
    assert found["forgotten_at_ms"]
    assert desk.reader.erasure(ids[0]) == (0, desk.clock.wall_ms())
