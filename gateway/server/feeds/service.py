"""FeedService over gRPC: look-up, receipts, labels."""

from collections.abc import Sequence
from typing import Any

import grpc

from gateway.feeds.delivery import Found, find
from gateway.outcomes.labels import PolicyNow, Reporter
from gateway.outcomes.receipts import MAX_ITEMS, UNKNOWN_SHARE, Verdict, take_receipts
from gateway.records.journal import LABELS, RECEIPTS
from gateway.server.feeds.engine import FeedsEngine, Overloaded
from gateway.server.feeds.lookup import CATCH_UP_MAX_MS, LOOKUPS_AT_ONCE, response
from gateway.server.feeds.receipt_tokens import ReceiptTokens
from gateway.server.gate import caller
from gateway.server.grpc_common import InvalidArgument
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import feed_pb2 as v1
from issuernetwork.v1 import feed_pb2_grpc
from issuernetwork.v1.common_pb2 import FieldIssue

SERVICE = v1.DESCRIPTOR.services_by_name["FeedService"].full_name

CATCH_UP_MAX_S = 0.5
"""A receipt may come before its share is fanned out: how long it waits for that."""

RECEIPT, LABEL = "receipt", "label"
STALE_TEXT = "switches are stale: nothing may leave now; try again"


class FeedServicer(feed_pb2_grpc.FeedServiceServicer):
    """Runs on the engine's loop. `Lookup` is served here only where there is no native front."""

    def __init__(self, engine: FeedsEngine, tokens: ReceiptTokens) -> None:
        self._engine = engine
        self._tokens = tokens
        self._looking_up = 0
        self._lookups = engine.metrics.calls.labels("lookup")

    async def Lookup(self, request: v1.LookupRequest, context: Any) -> v1.LookupResponse:  # noqa: N802
        recipient_id = caller().principal_id
        self._lookups.inc()
        if not self._engine.parts.switches.fresh():
            await context.abort(grpc.StatusCode.UNAVAILABLE, STALE_TEXT)
        if self._looking_up >= LOOKUPS_AT_ONCE:
            raise Overloaded("too many look-ups at once: try again")
        self._looking_up += 1
        try:
            return response(await self._found(recipient_id, request))
        finally:
            self._looking_up -= 1

    async def _found(self, recipient_id: str, request: v1.LookupRequest) -> Found:
        # What had been paid when it was asked is fanned out before anything is said about it.
        caught_up = await self._engine.caught_up(CATCH_UP_MAX_MS / 1000)
        now_ms, chosen = self._engine.parts.clock.wall_ms(), self._engine.revocations.count
        found = find(
            self._engine.parts.lookup_reader,
            recipient_id,
            request.match,
            self._engine.view(),
            attempted_at_ms=request.match.attempted_at_ms or now_ms,
            now_ms=now_ms,
            caught_up=caught_up,
        )
        if found.items:
            await self._engine.record_lookup(found.items)
        # From here to the answer there is no await: what is checked is what leaves.
        if found.items and not self._engine.may_leave(found.items, chosen):
            return Found(v1.MATCH_RESULT_NOT_MATCHED)
        return found

    async def ReportReceipts(  # noqa: N802
        self, request: v1.ReportReceiptsRequest, context: Any
    ) -> v1.ReportReceiptsResponse:
        recipient_id = caller().principal_id
        self._engine.metrics.calls.labels("receipts").inc()
        if request.signed and request.receipts:
            raise InvalidArgument("receipts, signed: send one of them")
        receipts: Sequence[v1.Receipt] = request.receipts
        signed_by: storage.SignedBy | None = None
        with self._engine.report_slot():
            if request.signed:
                receipts, signed_by = await self._engine.report(
                    lambda: self._tokens.take(recipient_id, request.signed)
                )
            _check_count("receipts", len(receipts))
            verdicts = await self._engine.report(
                lambda: self._receipts(recipient_id, receipts, signed_by, may_be_early=True)
            )
            if verdicts is None:
                # Here and not in the thread: other reports go on meanwhile.
                await self._engine.caught_up(CATCH_UP_MAX_S)
                verdicts = await self._engine.report(
                    lambda: self._receipts(recipient_id, receipts, signed_by, may_be_early=False)
                )
        assert verdicts is not None
        return v1.ReportReceiptsResponse(results=[_result(verdict) for verdict in verdicts])

    def _receipts(
        self,
        recipient_id: str,
        receipts: Sequence[v1.Receipt],
        signed_by: storage.SignedBy | None,
        *,
        may_be_early: bool,
    ) -> list[Verdict] | None:
        """None, and nothing kept, where a share is not known and `may_be_early`."""
        parts = self._engine.parts
        ids = [receipt.receipt_id for receipt in receipts]
        verdicts = take_receipts(
            receipts,
            recipient_id=recipient_id,
            index=parts.report_reader,
            known=parts.store.known_reports(RECEIPT, recipient_id, ids),
            now_ms=parts.clock.wall_ms(),
            signed_by=signed_by,
        )
        if may_be_early and any(UNKNOWN_SHARE in verdict.issues for verdict in verdicts):
            return None
        self._keep(RECEIPT, RECEIPTS, recipient_id, verdicts)
        return verdicts

    async def ReportLabels(  # noqa: N802
        self, request: v1.ReportLabelsRequest, context: Any
    ) -> v1.ReportLabelsResponse:
        principal = caller()
        self._engine.metrics.calls.labels("labels").inc()
        _check_count("labels", len(request.labels))
        reporter = Reporter(principal.principal_id, principal.role == "issuer")
        with self._engine.report_slot():
            # A label about a payment just answered must not stay unmatched for want of a few milliseconds.
            await self._engine.caught_up(CATCH_UP_MAX_S)
            verdicts = await self._engine.report(lambda: self._labels(reporter, request.labels))
        return v1.ReportLabelsResponse(results=[_result(verdict) for verdict in verdicts])

    def _labels(self, reporter: Reporter, labels: Sequence[v1.LabelEvent]) -> list[Verdict]:
        engine, parts = self._engine, self._engine.parts
        known = parts.store.known_reports(LABEL, reporter.reporter_id, [label.label_id for label in labels])
        policy = PolicyNow(
            table=engine.table,
            stops=engine.view() if parts.switches.fresh() else None,
            now_ms=parts.clock.wall_ms(),
            objecting=parts.consents.subjects.objecting,
        )
        verdicts = parts.labels.take(labels, reporter=reporter, known=known, policy=policy)
        self._keep(LABEL, LABELS, reporter.reporter_id, verdicts)
        return verdicts

    def _keep(self, kind: str, topic: str, reporter_id: str, verdicts: Sequence[Verdict]) -> None:
        """Journal first: a crash in between leaves a repeat, which every consumer drops by its id."""
        kept = [(verdict.report_id, verdict.record) for verdict in verdicts if verdict.record is not None]
        if kept:
            parts = self._engine.parts
            parts.journal.append(topic, [record for _, record in kept])
            parts.wake_watchers()
            ids = [report_id for report_id, _ in kept]
            parts.store.keep_reports(kind, reporter_id, ids, at_ms=parts.clock.wall_ms())


def _check_count(field: str, count: int) -> None:
    if not 1 <= count <= MAX_ITEMS:
        raise InvalidArgument(f"{field}: send 1 to {MAX_ITEMS} items")


def _result(verdict: Verdict) -> v1.FeedReportResult:
    return v1.FeedReportResult(
        recorded=verdict.record is not None or verdict.duplicate,
        duplicate=verdict.duplicate,
        field_issues=[
            FieldIssue(field=issue.field, code=issue.code, mend=issue.mend) for issue in verdict.issues
        ],
    )
