"""Steps that hang or go astray without an error: what holds up the hot loop must not hold up its callers."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from enrichment.provider import BUDGET_US, Columns
from gateway.records.journal import EVALUATIONS
from gateway.runtime import disk
from gateway.runtime.clock import SystemClock
from gateway.server.providers.beside import ThreadBeside
from gateway.sharing.fetch import Budgeted
from tests.kit.faults import ALL, Fault, Instead
from tests.kit.faults_gateway import is_of
from tests.kit.faulty_process import Patches

HANGS_S: Final = 0.3
"""Three times the deadline that callers of these proofs set."""

LATE_S: Final = 0.01
"""Five times the budget of a provider, and a tenth of the deadline."""

JUMP_MS: Final = 3_600_000
"""Ahead, as where a virtual machine is woken: journals roll their segments, and consents may end by it. Back,
as where a clock was wrong before."""


class _Provider:
    """A third party's: it hangs, or it fails."""

    name, version = "third_party", "1"
    wants: Sequence[str] = ("amount_minor",)
    gives: Sequence[str] = ("third_party_says",)

    def __init__(self, fault: BaseException | None = None) -> None:
        self._fault = fault

    def fetch(self, batch: Columns) -> dict[str, Any]:
        if self._fault is not None:
            raise self._fault
        time.sleep(HANGS_S)
        return {self.gives[0]: [True] * batch.size}


def _with_provider(patches: Patches, fault: BaseException | None) -> None:
    fetch = patches.live["gateway"]._fetch
    beside = ThreadBeside(_Provider(fault))
    patches.undo(beside.close)
    patches.put(fetch, "_beside", [*fetch._beside, Budgeted(beside.provider, BUDGET_US, beside)])


def _slow_provider(patches: Patches) -> None:
    _with_provider(patches, None)


def _dead_provider(patches: Patches) -> None:
    _with_provider(patches, patches.fault())


def _store_takes(pause_s: float) -> Callable[[Patches], None]:
    def put(patches: Patches) -> None:
        counting = patches.live["gateway"].counting
        velocity = counting.store

        def touch(batch: Any) -> Any:
            time.sleep(pause_s)
            return velocity.touch(batch)

        patches.put(counting, "store", Instead(velocity, touch=touch))

    return put


def _journal_stalled(patches: Patches) -> None:
    sync = disk._RealFile.sync

    def stalled(file: Any) -> None:
        if is_of(file, EVALUATIONS):
            time.sleep(HANGS_S)
        sync(file)

    patches.put(disk._RealFile, "sync", stalled)


def _clock_jumps(by_ms: int) -> Callable[[Patches], None]:
    def put(patches: Patches) -> None:
        wall_ms = SystemClock.wall_ms
        patches.put(SystemClock, "wall_ms", lambda clock: wall_ms(clock) + by_ms)

    return put


HELD: Final = (
    Fault(name="slow provider", put=_slow_provider, leaves=ALL, leaves_after=ALL),
    Fault(name="dead provider", put=_dead_provider, leaves=ALL, leaves_after=ALL),
    Fault(name="slow velocity store", put=_store_takes(HANGS_S), leaves=ALL, leaves_after=ALL),
    Fault(name="late velocity store", put=_store_takes(LATE_S), leaves=ALL, leaves_after=ALL),
    Fault(name="journal stalled", put=_journal_stalled, leaves=ALL, leaves_after=ALL),
    Fault(name="clock jump", put=_clock_jumps(JUMP_MS), leaves=ALL, leaves_after=ALL),
    Fault(name="clock jump back", put=_clock_jumps(-JUMP_MS), leaves=ALL, leaves_after=ALL),
)
