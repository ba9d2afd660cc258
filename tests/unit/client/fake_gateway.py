"""A gateway that answers as a test tells it to, over real gRPC on the loopback address."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from issuernetwork.v1 import (
    enrichment_pb2,
    enrichment_pb2_grpc,
    feed_pb2,
    feed_pb2_grpc,
    outcomes_pb2,
    outcomes_pb2_grpc,
)

Enrich = Callable[[enrichment_pb2.EnrichAuthorizationRequest], enrichment_pb2.EnrichAuthorizationResponse]


def echo(
    request: enrichment_pb2.EnrichAuthorizationRequest,
) -> enrichment_pb2.EnrichAuthorizationResponse:
    """An answer without decisions."""
    return enrichment_pb2.EnrichAuthorizationResponse(request_id=request.request_id)


@dataclass
class FakeGateway(
    enrichment_pb2_grpc.EnrichmentServiceServicer,
    outcomes_pb2_grpc.OutcomeServiceServicer,
    feed_pb2_grpc.FeedServiceServicer,
):
    """`failures` lists status codes that the next calls fail with; `delay_s` holds each answer back."""

    enrich: Enrich = echo
    failures: list[grpc.StatusCode] = field(default_factory=list)
    delay_s: float = 0.0
    calls: int = 0
    tokens: set[str] = field(default_factory=set)
    outcomes: list[outcomes_pb2.OutcomeEvent] = field(default_factory=list)
    labels: list[feed_pb2.LabelEvent] = field(default_factory=list)
    events: list[outcomes_pb2.WatchOutcomesResponse] = field(default_factory=list)
    break_after: int = 0
    """Events of one stream before it breaks; 0 never breaks."""
    break_stream_at: int = 0
    """Which item of all streams breaks the one that it came on; 0 never breaks."""
    silent: set[str] = field(default_factory=set)
    """Ids of requests on streams that are never answered."""
    streams: int = 0
    stream_items: int = 0
    messages: list[list[str]] = field(default_factory=list)
    """Ids of each message of a stream, and of each batch."""
    budgets_ms: list[int] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)
    """Seconds by which a batch is held back that has this id."""
    target: str = ""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first call."""

    async def _enter(self, context: Any) -> None:
        self.calls += 1
        self.entered.set()
        self.tokens.add(dict(context.invocation_metadata()).get("authorization", ""))
        await asyncio.sleep(self.delay_s)
        if self.failures:
            await context.abort(self.failures.pop(0), "as told")

    async def EnrichAuthorization(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._enter(context)
        return self.enrich(request)

    async def BatchEnrichAuthorizations(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._enter(context)
        self.messages.append([item.request_id for item in request.requests])
        await asyncio.sleep(
            max((self.slow.get(item.request_id, 0.0) for item in request.requests), default=0)
        )
        response = enrichment_pb2.BatchEnrichAuthorizationsResponse()
        for item in request.requests:
            if item.merchant_id:
                response.items.add(response=self.enrich(item))
            else:
                response.items.add(
                    error=enrichment_pb2.ItemError(code=3, message="merchant_id: missing; send it")
                )
        return response

    async def StreamEnrichAuthorizations(self, requests: Any, context: Any) -> Any:  # noqa: N802
        self.streams += 1
        await self._enter(context)
        async for message in requests:
            self.messages.append([item.request.request_id for item in message.items])
            self.budgets_ms += [item.budget_ms for item in message.items]
            response = enrichment_pb2.StreamEnrichAuthorizationsResponse()
            for item in reversed(message.items):  # in no order that anybody may rely on
                request = item.request
                self.stream_items += 1
                if self.stream_items == self.break_stream_at:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
                if request.request_id in self.silent:
                    continue
                if request.merchant_id:
                    response.items.add(request_id=request.request_id, response=self.enrich(request))
                else:
                    error = enrichment_pb2.ItemError(code=3, message="merchant_id: missing; send it")
                    response.items.add(request_id=request.request_id, error=error)
            if response.items:
                yield response

    async def ReportOutcomes(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._enter(context)
        self.outcomes.extend(request.outcomes)
        recorded = outcomes_pb2.ReportResult(status=outcomes_pb2.REPORT_STATUS_RECORDED)
        return outcomes_pb2.ReportOutcomesResponse(results=[recorded] * len(request.outcomes))

    async def ReportLabels(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._enter(context)
        self.labels.extend(request.labels)
        return feed_pb2.ReportLabelsResponse(
            results=[feed_pb2.FeedReportResult(recorded=True)] * len(request.labels)
        )

    async def WatchOutcomes(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls += 1
        start = int(request.after_cursor or 0)
        for count, event in enumerate(self.events[start:], start=1):
            yield event
            if count == self.break_after:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
        await asyncio.Event().wait()


@asynccontextmanager
async def serving(gateway: FakeGateway) -> AsyncIterator[FakeGateway]:
    """Serves it on a free port, named in `gateway.target`."""
    server = grpc.aio.server()
    enrichment_pb2_grpc.add_EnrichmentServiceServicer_to_server(gateway, server)
    outcomes_pb2_grpc.add_OutcomeServiceServicer_to_server(gateway, server)
    feed_pb2_grpc.add_FeedServiceServicer_to_server(gateway, server)
    gateway.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield gateway
    finally:
        await server.stop(0)
