"""How a worker follows the registry of consents: rows go into the release table's own settings, in place.

A release looks a party up at each payment, so that a change holds from the next one on; the lease says so
from the next batch on, when nothing that was decided before is in hand.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.programs.consents import Consents, ConsentStore, Said, lapsed
from gateway.programs.subjects import CaseReader, Subjects
from gateway.programs.switches import LEASE_MS
from gateway.programs.table import ReleaseTable
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, Clock
from gateway.runtime.tasks import Stop

FOLLOW_INTERVAL_S: Final = 0.05
"""As the switches are polled: 1/20 of the second within which a revocation has to be over."""

PAGE_ROWS: Final = 500
"""Taken in at a time: under a millisecond of the interpreter, which the hot loop needs too."""

_log = structlog.get_logger("consents")


class ConsentFollower:
    """One worker's knowledge of the registry, and the tables that have it. Implements `ConsentsInForce`."""

    def __init__(
        self,
        store: ConsentStore,
        cases: CaseReader,
        clock: Clock,
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change` is called when rows have changed, and what it does belongs to their being in force."""
        self.on_change = on_change
        self.subjects = Subjects()
        """Cardholders who object, and what was erased: one object, changed in place."""
        self._store = store
        self._cases = cases
        self._case_place = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._said = Consents()
        self._place = (0, 0)
        self._tables: list[ReleaseTable] = []
        self._epoch = self._seen = 0
        self._whole = False
        self._looked_ns = clock.monotonic_ns()

    def epoch(self) -> int:
        """Every act up to here holds in the table in force."""
        return self._epoch

    def seen(self) -> int:
        """Every act up to here is known, though not all of it may be in force."""
        return self._seen

    def fresh(self) -> bool:
        """False before the registry is known whole, and where it has not answered for a lease's length."""
        return self._whole and self._clock.monotonic_ns() - self._looked_ns < LEASE_MS * MS

    def stands_at(self, epoch: int) -> bool:
        """Whether the registry, by a look of now, has no later act. False where it does not answer."""
        try:
            return self._store.epoch() <= epoch
        except GatewayError:
            return False

    def use(self, table: ReleaseTable) -> ReleaseTable:
        """What a newly compiled table has to say of parties gives way to what the registry knows of them."""
        with self._lock:
            table.merchants.update(self._said.merchants)
            table.platforms.update(self._said.platforms)
            # The last one too: it decides until the new one has taken its place.
            self._tables = [*self._tables[-1:], table]
        return table

    def step(self) -> bool:
        """Takes in what was said since the last step. Raises ConsentStoreUnavailable; what is known stays."""
        newest = self._store.epoch()
        self._looked_ns = self._clock.monotonic_ns()
        if newest == self._epoch and self._whole:
            return False
        while True:
            said, place = self._store.changes(self._place, PAGE_ROWS)
            self._looked_ns = self._clock.monotonic_ns()
            if not said:
                break
            self._take(said, place)
        self._follow_cases()
        # From here on no lease of before is renewed: who revoked does not wait for what takes long below.
        self._seen = newest
        self.on_change()
        # Behind the rows: who reads the epoch finds them.
        self._epoch, self._whole = newest, True
        return True

    def _follow_cases(self) -> None:
        while True:
            events, place = self._cases.events(self._case_place, PAGE_ROWS)
            if not events:
                return
            self.subjects.take(events)
            self._case_place = place

    def lapsed(self, merchant_id: str, platform_id: str, consent_id: str) -> Reason | None:
        """As `consents.lapsed`, by the table in force or, without one, by the registry alone."""
        known = self._tables[-1] if self._tables else self._said
        return lapsed(
            known.merchants,
            known.platforms,
            merchant_id=merchant_id,
            platform_id=platform_id,
            consent_id=consent_id,
        )

    def _take(self, said: Sequence[Said], place: tuple[int, int]) -> None:
        page = Consents()
        page.take(said)
        with self._lock:
            for merchants, platforms in [
                (self._said.merchants, self._said.platforms),
                *((table.merchants, table.platforms) for table in self._tables),
            ]:
                merchants.update(page.merchants)
                platforms.update(page.platforms)
            self._place = place

    def follow(self, stop: Stop) -> None:
        """On a thread of its own, until told to stop."""
        told = False
        while not stop.wait(FOLLOW_INTERVAL_S):
            try:
                self.step()
                told = False
            except GatewayError as fault:
                if not told:
                    _log.error("consents_not_followed", code=fault.code)
                told = True
