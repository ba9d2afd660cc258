"""Cases follow their cards: a name that turns out to be the same card's gets cases as those that stand."""

from collections.abc import Callable
from contextlib import closing
from typing import Final

import structlog

from gateway.ledger.ports import LedgerReader
from gateway.programs.subjects import EFFECT_MS, CaseEvent, CaseKind, CaseState, Subjects, SubjectStore
from gateway.runtime.clock import Clock

ACTOR: Final = "feeds"
PAGE_CASES: Final = 100
STANDING: Final = frozenset({CaseState.RECEIVED, CaseState.UPHELD})

_log = structlog.get_logger("subjects")


class CaseNames:
    """`see` is the ledger's thread's, `step` the housekeeping's: each opens what the other has not."""

    def __init__(
        self,
        cases: SubjectStore,
        subjects: Subjects,
        clock: Clock,
        open_ledger: Callable[[], LedgerReader],
    ) -> None:
        self._cases = cases
        self._subjects = subjects
        self._clock = clock
        self._open_ledger = open_ledger
        self._place = 0
        self._new: list[CaseEvent] = []
        """Cases that may have been opened before the ledger knew all names of their cards."""

    def see(self, key: bytes, other: bytes) -> None:
        """Two keys of one card. Raises ConsentStoreUnavailable, and is then to be told again."""
        # By what this process follows: where nothing stands, which is nearly always, that is all.
        if self._subjects.joins(key, other):
            known, new = (key, other) if key in self._subjects.objecting else (other, key)
            self._spread(known, new)

    def step(self, ledger_lag_s: float) -> None:
        """Looks up the names of cases that are new, once the ledger has read past their beginning."""
        self._follow()
        due_ms = self._clock.wall_ms() - EFFECT_MS - ledger_lag_s * 1000
        while self._new and self._new[0].at_ms < due_ms:
            case = self._new[0]
            with closing(self._open_ledger()) as ledger:
                names = ledger.units_of(case.unit_keys, ())
            for name in names:
                if name not in case.unit_keys:
                    self._spread(case.unit_keys[0], name)
            del self._new[0]

    def _follow(self) -> None:
        while True:
            events, self._place = self._cases.events(self._place, PAGE_CASES)
            if not events:
                return
            # Those that it opened itself name nothing new.
            self._new += [one for one in events if one.state is CaseState.RECEIVED and one.actor != ACTOR]

    def _spread(self, known: bytes, new: bytes) -> None:
        """By the registry itself: what was opened a moment ago may not have been followed yet."""
        there = self._standing(new)
        missing = {kind: number for kind, number in self._standing(known).items() if kind not in there}
        if missing:
            numbers = ", ".join(map(str, missing.values()))
            # An erasure last: its objection stops sharing before it.
            kinds = sorted(missing, key=lambda kind: kind is CaseKind.ERASURE)
            self._cases.open(kinds, [new], actor=ACTOR, reason=f"another name of the card of case {numbers}")
            _log.info("case_follows_card", cases=numbers)

    def _standing(self, key: bytes) -> dict[CaseKind, int]:
        """Cases of a card that hold, by kind."""
        last = {one.case_id: one for one in self._cases.of_card([key])}
        return {one.kind: one.case_id for one in last.values() if one.state in STANDING}
