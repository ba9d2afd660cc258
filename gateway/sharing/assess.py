"""Score: our assessment of each payment of a batch by a model; the points are left to the signals."""

from collections.abc import Callable, Iterator, Sequence

from enrichment.payment import Assessment
from enrichment.signals import ship_bill_match
from gateway.runtime.native import FAULTS
from gateway.sharing.score_port import UNASSESSED, Asked, Scorer
from gateway.sharing.work import NOT_LOOKED_AT, Batch, Work


def unmatched(batch: Batch) -> list[Work]:
    """Those whose addresses the engine has not compared: few where it is built, else all."""
    return [work for work in batch.works if work.ship_bill_match is NOT_LOOKED_AT]


def match(batch: Batch, works: Iterator[Work]) -> None:
    """Whether goods go where the bill goes: a feature, and a signal."""
    for work in works:
        work.ship_bill_match = ship_bill_match(work.payment)


def assess(batch: Batch, scorer: Scorer, on_fault: Callable[[str, BaseException], None]) -> None:
    """All works in one call. What has no assessment then is left to the points, and its answer says so."""
    asked: list[Asked] = [(work.payment, work.facts, work.ship_bill_match) for work in batch.works]
    assessments: Sequence[Assessment | None]
    try:
        assessments = scorer.assess(asked)
    except FAULTS as fault:
        batch.tally.faults += 1
        on_fault("score", fault)
        assessments = [None] * len(asked)
    for work, assessment in zip(batch.works, assessments, strict=True):
        work.assessment = assessment
        if assessment is None:
            work.facts = work.facts._replace(omissions=(*work.facts.omissions, UNASSESSED))
