"""The ledger's thread in the feeds: reads the journals behind everyone else, and signs where chains end.

Off the hot path: it shares nothing with deliveries but the process, and what it cannot write it writes later,
from the same journals. A fault of the ledger stops no payment; nothing left without a record in a journal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

import structlog

from gateway.ledger.collect import BATCH_MAX_ENTRIES, Collector
from gateway.ledger.heads import HeadInvalid, next_head, number_of, parse_claims, parse_line, signed_line
from gateway.ledger.ports import (
    ActSource,
    HeadsFile,
    KeptHead,
    LedgerChange,
    LedgerStore,
    LedgerUnavailable,
)
from gateway.records.errors import GatewayError
from gateway.records.journal import DELIVERIES, EVALUATIONS, LABELS, JournalCorrupt, JournalReader
from gateway.runtime.clock import MS, Clock
from gateway.runtime.tasks import Stop
from gateway.sealing.keys import Signer
from gateway.server.feeds.metrics import FeedsMetrics

ROUND_S: Final = 0.25
"""Between two rounds: the ledger is to be under 2 s behind, and few large commits cost less than many."""

PAUSE_S: Final = 0.002
"""After a batch, for everyone else in the process: it still takes 10,000 records a second, ten a payment."""

HEAD_INTERVAL_MS: Final = 5_000
"""Between two heads while entries come: half of the 10 s within which a change has to be signed."""

KEEP_RELEASES_MS: Final = 9 * 24 * 3_600_000
"""What may still leave is withdrawn after 8 days (docs: retention), and one day to be late."""

FORGET_MAX_ROWS: Final = 20_000
"""Rows of one round of forgetting, one a head: 4,000 a second, and some 50 ms."""

RETRY_DELAY_S: Final = 1.0
"""After a full disk or the like: everything is still in its place."""

_log = structlog.get_logger("ledger")


class HeadsAhead(LedgerUnavailable):
    """The file of heads knows of more than the store: to go on would sign two histories."""

    code = "ledger_heads_ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerParts:
    """What the ledger's thread works with. Both readers are its own."""

    store: LedgerStore
    gateway_journal: JournalReader
    own_journal: JournalReader
    acts: ActSource
    heads: HeadsFile
    signer: Callable[[], Signer]
    """Who signs now: told after the head has its time, so that none is dated later than its key was used."""
    iss: str
    clock: Clock
    on_names: Callable[[bytes, bytes], None] = lambda key, other: None
    """Told of two keys that are one card's, before what tells so is read for good. Raises GatewayError."""


class LedgerKeeper:
    """Runs the ledger over `parts`."""

    def __init__(self, parts: LedgerParts) -> None:
        self._parts = parts
        self._collector = Collector(parts.store)
        self._caught_up_ns: int | None = None
        self._head_due_ns = 0
        self._signed_size = -1
        self._ready = False

    def run(self, metrics: FeedsMetrics, stop: Stop) -> None:
        """The thread, until told to stop. Raises JournalCorrupt, which does not mend itself."""
        metrics.ledger_lag_seconds.set_function(self.lag_s)
        while not stop.is_set():
            try:
                metrics.ledger_entries.inc(self.step(stop))
            except JournalCorrupt:
                raise
            except GatewayError as fault:
                metrics.ledger_faults.inc()
                _log.error("ledger_put_off", code=fault.code, public=fault.public)
                stop.wait(RETRY_DELAY_S)
            stop.wait(ROUND_S)
        self._last_words(metrics)

    def lag_s(self) -> float:
        """Seconds since the ledger held everything that was durable by then; endless before it ever did."""
        if self._caught_up_ns is None:
            return inf
        return (self._parts.clock.monotonic_ns() - self._caught_up_ns) / 1e9

    def step(self, stop: Stop | None = None) -> int:
        """One round: all that is durable by now, then a head where one is due; how many entries."""
        began_ns = self._parts.clock.monotonic_ns()
        count = self.follow(stop)
        if stop is None or not stop.is_set():
            self._caught_up_ns = began_ns
        if began_ns >= self._head_due_ns and self.sign():
            self._head_due_ns = began_ns + HEAD_INTERVAL_MS * MS
            before_ms = self._parts.clock.wall_ms() - KEEP_RELEASES_MS
            self._parts.store.forget_releases(before_ms, FORGET_MAX_ROWS)
        return count

    def follow(self, stop: Stop | None = None) -> int:
        """Reads to where the journals end now. Deliveries last: what they deliver was decided before."""
        parts = self._parts
        deliveries_end = parts.own_journal.end(DELIVERIES)
        count = 0
        for topic, reader, end in (
            (EVALUATIONS, parts.gateway_journal, parts.gateway_journal.end(EVALUATIONS)),
            (LABELS, parts.own_journal, parts.own_journal.end(LABELS)),
            (DELIVERIES, parts.own_journal, deliveries_end),
        ):
            if stop is not None and stop.is_set():
                # A delivery without its decision would say less than is known.
                return count
            count += self._follow(topic, reader, end, stop)
        for source in parts.acts.sources():
            position = parts.store.offset(source, 0)
            while acts := list(parts.acts.after(source, position, BATCH_MAX_ENTRIES)):
                count += self._commit(self._collector.plan_acts(source, acts))
                position = acts[-1].position
        return count

    def _follow(self, topic: str, reader: JournalReader, end: int, stop: Stop | None) -> int:
        count, position = 0, self._parts.store.offset(topic, 0)
        while position < end and not (stop is not None and stop.is_set()):
            entries = reader.read(topic, position, min(BATCH_MAX_ENTRIES, end - position))
            if not entries:
                break
            count += self._commit(self._collector.plan(topic, entries))
            position = entries[-1].position
            if stop is not None:
                stop.wait(PAUSE_S)
        return count

    def _commit(self, change: LedgerChange) -> int:
        for card in change.cards:
            if card.one_card:
                self._parts.on_names(card.unit_key, card.card_key)
        self._parts.store.commit(change)
        return len(change.entries)

    def recover(self) -> None:
        """Hands over the head that a crash kept from the file. Raises HeadsAhead, HeadInvalid."""
        parts, kept = self._parts, self._parts.store.kept_head()
        line = parts.heads.last_line()
        in_file = 0 if line is None else number_of(line)
        kept_number = 0 if kept is None else kept.number
        if in_file > kept_number:
            raise HeadsAhead(
                "the file of heads is ahead of the ledger: restore the ledger, see `ein audit verify`"
            )
        if kept is not None and in_file == kept_number - 1:
            parts.heads.append(kept.line)
        self._ready = True

    def sign(self) -> bool:
        """A head over where all chains end now; false where nothing was added since the last."""
        parts = self._parts
        if not self._ready:
            self.recover()
        tails = parts.store.tails()
        size = sum(tail.size for tail in tails.values())
        if size == self._signed_size or not size:
            return False
        kept = parts.store.kept_head()
        head = next_head(
            tails,
            last_number=0 if kept is None else kept.number,
            last_line=None if kept is None else kept.line,
            at_ms=parts.clock.wall_ms(),
        )
        if self._signed_size < 0 and kept is not None and _is_of(kept, head.size):
            self._signed_size = size
            return False
        line = signed_line(head, parts.signer(), iss=parts.iss)
        # First the store: a head that is in the file has to be known after a crash.
        self._ready = False
        parts.store.keep_head(KeptHead(number=head.number, line=line))
        parts.heads.append(line)
        self._ready = True
        self._signed_size = size
        return True

    def _last_words(self, metrics: FeedsMetrics) -> None:
        """At the end of the process, so that nothing waits unsigned until it starts again."""
        try:
            self.sign()
        except GatewayError as fault:
            metrics.ledger_faults.inc()
            _log.error("ledger_put_off", code=fault.code, public=fault.public)

    def close(self) -> None:
        """Lets go of the store, for another owner. After the thread has ended."""
        self._parts.store.close()


def _is_of(kept: KeptHead, size: int) -> bool:
    """Whether the newest head is of that size already."""
    try:
        return parse_claims(parse_line(kept.line)[0]).size == size
    except HeadInvalid:
        return False
