"""A payment service and a recipient that go on whatever happens to the processes: what leaves is seen here.

A check says what is paid and looked up, and writes down what came; the calls, and the waiting for a process
that is down or has another address, are here.
"""

import asyncio
import base64
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import aiohttp
import grpc.aio

from gateway.server.supervisor import ProcessFailed
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import enrichment_pb2_grpc as enrichment_rpc
from issuernetwork.v1 import feed_pb2 as feed
from issuernetwork.v1 import feed_pb2_grpc as feed_rpc
from tests.kit.installation import Installation

CALL_TIMEOUT_S = 5.0
RETRY_S = 0.02
"""Until the next look whether a process is there again."""

Answered = Callable[[v1.EnrichAuthorizationResponse, float], None]
"""Told of a payment's answer, and when it was asked for."""


class BothEnds(threading.Thread):
    """One loop of payments, one of polls, one of look-ups. The hooks are called on this thread."""

    RECIPIENT: ClassVar[str]
    PAYMENTS_PER_S: ClassVar[int]
    POLL_MAX_EVENTS: ClassVar[int]
    POLL_PAUSE_S: ClassVar[tuple[float, float]]
    """Between two polls, at random."""

    LOOKUP_PAUSE_S: ClassVar[float]

    def __init__(self, installation: Installation, seed: int) -> None:
        super().__init__(name="load", daemon=True)
        self._i = installation
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._paid_up = threading.Event()
        self.fault: BaseException | None = None

    def next_payment(self) -> tuple[v1.EnrichAuthorizationRequest, Answered] | None:
        """What is paid now, and who hears of the answer; None where nothing is."""
        raise NotImplementedError

    def payment_failed(self) -> None:
        """A payment had no answer."""

    def polled(self, content: bytes, sets: dict[str, str], asked_s: float) -> None:
        """What a poll brought: the answer's bytes, and its tokens by jti."""
        raise NotImplementedError

    def next_lookup(self) -> v1.EnrichAuthorizationRequest | None:
        """The payment whose authorization the issuer asks about now."""
        raise NotImplementedError

    def looked_up(self, found: feed.LookupResponse, asked_s: float) -> None:
        raise NotImplementedError

    def lookup_failed(self) -> None:
        """A look-up had no answer, or was refused."""

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as fault:
            self.fault = fault

    def stop(self) -> None:
        """Ends everything. Raises what went wrong on the way."""
        self._paid_up.set()
        self._over.set()
        self.join(30)
        if self.fault is not None:
            raise self.fault

    async def _main(self) -> None:
        await asyncio.gather(self._pay(), self._poll(), self._look_up())

    async def _address(self, process: str) -> str:
        """Of its gRPC side; empty where it is down, after a while."""
        ready = self._i.state.read_ready(process)
        if ready is None:
            await asyncio.sleep(RETRY_S)
            return ""
        return str(ready["grpc"])

    def _same_address(self, process: str, address: str) -> bool:
        ready = self._i.state.read_ready(process)
        return ready is not None and ready["grpc"] == address

    async def _pay(self) -> None:
        caller = self._i.metadata("payments")
        pending: set[asyncio.Task[None]] = set()
        while not self._paid_up.is_set():
            if not (address := await self._address("gateway")):
                continue
            async with grpc.aio.insecure_channel(address) as channel:
                enrich = enrichment_rpc.EnrichmentServiceStub(channel).EnrichAuthorization
                while not self._paid_up.is_set() and self._same_address("gateway", address):
                    if wanted := self.next_payment():
                        one = asyncio.ensure_future(self._enrich(enrich, caller, *wanted))
                        pending.add(one)
                        one.add_done_callback(pending.discard)
                    await asyncio.sleep(1 / self.PAYMENTS_PER_S)
                await asyncio.gather(*pending)
            await asyncio.sleep(RETRY_S)

    async def _enrich(
        self, enrich: Any, caller: Any, request: v1.EnrichAuthorizationRequest, answered: Answered
    ) -> None:
        asked_s = time.monotonic()
        try:
            answer = await enrich(request, metadata=caller, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            self.payment_failed()
            return
        answered(answer, asked_s)

    async def _poll(self) -> None:
        acks: list[str] = []
        headers = {"Authorization": f"Bearer {self._i.tokens[self.RECIPIENT]}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while not self._over.is_set():
                body = {"maxEvents": self.POLL_MAX_EVENTS, "returnImmediately": True, "ack": acks}
                asked_s = time.monotonic()
                try:
                    url = f"{self._i.address('feeds', 'http')}/ssf/streams/stream-{self.RECIPIENT}/poll"
                    timeout = aiohttp.ClientTimeout(CALL_TIMEOUT_S)
                    async with session.post(url, json=body, timeout=timeout) as reply:
                        reply.raise_for_status()
                        content = await reply.read()
                except (aiohttp.ClientError, ProcessFailed, TimeoutError, KeyError, OSError):
                    await asyncio.sleep(0.05)
                    continue
                sets = json.loads(content)["sets"]
                acks = list(sets)
                self.polled(content, sets, asked_s)
                await asyncio.sleep(self._random.uniform(*self.POLL_PAUSE_S))

    async def _look_up(self) -> None:
        while not self._over.is_set():
            if not (address := await self._address("feeds")):
                continue
            async with grpc.aio.insecure_channel(address) as channel:
                lookup = feed_rpc.FeedServiceStub(channel).Lookup
                while not self._over.is_set() and self._same_address("feeds", address):
                    if wanted := self.next_lookup():
                        await self._look_up_once(lookup, wanted)
                    await asyncio.sleep(self.LOOKUP_PAUSE_S)

    async def _look_up_once(self, lookup: Any, wanted: v1.EnrichAuthorizationRequest) -> None:
        question = feed.LookupRequest(
            match=common.MatchReferences(
                acquiring_institution_id=wanted.acquirer.acquiring_institution_id,
                retrieval_reference_number=wanted.acquirer.retrieval_reference_number,
                attempted_at_ms=wanted.initiated_at_ms,
            )
        )
        asked_s = time.monotonic()
        try:
            found = await lookup(question, metadata=self._i.metadata(self.RECIPIENT), timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            self.lookup_failed()
            return
        self.looked_up(found, asked_s)


def claims_of(token: str) -> dict[str, Any]:
    """Claims of a compact JWS, not verified: the receiver's own tests do that."""
    segment = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return claims


def wait_until(condition: Callable[[], bool], what: str, limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.005)
