"""Polls a transmitter for SETs (RFC 8936) and hands them to a handler, in order, each once."""

import asyncio
import inspect
import json
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from issuernetwork._jose import TOKEN_BYTES_MAX, RefusedToken
from issuernetwork.jwks_cache import JwksCache, PollFault, read_bounded
from issuernetwork.receiver_inbox import Gap, Inbox, Offered
from issuernetwork.receiver_open import Erasure, Item, Receiver, Share
from issuernetwork.tokens import AskFault, Token

Handler = Callable[[Item], Awaitable[None] | None]

EVENTS_MAX: Final = 200
# Above any transmitter's long poll, so that a quiet stream is no failure.
POLL_TIMEOUT_S: Final = 90.0
BACKOFF_FIRST_S: Final = 0.1
IDLE_POLL_S: Final = 0.05
BACKOFF_MAX_S: Final = 30.0
# What a transmitter may ask us to wait by Retry-After.
RETRY_AFTER_MAX_S: Final = 120.0
# Refusals that wait to be told to the transmitter.
REFUSED_MAX: Final = 10_000

_log = logging.getLogger("issuernetwork.receiver")


@dataclass(slots=True)
class PollCounts:
    """What a receiver did so far."""

    polls: int = 0
    received: int = 0
    shares: int = 0
    withdrawn: int = 0
    erasures: int = 0
    duplicates: int = 0
    refused: int = 0
    deferred: int = 0
    handler_faults: int = 0
    poll_faults: int = 0


class PollReceiver:
    """The I/O around `Receiver` and `Inbox`.

    A SET is acknowledged only after `handler` returned and `save_state` wrote the inbox's state. A handler
    that raises is called again with the same item; nothing after it is handed out. `receiver` takes its keys
    from `jwks.current`.
    """

    def __init__(
        self,
        *,
        session: aiohttp.ClientSession,
        poll_url: str,
        token: Token,
        receiver: Receiver,
        jwks: JwksCache,
        handler: Handler,
        inbox: Inbox | None = None,
        save_state: Callable[[dict[str, Any]], None] | None = None,
        on_refused: Callable[[str, RefusedToken], None] | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        events_max: int = EVENTS_MAX,
        backoff_max_s: float = BACKOFF_MAX_S,
    ) -> None:
        self.inbox = Inbox() if inbox is None else inbox
        self.counts = PollCounts()
        self._session = session
        self._poll_url = poll_url
        self._token = token
        self._receiver = receiver
        self._jwks = jwks
        self._handler = handler
        self._save_state = save_state
        self._on_refused = on_refused
        self._on_gap = on_gap
        self._events_max = events_max
        self._backoff_max_s = backoff_max_s
        self._refused: dict[str, str] = {}
        self._told_gap: Gap | None = None
        self._waiting = False
        self.more_available = False
        """What the transmitter said last: more than `events_max` wait."""

    def __repr__(self) -> str:
        return f"PollReceiver(recipient_id={self._receiver.recipient_id!r})"

    @property
    def pending(self) -> bool:
        """Whether another poll has something to say or to fetch."""
        return self.more_available or bool(self.inbox.acks()) or bool(self._refused)

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until `stop`, backing off with jitter after failures; then acknowledges what is left.

        A poll that waits is cut short by `stop`; a handler that runs is not.
        """
        stopped = asyncio.ensure_future(stop.wait())
        backoff_s = BACKOFF_FIRST_S
        try:
            while not stop.is_set():
                poll = asyncio.ensure_future(self._round())
                try:
                    await asyncio.wait({poll, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    if not poll.done() and self._waiting:
                        break
                    progressed, wait_s = await poll
                finally:
                    await _cancelled(poll)
                backoff_s = BACKOFF_FIRST_S if progressed else min(backoff_s * 2, self._backoff_max_s)
                if not progressed:
                    # Jitter: receivers that failed together do not come back together.
                    wait_s = max(wait_s, backoff_s * random.uniform(0.5, 1.0))
                if wait_s:
                    await asyncio.wait({stopped}, timeout=wait_s)
        finally:
            await _cancelled(stopped)
        await self._say_goodbye()

    async def _round(self) -> tuple[bool, float]:
        """Whether the round went on, and how many seconds to wait before the next at least."""
        loop = asyncio.get_running_loop()
        began, received = loop.time(), self.counts.received
        try:
            progressed = await self.poll_once()
        except PollFault as fault:
            self.counts.poll_faults += 1
            _log.warning("%s", fault)
            return False, min(fault.retry_after_s, RETRY_AFTER_MAX_S)
        # A transmitter that answers an empty long poll at once is not asked in a tight loop.
        idle = received == self.counts.received and loop.time() - began < IDLE_POLL_S
        return progressed, IDLE_POLL_S if idle else 0.0

    async def poll_once(self, *, return_immediately: bool = False) -> bool:
        """One round: acknowledge, receive, handle. False where SETs came and none could be got rid of.

        Raises PollFault, and whatever `save_state` raises.
        """
        acks, refused = self.inbox.acks(), dict(self._refused)
        self._waiting = True
        try:
            reply = await self._post(
                acks, refused, events_max=self._events_max, return_immediately=return_immediately
            )
        finally:
            self._waiting = False
        self.inbox.acked(acks)
        for jti in refused:
            self._refused.pop(jti, None)
        sets = reply.get("sets", {})
        if not isinstance(sets, dict):
            raise PollFault("reading the reply")
        self.more_available = reply.get("moreAvailable") is True
        self.counts.polls += 1
        self.counts.received += len(sets)
        if sets:
            await self._keep_keys_fresh()
        for jti, token in sets.items():
            await self._receive(jti, token)
        clean = await self._hand_out()
        self._report_gap()
        return clean and (not sets or bool(self.inbox.acks()) or bool(self._refused))

    async def _post(
        self, acks: list[str], refused: dict[str, str], *, events_max: int, return_immediately: bool
    ) -> dict[str, Any]:
        question: dict[str, Any] = {"maxEvents": events_max, "returnImmediately": return_immediately}
        if acks:
            question["ack"] = acks
        if refused:
            question["setErrs"] = {
                jti: {"err": code, "description": "refused by the receiver"} for jti, code in refused.items()
            }
        try:
            async with self._session.post(
                self._poll_url,
                json=question,
                headers=await self._headers(),
                timeout=aiohttp.ClientTimeout(total=POLL_TIMEOUT_S),
                # A redirect would carry the credentials to somebody else.
                allow_redirects=False,
            ) as reply:
                if reply.status != 200:
                    raise PollFault("polling", status=reply.status, retry_after_s=_retry_after_s(reply))
                answer = json.loads(await read_bounded(reply, (events_max + 1) * TOKEN_BYTES_MAX))
        except AskFault as fault:
            raise PollFault("asking for a token", status=fault.status) from fault
        except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as fault:
            raise PollFault("polling") from fault
        if not isinstance(answer, dict):
            raise PollFault("reading the reply")
        return answer

    async def _headers(self) -> dict[str, str]:
        """None where a certificate says who polls."""
        token = self._token if isinstance(self._token, str) else await self._token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def _keep_keys_fresh(self) -> None:
        try:
            await self._jwks.keep_fresh()
        except PollFault as fault:
            # The keys that we have are used until others can be had.
            _log.warning("%s", fault)

    async def _receive(self, jti: str, token: Any) -> None:
        try:
            item = await self._open(token)
            if item is None:
                self.counts.deferred += 1
                return
            # RFC 8936 2.3: the key of `sets` is the token's jti; another one would acknowledge another token.
            if item.jti != jti:
                raise RefusedToken("claims")
            if self.inbox.offer(item) is Offered.DUPLICATE:
                self.counts.duplicates += 1
        except RefusedToken as refusal:
            self.counts.refused += 1
            _log.warning("%s", refusal)
            if len(self._refused) < REFUSED_MAX:
                self._refused[jti] = refusal.set_error
            if self._on_refused is not None:
                self._on_refused(jti, refusal)

    async def _open(self, token: Any) -> Item | None:
        """The item; None where its key may yet become known. Raises RefusedToken."""
        if not isinstance(token, str):
            raise RefusedToken("malformed")
        try:
            return self._receiver.open(token)
        except RefusedToken as refusal:
            if refusal.code != "unknown_key":
                raise
        try:
            if not await self._jwks.refresh():
                return self._cooling(token)
        except PollFault as fault:
            _log.warning("%s", fault)
            return None
        return self._receiver.open(token)

    def _cooling(self, token: str) -> Item | None:
        # Another token of this round may have brought the new keys; else it is left to come again.
        try:
            return self._receiver.open(token)
        except RefusedToken as refusal:
            if refusal.code != "unknown_key":
                raise
            return None

    async def _hand_out(self) -> bool:
        handled = 0
        try:
            while (item := self.inbox.take()) is not None:
                try:
                    outcome = self._handler(item)
                    if inspect.isawaitable(outcome):
                        await outcome
                except Exception as fault:
                    # Its text may quote the share.
                    _log.error("the handler failed: %s", type(fault).__name__)
                    self.counts.handler_faults += 1
                    return False
                self.inbox.handled(item)
                handled += 1
                if isinstance(item, Share):
                    self.counts.shares += 1
                elif isinstance(item, Erasure):
                    self.counts.erasures += 1
                else:
                    self.counts.withdrawn += 1
            return True
        finally:
            # Also where this task is cancelled: what is acknowledged later has to be in the state.
            if self._save_state is not None and handled:
                self._save_state(self.inbox.state())

    def _report_gap(self) -> None:
        gap = self.inbox.gap()
        if gap is not None and (self._told_gap is None or gap.first != self._told_gap.first):
            _log.warning("stream_seq %d to %d missing, %d held", gap.first, gap.last, gap.held)
            if self._on_gap is not None:
                self._on_gap(gap)
        self._told_gap = gap

    async def _say_goodbye(self) -> None:
        acks, refused = self.inbox.acks(), dict(self._refused)
        if not acks and not refused:
            return
        try:
            # RFC 8936 2.4.2: maxEvents 0 acknowledges only.
            await self._post(acks, refused, events_max=0, return_immediately=True)
        except PollFault as fault:
            _log.warning("%s", fault)
            return
        self.inbox.acked(acks)
        self._refused.clear()


async def _cancelled(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _retry_after_s(reply: aiohttp.ClientResponse) -> float:
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
