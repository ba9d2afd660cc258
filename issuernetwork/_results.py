"""What calls to enrich come to, how they are made, and what was counted on the way."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc

from issuernetwork.v1 import common_pb2, enrichment_pb2

Transport = Literal["auto", "unary", "batch", "stream"]
"""How an authorization travels. `auto`: alone while there are few, with others while there are many."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How long to wait, how often to try again, how much at once."""

    enrich_deadline_ms: int = 50
    """Budget of a call before the authorization; p99 of a loaded gateway is under 5 ms."""
    batch_deadline_ms: int = 250
    report_deadline_ms: int = 10_000
    report_max_attempts: int = 8
    """Reports are idempotent and not in a payment's way: with the pauses below, about a minute of trying."""
    report_pause_ms: int = 250
    report_max_pause_ms: int = 16_000
    max_in_flight: int = 1024
    """Calls to enrich at once; one more is answered `overloaded` on the spot, without waiting."""
    channels: int = 2
    """Connections; each has its own, so that workers behind one port are all used."""
    watch_pause_ms: int = 500
    transport: Transport = "auto"
    gather_from_in_flight: int = 8
    """`auto`: with fewer calls under way each goes alone and at once; a batch of fewer saves nothing."""
    gather_items: int = 32
    """Most authorizations that are sent together: more hardly make one cheaper."""
    gather_us: int = 200
    """Longest wait for others to go with: a call alone takes longer than that to be sent and received."""
    streams: int = 2
    """Calls that stay open, for what travels by `stream`; one a channel at least keeps all workers in use."""
    stream_items: int = 256
    """Unanswered on one stream (the contract's limit); what comes beyond goes alone."""
    stream_pause_ms: int = 250
    """After a stream broke: so long everything goes by other ways."""


@dataclass(frozen=True, slots=True)
class EnrichResult:
    """What came of one call. `answered` False: go on with the payment as if there were no gateway.

    `reason` is empty or one of `deadline_exceeded, unavailable, overloaded, closed` and the other status
    codes of gRPC in lower case. `maybe_recorded` says that the gateway may have recorded and shared it.
    """

    answered: bool
    response: enrichment_pb2.EnrichAuthorizationResponse | None = None
    reason: str = ""
    detail: str = ""
    maybe_recorded: bool = False

    def elements(self) -> list[enrichment_pb2.MessageElement]:
        """Elements to put into the authorization message; none where nothing was shared."""
        if self.response is None:
            return []
        return [element for decision in self.response.decisions for element in decision.elements]

    def shared_ids(self) -> list[str]:
        """Ids of what was shared, to hand back as `transmitted_share_ids`."""
        if self.response is None:
            return []
        shared = common_pb2.SHARE_STATUS_SHARED
        return [decision.share_id for decision in self.response.decisions if decision.status == shared]


@dataclass(frozen=True, slots=True)
class ClientCounters:
    """What a client has done so far. Items are authorizations; a fallback is one that changed its way."""

    unary_calls: int
    batch_calls: int
    batch_items: int
    stream_items: int
    streams_opened: int
    answered: int
    unanswered: Mapping[str, int]
    """By `EnrichResult.reason`."""
    fallbacks: Mapping[str, int]
    """By why: `stream_broken`, `stream_stalled`, `stream_full`, `stream_pause`, `batch_deadline`,
    `batch_refused`."""


@dataclass(slots=True)
class Counts:
    """The same while it is counted."""

    unary_calls: int = 0
    batch_calls: int = 0
    batch_items: int = 0
    stream_items: int = 0
    streams_opened: int = 0
    answered: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)

    def result(self, result: EnrichResult) -> EnrichResult:
        if result.answered:
            self.answered += 1
        else:
            self.unanswered[result.reason] += 1
        return result

    def read(self) -> ClientCounters:
        return ClientCounters(
            self.unary_calls, self.batch_calls, self.batch_items, self.stream_items, self.streams_opened,
            self.answered, dict(self.unanswered), dict(self.fallbacks),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Otherwise:
    """In place of a result: it is to go alone. `why` is what is counted; empty where nothing went wrong."""

    why: str = ""
    maybe_recorded: bool = False


@dataclass(slots=True, eq=False)
class Asked:
    """One call to enrich that travels with others. `deadline_s` by the clock of the event loop."""

    request_id: str
    payload: bytes
    deadline_s: float
    done: "asyncio.Future[EnrichResult | Otherwise]"

    def settle(self, result: EnrichResult | Otherwise) -> None:
        """Whoever has cancelled hears nothing."""
        if not self.done.done():
            self.done.set_result(result)


CLOSED = EnrichResult(False, None, "closed")
SHORTER = EnrichResult(False, None, "internal", "the batch came back shorter", True)
LATE = EnrichResult(False, None, "deadline_exceeded", "not answered within its budget", True)

# The request may have reached the journal, though no answer came back.
_MAYBE_RECORDED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def result_of_error(refused: grpc.aio.AioRpcError) -> EnrichResult:
    """The result of a call that ended with a status."""
    status = refused.code()
    return EnrichResult(False, None, status.name.lower(), refused.details() or "", status in _MAYBE_RECORDED)


def result_of_item(item: Any) -> EnrichResult:
    """The result of one item of a batch, or of a stream."""
    if item.WhichOneof("result") == "response":
        return EnrichResult(True, item.response)
    code = _CODES.get(item.error.code, grpc.StatusCode.UNKNOWN)
    return EnrichResult(False, None, code.name.lower(), item.error.message)
