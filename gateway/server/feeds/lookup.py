"""Look-ups off the event loop: one thread over the native front, a batch of calls a step.

What leaves here has a lease of its own: the thread acknowledges a switch only between two batches, so that
an acknowledged epoch means that nothing older is in its hands.

A look-up may come while the payment that it is about is not fanned out yet. Where nothing is found it waits
until what was in the journal by then is fanned out, CATCH_UP_MAX_MS at most, and is tried once more.
"""

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import grpc
import structlog

from gateway.backends.embedded.delivery_reader import SqliteDeliveryReader
from gateway.feeds.delivery import Found, LookedUp, find, still_open
from gateway.feeds.ports import OutboxItem
from gateway.programs.switches import POLL_MS, SwitchRunner
from gateway.records.access import check_access
from gateway.records.errors import GatewayError
from gateway.records.journal import EVALUATIONS, JournalReader
from gateway.runtime.clock import MS
from gateway.runtime.tasks import Stop
from gateway.server.feeds.engine import FeedsEngine
from gateway.server.grpc_common import (
    INTERNAL_TEXT,
    InvalidArgument,
    status_of,
)
from gateway.server.identity import Authenticator
from issuernetwork.v1 import feed_pb2 as v1

LOOKUP_PATH = "/issuernetwork.v1.FeedService/Lookup"

BATCH_CALLS = 64
"""Look-ups of one record: some 10 ms of reading."""

IDLE_MS = 20
"""Longest wait for a call. The lease needs a step every POLL_MS."""

CATCH_UP_MAX_MS = 25
"""Twice the usual way from the answer to the look-up; authorizations wait for what is asked here."""

WAITING_MAX_CALLS = 1024
"""Look-ups that wait for the fan-out at once; more are answered with what there is."""

LOOKUPS_AT_ONCE = 1024
"""Of one connection, which waits before it sends more; in all where there is no native front."""

MAX_REQUEST_BYTES = 64 * 1024
"""A full request has under 1 KiB."""

CLOSE_GRACE_MS = 50
"""Answers are handed to the I/O threads, which write within a millisecond: closing at once cuts them off."""

DRAIN_STEPS = 64
"""After a stop: batches that have come in already are still served."""

_EVENT_CALL = 0
_IO_THREADS = 1
_STALE = "switches are stale: nothing may leave now; try again"
_log = structlog.get_logger("lookups")


class LookupFront:
    """Takes look-ups off the port; every other method goes to the server on `fallback_path`."""

    def __init__(self, target: str, *, fallback_path: str) -> None:
        from pygrpc_native import NativeGrpcFront

        # The library gives the peer where the header is absent, which is no credential.
        self._front = NativeGrpcFront(
            target,
            [(LOOKUP_PATH, False)],
            io_threads=_IO_THREADS,
            client_key_metadata="authorization",
            keepalive_permit_without_calls=True,
            max_concurrent_streams=LOOKUPS_AT_ONCE,
        )
        self._front.set_fallback(fallback_path)
        self._front.start()
        self.port = int(self._front.bound_port)
        self.respond: Callable[[int, bytes], object] = self._front.respond
        self.fail: Callable[[int, int, str], object] = self._front.fail

    def recv(self, max_calls: int, timeout_ms: int) -> list[tuple[Any, ...]] | None:
        """(kind, call id, method, payload, header) of calls; None once closed."""
        found: list[tuple[Any, ...]] | None = self._front.recv_batch(max_calls, timeout_ms)
        return found

    def close(self) -> None:
        time.sleep(CLOSE_GRACE_MS / 1000)
        self._front.close()


class _Asked(NamedTuple):
    call_id: int
    recipient_id: str
    request: v1.LookupRequest


class _Ready(NamedTuple):
    """What need not wait. `caught_up`: all that had been paid when it was asked can be found."""

    asked: _Asked
    caught_up: bool


class _Waiting(NamedTuple):
    asked: _Asked
    position: int
    until_ns: int


class LookupDesk:
    """Answers the look-ups of a front. `step` belongs to one thread."""

    def __init__(
        self,
        front: LookupFront,
        engine: FeedsEngine,
        authenticator: Authenticator,
        *,
        reader: SqliteDeliveryReader,
        gateway_journal: JournalReader,
        switches: SwitchRunner,
    ) -> None:
        self._front = front
        self._engine = engine
        self._authenticator = authenticator
        self._reader = reader
        self._journal = gateway_journal
        self._switches = switches
        self._clock = engine.parts.clock
        self._calls = engine.metrics.calls.labels("lookup")
        self._waiting: list[_Waiting] = []
        self._polled_ns = 0
        self._left: list[OutboxItem] = []
        self._busy = False

    def run(self, stop: Stop) -> None:
        """Serves until told to stop, then what has come in already, then closes the front."""
        while not stop.is_set():
            if not self.step():
                return
        for _ in range(DRAIN_STEPS):
            if not self.step(timeout_ms=0) or not self._busy:
                break
        self._serve([_Ready(waiting.asked, caught_up=False) for waiting in self._waiting], None)
        self._waiting = []
        self._front.close()
        self._count_left()
        self._switches.stop()

    def step(self, timeout_ms: int = IDLE_MS) -> bool:
        """One batch, or one wait for it. False once the front is closed."""
        self._follow_switches()
        ready: list[_Ready] = []
        if self._waiting:
            ready = self._caught_up()
            timeout_ms = 0
        calls = self._front.recv(BATCH_CALLS, timeout_ms)
        if calls is None:
            return False
        self._busy = bool(calls or self._waiting)
        if ready:
            self._serve(ready, None)
        if calls:
            self._calls.inc(len(calls))
            # Before looking: what comes between the two is waited for.
            behind = self._behind()
            asked = [one for one in map(self._parsed, calls) if one is not None]
            self._serve([_Ready(one, caught_up=behind is None) for one in asked], behind)
        return True

    def _follow_switches(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._polled_ns >= POLL_MS * MS:
            self._polled_ns = now_ns
            # First, so that whoever hears of an acknowledged kill reads counts with all that had left.
            if self._count_left():
                self._switches.step()

    def _count_left(self) -> bool:
        """One transaction for what left since the last. False where the store does not take it."""
        if self._left:
            try:
                self._engine.parts.store.note_sent(self._left)
            except GatewayError as fault:
                # Without it the lease runs out, and nothing more leaves.
                self._engine.metrics.faults.inc()
                _log.error("lookups_not_counted", code=fault.code)
                return False
            self._left = []
        return True

    def _caught_up(self) -> list[_Ready]:
        """Those that need not wait any longer. Waits itself, for the fan-out's next step."""
        first = self._waiting[0]
        left_ns = first.until_ns - self._clock.monotonic_ns()
        reached = self._engine.wait_fanned_out(first.position, max(0, left_ns) / 1e9)
        now_ns = self._clock.monotonic_ns()
        ready = [one for one in self._waiting if one.position <= reached or one.until_ns <= now_ns]
        self._waiting = [one for one in self._waiting if one.position > reached and one.until_ns > now_ns]
        return [_Ready(one.asked, one.position <= reached) for one in ready]

    def _parsed(self, call: tuple[Any, ...]) -> _Asked | None:
        kind, call_id, _, payload, header = call
        if kind != _EVENT_CALL:
            return None
        try:
            principal = self._authenticator.principal(header)
            check_access(LOOKUP_PATH, None if principal is None else principal.role)
            assert principal is not None
            if len(payload) > MAX_REQUEST_BYTES:
                raise InvalidArgument(f"request larger than {MAX_REQUEST_BYTES} bytes")
            return _Asked(call_id, principal.principal_id, _request(payload))
        except Exception as refused:
            self._fail(call_id, refused)
            return None

    def _serve(self, ready: Sequence[_Ready], behind: tuple[int, int] | None) -> None:
        """Finds, records what is about to leave, checks the switches, answers. `behind`: may wait for it."""
        if not ready:
            return
        view = self._switches.watcher.view
        if view is None or not self._switches.fresh():
            for one, _ in ready:
                self._front.fail(one.call_id, grpc.StatusCode.UNAVAILABLE.value[0], _STALE)
            return
        now_ms = self._clock.wall_ms()
        answers: list[tuple[_Asked, Found]] = []
        for one, caught_up in ready:
            references = one.request.match
            try:
                found = find(
                    self._reader, one.recipient_id, references, view,
                    attempted_at_ms=references.attempted_at_ms or now_ms, now_ms=now_ms,
                    caught_up=caught_up,
                )  # fmt: skip
            except Exception as fault:
                self._fail(one.call_id, fault)
                continue
            if behind and not found.items and len(self._waiting) < WAITING_MAX_CALLS:
                self._waiting.append(_Waiting(one, *behind))
            else:
                answers.append((one, found))
        self._answer(answers)

    def _behind(self) -> tuple[int, int] | None:
        """Position that the fan-out has yet to reach, and until when to wait for it."""
        end = self._journal.end(EVALUATIONS)
        if self._engine.fanned_out() >= end:
            return None
        return end, self._clock.monotonic_ns() + CATCH_UP_MAX_MS * MS

    def _answer(self, answers: Sequence[tuple[_Asked, Found]]) -> None:
        items = tuple(item for _, found in answers for item in found.items)
        if items:
            try:
                self._engine.journal_lookup(LookedUp(items=items))
                self._left += items
            except Exception as fault:
                for one, found in answers:
                    if found.items:
                        self._fail(one.call_id, fault)
                answers = [(one, found) for one, found in answers if not found.items]
        view = self._switches.watcher.view
        for one, found in answers:
            # Immediately before the bytes are handed to the transport.
            leaves = not found.items or (
                view is not None and self._switches.fresh() and still_open(found.items, view)
            )
            try:
                self._front.respond(one.call_id, response(found if leaves else _GONE).SerializeToString())
            except Exception as fault:
                self._fail(one.call_id, fault)

    def _fail(self, call_id: int, fault: Exception) -> None:
        code, public = status_of(fault)
        if code is grpc.StatusCode.INTERNAL:
            self._engine.metrics.faults.inc()
            _log.error("handler_fault", fault=type(fault).__name__)
            public = public if isinstance(fault, GatewayError) else INTERNAL_TEXT
        self._front.fail(call_id, code.value[0], public)


_GONE = Found(v1.MATCH_RESULT_NOT_MATCHED)


def response(found: Found) -> v1.LookupResponse:
    """The answer to a look-up."""
    answer = v1.LookupResponse(match=found.match)  # type: ignore[arg-type]
    for item in found.items:
        share = answer.shares.add()
        share.share_id, share.program = item.share_id, item.program
        share.signed_set = item.set_bytes.decode("ascii")
    return answer


def _request(payload: bytes) -> v1.LookupRequest:
    try:
        return v1.LookupRequest.FromString(payload)
    except Exception:
        raise InvalidArgument(
            "request is not a message of this method: send it in protobuf encoding"
        ) from None


def fallback_socket(run_dir: str | os.PathLike[str]) -> str:
    """Of the server behind the front; elsewhere where the kernel's 108 bytes are too few."""
    path = os.path.join(run_dir, "feeds.sock")
    if len(os.fsencode(path)) > 100:
        path = os.path.join(tempfile.mkdtemp(prefix="ein-"), "feeds.sock")
    with suppress(FileNotFoundError):
        os.unlink(path)
    return path


def has_native_front() -> bool:
    """Whether the library is there: it is not on every platform."""
    return importlib.util.find_spec("pygrpc_native") is not None
