"""Decisions, seals, answers and records of a batch by the engine, for the payments that are as most are.

The stages of gateway.py are the twin: they do what is left here, and everything where no engine is built.
"""

from collections.abc import Callable, Container
from typing import Any

from enrichment.contact import HASHED_MASK
from enrichment.families.velocity import OF_KIND
from enrichment.signals import CALLERS_MASK, LEARNT_MASK, POINTS_MASK, Signals
from gateway.outcomes.matching import match_keys
from gateway.programs.arms import GLOBAL_HOLDOUT, HOLDOUT, PENDING, TREATMENT
from gateway.records.reasons import Reason
from gateway.runtime.native import FAULTS, engines
from gateway.sharing.decide import Decided
from gateway.sharing.encode import ANSWER, IN_SHADOW, NOT_RELEASED, TOLD, WITHHELD_DECISION, Encoder
from gateway.sharing.record import EVALUATION
from gateway.sharing.seal import ShareSealer
from gateway.sharing.work import NO_SIGNALS, Batch, Work

OnFault = Callable[[str, BaseException], None]


class Steps:
    """Two steps over a batch: `decide`, and `conclude`, which seals and writes. Each gives the works left."""

    __slots__ = ("_ask", "_concluder", "_decider", "_on_fault")

    def __init__(
        self, sealer: ShareSealer, encoder: Encoder, on_fault: OnFault, native: Any = engines
    ) -> None:
        self._on_fault = on_fault
        self._decider = self._concluder = None
        self._ask = sealer.target_of, encoder.withheld, encoder.standing_part, match_keys, encoder.issues
        if native is None or not isinstance(sealer.shares, native.Shares):
            return
        self._decider = native.Decider(
            (Signals, Decided),
            (TREATMENT, PENDING, HOLDOUT, GLOBAL_HOLDOUT),
            (Reason.SHADOW, Reason.RAMP, Reason.HOLDOUT, Reason.KEY_UNAVAILABLE),
            (POINTS_MASK, LEARNT_MASK, CALLERS_MASK),
            OF_KIND,
        )
        self._concluder = native.Concluder(
            sealer.shares,
            (ANSWER, EVALUATION, WITHHELD_DECISION),
            (Reason.SHADOW, IN_SHADOW, NOT_RELEASED),
            HASHED_MASK,
            TOLD,
        )

    def decide(self, batch: Batch, objecting: Container[bytes]) -> list[Work]:
        """Signals and decisions; whoever is left has none."""
        rules, works = batch.rules, batch.works
        if self._decider is None or rules.standing.view is None or not rules.fresh:
            return works
        try:
            left: list[Work] = self._decider.decide(
                works, rules.of_engine, rules.shared, objecting or None, batch.now_ms
            )
        except FAULTS as fault:
            self._on_fault("decide", fault)
            return [work for work in works if work.signals is NO_SIGNALS]
        return left

    def conclude(self, batch: Batch) -> list[Work]:
        """What is released is sealed, answers and records are written; whoever is left has none of them."""
        works = batch.works
        if self._concluder is None:
            return works
        try:
            left: list[Work] = self._concluder.conclude(
                works, self._ask, (batch.tail, batch.frame), batch.expires_at_ms
            )
        except FAULTS as fault:
            self._on_fault("seal", fault)
            return [work for work in works if not work.record]
        return left
