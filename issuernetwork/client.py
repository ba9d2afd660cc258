"""Client of the payment service. Fail open: no trouble of ours ever stops or delays a payment.

async with PaymentClient("gateway:8443", token, credentials=grpc.ssl_channel_credentials()) as client:
    enriched = await client.enrich(request)
    if enriched.answered:
        elements = enriched.elements()   # for the authorization message
    ...                                  # the payment goes on either way
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from types import TracebackType
from typing import Any, Protocol, Self

import grpc
import grpc.aio

from issuernetwork._gathering import Batcher, Stream
from issuernetwork._results import (
    CLOSED,
    LATE,
    SHORTER,
    Asked,
    Counts,
    result_of_error,
    result_of_item,
)
from issuernetwork._results import ClientCounters as ClientCounters
from issuernetwork._results import EnrichResult as EnrichResult
from issuernetwork._results import Preset as Preset
from issuernetwork._results import Transport as Transport
from issuernetwork.v1 import enrichment_pb2, feed_pb2, outcomes_pb2

MAX_BATCH_ITEMS = 256
"""Most authorizations in one call to enrich (the contract's limit)."""

MAX_REPORT_ITEMS = 1000
"""Most outcomes or labels in one call (the contract's limit)."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""gRPC's own default, said aloud: a batch of 256 full requests stays under 1 MiB."""


def service_config() -> str:
    """The gRPC service config as JSON, for any language: idempotent calls are retried, throttled."""
    return files("issuernetwork").joinpath("service_config.json").read_text(encoding="utf-8")


PRODUCTION = Preset()
"""In front of an authorization."""

STREAMED = replace(PRODUCTION, transport="stream")
"""For hundreds at once and more: over calls that stay open, many in one message."""

PATIENT = Preset(enrich_deadline_ms=5_000, batch_deadline_ms=10_000)
"""For replays, tests and demos on a busy machine: the answer matters more than the payment."""


MIN_BUDGET_MS = 2
"""What a call alone needs at least: with less left, nobody is asked again."""


class ReportFailed(Exception):
    """A report could not be handed over within the attempts. Keep the items and report them again."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the report was not taken ({reason}); keep the items and report them again")
        self.reason = reason


# What says nothing about the items themselves: the same report may pass a moment later.
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)
_Call = Callable[..., Any]


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name

    @staticmethod
    def FromString(s: bytes) -> Any: ...  # noqa: N802 - protobuf's name


def channel_options() -> list[tuple[str, Any]]:
    """Options of each channel. Without a pool of its own every channel would share one connection."""
    return [
        ("grpc.service_config", service_config()),
        ("grpc.enable_retries", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ]


def _open(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=channel_options())
    return grpc.aio.secure_channel(target, credentials, options=channel_options())


def _unary(channel: grpc.aio.Channel, path: str, request: type[_Message], response: type[_Message]) -> _Call:
    call: _Call = channel.unary_unary(
        f"/issuernetwork.v1.{path}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    return call


def _gathered(channel: grpc.aio.Channel) -> _Call:
    """The batch call, of requests that are serialized."""
    call: _Call = channel.unary_unary(
        "/issuernetwork.v1.EnrichmentService/BatchEnrichAuthorizations",
        response_deserializer=enrichment_pb2.BatchEnrichAuthorizationsResponse.FromString,
    )
    return call


def _stream(channel: grpc.aio.Channel) -> _Call:
    call: _Call = channel.stream_stream(
        "/issuernetwork.v1.EnrichmentService/StreamEnrichAuthorizations",
        response_deserializer=enrichment_pb2.StreamEnrichAuthorizationsResponse.FromString,
    )
    return call


_OVERLOADED = EnrichResult(False, None, "overloaded", "too many calls in flight; none was sent")


class PaymentClient:
    """Enrich, report, watch: over several connections, with deadlines and retries set.

    `token` is the caller's bearer token, or what has it at hand (`TokenSource.current`): it is asked at each
    call and must not wait. Empty where the certificate in `credentials` says who calls. Without `credentials`
    the connection is clear: loopback only.
    `feeds_target` is where labels are reported. One client serves one event loop.
    """

    def __init__(
        self,
        target: str,
        token: str | Callable[[], str],
        *,
        feeds_target: str | None = None,
        preset: Preset = PRODUCTION,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._preset = preset
        self._token = token
        self._channels = [_open(target, credentials) for _ in range(max(1, preset.channels))]
        self._enrich = itertools.cycle(
            [
                _unary(
                    channel,
                    "EnrichmentService/EnrichAuthorization",
                    enrichment_pb2.EnrichAuthorizationRequest,
                    enrichment_pb2.EnrichAuthorizationResponse,
                )
                for channel in self._channels
            ]
        )
        first = self._channels[0]
        self._counts = Counts()
        self._streams = [
            Stream(_stream(channel), lambda: self._metadata, preset, self._counts)
            for channel, _ in zip(itertools.cycle(self._channels), range(max(1, preset.streams)))
        ]
        self._batcher = Batcher(_gathered(first), lambda: self._metadata, preset, self._counts)
        self._batch = _unary(
            first,
            "EnrichmentService/BatchEnrichAuthorizations",
            enrichment_pb2.BatchEnrichAuthorizationsRequest,
            enrichment_pb2.BatchEnrichAuthorizationsResponse,
        )
        self._outcomes = _unary(
            first,
            "OutcomeService/ReportOutcomes",
            outcomes_pb2.ReportOutcomesRequest,
            outcomes_pb2.ReportOutcomesResponse,
        )
        self._watch: _Call = first.unary_stream(
            "/issuernetwork.v1.OutcomeService/WatchOutcomes",
            request_serializer=outcomes_pb2.WatchOutcomesRequest.SerializeToString,
            response_deserializer=outcomes_pb2.WatchOutcomesResponse.FromString,
        )
        self._labels: _Call | None = None
        if feeds_target is not None:
            feeds = _open(feeds_target, credentials)
            self._channels.append(feeds)
            self._labels = _unary(
                feeds,
                "FeedService/ReportLabels",
                feed_pb2.ReportLabelsRequest,
                feed_pb2.ReportLabelsResponse,
            )
        self._in_flight = 0
        self._turn = itertools.cycle(self._streams)
        self._closed = False

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._token if isinstance(self._token, str) else self._token()
        return (("authorization", f"Bearer {token}"),) if token else ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connections; a call to enrich after it is answered `closed`."""
        self._closed = True
        self._batcher.close()
        for stream in self._streams:
            stream.close()
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def enrich(
        self,
        request: enrichment_pb2.EnrichAuthorizationRequest,
        *,
        deadline_ms: int | None = None,
        transport: Transport | None = None,
    ) -> EnrichResult:
        """Enriches one authorization. Never raises for trouble of the transport or of the gateway.

        `transport`, the preset's where nothing is said: what travels with others has its own budget all the
        same, and goes alone where its way breaks or is closed.
        """
        if self._closed:
            return self._counts.result(CLOSED)
        if self._in_flight >= self._preset.max_in_flight:
            return self._counts.result(_OVERLOADED)
        budget_ms = self._preset.enrich_deadline_ms if deadline_ms is None else deadline_ms
        way = self._way(transport or self._preset.transport, request.request_id)
        self._in_flight += 1
        try:
            if way is None:
                return self._counts.result(await self._alone(request, budget_ms))
            return self._counts.result(await self._together(request, budget_ms, way))
        finally:
            self._in_flight -= 1

    def _way(self, transport: Transport, request_id: str) -> Batcher | Stream | None:
        """With whom it travels; None: alone."""
        if transport == "stream":
            stream = next(self._turn)
            why = stream.refusal(request_id)
            if not why:
                return stream
            self._counts.fallbacks[why] += 1
        elif transport != "auto":
            return self._batcher if transport == "batch" else None
        return self._batcher if self._in_flight >= self._preset.gather_from_in_flight else None

    async def _together(
        self, request: enrichment_pb2.EnrichAuthorizationRequest, budget_ms: float, way: Batcher | Stream
    ) -> EnrichResult:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + budget_ms / 1000
        asked = Asked(request.request_id, request.SerializeToString(), deadline_s, loop.create_future())
        way.add(asked)
        result = await asked.done
        if isinstance(result, EnrichResult):
            return result
        if result.why:
            self._counts.fallbacks[result.why] += 1
        left_ms = (deadline_s - loop.time()) * 1000
        if self._closed:
            return CLOSED
        if left_ms < MIN_BUDGET_MS:
            return replace(LATE, maybe_recorded=result.maybe_recorded)
        again = await self._alone(request, left_ms)
        if result.maybe_recorded and not again.answered:
            return replace(again, maybe_recorded=True)
        return again

    async def _alone(
        self, request: enrichment_pb2.EnrichAuthorizationRequest, budget_ms: float
    ) -> EnrichResult:
        self._counts.unary_calls += 1
        answer = await self._call_open(next(self._enrich), request, budget_ms)
        return answer if isinstance(answer, EnrichResult) else EnrichResult(True, answer)

    def counters(self) -> ClientCounters:
        """What it has done so far."""
        return self._counts.read()

    async def enrich_batch(
        self,
        requests: Sequence[enrichment_pb2.EnrichAuthorizationRequest],
        *,
        deadline_ms: int | None = None,
    ) -> list[EnrichResult]:
        """Enriches up to 256 authorizations in one call; one result each, in order. Never raises either."""
        if not 1 <= len(requests) <= MAX_BATCH_ITEMS:
            raise ValueError(f"a batch holds 1 to {MAX_BATCH_ITEMS} requests; split it")
        budget_ms = self._preset.batch_deadline_ms if deadline_ms is None else deadline_ms
        batch = enrichment_pb2.BatchEnrichAuthorizationsRequest(requests=requests)
        if self._closed or self._in_flight >= self._preset.max_in_flight:
            results = [CLOSED if self._closed else _OVERLOADED] * len(requests)
        else:
            self._in_flight += 1
            self._counts.batch_calls += 1
            self._counts.batch_items += len(requests)
            try:
                answer = await self._call_open(self._batch, batch, budget_ms)
            finally:
                self._in_flight -= 1
            if isinstance(answer, EnrichResult):
                results = [answer] * len(requests)
            else:
                results = [result_of_item(item) for item in answer.items]
                results += [SHORTER] * (len(requests) - len(results))
        return [self._counts.result(result) for result in results]

    async def _call_open(self, call: _Call, request: _Message, budget_ms: float) -> Any:
        try:
            metadata = self._metadata
        except Exception as broken:  # the caller's own source of tokens; the payment goes on all the same
            return EnrichResult(False, None, "unauthenticated", f"no token: {type(broken).__name__}")
        try:
            return await call(request, timeout=budget_ms / 1000, metadata=metadata)
        except grpc.aio.AioRpcError as refused:
            return result_of_error(refused)
        except (grpc.aio.UsageError, grpc.aio.InternalError, grpc.aio.BaseError) as broken:
            return EnrichResult(False, None, "closed", type(broken).__name__, True)

    async def report_outcomes(
        self, outcomes: Sequence[outcomes_pb2.OutcomeEvent]
    ) -> list[outcomes_pb2.ReportResult]:
        """Reports what came of authorizations; one result each, in order. Tries again while trouble may pass.

        Raises ReportFailed when the attempts are used up or the report is refused as a whole.
        """
        results: list[outcomes_pb2.ReportResult] = []
        for start in range(0, len(outcomes), MAX_REPORT_ITEMS):
            request = outcomes_pb2.ReportOutcomesRequest(outcomes=outcomes[start : start + MAX_REPORT_ITEMS])
            results.extend((await self._report(self._outcomes, request)).results)
        return results

    async def report_labels(self, labels: Sequence[feed_pb2.LabelEvent]) -> list[feed_pb2.FeedReportResult]:
        """Reports fraud and disputes, as `report_outcomes` does. Needs `feeds_target`."""
        if self._labels is None:
            raise ValueError("labels are taken by the feeds; give feeds_target to the client")
        results: list[feed_pb2.FeedReportResult] = []
        for start in range(0, len(labels), MAX_REPORT_ITEMS):
            request = feed_pb2.ReportLabelsRequest(labels=labels[start : start + MAX_REPORT_ITEMS])
            results.extend((await self._report(self._labels, request)).results)
        return results

    async def _report(self, call: _Call, request: _Message) -> Any:
        preset = self._preset
        pause_ms = preset.report_pause_ms
        for attempt in range(1, preset.report_max_attempts + 1):
            try:
                return await call(request, timeout=preset.report_deadline_ms / 1000, metadata=self._metadata)
            except grpc.aio.AioRpcError as refused:
                if refused.code() not in _PASSING or attempt == preset.report_max_attempts:
                    raise ReportFailed(refused.code().name.lower()) from refused
            except grpc.aio.UsageError as broken:
                raise ReportFailed("closed") from broken
            await asyncio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, preset.report_max_pause_ms)
        raise AssertionError("the last attempt returns or raises")

    async def watch_outcomes(
        self, after_cursor: str = ""
    ) -> AsyncIterator[outcomes_pb2.WatchOutcomesResponse]:
        """Receipts and labels about own payments, from a cursor on, for as long as it is iterated.

        Goes on behind the last event after a break. Keep `event.cursor` once the event is handled.
        Raises ReportFailed where the gateway refuses the call itself.
        """
        cursor = after_cursor
        while not self._closed:
            asked_with = self._metadata
            stream = self._watch(outcomes_pb2.WatchOutcomesRequest(after_cursor=cursor), metadata=asked_with)
            try:
                async for event in stream:
                    yield event
                    cursor = event.cursor
            except grpc.aio.AioRpcError as refused:
                # A stream outlives its token: where there is another by now, it goes on with that.
                renewed = refused.code() is grpc.StatusCode.UNAUTHENTICATED and self._metadata != asked_with
                if refused.code() not in _PASSING and not renewed:
                    raise ReportFailed(refused.code().name.lower()) from refused
            except grpc.aio.UsageError:
                return
            finally:
                stream.cancel()
            await asyncio.sleep(self._preset.watch_pause_ms / 1000)
