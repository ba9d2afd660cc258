"""Which core a server that syncs runs on, beside a load on another: that on which the disk answers soonest.

A disk interrupts one core, or each queue's own. Whoever waits for a sync elsewhere is woken across cores,
which costs half as much again on a virtual machine: to put a server there would measure that.
"""

import os
import shutil
import statistics
import tempfile
import time
from functools import cache

SYNCS = 40
SYNC_BYTES = 4096


@cache
def server_core() -> int:
    """The core whose syncs in the folder of temporary files are quickest, by their median."""
    cores = os.sched_getaffinity(0)
    try:
        return min(sorted(cores), key=_sync_s)
    finally:
        os.sched_setaffinity(0, cores)


def _sync_s(core: int) -> float:
    """Median of one sync from that core, over bytes that are there already."""
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryFile() as file:
        file.write(bytes(SYNC_BYTES))
        os.fsync(file.fileno())
        took_s = []
        for number in range(SYNCS):
            started = time.perf_counter()
            os.pwrite(file.fileno(), bytes([number]) * SYNC_BYTES, 0)
            os.fdatasync(file.fileno())
            took_s.append(time.perf_counter() - started)
    return statistics.median(took_s)


def pinned() -> list[str]:
    """Prefix that pins a server to its core, where there are two and `taskset` is there; we go to another."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return []
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    core = server_core()
    stay_off(core)
    return ["taskset", "-c", str(core)]


def stay_off(core: int) -> None:
    """From here on this process leaves that core to the server, where there is another."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {core} or cores)
