"""What becomes known after a payment: fraud reports, chargebacks and disputes, in the order of event time.

Late ones, repeated ones, corrected ones and ones taken back are all part of it, as in life.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log
from statistics import NormalDist

from issuernetwork.v1 import feed_pb2
from simulator.draws import draw
from simulator.payments import DAY_MS, SimulatedPayment

MEDIAN_DELAY_DAYS = 6.0
"""Shorter than in life (about 30 days), so that 30 days of event time see labels come in."""

DELAY_SIGMA = 0.9
CHARGEBACK_SHARE = 0.4
REPEATED_SHARE = 0.10
CHANGED_SHARE = 0.08
DELETED_SHARE = 0.04
FRIENDLY_DISPUTE_SHARE = 0.002
"""Good payments that their cardholder disputes all the same."""

MAX_PENDING = 500_000
"""Labels that wait for their time; about a tenth of the payments have one."""

_NORMAL = NormalDist()


def delay_ms(seed: int, *names: object) -> int:
    """Lognormal delay from the payment to its report."""
    quantile = min(max(draw(seed, "delay", *names), 1e-6), 1 - 1e-6)
    return int(exp(log(MEDIAN_DELAY_DAYS) + DELAY_SIGMA * _NORMAL.inv_cdf(quantile)) * DAY_MS)


@dataclass(frozen=True, slots=True)
class DueLabel:
    """A label and the event time at which its source sends it."""

    due_ms: int
    label: feed_pb2.LabelEvent


class LabelSchedule:
    """Labels in wait, soonest first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, feed_pb2.LabelEvent]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: DueLabel) -> None:
        if len(self._heap) >= MAX_PENDING:
            raise OverflowError("too many labels in wait; run fewer payments")
        self._count += 1
        heapq.heappush(self._heap, (due.due_ms, self._count, due.label))

    def take_due(self, now_ms: int, limit: int) -> list[feed_pb2.LabelEvent]:
        """Takes at most `limit` labels whose time has come."""
        taken: list[feed_pb2.LabelEvent] = []
        while self._heap and self._heap[0][0] <= now_ms and len(taken) < limit:
            taken.append(heapq.heappop(self._heap)[2])
        return taken


def payment_side_labels(seed: int, payment: SimulatedPayment) -> Iterator[DueLabel]:
    """What the payment service hears of an approved payment: network fraud reports, chargebacks, disputes."""
    name = payment.request_id
    reported_ms = payment.reported_at_ms or payment.at_ms + delay_ms(seed, name)
    if not payment.fraud:
        if draw(seed, "friendly", name) < FRIENDLY_DISPUTE_SHARE:
            yield _due(payment, reported_ms, "dispute", feed_pb2.LABEL_VERB_REPORTED, dispute=True)
        return
    yield _due(payment, reported_ms, "fraud", feed_pb2.LABEL_VERB_REPORTED)
    fate = draw(seed, "fate", name)
    if fate < REPEATED_SHARE:
        # The same event once more: consumers drop it by its id.
        again = _due(payment, reported_ms, "fraud", feed_pb2.LABEL_VERB_REPORTED)
        yield DueLabel(reported_ms + DAY_MS // 2, again.label)
    elif fate < REPEATED_SHARE + CHANGED_SHARE:
        yield _due(payment, reported_ms + DAY_MS, "changed", feed_pb2.LABEL_VERB_CHANGED)
    elif fate < REPEATED_SHARE + CHANGED_SHARE + DELETED_SHARE:
        yield _due(payment, reported_ms + 2 * DAY_MS, "deleted", feed_pb2.LABEL_VERB_DELETED)
    if draw(seed, "chargeback", name) < CHARGEBACK_SHARE:
        yield _due(payment, reported_ms + 3 * DAY_MS, "dispute", feed_pb2.LABEL_VERB_REPORTED, dispute=True)


def _due(
    payment: SimulatedPayment, reported_ms: int, part: str, verb: feed_pb2.LabelVerb, *, dispute: bool = False
) -> DueLabel:
    visa = payment.network == 1
    source = feed_pb2.LABEL_SOURCE_TC40 if visa else feed_pb2.LABEL_SOURCE_MASTERCARD_FLD
    label = feed_pb2.LabelEvent(
        label_id=f"{payment.request_id}-{part}",
        source_ref=f"{payment.request_id}-{'dispute' if dispute else 'case'}",
        payment_intent_id=payment.payment_id,
        attempt_no=payment.attempt_no,
        kind=feed_pb2.LABEL_KIND_DISPUTE if dispute else feed_pb2.LABEL_KIND_FRAUD,
        source=feed_pb2.LABEL_SOURCE_CHARGEBACK if dispute else source,
        verb=verb,
        state=feed_pb2.LABEL_STATE_SUSPECTED if dispute else feed_pb2.LABEL_STATE_CONFIRMED,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        effective_at_ms=payment.at_ms,
        reported_at_ms=reported_ms,
    )
    if dispute:
        label.dispute_stage = feed_pb2.DISPUTE_STAGE_CHARGEBACK
    else:
        label.fraud_type = "04" if verb != feed_pb2.LABEL_VERB_CHANGED else "06"
    return DueLabel(reported_ms, label)
