"""A core of its own for one thread: whoever has to answer within milliseconds waits for no other then.

The kernel shares cores fairly, not at once: a thread that wakes may wait milliseconds for one that is busy,
while another core has nothing to do.
"""

import os
from collections.abc import Callable


class NoSuchCore(Exception):
    """The core is not of those that this process may run on, or it is the only one."""


def keep_off(core: int) -> Callable[[], None]:
    """Keeps the thread that calls it, and all that it begins, off `core`; what it returns takes the thread
    that calls that to `core`. By number, as the kernel counts from 0. Raises NoSuchCore, and does
    nothing then.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if core not in allowed or len(allowed) < 2:
        raise NoSuchCore
    os.sched_setaffinity(0, allowed - {core})  # 0: of the thread that calls; one that it begins has the same

    def take() -> None:
        os.sched_setaffinity(0, {core})

    return take
