"""A slow disk: nothing fails, and each step stands still between what it reads and what it does."""

import itertools
import time
from typing import Any, Final

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.records.journal import DELIVERIES, EVALUATIONS
from gateway.runtime import disk
from tests.kit.faults import ALL, Fault
from tests.kit.faults_gateway import is_of
from tests.kit.faulty_process import Patches

DELAYS_S: Final = (0.0, 0.06, 0.005, 0.35, 0.02)
"""In turn, so that steps of two processes meet anew. Around the 50 ms in which leases are renewed, and one
that outlasts a whole revocation, but no lease."""


def _slow_disk(patches: Patches) -> None:
    delays = itertools.cycle(DELAYS_S)
    sync, commit = disk._RealFile.sync, SqliteDeliveryStore.commit_fan_out

    def slow_sync(file: Any) -> None:
        sync(file)
        if is_of(file, EVALUATIONS) or is_of(file, DELIVERIES):
            time.sleep(next(delays))

    def slow_commit(store: Any, change: Any) -> None:
        time.sleep(next(delays))
        commit(store, change)

    patches.put(disk._RealFile, "sync", slow_sync)
    patches.put(SqliteDeliveryStore, "commit_fan_out", slow_commit)


SLOW: Final = Fault(name="slow disk", put=_slow_disk, leaves=ALL, leaves_after=ALL)
