"""Threads that do not push aside who wakes them, where they share a processor (sched(7): SCHED_BATCH)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def gently() -> Iterator[None]:
    """Threads started within inherit it, natives' own too. Their part of the processor is the same.

    The poller of grpc.aio would interrupt its event loop at each event: it wakes, hands one over and sleeps.
    So it is woken for what gathers until the loop waits, and on a processor of its own at once, as ever.
    """
    # Linux alone has it; another policy than the usual one was somebody's choice.
    if not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    with suppress(OSError):  # a sandbox may forbid it: then it is as without
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
