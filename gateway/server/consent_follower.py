"""How a worker follows the registry of consents: rows go into the one `Registered` that its tables ask.

A release looks a party up at each payment, so that a change holds from the next one on; the lease says so
from the next batch on, when nothing that was decided before is in hand.
"""

from collections.abc import Callable
from typing import Final

import structlog

from gateway.programs.consent_rows import LAST_ROW, Consents, Registered, registered
from gateway.programs.consents import ConsentStore, lapsed
from gateway.programs.subjects import CaseReader, Subjects
from gateway.programs.switches import LEASE_MS
from gateway.programs.table import ReleaseTable
from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason
from gateway.runtime.clock import MS, Clock
from gateway.runtime.tasks import Stop
from gateway.server.consent_ends import NextEnd
from gateway.server.consent_read_ahead import ReadAhead

FOLLOW_INTERVAL_S: Final = 0.05
"""As the switches are polled: 1/20 of the second within which a revocation has to be over."""

AHEAD_INTERVAL_S: Final = 0.003
"""Between two looks while an import is read ahead: 70,000 rows a second, more than an import stages."""

PAGE_ROWS: Final = 1_000
"""Read and taken in at a time, by the engine without the interpreter, which the hot loop needs."""

_log = structlog.get_logger("consents")


class RegistryUnreadable(GatewayError):
    """A page is not as the registry writes it, or more than a worker holds."""

    code = "store_unavailable"


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
        """`on_change` is called when rows have changed, and what it does belongs to their being in force.

        Also when a consent that was asked about has ended by its own date.
        """
        self.on_change = on_change
        self.subjects = Subjects()
        """Cardholders who object, and what was erased: one object, changed in place."""
        self._store = store
        self._cases = cases
        self._case_place = 0
        self._clock = clock
        self._registered = registered()
        self._in_force: Consents | Registered = self._registered
        self._ahead = ReadAhead(store, self._registered)
        self._more_ahead = False
        self._next_end = NextEnd(clock)
        self._place = (0, 0)
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

    def whole(self) -> bool:
        """Whether the registry is known from its beginning."""
        return self._whole

    def stands_at(self, epoch: int) -> bool:
        """Whether the registry, by a look of now, has no later act. False where it does not answer."""
        try:
            return self._store.epoch() <= epoch
        except GatewayError:
            return False

    def use(self, table: ReleaseTable) -> ReleaseTable:
        """What a newly compiled table has to say of parties gives way to what the registry knows of them."""
        table.consents.follow(self._registered)
        self._in_force = table.consents
        return table

    def step(self) -> bool:
        """Takes in what was said since the last step. Raises ConsentStoreUnavailable; what is known stays."""
        newest = self._store.epoch()
        self._looked_ns = self._clock.monotonic_ns()
        try:
            if newest == self._epoch and self._whole:
                self._more_ahead = self._ahead.look()
                self._end()
                return False
            # Who does not know the registry whole yet shares nothing, and needs no memory for it twice.
            if self._whole:
                self._take_imports(before=newest + 1)
            # An import may have come into force since the look: that is for the next step.
            self._take(before=newest + 1)
        except (ValueError, MemoryError) as fault:
            # What is not known here may take back what is: nothing is shared by the rest.
            self._whole = False
            raise RegistryUnreadable(
                "the registry of consents cannot be taken in; restore its file from a backup"
            ) from fault
        self._follow_cases()
        # From here on no lease of before is renewed: who revoked does not wait for what takes long below.
        self._seen = newest
        self.on_change()
        # Behind the rows: who reads the epoch finds them.
        self._epoch, self._whole = newest, True
        return True

    def _end(self) -> None:
        """What ended by itself since the last look is carried out as a change is."""
        if not self._next_end.reached():
            return
        try:
            self.on_change()
        except BaseException:
            self._next_end.note(self._clock.wall_ms())
            raise

    def _follow_cases(self) -> None:
        while True:
            events, place = self._cases.events(self._case_place, PAGE_ROWS)
            if not events:
                return
            self.subjects.take(events)
            self._case_place = place

    def lapsed(self, merchant_id: str, platform_id: str, consent_id: str) -> Reason | None:
        """Why what was shared under a consent may not leave now; None where it may.

        By the table in force or, without one, by the registry alone. What ends later is noted: `on_change` is
        called again then.
        """
        reason, until_ms = lapsed(
            self._in_force, merchant_id=merchant_id, platform_id=platform_id, consent_id=consent_id,
            now_ms=self._clock.wall_ms(),
        )  # fmt: skip
        if reason is None:
            self._next_end.note(until_ms)
        return reason

    def _take_imports(self, *, before: int) -> None:
        """And all acts up to the last of them. An import holds whole at once: the row that takes back what
        one of its rows says may be pages behind it.
        """
        while (found := self._store.import_after(self._place[0], before)) is not None:
            import_id, epoch = found
            self._take(before=epoch)
            self._ahead.follow(import_id)
            while self._ahead.read():
                self._looked_ns = self._clock.monotonic_ns()
            self._ahead.enforce()
            self._place = epoch, LAST_ROW

    def _take(self, *, before: int) -> None:
        """All acts of epochs before this one."""
        while page := self._store.changes(self._place, PAGE_ROWS, before):
            self._place = self._registered.take(page)
            self._looked_ns = self._clock.monotonic_ns()

    def follow(self, stop: Stop) -> None:
        """On a thread of its own, until told to stop."""
        told = False
        while not stop.wait(AHEAD_INTERVAL_S if self._more_ahead else FOLLOW_INTERVAL_S):
            try:
                self.step()
                told = False
            except GatewayError as fault:
                # Nobody knows what there is to read: a store that is down is not asked 300 times a second.
                self._more_ahead = False
                if not told:
                    _log.error("consents_not_followed", code=fault.code)
                told = True
