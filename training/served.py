"""Rows as the gateway makes them: requests go through its hot path in order, and the rows are kept.

The reader, the pseudonyms, the velocity store, the providers and `features.row` are those that serve; only
the journal, the switches and the policy are empty. So there is no second way to a feature that could differ.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from enrichment.payment import Assessment
from enrichment.scoring.features import Row, row
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.backends.embedded.velocity_store import make_velocity
from gateway.programs.switches import MAX_EPOCH, Lease, SwitchRunner, SwitchView
from gateway.programs.table import ReleaseTable
from gateway.records.journal import Entry
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.server.providers.build import build_providers
from gateway.server.providers.settings import ProvidersSettings
from gateway.sharing.gateway import Gateway
from gateway.sharing.items import Item, Refusal, Tally
from gateway.sharing.remembered import Remembered
from gateway.sharing.score_port import Asked

BATCH: int = 32
"""Payments of a batch, as under load."""

SENDER = "training"


@dataclass(frozen=True, slots=True)
class Known:
    """A payment to learn from: the request, and when fraud was reported, if that is what it was."""

    payment_id: str
    at_ms: int
    request: bytes
    fraud: bool
    reported_at_ms: int | None
    segment: str


class _NoJournal:
    """Journal and reader that keep nothing."""

    def __init__(self) -> None:
        self._end = -1

    def append(self, topic: str, payloads: Sequence[bytes], *, partition: int = 0) -> list[int]:
        first = self._end + 1
        self._end += len(payloads)
        return list(range(first, self._end + 1))

    def read(self, topic: str, after: int, max_records: int, *, partition: int = 0) -> list[Entry]:
        return []

    def end(self, topic: str, *, partition: int = 0) -> int:
        return self._end

    def close(self) -> None:
        return


class _NoSwitches:
    """Switch store and lease board: nothing is stopped, since nothing is shared."""

    def view(self) -> SwitchView:
        return SwitchView(1)

    def epoch(self) -> int:
        return 1

    def renew(self, worker_id: str, epoch: int, expires_ns: int, consent_epoch: int = MAX_EPOCH) -> None:
        return

    def read_all(self) -> list[Lease]:
        return []

    def fence(self, worker_id: str) -> bool:
        return False


class Recorder:
    """A scorer that keeps the row of each payment, by its request id, and leaves the score to the points."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def assess(self, asked: Sequence[Asked]) -> list[Assessment | None]:
        for payment, facts, match in asked:
            self.rows[payment.request_id] = tuple(map(float, row(payment, facts, match)))
        return [None] * len(asked)


def rows_of(payments: Iterable[Known]) -> Iterator[tuple[Known, Row]]:
    """Each payment with its row, in the order given, which has to be that of time; without refused ones."""
    clock, recorder = SimClock(wall_ms=0), Recorder()
    gateway = _gateway(clock, recorder)
    rest = iter(payments)
    now_ms = 0
    while batch := list(islice(rest, BATCH)):
        latest_ms = max(one.at_ms for one in batch)
        if latest_ms > now_ms:
            clock.advance_ms(latest_ms - now_ms)
            now_ms = latest_ms
        tally = Tally()
        results = gateway.enrich([Item(SENDER, one.request) for one in batch], tally)
        if tally.faults:
            raise RuntimeError("the gateway failed on a batch: rows would be wrong")
        # By their order in the batch: what was refused or repeated has no row.
        made = iter(recorder.rows.values())
        for one, result in zip(batch, results, strict=True):
            if not isinstance(result, Refusal):
                yield one, next(made)
        recorder.rows = {}


def _gateway(clock: SimClock, recorder: Recorder) -> Gateway:
    journal: Any = _NoJournal()
    switches: Any = _NoSwitches()
    velocity = make_velocity()
    velocity.caught_up()
    nobody = StaticRecipientKeys(())
    return Gateway(
        clock=clock,
        table=ReleaseTable(1, {}, b"", 0, [], [None]),
        switches=SwitchRunner(switches, switches, clock, SENDER, reports_applied=True),
        # Names are never kept: any key will do, and the same one makes runs alike.
        pseudonyms=Pseudonyms(HkdfMacKeys(bytes(32))),
        sealer=Sealer(UnsafeSeededEntropy(1), clock, nobody),
        recipient_keys=nobody,
        velocity=velocity,
        journal=journal,
        reader=journal,
        remembered=Remembered(journal),
        # The clock stands still within a batch: none of them is ever late.
        providers=build_providers(ProvidersSettings(), folder=Path(), copies=Path()).budgeted,
        scorer=recorder,
    )
