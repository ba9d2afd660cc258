"""A name that turns out to be the same card's gets cases as those that stand, whichever came first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backends.embedded.ledger import SqliteLedgerReader, SqliteLedgerStore
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.ledger.collect import Collector
from gateway.programs.subjects import EFFECT_MS, CaseKind, CaseState, Subjects
from gateway.records.journal import EVALUATIONS
from gateway.runtime.clock import SimClock
from gateway.server.feeds.case_names import ACTOR, CaseNames
from issuernetwork.v1.common_pb2 import UNIT_SOURCE_CARD_REF, UNIT_SOURCE_NETWORK_TOKEN, UNIT_SOURCE_PAN
from tests.unit.feeds.records import entries, evaluation

NUMBER, PAR, TOKEN, REFERENCE = (bytes([n]) * 16 for n in range(1, 5))
BOTH = [CaseKind.OBJECTION, CaseKind.ERASURE]


class Desk:
    def __init__(self, folder: Path) -> None:
        self.clock = SimClock(wall_ms=1_000)
        self.cases = SqliteSubjects(str(folder / "consents.sqlite3"), self.clock)
        self.ledger = SqliteLedgerStore(folder / "ledger.sqlite3")
        self.subjects = Subjects()
        self.names = CaseNames(
            self.cases, self.subjects, self.clock, lambda: SqliteLedgerReader(folder / "ledger.sqlite3")
        )
        self._place = self._paid = 0

    def open(self, kinds: list[CaseKind], *keys: bytes) -> list[int]:
        return self.cases.open(kinds, list(keys), actor="clerk", reason="letter")[0]

    def follow(self) -> None:
        events, self._place = self.cases.events(self._place, 1_000)
        self.subjects.take(events)

    def pay(self, card_key: bytes, source: int, *, told: bool = True) -> None:
        """A payment by PAR that gives another name too: the ledger reads it, and tells of the names."""
        record = evaluation(self._paid, unit_key=PAR, card_key=card_key, card_source=source)
        change = Collector(self.ledger).plan(EVALUATIONS, entries([record], first=self._paid))
        for card in change.cards if told else ():
            self.names.see(card.unit_key, card.card_key)
        self.ledger.commit(change)
        self._paid += 1

    def standing(self, key: bytes) -> set[CaseKind]:
        return {one.kind for one in self.cases.of_card([key]) if one.state is CaseState.RECEIVED}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.cases.close()
    made.ledger.close()


def test_a_payment_that_gives_both_names_brings_the_cases_of_one_to_the_other(desk: Desk) -> None:
    desk.open(BOTH, NUMBER)
    desk.follow()
    desk.pay(NUMBER, UNIT_SOURCE_PAN)
    assert desk.standing(PAR) == set(BOTH)
    assert {one.actor for one in desk.cases.of_card([PAR])} == {ACTOR}
    desk.pay(NUMBER, UNIT_SOURCE_PAN)
    assert len(desk.cases.of_card([PAR])) == 2, "once, though nobody has followed yet"
    desk.follow()
    assert PAR in desk.subjects.objecting
    # And so on to each token that the PAR comes with.
    desk.pay(TOKEN, UNIT_SOURCE_NETWORK_TOKEN)
    assert desk.standing(TOKEN) == set(BOTH)


def test_names_that_the_ledger_knew_too_late_for_a_case_are_looked_up_behind_it(desk: Desk) -> None:
    desk.open([CaseKind.OBJECTION], NUMBER)
    desk.pay(NUMBER, UNIT_SOURCE_PAN)
    assert desk.standing(PAR) == set(), "the case was not followed when the names came"
    desk.names.step(0.0)
    assert desk.standing(PAR) == set(), "the ledger may not have read to the beginning of the case"
    desk.clock.advance_ms(EFFECT_MS + 500)
    desk.names.step(0.6)
    assert desk.standing(PAR) == set()
    desk.names.step(0.4)
    assert desk.standing(PAR) == {CaseKind.OBJECTION}
    desk.names.step(0.0)
    assert len(desk.cases.of_card([PAR])) == 1


def test_a_reference_leads_to_no_other_card_and_a_refused_case_to_nothing(desk: Desk) -> None:
    desk.open([CaseKind.OBJECTION], REFERENCE)
    (refused,) = desk.open([CaseKind.OBJECTION], NUMBER)
    desk.cases.move(refused, CaseState.REFUSED, actor="clerk", reason="no")
    desk.follow()
    for key, source in ((REFERENCE, UNIT_SOURCE_CARD_REF), (NUMBER, UNIT_SOURCE_PAN)):
        desk.pay(key, source)
        desk.clock.advance_ms(EFFECT_MS + 1)
        desk.names.step(0.0)
    assert desk.standing(PAR) == set()
