"""OutcomeService: what payment services say came of payments, and what issuers said of theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

from gateway.outcomes.recorder import OutcomeRecorder
from gateway.records.errors import GatewayError
from gateway.records.journal import FIRST, LABELS, RECEIPTS, JournalReader
from gateway.server.gate import caller, still_caller
from gateway.server.grpc_common import InvalidArgument
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import outcomes_pb2, outcomes_pb2_grpc

SERVICE = outcomes_pb2.DESCRIPTOR.services_by_name["OutcomeService"].full_name

ITEMS_PER_CALL = 1_000
"""Outcomes of one call (contract)."""

PENDING_CALLS = 1_024
"""Calls that wait for a commit; more are turned away, to be tried again."""

POLL_S = 0.05
"""How long a missed wake-up delays a watcher."""

CURSOR_CHARACTERS = 64
"""Two positions and the time of a restore: three numbers of 64 bits with their letters."""

WATCH_RECORDS = 256
"""Records read in one go for one watcher."""

CHECK_CALLER_S = 0.5
"""Identities are followed twice a second."""

WATCHERS = 256
"""Streams open at once: each has a reader of its own."""

WATCH_THREADS = 4
"""For all watchers: a look at a quiet journal takes under 100 us."""


class Busy(GatewayError):
    """Too much at once."""

    code = "store_unavailable"


class _Pending(NamedTuple):
    sender_id: str
    outcomes: Sequence[outcomes_pb2.OutcomeEvent]
    done: "asyncio.Future[outcomes_pb2.ReportOutcomesResponse]"


class OutcomeServicer(outcomes_pb2_grpc.OutcomeServiceServicer):
    """Serves on the loop of one `ServerThread`. `make_reader`: a reader of the journal of feeds."""

    def __init__(
        self,
        *,
        recorder: OutcomeRecorder,
        make_reader: Callable[[], JournalReader],
        on_call: Callable[[str], None] = lambda method: None,
        restored_at_ms: int = 0,
    ) -> None:
        self._recorder = recorder
        self._make_reader = make_reader
        self._on_call = on_call
        # Positions of before a restore say nothing of the journals after it.
        self._mark = f".g{restored_at_ms}" if restored_at_ms else ""
        self._pending: list[_Pending] = []
        self._committer: asyncio.Task[None] | None = None
        self._bell = asyncio.Event()
        self._watchers = 0
        self._moved = asyncio.Event()
        """Set, and replaced, when either topic has grown."""

        self._follower: asyncio.Task[None] | None = None
        # Apart, so that any number of watchers leaves reports, and whoever uses the default pool, alone.
        self._recording = ThreadPoolExecutor(1, thread_name_prefix="outcomes-record")
        self._watching = ThreadPoolExecutor(WATCH_THREADS, thread_name_prefix="outcomes-watch")

    def close(self) -> None:
        """After the server has stopped."""
        for pool in (self._recording, self._watching):
            pool.shutdown(cancel_futures=True)

    def ring(self) -> None:
        """Feeds has written: watchers look now. Call it on the server's loop."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def ReportOutcomes(  # noqa: N802
        self, request: outcomes_pb2.ReportOutcomesRequest, context: Any
    ) -> outcomes_pb2.ReportOutcomesResponse:
        sender_id = caller().principal_id
        self._on_call("ReportOutcomes")
        if not 1 <= len(request.outcomes) <= ITEMS_PER_CALL:
            raise InvalidArgument(f"outcomes: send 1 to {ITEMS_PER_CALL} items")
        if len(self._pending) >= PENDING_CALLS:
            raise Busy("too many reports at once: send fewer calls with more outcomes each")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[outcomes_pb2.ReportOutcomesResponse] = loop.create_future()
        self._pending.append(_Pending(sender_id, request.outcomes, done))
        if self._committer is None:
            self._committer = loop.create_task(self._commit())
        return await done

    async def _commit(self) -> None:
        """Commits what has gathered while the last commit ran. No caller's cancellation reaches it."""
        loop = asyncio.get_running_loop()
        while self._pending:
            gathered, self._pending = self._pending, []
            calls = [(one.sender_id, one.outcomes) for one in gathered]
            try:
                answers = await loop.run_in_executor(self._recording, self._recorder.record, calls)
            except Exception as fault:
                for one in gathered:
                    if not one.done.done():
                        one.done.set_exception(fault)
                continue
            for one, answer in zip(gathered, answers, strict=True):
                if not one.done.done():
                    one.done.set_result(answer)
        self._committer = None

    async def WatchOutcomes(  # noqa: N802
        self, request: outcomes_pb2.WatchOutcomesRequest, context: Any
    ) -> AsyncIterator[outcomes_pb2.WatchOutcomesResponse]:
        self._on_call("WatchOutcomes")
        receipt, label = _cursor(request.after_cursor, self._mark)
        if self._watchers >= WATCHERS:
            raise Busy("too many streams: keep one a payment service")
        self._watchers += 1
        try:
            reader = self._make_reader()
            loop = asyncio.get_running_loop()
            while True:
                if self._follower is None:
                    self._moved = asyncio.Event()
                    self._follower = loop.create_task(self._follow())
                # A stream may be open for days: a token that is revoked, or runs out meanwhile, ends it.
                sender_id = still_caller().principal_id
                moved = self._moved
                receipt, label, events = await loop.run_in_executor(
                    self._watching, _look, reader, sender_id, receipt, label, self._mark
                )
                for event in events:
                    yield event
                if not events and not _behind(reader, receipt, label):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(moved.wait(), CHECK_CALLER_S)
        finally:
            self._watchers -= 1

    async def _follow(self) -> None:
        """Looks for all watchers: each by itself cost half a core where 256 waited for nothing."""
        reader, loop = self._make_reader(), asyncio.get_running_loop()
        known: tuple[int, int] | None = None
        try:
            while self._watchers:
                bell = self._bell
                ends = await loop.run_in_executor(self._watching, _ends, reader)
                if ends != known:
                    known = ends
                    moved, self._moved = self._moved, asyncio.Event()
                    moved.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), POLL_S)
        finally:
            self._follower = None
            # Who waits looks for itself, and begins it anew where it was a fault that ended it.
            self._moved.set()


def _cursor(text: str, mark: str) -> tuple[int, int]:
    """Positions of a cursor `r<receipt>.l<label>` with the mark of the restore that it was given after.

    Empty, or of before the last restore, it stands before the oldest: what comes again has its ids of before.
    """
    if not text:
        return FIRST, FIRST
    receipt, dot, rest = text.partition(".")
    label, given, number = rest.partition(".g")
    if dot and receipt[:1] == "r" and label[:1] == "l" and len(text) <= CURSOR_CHARACTERS:
        with suppress(ValueError):
            positions = int(receipt[1:]), int(label[1:])
            of_now = f"{given}{int(number)}" == mark if given else not mark
            return positions if of_now else (FIRST, FIRST)
    raise InvalidArgument("after_cursor: hand back the cursor of an event, or leave it empty")


def _ends(reader: JournalReader) -> tuple[int, int]:
    return reader.end(RECEIPTS), reader.end(LABELS)


def _behind(reader: JournalReader, receipt: int, label: int) -> bool:
    receipts, labels = _ends(reader)
    return receipts > receipt or labels > label


def _look(
    reader: JournalReader, sender_id: str, receipt: int, label: int, mark: str
) -> tuple[int, int, list[outcomes_pb2.WatchOutcomesResponse]]:
    """The next records of both topics: new positions, and the events that are the sender's."""
    events = []
    for entry in reader.read(RECEIPTS, receipt, WATCH_RECORDS):
        receipt = entry.position
        heard = journal_pb2.ReceiptRecord.FromString(entry.payload)
        if heard.sender_id == sender_id:
            events.append(
                outcomes_pb2.WatchOutcomesResponse(
                    cursor=f"r{receipt}.l{label}{mark}",
                    payment_intent_id=heard.payment_intent_id,
                    attempt_no=heard.attempt_no,
                    receipt=heard.receipt,
                )
            )
    for entry in reader.read(LABELS, label, WATCH_RECORDS):
        label = entry.position
        told = journal_pb2.LabelRecord.FromString(entry.payload)
        if told.sender_id == sender_id:
            events.append(
                outcomes_pb2.WatchOutcomesResponse(
                    cursor=f"r{receipt}.l{label}{mark}",
                    payment_intent_id=told.payment_intent_id,
                    attempt_no=told.attempt_no,
                    label=told.label,
                )
            )
    return receipt, label, events
