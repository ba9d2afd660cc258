"""Carries erasures out: tells every recipient, forgets the rows, and certifies when nothing is left.

What is queued is withdrawn before the command returns (`revocations`); this comes after it, step by step, and
goes on after a restart where it was.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from gateway.feeds.fanout import ERASURES, FanOut, FanOutBatch
from gateway.feeds.ports import DeliveryReader, DeliveryStore
from gateway.ledger.access import DeliveryStates, Disclosure, access
from gateway.ledger.ports import LedgerReader
from gateway.programs.subjects import EFFECT_MS, CaseEvent, CaseKind, CaseState, SubjectStore
from gateway.runtime.clock import Clock

KEYS_A_STEP: Final = 20_000
"""Evaluations looked through at a time: some milliseconds, in which nobody waits."""

BEFORE_ALL: Final = -1
"""The first evaluation_key is 0."""

PAGE_CASES: Final = 100

CERTIFIED_REASON: Final = "told, acknowledged, forgotten, and no sealed body is kept any more"

_log = structlog.get_logger("erasures")

BY_HAND_REASON: Final = "told, acknowledged or told by hand, forgotten, and no sealed body is kept any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureParts:
    """What erasures are carried out with. Readers are for one thread."""

    clock: Clock
    cases: SubjectStore
    store: DeliveryStore
    reader: DeliveryReader
    fan_out: FanOut
    open_ledger: Callable[[], LedgerReader]
    deliveries: DeliveryStates
    ledger_lag_s: Callable[[], float]
    journal_end: Callable[[], int]
    """Of the gateway's evaluations, by now."""
    name_of: Callable[[CaseEvent, str, int], str]
    """Of an order, by its case, recipient and part: as unlike any other's as a share's id."""
    bodies_since_ms: Callable[[], int | None]
    """When the oldest journal segment with sealed bodies was opened; None where there is none."""
    lake_at: Callable[[], int | None]
    """Number of the step of cases up to which the lake has let go; None where there is no lake."""


class Eraser:
    """One step at a time, on the housekeeping thread."""

    def __init__(
        self,
        parts: ErasureParts,
        commit_beside: Callable[[Callable[[], FanOutBatch]], None],
        fanned_out: Callable[[], int],
    ) -> None:
        self._parts = parts
        self._commit_beside = commit_beside
        self._fanned_out = fanned_out
        self._ends: dict[int, int] = {}
        """By case: up to where the journal may hold payments of before it was in effect."""
        self._place = 0
        self._open: dict[int, CaseEvent] = {}
        self._sweep: tuple[int, int, int] | None = None
        """(case, evaluation_key that it has come to, evaluations forgotten)."""

    def step(self) -> None:
        """Whatever is due now of every erasure that is not certified."""
        self._follow()
        for case in list(self._open.values()):
            # One after the other: what is kept of them is the number of the last.
            if not (self._tell(case) and self._forget(case)):
                return
            if self._certify(case):
                del self._open[case.case_id]
                self._ends.pop(case.case_id, None)

    def _follow(self) -> None:
        while True:
            events, self._place = self._parts.cases.events(self._place, PAGE_CASES)
            if not events:
                return
            for one in events:
                if one.kind is not CaseKind.ERASURE:
                    continue
                if one.state is CaseState.RECEIVED:
                    self._open[one.case_id] = one
                else:
                    self._open.pop(one.case_id, None)

    def _tell(self, case: CaseEvent) -> bool:
        """Whether every recipient that got data has its order on its stream."""
        parts = self._parts
        if parts.store.offset(ERASURES, 0) >= case.case_id:
            return True
        age_ms = parts.clock.wall_ms() - case.at_ms
        # The ledger has to have read what left until the erasure was in effect.
        if age_ms < EFFECT_MS or parts.ledger_lag_s() * 1000 > age_ms - EFFECT_MS:
            return False
        with closing(parts.open_ledger()) as ledger:
            found = access(ledger, parts.deliveries, unit_keys=case.unit_keys)
        left = left_by_recipient(found.disclosures, decided_before_ms=case.at_ms + EFFECT_MS)
        self._commit_beside(
            lambda: parts.fan_out.notify(
                case.case_id, left, name_of=partial(parts.name_of, case), now_ms=parts.clock.wall_ms()
            )
        )
        _log.info("erasure_told", case_id=case.case_id, recipients=len(left))
        return True

    def _forget(self, case: CaseEvent) -> bool:
        """Whether no row of the card is left that was there when its turn came."""
        parts = self._parts
        if parts.store.erased_up_to() >= case.case_id:
            return True
        last_key = self._ends.setdefault(case.case_id, parts.journal_end())
        if self._fanned_out() < last_key:
            return False
        if self._sweep is None or self._sweep[0] != case.case_id:
            self._sweep = (case.case_id, BEFORE_ALL, 0)
        _, after_key, count = self._sweep
        # One step a round where there is much: housekeeping has other chores.
        up_to_key = min(after_key + KEYS_A_STEP, last_key)
        keys = parts.reader.evaluations_of_cards(case.unit_keys, after_key, up_to_key)
        if keys:
            parts.store.forget_evaluations(keys)
        count += len(keys)
        if up_to_key < last_key:
            self._sweep = (case.case_id, up_to_key, count)
            return False
        parts.store.forgotten(case.case_id, count, at_ms=parts.clock.wall_ms())
        self._sweep = None
        return True

    def _certify(self, case: CaseEvent) -> bool:
        """Whether it is over: all have acknowledged or were told by hand, and nothing of before is kept."""
        parts = self._parts
        waiting = {
            one.recipient_id
            for one in parts.reader.notices(case.case_id)
            if one.error_code or not one.answered_at_ms
        }
        if waiting and not waiting <= {one.recipient_id for one in parts.cases.told(case.case_id)}:
            return False
        lake_at = parts.lake_at()
        if lake_at is not None and lake_at < case.event_id:
            return False
        since_ms = parts.bodies_since_ms()
        if since_ms is not None and since_ms <= case.at_ms + EFFECT_MS:
            return False
        reason = BY_HAND_REASON if waiting else CERTIFIED_REASON
        parts.cases.move(case.case_id, CaseState.CERTIFIED, actor="feeds", reason=reason)
        return True


def left_by_recipient(disclosures: Sequence[Disclosure], *, decided_before_ms: int) -> dict[str, list[str]]:
    """Shares that left or may have, by who has them; what never left is withdrawn, and nobody has it."""
    left: dict[str, list[str]] = {}
    for one in disclosures:
        if one.left and one.recipient_id and int(one.facts.get("decided_at_ms", 0)) < decided_before_ms:
            left.setdefault(one.recipient_id, []).append(one.share_id)
    return left
