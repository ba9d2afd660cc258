"""The payment service of the simulation: enrich, authorize, report, and hear back."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from issuernetwork.client import EnrichResult, PaymentClient, ReportFailed
from issuernetwork.v1 import common_pb2, enrichment_pb2, outcomes_pb2
from simulator.decisions import (
    BEHAVIOURS,
    UNENROLLED,
    Behaviour,
    Truth,
    draw_nature,
    is_soft,
)
from simulator.draws import draw, pick
from simulator.labels import LabelSchedule, payment_side_labels
from simulator.lines import LineList
from simulator.messages import enrich_request, match_references
from simulator.network import Answer, NetworkLink
from simulator.payments import DAY_MS, SimulatedPayment, TraceNumbers

IN_FLIGHT = 64
"""Payments under way at once: enough to fill the gateway's batches, few enough to keep waiting short."""

MAX_ATTEMPTS = 3
RETRY_SHARE = 0.6
"""Soft declines that are tried again."""

OUTCOME_BATCH = 250
REPORT_PERIOD_S = 0.25
"""Outcomes and labels leave when a batch is full, and at the latest after this."""

MAX_UNREPORTED = 20_000
"""Outcomes in wait of their report; beyond it payments wait, since losing one would bend the estimate."""

LABEL_BATCH = 500
AFTER_END_MS = 100 * 365 * DAY_MS
"""How far event time runs on once the last payment is made: past every label, for one left waits for ever."""

ISSUER_OF_IIN: dict[str, str] = {
    "90100101": "northgate-bank",
    "90200202": "harbor-federal",
    "90300303": "meridian-cards",
    "90400404": "summit-credit-union",
}

# Public reasons of payments that were eligible: withheld by the draw, or by what failed after it.
_ELIGIBLE_REASONS = frozenset(
    {
        common_pb2.PUBLIC_REASON_NOT_SHARED,
        common_pb2.PUBLIC_REASON_OVER_DEADLINE,
        common_pb2.PUBLIC_REASON_JOURNAL_UNAVAILABLE,
    }
)
_STATUS_WORDS = {
    common_pb2.SHARE_STATUS_SHARED: "shared",
    common_pb2.SHARE_STATUS_WITHHELD: "withheld",
    common_pb2.SHARE_STATUS_UNDETERMINED: "undetermined",
}


def reason_word(reason: int) -> str:
    """`merchant_opted_out` for PUBLIC_REASON_MERCHANT_OPTED_OUT; empty for none."""
    if not reason:
        return ""
    return common_pb2.PublicReason.Name(reason).removeprefix("PUBLIC_REASON_").lower()


@dataclass(slots=True)
class Counters:
    """What the payment service has seen; for progress and the summary, not for the account."""

    payments: int = 0
    payments_answered: int = 0
    attempts: int = 0
    attempts_answered: int = 0
    approved: int = 0
    stand_in: int = 0
    outcomes_reported: int = 0
    outcomes_refused: int = 0
    labels_reported: int = 0
    shared: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By program and issuer."""
    withheld: Counter[str] = field(default_factory=Counter)
    undetermined: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    watched_receipts: Counter[int] = field(default_factory=Counter)
    watched_labels: int = 0
    event_ms: int = 0


def sender_line(request: enrichment_pb2.EnrichAuthorizationRequest, result: EnrichResult) -> dict[str, Any]:
    """One line of the sender's own list: what it asked, and what it was told."""
    decisions = result.response.decisions if result.response is not None else ()
    return {
        "request_id": request.request_id,
        "payment_intent_id": request.payment_intent_id,
        "attempt_no": request.attempt_no,
        "sent": True,
        "answered": result.answered,
        "error": None if result.answered else result.reason,
        "degraded": result.response.degraded_reason if result.response is not None else "",
        "decisions": [
            {
                "program": decision.program,
                "status": _STATUS_WORDS.get(decision.status, "unspecified"),
                "reason": reason_word(decision.public_reason),
                "share_id": decision.share_id,
            }
            for decision in decisions
        ],
    }


def eligible_programs(result: EnrichResult) -> list[str]:
    """Programs that the payment was eligible for, as far as its sender can tell."""
    if result.response is None:
        return []
    return [
        decision.program
        for decision in result.response.decisions
        if decision.status != common_pb2.SHARE_STATUS_WITHHELD or decision.public_reason in _ELIGIBLE_REASONS
    ]


class Traffic:
    """Drives payments through the gateway and the issuers. `run` returns when all is reported."""

    def __init__(
        self,
        client: PaymentClient,
        links: Mapping[str, NetworkLink],
        sender_list: LineList,
        traces: TraceNumbers,
        *,
        seed: int,
        in_flight: int = IN_FLIGHT,
        labels: bool = True,
        behaviours: Mapping[str, Behaviour] = BEHAVIOURS,
    ) -> None:
        self.counters = Counters()
        self.truth = Truth()
        self._client = client
        self._links = links
        self._list = sender_list
        self._traces = traces
        self._seed = seed
        self._in_flight = in_flight
        self._behaviours = behaviours
        self._label_schedule = LabelSchedule() if labels else None
        self._unreported: list[outcomes_pb2.OutcomeEvent] = []
        self._failed: ReportFailed | None = None
        self._wake = asyncio.Event()
        self._done = False

    async def run(self, payments: Iterable[SimulatedPayment]) -> None:
        """Makes all payments, then lets event time run on until every label has been reported."""
        source = iter(payments)
        reporting = asyncio.create_task(self._report())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._in_flight):
                    group.create_task(self._work(source))
            self.counters.event_ms += AFTER_END_MS
        finally:
            self._done = True
            self._wake.set()
            await reporting

    async def _work(self, source: Iterator[SimulatedPayment]) -> None:
        for payment in source:
            while len(self._unreported) >= MAX_UNREPORTED or self._failed is not None:
                if self._failed is not None:
                    raise self._failed
                await asyncio.sleep(REPORT_PERIOD_S)
            await self._pay(payment)

    async def _pay(self, payment: SimulatedPayment) -> None:
        counters = self.counters
        counters.payments += 1
        counters.event_ms = max(counters.event_ms, payment.at_ms)
        while True:
            answer = await self._attempt(payment)
            if answer.approved:
                counters.approved += 1
                if self._label_schedule is not None:
                    for due in payment_side_labels(self._seed, payment):
                        self._label_schedule.add(due)
                return
            again = draw(self._seed, "again", payment.request_id) < RETRY_SHARE
            if payment.attempt_no >= MAX_ATTEMPTS or not again or not is_soft(answer.code):
                return
            wait_ms = 5_000 + pick(self._seed, 85_000, "pause", payment.request_id)
            payment = payment.retried(payment.at_ms + wait_ms, self._traces.next())

    async def _attempt(self, payment: SimulatedPayment) -> Answer:
        counters = self.counters
        request = enrich_request(payment)
        counters.attempts += 1
        result = await self._client.enrich(request)
        self._list.add(sender_line(request, result))
        self._count(payment, result)
        behaviour = self._behaviours.get(ISSUER_OF_IIN.get(payment.card.iin, ""), UNENROLLED)
        nature = draw_nature(
            self._seed, payment.payment_id, payment.attempt_no, fraud=payment.fraud, behaviour=behaviour
        )
        if payment.attempt_no == 1:
            self.truth.add(behaviour, nature, eligible_programs(result))
        elements: list[tuple[str, str, str, str]] = []
        transmitted: list[str] = []
        if result.response is not None:
            for decision in result.response.decisions:
                if decision.elements and decision.status == common_pb2.SHARE_STATUS_SHARED:
                    transmitted.append(decision.share_id)
                    elements.extend(
                        (decision.share_id, decision.program, element.target, element.value)
                        for element in decision.elements
                    )
        answer = await self._links[payment.card.iin].authorize(
            {
                "id": payment.request_id,
                "kind": "authorization",
                "refs": match_references(payment),
                "elements": elements,
                "nature": [
                    nature.approval, nature.code, nature.fraud,
                    nature.attempt_no, nature.unmatched, nature.late,
                ],
                "reported_at_ms": payment.reported_at_ms,
            }
        )  # fmt: skip
        counters.stand_in += answer.stand_in
        self._unreported.append(_outcome(payment, answer, transmitted))
        if len(self._unreported) >= OUTCOME_BATCH:
            self._wake.set()
        return answer

    def _count(self, payment: SimulatedPayment, result: EnrichResult) -> None:
        counters = self.counters
        if result.response is None:
            counters.unanswered[result.reason] += 1
            return
        counters.attempts_answered += 1
        counters.payments_answered += payment.attempt_no == 1
        if result.response.degraded_reason:
            counters.degraded[result.response.degraded_reason] += 1
        issuer_id = ISSUER_OF_IIN.get(payment.card.iin, "unenrolled")
        for decision in result.response.decisions:
            if decision.status == common_pb2.SHARE_STATUS_SHARED:
                counters.shared[decision.program, issuer_id] += 1
            elif decision.status == common_pb2.SHARE_STATUS_UNDETERMINED:
                counters.undetermined += 1
            else:
                counters.withheld[reason_word(decision.public_reason)] += 1

    async def _report(self) -> None:
        try:
            await self._report_until_done()
        except ReportFailed as failed:
            self._failed = failed
            raise

    async def _report_until_done(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), REPORT_PERIOD_S)
            self._wake.clear()
            finishing = self._done
            while self._unreported:
                batch = self._unreported[:OUTCOME_BATCH]
                results = await self._client.report_outcomes(batch)
                del self._unreported[: len(batch)]
                refused = sum(result.status == outcomes_pb2.REPORT_STATUS_REFUSED for result in results)
                self.counters.outcomes_refused += refused
                self.counters.outcomes_reported += len(results) - refused
            await self._report_labels()
            if finishing:
                return

    async def _report_labels(self) -> None:
        if self._label_schedule is None:
            return
        while labels := self._label_schedule.take_due(self.counters.event_ms, LABEL_BATCH):
            results = await self._client.report_labels(labels)
            self.counters.labels_reported += sum(result.recorded for result in results)

    async def watch(self) -> None:
        """Counts what issuers say of our payments, until cancelled."""
        with suppress(ReportFailed):
            async for event in self._client.watch_outcomes():
                if event.WhichOneof("event") == "receipt":
                    self.counters.watched_receipts[event.receipt.use] += 1
                else:
                    self.counters.watched_labels += 1


def _outcome(payment: SimulatedPayment, answer: Answer, transmitted: list[str]) -> outcomes_pb2.OutcomeEvent:
    latency_ms = 40 + payment.at_ms % 200
    return outcomes_pb2.OutcomeEvent(
        outcome_id=f"o-{payment.request_id}",
        payment_intent_id=payment.payment_id,
        attempt_no=payment.attempt_no,
        kind=outcomes_pb2.OUTCOME_KIND_AUTHORIZATION,
        transmitted_share_ids=transmitted,
        occurred_at_ms=payment.at_ms + latency_ms,
        reported_at_ms=payment.at_ms + latency_ms,
        network=payment.network,  # type: ignore[arg-type]  # enums are ints on the wire
        approved=answer.approved,
        requested_minor=payment.amount_minor,
        approved_minor=payment.amount_minor if answer.approved else 0,
        currency=payment.currency,
        response_code=answer.code,
        response_code_scheme=outcomes_pb2.RESPONSE_CODE_SCHEME_ISO1987,
        authorization_id_response=f"{payment.stan}" if answer.approved else "",
        network_transaction_id=f"nti{payment.acquirer_id}{payment.retrieval_reference_number}",
        stand_in=answer.stand_in,
        issuer_latency_ms=latency_ms,
        interchange_minor=payment.amount_minor * 18 // 1000 if answer.approved else 0,
        scheme_fee_minor=2,
        fee_currency=payment.currency,
    )
