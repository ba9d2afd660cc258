"""The feeds' shell: threads and the event loop around the cores.

Threads: fan-out; delivery (polls and withdrawals, one step at a time); look-ups; reports. What leaves, leaves
from the event loop or from the thread of the look-ups (`lookup`), and each polls the switches itself:
whatever it hands to a transport was checked against the newest view it has acknowledged.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import structlog

from gateway.feeds.delivery import (
    Action,
    Apply,
    LookedUp,
    Polled,
    Record,
    Reply,
    still_open,
)
from gateway.feeds.fanout import BATCH_MAX_ENTRIES, FanOutBatch
from gateway.feeds.ports import OutboxItem
from gateway.programs.ended import Standing
from gateway.programs.switches import POLL_MS, SwitchView
from gateway.programs.table import ReleaseTable
from gateway.records.errors import GatewayError
from gateway.records.journal import DELIVERIES, EVALUATIONS, LABELS, JournalCorrupt, JournalReader
from gateway.runtime.tasks import Stop
from gateway.server.bootstrap.feeds import FeedsParts
from gateway.server.feeds.in_flight import InFlight, drop
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.feeds.recount import last_looked_up
from gateway.server.feeds.revocations import Revocations

T = TypeVar("T")

IDLE_POLL_S = 0.05
"""Behind the wake-up datagram, which is only a hint."""

GATHER_S = 0.006
"""From the start of a small batch to that of the next: a commit costs as much as the payments of some ms."""

GATHER_ENTRIES = 32
"""A batch of so many is not small: the next one follows at once."""

RETRY_DELAY_S = 0.2
"""After a full disk or the like: the next try, with everything still in its place."""

REPORTS_WAITING = 64
"""Calls that report at once, of up to 1,000 items each: some seconds of work. More are turned away."""

_log = structlog.get_logger("feeds")


class PolicyStale(GatewayError):
    """The switches were not seen for too long: nothing may leave."""

    # Not there now, and there soon: callers see UNAVAILABLE.
    code = "store_unavailable"


class Overloaded(GatewayError):
    """More at once than is taken on: callers see UNAVAILABLE and try again."""

    code = "overloaded"


class FeedsEngine:
    """Runs fan-out, delivery and look-ups over `parts`. `loop` is where answers leave."""

    def __init__(self, parts: FeedsParts, metrics: FeedsMetrics) -> None:
        self.parts = parts
        self.metrics = metrics
        self.table: ReleaseTable | None = None
        """Of the policy in force: replaced as a whole by who follows it."""
        self.closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakes: dict[str, asyncio.Event] = {}
        self._delivery = ThreadPoolExecutor(1, "feeds-delivery")
        self._lookups = ThreadPoolExecutor(1, "feeds-lookups")
        self._reports = ThreadPoolExecutor(1, "feeds-reports")
        self._gathered: list[tuple[tuple[OutboxItem, ...], asyncio.Future[None]]] = []
        self._gathering = False
        self._drainer: asyncio.Task[None] | None = None
        self._positions: dict[str, int] = {}
        self._unrecorded: Sequence[bytes] = parts.store.unconfirmed_records()
        self._moved = threading.Condition()
        self._followers: set[asyncio.Future[None]] = set()
        self._reporting = 0
        self._epoch = -1
        self.in_flight = InFlight()
        self.revocations = Revocations(
            parts.core, parts.consents, parts.clock, self._delivery, self._carry_out, self.in_flight
        )

    # Switches.

    def view(self) -> SwitchView:
        """The newest view that the loop has acknowledged. Raises PolicyStale before the first."""
        view = self.parts.switches.watcher.view
        if view is None:
            raise PolicyStale("the switches have not been read yet: try again")
        return view

    def _standing(self) -> Standing:
        return self.revocations.standing(self.view())

    def may_leave(self, items: Sequence[OutboxItem], chosen: int | None = None) -> bool:
        """Asked on the loop, immediately before the bytes are handed to the transport.

        `chosen`: what `revocations.count` was before they were chosen.
        """
        if chosen is not None and chosen != self.revocations.count:
            return False
        view = self.parts.switches.watcher.view
        return view is not None and self.parts.switches.fresh() and still_open(items, view)

    async def watch_switches(self) -> None:
        """Polls and renews, on the loop that everything leaves from, until cancelled."""
        while True:
            self.follow_switches()
            await asyncio.sleep(POLL_MS / 1000)

    def follow_switches(self) -> None:
        """One look at the switches. An epoch is acknowledged only when nothing older is in our hands."""
        switches = self.parts.switches
        switches.step()
        view = switches.watcher.view
        for transport, items in self.in_flight.waiting():
            if not self.may_leave(items):
                drop(transport)
        switches.begin()
        if view is not None and view.epoch != self._epoch:
            self._epoch = view.epoch
            # Not only with the next look: who kills waits for it.
            switches.step()
            self._delivery.submit(self._sweep)
        self.metrics.stale.set(0 if switches.fresh() else 1)

    # Fan-out.

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.revocations.attach(loop)

    def fan_out(self, stop: Stop) -> None:
        """The fan-out thread. Raises JournalCorrupt, which does not mend itself."""
        while not stop.is_set():
            try:
                began_ns = self.parts.clock.monotonic_ns()
                count = self.fan_out_step()
                if not count:
                    self.parts.listener.wait(IDLE_POLL_S)
                elif count < GATHER_ENTRIES:
                    rest_s = GATHER_S - (self.parts.clock.monotonic_ns() - began_ns) / 1e9
                    if rest_s > 0:
                        stop.wait(rest_s)
            except JournalCorrupt:
                raise
            except GatewayError as fault:
                self.metrics.faults.inc()
                _log.error("fan_out_put_off", code=fault.code, public=fault.public)
                self._positions.clear()
                stop.wait(RETRY_DELAY_S)

    def fan_out_step(self) -> int:
        """One batch of each topic; how many entries."""
        with self.revocations.planning:
            self._record_rest()
        count = self._fan_out_topic(EVALUATIONS, self.parts.gateway_journal)
        return self._fan_out_topic(LABELS, self.parts.own_journal) + count

    def _fan_out_topic(self, topic: str, reader: JournalReader) -> int:
        if topic not in self._positions:
            with self._moved:
                self._positions[topic] = self.parts.store.offset(topic, 0)
                self._moved.notify_all()
        entries = reader.read(topic, self._positions[topic], BATCH_MAX_ENTRIES)
        if not entries:
            return 0
        with self.metrics.fan_out_seconds.time(), self.revocations.planning:
            batch = self.parts.fan_out.plan(
                topic, entries, self._standing(), now_ms=self.parts.clock.wall_ms()
            )
            self.parts.store.commit_fan_out(batch.change)
            self._unrecorded = batch.change.records
            # From the commit on it can be found, and leave by a record of its own: nobody waits for the rest.
            with self._moved:
                self._positions[topic] = batch.change.position
                self._moved.notify_all()
            self._record_rest()
        self.metrics.records.labels(topic).inc(len(entries))
        self.metrics.shares.inc(len(batch.change.shares))
        self._wake(batch.wake)
        if self._followers:
            self._on_loop(self._tell_followers)
        return len(entries)

    def commit_beside(self, plan: Callable[[], FanOutBatch]) -> None:
        """Commits what is no batch of a topic, between two that are: both give places of streams."""
        with self.revocations.planning:
            self._record_rest()
            batch = plan()
            self.parts.store.commit_fan_out(batch.change)
            self._unrecorded = batch.change.records
            self._record_rest()
        self._wake(batch.wake)

    def _record_rest(self) -> None:
        """What the store holds and the journal may not have yet: before anything else is committed."""
        if self._unrecorded:
            self.parts.journal.append(DELIVERIES, self._unrecorded)
            self._unrecorded = ()

    def _wake(self, streams: frozenset[str]) -> None:
        # Who takes an event after this look finds what is committed already.
        if not streams.isdisjoint(self._wakes):
            self._on_loop(partial(self._set, streams))

    def _on_loop(self, work: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)

    def _set(self, streams: frozenset[str]) -> None:
        for stream_id in streams:
            event = self._wakes.pop(stream_id, None)
            if event is not None:
                event.set()

    async def caught_up(self, timeout_s: float) -> bool:
        """Waits, on the loop, until what was in the gateway's journal by now is fanned out."""
        end = self.parts.gateway_journal.end(EVALUATIONS)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while self.fanned_out() < end:
            moved: asyncio.Future[None] = loop.create_future()
            self._followers.add(moved)
            try:
                # What moves after this look tells.
                if self.fanned_out() < end:
                    await asyncio.wait_for(moved, deadline_s - loop.time())
            except TimeoutError:
                return False
            finally:
                self._followers.discard(moved)
        return True

    def _tell_followers(self) -> None:
        for moved in self._followers:
            if not moved.done():
                moved.set_result(None)

    def fanned_out(self) -> int:
        """Position of the gateway's journal up to which shares can be looked up."""
        return self._positions.get(EVALUATIONS, -1)

    def wait_fanned_out(self, position: int, timeout_s: float) -> int:
        """Waits until `position` is fanned out, or one step of fan-out long; returns `fanned_out`."""
        with self._moved:
            if self.fanned_out() < position:
                self._moved.wait(timeout_s)
        return self.fanned_out()

    # Delivery.

    def wake_of(self, stream_id: str) -> asyncio.Event:
        """Set when something new may be on the stream. Take it before looking."""
        return self._wakes.setdefault(stream_id, asyncio.Event())

    def release_waiting(self) -> None:
        """Lets every long poll answer now."""
        self._set(frozenset(self._wakes))

    async def poll(self, event: Polled) -> Reply:
        """One step of a stream, recorded and kept before it returns."""
        return await self._on(self._delivery, lambda: self._step(event))

    def _step(self, event: Polled) -> Reply:
        actions = self.parts.core.on(event, self._standing(), self.parts.clock.wall_ms())
        return self._carry_out(actions)

    def _carry_out(self, actions: Sequence[Action]) -> Reply:
        for action in actions:
            if isinstance(action, Record):
                self.parts.journal.append(DELIVERIES, action.payloads)
            elif isinstance(action, Apply):
                self.parts.store.apply(action.change)
                self.metrics.withdrawn.inc(len(action.change.withdrawn))
            else:
                return action
        return Reply(())

    def _sweep(self) -> None:
        """Withdraws all that is open in stopped scopes."""
        self._withdraw_all(lambda now_ms: self.parts.core.sweep(self._standing(), now_ms))

    def expire_sealed(self, done: Callable[[int], None]) -> None:
        """Withdraws all that nobody fetched in time, between steps of delivery; `done` hears how many."""
        self._delivery.submit(lambda: self._withdraw_all(self.parts.core.expire, done))

    def _withdraw_all(
        self, some: Callable[[int], list[Action]], done: Callable[[int], None] = lambda count: None
    ) -> None:
        count = 0
        try:
            while not self.closing:
                actions = some(self.parts.clock.wall_ms())
                if not actions:
                    done(count)
                    return
                self._carry_out(actions)
                count += sum(len(one.change.withdrawn) for one in actions if isinstance(one, Apply))
        except GatewayError as fault:
            # The next round of housekeeping tries again; a poll or a look-up looks for itself.
            self.metrics.faults.inc()
            _log.error("withdrawal_put_off", code=fault.code, public=fault.public)

    # Look-ups.

    async def record_lookup(self, items: tuple[OutboxItem, ...]) -> None:
        """Returns when it is durable that these are about to leave. Those who ask at once share a sync."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append((items, done))
        if not self._gathering:
            self._gathering = True
            # The loop itself keeps only a weak reference to its tasks.
            self._drainer = asyncio.get_running_loop().create_task(self._drain())
        await done

    async def _drain(self) -> None:
        while self._gathered:
            batch, self._gathered = self._gathered, []
            items = tuple(item for gathered, _ in batch for item in gathered)
            fault: Exception | None = None
            try:
                await self._keep_lookup(items)
            except Exception as found:
                fault = found
            for _, done in batch:
                if done.done():
                    continue
                if fault is None:
                    done.set_result(None)
                else:
                    done.set_exception(fault)
        self._gathering = False

    async def _keep_lookup(self, items: tuple[OutboxItem, ...]) -> None:
        await self._on(self._lookups, partial(self.keep_lookup, LookedUp(items=items)))

    def keep_lookup(self, event: LookedUp) -> None:
        """Returns when it is durable in the journal, and counted, that these are about to leave."""
        self.journal_lookup(event)
        self.parts.store.note_sent(event.items)

    def journal_lookup(self, event: LookedUp) -> None:
        """Returns when it is durable in the journal that these are about to leave."""
        for action in self.parts.core.on(event, self.view(), self.parts.clock.wall_ms()):
            if isinstance(action, Record):
                self.parts.journal.append(DELIVERIES, action.payloads)

    def recount_lookups(self) -> None:
        """Counts what left by look-up just before the process ended without counting it. At the start."""
        left = last_looked_up(self.parts.own_journal)
        if left:
            self.parts.store.note_sent(left)

    # Reports.

    @contextmanager
    def report_slot(self) -> Iterator[None]:
        """One call that reports, from its arrival to its answer. Raises Overloaded where too many wait."""
        if self._reporting >= REPORTS_WAITING:
            raise Overloaded("too many reports wait: keep the items and report them again later")
        self._reporting += 1
        try:
            yield
        finally:
            self._reporting -= 1

    async def report(self, work: Callable[[], T]) -> T:
        """Runs `work` on the thread that reports are taken on, one at a time."""
        return await self._on(self._reports, work)

    async def _on(self, executor: Executor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, work)

    # Housekeeping (`feeds_housekeeping`).

    def withdraw_stopped(self) -> None:
        """Begins to withdraw what a switch left open."""
        view = self.parts.switches.watcher.view
        if view is not None and view.stops:
            self._delivery.submit(self._sweep)

    def measure_behind(self) -> None:
        """Says how far fan-out is behind the journals."""
        for topic, reader in ((EVALUATIONS, self.parts.gateway_journal), (LABELS, self.parts.own_journal)):
            self.metrics.behind.labels(topic).set(reader.end(topic) - self._positions.get(topic, -1))

    def close(self) -> None:
        """Ends the threads that steps run on, after what they have begun."""
        self.closing = True
        for executor in (self._delivery, self._lookups, self._reports):
            executor.shutdown(wait=True)
