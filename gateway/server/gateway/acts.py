"""What the operators' services share: the end of a wait, pages, reasons."""

from typing import Final

from gateway.programs.switches import Stopped
from gateway.records.errors import GatewayError
from gateway.server.grpc_common import InvalidArgument

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
