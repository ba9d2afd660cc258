"""Threads beside an event loop, for what blocks: stores, keys, the file system."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from gateway.records.errors import GatewayError

T = TypeVar("T")


class Crowded(GatewayError):
    """More calls wait than can be served soon."""

    code = "store_unavailable"


class Beside:
    """Runs what blocks on threads of its own, so that the event loop serves other calls meanwhile.

    A bounded number of calls is inside. Each kind of act has threads of its own: no stop waits for another.
    """

    def __init__(self, name: str, *, threads: int, inside_max: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._free = threading.Semaphore(inside_max)

    async def run(self, work: Callable[[], T]) -> T:
        """Raises Crowded. A call that is cancelled before its turn is not run; one that runs goes on."""
        if not self._free.acquire(blocking=False):
            raise Crowded("too many calls of this kind wait: try again in some seconds")
        try:
            future = self._executor.submit(work)
        except RuntimeError:
            self._free.release()
            raise Crowded("stopping: try another worker") from None
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def _left(self, future: "Future[T]") -> None:
        self._free.release()

    def close(self) -> None:
        """What runs ends within the time of a stop; what waits is not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)
