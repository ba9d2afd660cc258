"""After a restore: streams skip what may have been given, receivers pass over it, cursors begin anew."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.embedded import delivery_database as database
from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.feeds.delivery import DeliveryCore, Polled, Reply
from gateway.feeds.fanout import FanOut
from gateway.feeds.ports import FanOutChange
from gateway.outcomes.conservation import Account
from gateway.outcomes.recorder import OutcomeRecorder
from gateway.records.journal import EVALUATIONS, FEEDS_TOPICS, RECEIPTS
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.gate import calling
from gateway.server.gateway.outcome_service import OutcomeServicer
from gateway.server.identity import Principal
from gateway.server.state import StateDir
from gateway.sharing.remembered import Positions
from issuernetwork.receiver import Inbox, Share, Withdrawn
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import outcomes_pb2 as v1
from tests.unit.feeds.records import (
    BASE_MS,
    SSF,
    FakeSigner,
    FakeSwitches,
    decision,
    entries,
    evaluation,
    quick_store,
)
from tests.unit.receiver.test_inbox import drain, share
from tests.unit.server.test_outcome_service import Written

FREE = 1_000
STREAM = "stream-bank"


class Restored:
    """Feeds over a store that was restored: its stream had given places 1 to 2 when it was copied."""

    def __init__(self, folder: Path) -> None:
        self.store = quick_store(folder / "feeds.sqlite3")
        self.reader = self.store.reader()
        self.signer = FakeSigner()
        self.position = 0

    def share(self, *names: str, transports: Sequence[int] = (SSF,)) -> list[storage.DeliveryRecord]:
        """Fans out a batch; its records of deliveries."""
        fan_out = FanOut(
            store=self.store, reader=self.reader, signer_of=lambda _: self.signer, iss="https://us"
        )
        records = [
            evaluation(self.position + n, decision(name, recipient_id="bank", transports=transports))
            for n, name in enumerate(names)
        ]
        batch = entries(records, first=self.position)
        change = fan_out.plan(EVALUATIONS, batch, FakeSwitches(), now_ms=BASE_MS).change
        self.position += len(names)
        self.store.commit_fan_out(change)
        return [storage.DeliveryRecord.FromString(record) for record in change.records]

    def poll(self, *acks: str) -> list[tuple[int, str, bool]]:
        core = DeliveryCore(store=self.store, signer_of=lambda _: self.signer, iss="https://us")
        event = Polled(stream_id=STREAM, acknowledged=acks)
        for action in core.on(event, FakeSwitches(), BASE_MS):
            if isinstance(action, Reply):
                return [(item.stream_seq, item.jti, item.withdrawn) for item in action.items]
            change = getattr(action, "change", None)
            if change is not None:
                self.store.apply(change)
        raise AssertionError("a poll is answered")


def test_the_first_share_behind_a_restore_brings_one_tombstone_of_all_places_skipped(tmp_path: Path) -> None:
    feeds = Restored(tmp_path)
    feeds.share("a", "b")
    assert feeds.store.skip_places(FREE) == FREE + 3
    records = feeds.share("c", "d") + feeds.share("e")
    assert [(one.stream_seq, one.void_from_seq, one.event) for one in records] == [
        (FREE + 2, 3, storage.DELIVERY_EVENT_WITHDRAWN),
        *((seq, 0, storage.DELIVERY_EVENT_ENQUEUED) for seq in (FREE + 3, FREE + 4, FREE + 5)),
    ]
    polled = feeds.poll()
    assert [(seq, gone) for seq, _, gone in polled] == [
        (1, False), (2, False), (FREE + 2, True), (FREE + 3, False), (FREE + 4, False), (FREE + 5, False),
    ]  # fmt: skip
    assert feeds.poll(*(jti for _, jti, _ in polled)) == []


def test_a_stream_that_had_nothing_yet_skips_too(tmp_path: Path) -> None:
    """It may have begun after the backup."""
    feeds = Restored(tmp_path)
    feeds.store.skip_places(FREE)
    [void, first] = feeds.share("a")
    assert (void.void_from_seq, void.stream_seq, first.stream_seq) == (1, FREE, FREE + 1)


def void(first: int, last: int) -> Withdrawn:
    return Withdrawn(
        f"void-{first}", "risk-score", "bank", "bank", last, f"v-{first}", "e", 1, 2, "restored", first
    )


@given(st.integers(0, 30), st.integers(10, 20), st.permutations(range(6)), st.data())
def test_a_receiver_passes_over_the_places_wherever_it_stood(
    passed: int, first: int, order: list[int], data: st.DataObject
) -> None:
    """What it had passed, up to 30, was given by what is gone; from `first` on nothing of that is there."""
    inbox = Inbox()
    for seq in range(1, passed + 1):
        inbox.offer(share(seq, f"old-{seq}"))
    drain(inbox)
    held = data.draw(st.sets(st.integers(passed + 2, 40), max_size=3))
    for seq in held:
        inbox.offer(share(seq, f"old-{seq}"))
    again = [share(seq, f"old-{seq}") for seq in range(1, first)]
    fresh: list[Share | Withdrawn] = [void(first, 99), *(share(99 + n, f"new-{n}") for n in range(1, 6))]
    for item in again:
        inbox.offer(item)
    handed = drain(inbox)
    for number in order:
        inbox.offer(fresh[number])
        handed += drain(inbox)
    assert inbox.gap() is None
    names = [item.share_id for item in handed]
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("new-")] == [f"new-{n}" for n in range(1, 6)]
    assert {f"old-{seq}" for seq in held} <= set(names), "what came before the restore is not lost"


def test_without_the_tombstone_a_receiver_waits_and_says_what_is_missing() -> None:
    inbox = Inbox()
    inbox.offer(share(99, "new"))
    assert drain(inbox) == []
    gap = inbox.gap()
    assert gap is not None
    assert (gap.first, gap.last) == (1, 98)


@pytest.mark.parametrize(("with_void", "broken"), [(True, {}), (False, {"gap in a stream"})])
def test_the_account_knows_places_that_a_restore_left_empty(with_void: bool, broken: set[str]) -> None:
    account = Account()
    for seq in (1, 2, FREE):
        account.delivery(
            storage.DeliveryRecord(
                share_id=f"s{seq}", stream_id="a", stream_seq=seq, transport=SSF,  # type: ignore[arg-type]
                event=storage.DELIVERY_EVENT_ENQUEUED,
            )
        )  # fmt: skip
    if with_void:
        account.delivery(
            storage.DeliveryRecord(
                share_id="void", stream_id="a", stream_seq=FREE - 1, void_from_seq=3,
                event=storage.DELIVERY_EVENT_WITHDRAWN,
            )
        )  # fmt: skip
    assert set(account.result().broken) - {"enqueued, never released"} == set(broken)


def test_a_reader_that_goes_on_for_minutes_holds_up_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAL_RESTART_BYTES", 0)
    store = SqliteDeliveryStore(tmp_path / "feeds.sqlite3")
    change = FanOutChange(topic=EVALUATIONS, partition=0, position=1, at_ms=BASE_MS, records=[b"one"])
    store.commit_fan_out(change)
    with closing(sqlite3.connect(tmp_path / "feeds.sqlite3", isolation_level=None)) as copying:
        copying.execute("begin")
        copying.execute("select count(*) from offsets").fetchall()
        store.commit_fan_out(change)
        began_s = time.monotonic()
        store.checkpoint()
        assert time.monotonic() - began_s < database.BUSY_TIMEOUT_S * 0.8
    store.close()


def heard(state: StateDir, cursor: str, *, restored_at_ms: int) -> list[tuple[str, str]]:
    """What a watcher is told first, from `cursor` on: ids of receipts and the cursors behind them."""
    clock = SystemClock()
    servicer = OutcomeServicer(
        recorder=OutcomeRecorder(Written(), clock, Positions(1 << 10)),  # type: ignore[arg-type]
        make_reader=lambda: FileJournalReader(RealDisk(), state.feeds_journal),
        restored_at_ms=restored_at_ms,
    )

    async def watch() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        async for event in servicer.WatchOutcomes(v1.WatchOutcomesRequest(after_cursor=cursor), None):
            found.append((event.receipt.receipt_id, event.cursor))
            if event.receipt.receipt_id == "r-2":
                break
        return found

    try:
        with calling(Principal("shop-1", "caller")):
            return asyncio.run(watch())
    finally:
        servicer.close()


def test_a_cursor_of_before_a_restore_begins_anew_and_one_of_after_it_goes_on(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.make()
    with closing(FileJournalWriter(RealDisk(), SystemClock(), state.feeds_journal, FEEDS_TOPICS)) as writer:
        for number in range(3):
            record = storage.ReceiptRecord(sender_id="shop-1")
            record.receipt.receipt_id = f"r-{number}"
            writer.append(RECEIPTS, [record.SerializeToString()])
    assert heard(state, "r1.l-1", restored_at_ms=0) == [("r-2", "r2.l-1")]
    state.restored.write_text(json.dumps({"restored_at_ms": 77}))
    assert state.restored_at_ms() == 77
    # Its position was given before, to what is gone: here it would hide all three for good.
    again = heard(state, "r900.l900", restored_at_ms=77)
    assert again == [("r-0", "r0.l-1.g77"), ("r-1", "r1.l-1.g77"), ("r-2", "r2.l-1.g77")]
    assert heard(state, "r1.l-1.g77", restored_at_ms=77) == [("r-2", "r2.l-1.g77")]
    assert len(heard(state, "r1.l-1.g77", restored_at_ms=78)) == 3
