"""Load for races: payments of the parties that race, and one receiver who writes down what comes, and when.

The receiver does not judge: what a party's shares are is told by the gateway's journal, when all is over.
"""

import asyncio
import base64
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import grpc.aio

from gateway.server.supervisor import ProcessFailed
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import enrichment_pb2_grpc as enrichment_rpc
from issuernetwork.v1 import feed_pb2 as feed
from issuernetwork.v1 import feed_pb2_grpc as feed_rpc
from tests.kit.installation import Installation
from tests.kit.payments import NORTHGATE, payment

PROGRAM, RECIPIENT = "risk-score", "northgate-bank"
PAYMENTS_PER_S = 300
"""Of all parties together: what two cores carry beside the races themselves."""

POLL_PAUSE_S = (0.02, 0.1)
"""Between two polls: so that something is queued whenever a race ends."""

POLL_MAX_EVENTS = 100
LOOKUP_PAUSE_S = 0.003
REPEATS = 0.15
"""Of the payments: a request sent once more, whose answer is on record. It must not bring the data again."""

RECENT = 8
"""Payments of a party that look-ups ask for: the last ones."""

CALL_TIMEOUT_S = 5.0
DRAIN_S = 30.0


@dataclass(slots=True)
class Party:
    """Who races: a number, and what its payments have of their own."""

    number: int
    kind: str
    party_id: str
    merchant_id: str = "m-0001"
    platform_id: str = "plat-1"
    iin: str = NORTHGATE
    card: int | None = None
    par: str = ""
    """Payments of its card give this beside the number, and are known by it."""
    shared: int = 0
    """Payments of its own that were shared, as far as their sender knows."""

    asked_s: float = 0.0
    """When the last payment that was answered had been sent."""

    recent: deque[v1.EnrichAuthorizationRequest] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Payments that were shared."""

    @property
    def prefix(self) -> str:
        """Of its payments' ids, by which its records are known."""
        return f"race-{self.number}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender was told: when it asked, when the answer came, whether anything was shared."""

    party: int
    asked_s: float
    came_s: float
    shared: bool


@dataclass(frozen=True, slots=True)
class Received:
    """One share's data as a receiver got it. `transport` is `poll` or `lookup`."""

    share_id: str
    transport: str
    asked_s: float
    came_s: float


@dataclass(slots=True)
class Log:
    """What came to the ends, in order. Appended by the load's thread, read by others."""

    answers: list[Answer] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    """`data` or `withdrawn` by place of the stream; what comes again stands as it came last."""

    tombstones: dict[str, float] = field(default_factory=dict)
    polled_s: float = 0.0
    looked_up_s: float = 0.0
    bytes_received: int = 0
    failures: int = 0
    lookups_refused: int = 0
    """Nothing may leave while switches are stale: look-ups are told so."""

    repeats: int = 0


def claims_of(token: str) -> dict[str, Any]:
    """Claims of a compact JWS, not verified: the receiver's own tests do that."""
    segment = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return claims


class Load(threading.Thread):
    """Payments, polls and look-ups that go on whatever happens to the processes."""

    def __init__(self, installation: Installation, seed: int) -> None:
        super().__init__(name="load", daemon=True)
        self.log = Log()
        self._i = installation
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._paid_up = threading.Event()
        self._active: tuple[Party, ...] = ()
        self._changing = threading.Lock()
        self._number = 0
        self.fault: BaseException | None = None

    def begin(self, party: Party) -> None:
        """Its payments flow from now on."""
        with self._changing:
            self._active = (*self._active, party)

    def end(self, party: Party) -> None:
        with self._changing:
            self._active = tuple(one for one in self._active if one is not party)

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as fault:
            self.fault = fault

    def stop(self) -> None:
        """Ends the payments; polls go on until the stream is empty."""
        self._paid_up.set()
        deadline, seen, empty_s = time.monotonic() + DRAIN_S, -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - empty_s < 1.5:
            if len(self.log.places) != seen:
                seen, empty_s = len(self.log.places), time.monotonic()
            time.sleep(0.05)
        self._over.set()
        self.join(30)
        if self.fault is not None:
            raise self.fault

    async def _main(self) -> None:
        await asyncio.gather(self._pay(), self._poll(), self._look_up())

    async def _pay(self) -> None:
        caller = self._i.metadata("payments")
        pending: set[asyncio.Task[None]] = set()
        while not self._paid_up.is_set():
            ready = self._i.state.read_ready("gateway")
            if ready is None:
                await asyncio.sleep(0.02)
                continue
            address = ready["grpc"]
            async with grpc.aio.insecure_channel(address) as channel:
                enrich = enrichment_rpc.EnrichmentServiceStub(channel).EnrichAuthorization
                while not self._paid_up.is_set() and self._same_address("gateway", address):
                    if active := self._active:
                        one = asyncio.ensure_future(self._enrich(enrich, caller, self._random.choice(active)))
                        pending.add(one)
                        one.add_done_callback(pending.discard)
                    await asyncio.sleep(1 / PAYMENTS_PER_S)
                await asyncio.gather(*pending)
            await asyncio.sleep(0.02)

    def _same_address(self, process: str, address: str) -> bool:
        ready = self._i.state.read_ready(process)
        return ready is not None and ready["grpc"] == address

    async def _enrich(self, enrich: Any, caller: Any, party: Party) -> None:
        request = self._request(party)
        asked_s = time.monotonic()
        try:
            answer = await enrich(request, metadata=caller, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            self.log.failures += 1
            return
        self._answered(party, request, answer, asked_s)

    def _request(self, party: Party) -> v1.EnrichAuthorizationRequest:
        if party.recent and self._random.random() < REPEATS:
            return self._random.choice(party.recent)
        self._number += 1
        request = payment(
            self._number, iin=party.iin, card=party.card, merchant_id=party.merchant_id, prefix=party.prefix
        )
        request.platform_id = party.platform_id
        request.card.par = party.par
        return request

    def _answered(
        self,
        party: Party,
        request: v1.EnrichAuthorizationRequest,
        answer: v1.EnrichAuthorizationResponse,
        asked_s: float,
    ) -> None:
        repeated = any(request is one for one in party.recent)
        # A repeat tells again what became of the first; what it may not bring again is the data.
        shared = any(
            one.program == PROGRAM
            and (bool(one.elements) or (one.status == common.SHARE_STATUS_SHARED and not repeated))
            for one in answer.decisions
        )
        self.log.answers.append(Answer(party.number, asked_s, time.monotonic(), shared))
        self.log.repeats += repeated
        party.shared += shared
        party.asked_s = max(party.asked_s, asked_s)
        if shared and not repeated:
            party.recent.append(request)

    async def _poll(self) -> None:
        acks: list[str] = []
        headers = {"Authorization": f"Bearer {self._i.tokens[RECIPIENT]}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self._over.is_set():
                body = {"maxEvents": POLL_MAX_EVENTS, "returnImmediately": True, "ack": acks}
                asked_s = time.monotonic()
                try:
                    url = f"{self._i.address('feeds', 'http')}/ssf/streams/stream-{RECIPIENT}/poll"
                    timeout = aiohttp.ClientTimeout(CALL_TIMEOUT_S)
                    async with session.post(url, json=body, timeout=timeout) as reply:
                        reply.raise_for_status()
                        content = await reply.read()
                except (aiohttp.ClientError, ProcessFailed, TimeoutError, KeyError, OSError):
                    await asyncio.sleep(0.05)
                    continue
                sets = json.loads(content)["sets"]
                acks = list(sets)
                self.log.bytes_received += len(content)
                self._take_all(sets.values(), asked_s)
                self.log.polled_s = asked_s
                await asyncio.sleep(self._random.uniform(*POLL_PAUSE_S))

    def _take_all(self, tokens: Sequence[str], asked_s: float) -> None:
        came_s = time.monotonic()
        for token in tokens:
            ((uri, event),) = claims_of(token)["events"].items()
            withdrawn = "withdrawn" in uri
            self.log.places[event["stream_seq"]] = "withdrawn" if withdrawn else "data"
            if withdrawn:
                self.log.tombstones[event["share_id"]] = came_s
            else:
                self.log.received.append(Received(event["share_id"], "poll", asked_s, came_s))

    async def _look_up(self) -> None:
        while not self._over.is_set():
            ready = self._i.state.read_ready("feeds")
            if ready is None:
                await asyncio.sleep(0.02)
                continue
            address = ready["grpc"]
            async with grpc.aio.insecure_channel(address) as channel:
                lookup = feed_rpc.FeedServiceStub(channel).Lookup
                while not self._over.is_set() and self._same_address("feeds", address):
                    await self._look_up_once(lookup)
                    await asyncio.sleep(LOOKUP_PAUSE_S)

    async def _look_up_once(self, lookup: Any) -> None:
        asked_of = [party for party in self._active if party.recent]
        if not asked_of:
            return
        wanted = self._random.choice(self._random.choice(asked_of).recent)
        question = feed.LookupRequest(
            match=common.MatchReferences(
                acquiring_institution_id=wanted.acquirer.acquiring_institution_id,
                retrieval_reference_number=wanted.acquirer.retrieval_reference_number,
                attempted_at_ms=wanted.initiated_at_ms,
            )
        )
        asked_s = time.monotonic()
        try:
            found = await lookup(question, metadata=self._i.metadata(RECIPIENT), timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            self.log.lookups_refused += 1
            return
        came_s = time.monotonic()
        for share in found.shares:
            self.log.bytes_received += len(share.signed_set)
            self.log.received.append(Received(share.share_id, "lookup", asked_s, came_s))
        self.log.looked_up_s = asked_s


def wait_until(condition: Callable[[], bool], what: str, limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.005)
