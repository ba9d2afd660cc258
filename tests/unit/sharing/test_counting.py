"""A velocity store that is late or broken costs its counts for a while, and what can be counted later is."""

from typing import Any

import pytest

from enrichment.provider import BUDGET_US, OVER_BUDGET, UNAVAILABLE, WARMING
from enrichment.velocity import VelocityKind
from gateway.backends.embedded.velocity import EmbeddedVelocity
from gateway.sharing import counting
from gateway.sharing.items import Tally
from gateway.sharing.patience import ASIDE_MS, STRIKES
from tests.kit.payments import payment
from tests.unit.sharing.kit import NOW_MS, Kit

LATE_MS = 1 + BUDGET_US // 1_000


class Store(EmbeddedVelocity):
    """Takes as long as the test says, or fails, and keeps what it said last."""

    __slots__ = ("asked", "clock", "fault", "said", "takes_ms")

    def __init__(self, kit: Kit, *, whole: bool = True) -> None:
        super().__init__(max_keys=4_096)
        if whole:
            self.caught_up()
        self.clock, self.takes_ms = kit.clock, 0
        self.fault: Exception | None = None
        self.asked: list[int] = []
        self.said: Any = None

    def touch(self, batch: Any) -> Any:
        self.asked.append(len(batch))
        self.clock.advance_ms(self.takes_ms)
        if self.fault is not None:
            raise self.fault
        answers = super().touch(batch)
        self.said = answers[-1]
        return answers


class Rig:
    """Payments with one card, asked about one after the other."""

    def __init__(self) -> None:
        self.kit = Kit()
        self.store = Store(self.kit)
        self.counting = self.kit.gateway.counting
        self.counting.store = self.store
        self.tally = Tally()
        self.paid = 0

    def pay(self, count: int = 1) -> set[tuple[str, str]]:
        """Pays as often, each alone, and gives what the answers omit."""
        omitted = set()
        for _ in range(count):
            self.paid += 1
            request = payment(self.paid, card=1, now_ms=NOW_MS)
            (answer,) = self.kit.answers(request, tally=self.tally)
            assert answer.assessments, "it is evaluated"
            omitted |= {(one.provider, one.reason) for one in answer.omissions}
        return omitted

    def wait_aside(self) -> None:
        self.kit.clock.advance_ms(ASIDE_MS)
        self.kit.renew()

    def card_attempts(self) -> int:
        """In ten minutes, as the store said of the last payment."""
        attempts: int = self.store.said[VelocityKind.CARD][0]
        return attempts


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_late_counts_are_used_and_many_in_a_row_put_the_store_aside(rig: Rig) -> None:
    rig.store.takes_ms = LATE_MS
    assert rig.pay(STRIKES) == set(), "they are late, and they are there"
    assert rig.pay(3) == {("velocity", OVER_BUDGET)}
    assert len(rig.store.asked) == STRIKES
    assert rig.tally.omitted == {("velocity", OVER_BUDGET): 3}
    rig.store.takes_ms = 0
    rig.wait_aside()
    assert rig.pay() == set()
    rig.store.takes_ms = LATE_MS
    assert rig.pay(STRIKES) == set(), "in time once: it takes as many again"


def test_a_store_that_is_in_time_is_asked_on_and_told_how_long_it_took(rig: Rig) -> None:
    rig.store.takes_ms = BUDGET_US // 1_000
    assert rig.pay(3 * STRIKES) == set()
    assert rig.tally.provided_ns["velocity"] == BUDGET_US * 1_000


def put_aside(rig: Rig, count: int) -> None:
    """And then pays as often, which is owed, before the store is quick again."""
    rig.store.takes_ms = LATE_MS
    rig.pay(STRIKES)
    rig.pay(count)
    rig.store.takes_ms = 0
    rig.store.asked.clear()


def test_what_came_while_it_was_aside_is_counted_between_later_batches(rig: Rig) -> None:
    aside = 3 * counting.OWED_AT_ONCE // 2
    put_aside(rig, aside)
    rig.counting.count_owed()
    rig.wait_aside()
    rig.counting.count_owed()
    assert rig.store.asked == [], "nothing is added to what it may be late with once more"
    rig.pay()
    assert rig.card_attempts() == STRIKES + 1
    rig.counting.count_owed()
    rig.pay()
    assert rig.card_attempts() == STRIKES + counting.OWED_AT_ONCE + 2
    rig.counting.count_owed()
    rig.counting.count_owed()
    rig.pay()
    assert rig.card_attempts() == rig.paid
    assert rig.store.asked == [1, counting.OWED_AT_ONCE, 1, aside - counting.OWED_AT_ONCE, 1]
    assert rig.counting.uncounted == 0


def test_no_more_waits_to_be_counted_than_the_limit_and_what_does_not_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "OWED_MAX", 3)
    put_aside(rig, 10)
    assert (len(rig.counting.owed), rig.counting.uncounted) == (3, 7)
    rig.wait_aside()
    rig.pay()
    rig.counting.count_owed()
    rig.pay()
    assert rig.card_attempts() == STRIKES + 3 + 2


def test_at_the_end_all_that_is_owed_is_counted_however_late_the_store_is(rig: Rig) -> None:
    put_aside(rig, 2 * counting.OWED_AT_ONCE)
    rig.counting.count_all_owed()
    rig.counting.count_all_owed()
    assert (rig.card_attempts(), rig.store.asked) == (rig.paid, [2 * counting.OWED_AT_ONCE])


def test_while_the_store_is_warming_nothing_is_owed(rig: Rig) -> None:
    """The journal has it, and is counted again up to the end of the warming."""
    rig.store = rig.counting.store = Store(rig.kit, whole=False)
    rig.store.takes_ms = LATE_MS
    assert rig.pay(STRIKES) == {("velocity", WARMING)}
    assert rig.tally.omitted == {}, "a metric of its own says so"
    assert rig.pay(3) == {("velocity", OVER_BUDGET)}
    assert not rig.counting.owed
    assert rig.counting.uncounted == 0


@pytest.mark.parametrize(("fault", "reason"), [(TimeoutError(), OVER_BUDGET), (OSError(), UNAVAILABLE)])
def test_a_store_that_fails_is_named_with_its_reason_and_put_aside(
    rig: Rig, fault: Exception, reason: str
) -> None:
    rig.store.fault = fault
    assert rig.pay(STRIKES + 2) == {("velocity", reason)}
    assert len(rig.store.asked) == STRIKES
    assert rig.kit.faults == [("fetch", fault)] * STRIKES
    assert rig.tally.omitted == {("velocity", reason): STRIKES + 2}
    rig.wait_aside()
    assert rig.pay(2) == {("velocity", reason)}
    assert len(rig.store.asked) == STRIKES + 1, "one more is enough"
    rig.store.fault = None
    rig.wait_aside()
    assert rig.pay() == set()
    rig.counting.count_owed()
    assert rig.pay() == set()
    # Two and one came while it was aside, and two behind; what it failed at is not asked again.
    assert rig.card_attempts() == 2 + 1 + 2
    assert rig.counting.uncounted == STRIKES + 1
