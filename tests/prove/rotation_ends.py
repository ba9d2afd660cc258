"""Payments, and receivers of the SDK that follow the rules, while keys change: what each key verified."""

import asyncio
import base64
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

import aiohttp
import grpc.aio

from issuernetwork._jose import JweOpener, open_key
from issuernetwork.receiver import (
    Inbox,
    Item,
    JwksCache,
    PollReceiver,
    Receiver,
    RefusedToken,
    Share,
    open_fresh,
)
from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import enrichment_pb2_grpc as enrichment_rpc
from issuernetwork.v1 import feed_pb2 as feed
from issuernetwork.v1 import feed_pb2_grpc as feed_rpc
from tests.kit.installation import RECIPIENTS, Installation
from tests.kit.payments import HARBOR, MERIDIAN, NORTHGATE, SUMMIT, payment

PAYMENTS_PER_S = 40
"""Ten of each recipient: what two cores carry with RSA, beside what changes the keys."""

LOOKUP_PAUSE_S = 0.05
LOOKED_UP = "atlas-processing"
"""Gets its risk scores by look-up alone."""

CALL_TIMEOUT_S = 5.0


class Noting(Receiver):
    """A receiver that keeps count of the keys that it verified with, and takes new keys to open with."""

    def __init__(self, *, private_keys: list[Mapping[str, Any]], **more: Any) -> None:
        super().__init__(private_keys=private_keys, **more)
        self._private = list(private_keys)
        self.kids: Counter[str] = Counter()

    def open(self, signed_set: str | bytes) -> Item:
        item = super().open(signed_set)
        self.kids[_kid(signed_set)] += 1
        return item

    def add_key(self, jwk: Mapping[str, Any]) -> None:
        """Before it is sealed to."""
        self._private.append(jwk)
        self._opener = JweOpener({key.kid: key for key in map(open_key, self._private)})


class UnsafeStale(JwksCache):
    """Planted: a receiver that breaks the rules, and never asks again for a set that is too old."""

    async def keep_fresh(self) -> bool:
        return False


class Ends(threading.Thread):
    """Everything outside of the installation, on one loop."""

    def __init__(self, installation: Installation, *, cooldown_s: float, follows_rules: bool = True) -> None:
        super().__init__(name="ends", daemon=True)
        self._i = installation
        self._cooldown_s = cooldown_s
        self._cache_type = JwksCache if follows_rules else UnsafeStale
        self._over = threading.Event()
        self._paid_up = threading.Event()
        self.receivers: dict[str, Noting] = {}
        self.polls: list[PollReceiver] = []
        self.received: dict[str, set[str]] = {recipient_id: set() for recipient_id in RECIPIENTS}
        self.looked_up: set[str] = set()
        self.refused: Counter[str] = Counter()
        """By code: none of a receiver that follows the rules."""
        self.payments = 0
        self.failures = 0
        self.ready = threading.Event()
        self.fault: BaseException | None = None

    def kids(self) -> Counter[str]:
        """Tokens verified, by key."""
        total: Counter[str] = Counter()
        for receiver in self.receivers.values():
            total.update(dict(receiver.kids))
        return total

    def paid_up(self) -> None:
        """No more payments; receivers go on."""
        self._paid_up.set()

    def close(self) -> None:
        self._paid_up.set()
        self._over.set()
        self.join(60)
        if self.fault is not None:
            raise self.fault

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as fault:
            self.fault = fault
        finally:
            self.ready.set()

    async def _main(self) -> None:
        stop = asyncio.Event()
        async with aiohttp.ClientSession() as session:
            base = self._i.address("feeds", "http")
            jwks = {
                one: self._cache_type(session, f"{base}/.well-known/jwks.json", cooldown_s=self._cooldown_s)
                for one in RECIPIENTS
            }
            runs = [self._poller(session, base, one, jwks[one]).run(stop) for one in RECIPIENTS]
            self.ready.set()
            await asyncio.gather(*runs, self._pay(jwks[LOOKED_UP]), self._wait(stop))

    async def _wait(self, stop: asyncio.Event) -> None:
        await asyncio.to_thread(self._over.wait)
        stop.set()

    def _poller(
        self, session: aiohttp.ClientSession, base: str, recipient_id: str, jwks: JwksCache
    ) -> PollReceiver:
        receiver = Noting(
            recipient_id=recipient_id, private_keys=[self._i.recipient_keys[recipient_id]], jwks=jwks.current,
            iss=self._i.settings.issuer_url,
        )  # fmt: skip
        self.receivers[recipient_id] = receiver
        held = self.received[recipient_id]

        def handle(item: Item) -> None:
            if isinstance(item, Share):
                held.add(item.share_id)

        poll = PollReceiver(
            session=session, poll_url=f"{base}/ssf/streams/stream-{recipient_id}/poll",
            token=self._i.tokens[recipient_id], receiver=receiver, jwks=jwks, handler=handle, inbox=Inbox(),
            on_refused=lambda jti, refusal: self.refused.update([refusal.code]), backoff_max_s=1.0,
        )  # fmt: skip
        self.polls.append(poll)
        return poll

    async def _pay(self, jwks: JwksCache) -> None:
        recent: deque[v1.EnrichAuthorizationRequest] = deque(maxlen=8)
        pending: set[asyncio.Task[None]] = set()
        async with (
            grpc.aio.insecure_channel(self._i.address("gateway", "grpc")) as channel,
            grpc.aio.insecure_channel(self._i.address("feeds", "grpc")) as feeds,
        ):
            enrich = enrichment_rpc.EnrichmentServiceStub(channel).EnrichAuthorization  # type: ignore[no-untyped-call]
            lookup = feed_rpc.FeedServiceStub(feeds).Lookup  # type: ignore[no-untyped-call]
            looking = asyncio.ensure_future(self._look_up(lookup, recent, jwks))
            number = 0
            while not self._paid_up.is_set():
                number += 1
                iin = (NORTHGATE, HARBOR, MERIDIAN, SUMMIT)[number % 4]
                request = payment(number, iin=iin, prefix="rotation")
                one = asyncio.ensure_future(self._enrich(enrich, request))
                pending.add(one)
                one.add_done_callback(pending.discard)
                if iin == SUMMIT:
                    recent.append(request)
                await asyncio.sleep(1 / PAYMENTS_PER_S)
            await asyncio.gather(*pending)
            await looking

    async def _enrich(self, enrich: Any, request: v1.EnrichAuthorizationRequest) -> None:
        try:
            await enrich(request, metadata=self._i.metadata("payments"), timeout=CALL_TIMEOUT_S)
            self.payments += 1
        except grpc.aio.AioRpcError:
            self.failures += 1

    async def _look_up(self, lookup: Any, recent: deque[Any], jwks: JwksCache) -> None:
        while not self._paid_up.is_set():
            await asyncio.sleep(LOOKUP_PAUSE_S)
            if not recent:
                continue
            wanted = recent[len(recent) // 2]
            match = common.MatchReferences(
                acquiring_institution_id=wanted.acquirer.acquiring_institution_id,
                retrieval_reference_number=wanted.acquirer.retrieval_reference_number,
                attempted_at_ms=wanted.initiated_at_ms,
            )
            try:
                found = await lookup(
                    feed.LookupRequest(match=match), metadata=self._i.metadata(LOOKED_UP),
                    timeout=CALL_TIMEOUT_S,
                )  # fmt: skip
            except grpc.aio.AioRpcError:
                self.failures += 1
                continue
            for share in found.shares:
                await self._verify(share.signed_set, jwks)

    async def _verify(self, token: str, jwks: JwksCache) -> None:
        try:
            item = await open_fresh(self.receivers[LOOKED_UP], jwks, token)
        except RefusedToken as refusal:
            self.refused.update([f"lookup:{refusal.code}"])
            return
        assert isinstance(item, Share)
        self.looked_up.add(item.share_id)


def _kid(token: str | bytes) -> str:
    text = token if isinstance(token, str) else token.decode("ascii")
    segment = text.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))["kid"])


def since(began_s: float) -> float:
    return round(time.monotonic() - began_s, 1)
