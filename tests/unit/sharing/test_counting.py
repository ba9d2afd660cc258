"""A velocity store that is late or broken costs its counts for a while, and what can be counted later is."""

from typing import Any

import pytest

from enrichment.provider import BUDGET_US, OVER_BUDGET, UNAVAILABLE
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

    def __init__(self, kit: Kit) -> None:
        super().__init__(max_keys=4_096)
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
        self.kit.gateway._fetch._counting.store = self.store
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


def test_what_came_while_it_was_aside_is_counted_with_later_batches(rig: Rig) -> None:
    rig.store.takes_ms = LATE_MS
    rig.pay(STRIKES)
    aside = 3 * counting.OWED_AT_ONCE // 2
    rig.pay(aside)
    rig.store.takes_ms = 0
    rig.wait_aside()
    rig.store.asked.clear()
    rig.pay()
    assert rig.card_attempts() == STRIKES + 1, "nothing is added to what it may be late with once more"
    rig.pay()
    assert rig.card_attempts() == STRIKES + counting.OWED_AT_ONCE + 2
    rig.pay(2)
    assert rig.card_attempts() == rig.paid
    assert rig.store.asked == [1, counting.OWED_AT_ONCE + 1, aside - counting.OWED_AT_ONCE + 1, 1]


def test_no_more_waits_to_be_counted_than_the_limit(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rig.kit.gateway._fetch._counting.owed.maxlen == counting.OWED_MAX
    monkeypatch.setattr(counting, "OWED_MAX", 3)
    rig = Rig()
    rig.store.takes_ms = LATE_MS
    rig.pay(STRIKES)
    rig.pay(10)
    rig.store.takes_ms = 0
    rig.wait_aside()
    rig.pay(3)
    assert rig.card_attempts() == STRIKES + 3 + 3


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
    assert rig.pay(2) == set()
    # Two and one came while it was aside, and two behind; what it failed at is not asked again.
    assert rig.card_attempts() == 2 + 1 + 2


def test_payments_of_one_batch_have_their_own_counts_beside_those_that_were_owed(rig: Rig) -> None:
    rig.store.takes_ms = LATE_MS
    rig.pay(STRIKES)
    rig.pay(2)
    rig.store.takes_ms = 0
    rig.wait_aside()
    rig.pay()
    real, seen = rig.kit.gateway._fetch._counting, []

    class Spy:
        def count(self, batch: Any) -> Any:
            seen.append(real.count(batch)[0])
            return seen[-1], ()

    rig.kit.gateway._fetch._counting = Spy()  # type: ignore[assignment]
    batch = [payment(number, card=card, now_ms=NOW_MS) for number, card in ((101, 1), (102, 2), (103, 1))]
    rig.kit.results(*batch)
    assert rig.store.asked[-1] == 2 + 3
    (counts,) = seen
    assert [of_one[VelocityKind.CARD][0] for of_one in counts] == [rig.paid + 1, 1, rig.paid + 2]
