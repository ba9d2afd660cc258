"""What the operators' services share: threads beside the event loop, the end of a wait, pages."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from gateway.programs.switches import Stopped
from gateway.records.errors import GatewayError
from gateway.server.grpc_common import InvalidArgument

T = TypeVar("T")

PAGE_DEFAULT: Final = 50
"""Rows of a page where none are asked for: as `ein history` tells."""

PAGE_MAX: Final = 500
"""Rows of a page: of the longest texts they have 2.2 MB, and clients take 4 MiB."""

CURSOR_CHARACTERS_MAX: Final = 64
"""Two numbers of 64 bits."""

REASON_CHARACTERS_MAX: Final = 256
"""Of a reason, as the stores take it."""

WORKERS_NAMED_MAX: Final = 8
"""In the text of an error, which travels in a header of 8 KiB."""


class NotEverywhere(GatewayError):
    """An act is written, and some worker neither acknowledged it nor ran out within the time."""

    code = "deadline_exceeded"


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


def everywhere(stopped: Stopped, what: str) -> Stopped:
    """The same. Raises NotEverywhere where a worker waits: what is not in effect is no success."""
    if not stopped.workers_waiting:
        return stopped
    waiting = stopped.workers_waiting
    raise NotEverywhere(
        f"{what} is written under epoch {stopped.epoch}, and not yet in effect at {len(waiting)} workers:"
        f" {', '.join(waiting[:WORKERS_NAMED_MAX])}. End them, `ein status` shows them, and call again"
    )


def check_reason(reason: str) -> str:
    """The reason itself. Raises InvalidArgument."""
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
        raise InvalidArgument(
            f"reason: say why in 1 to {REASON_CHARACTERS_MAX} printable characters, for the audit"
        )
    return reason


def page_size(limit: int) -> int:
    """Rows of a page. Raises InvalidArgument."""
    if not 0 <= limit <= PAGE_MAX:
        raise InvalidArgument(f"limit: 0 to {PAGE_MAX}; go on with next_cursor")
    return limit or PAGE_DEFAULT


def places_of(cursor: str, count: int, newest: int) -> tuple[int, ...]:
    """The `count` numbers of a cursor of ours; `newest` in place of each where it is empty.

    Raises InvalidArgument.
    """
    if not cursor:
        return (newest,) * count
    parts = cursor.split(".") if len(cursor) <= CURSOR_CHARACTERS_MAX else []
    if len(parts) != count or not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidArgument("cursor: it is none of ours; leave it empty, or send next_cursor as it came")
    return tuple(min(int(part), newest) for part in parts)


def cursor_of(*places: int) -> str:
    """The cursor that `places_of` reads."""
    return ".".join(map(str, places))
