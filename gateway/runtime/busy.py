"""Busy Python beside the hot loop: the interpreter is handed over more often meanwhile."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

BUSY_SWITCH_INTERVAL_S: Final = 0.0005
"""Instead of 5 ms, which a payment would wait at each hand-over."""

_AT_ONCE: Final = 256  # entries, some 30 µs

_lock = threading.Lock()
_busy: list[float] = []
"""What the interval was before, for each who is busy."""


@contextmanager
def busy() -> Iterator[None]:
    """Around what keeps the interpreter busy for longer than some milliseconds, on a thread beside."""
    with _lock:
        _busy.append(_busy[0] if _busy else sys.getswitchinterval())
        sys.setswitchinterval(min(_busy[0], BUSY_SWITCH_INTERVAL_S))
    try:
        yield
    finally:
        with _lock:
            before_s = _busy.pop()
            if not _busy:
                sys.setswitchinterval(before_s)


def let_go(table: dict[Any, Any]) -> None:
    """Empties a table that nobody looks into any more, a little at a time: to drop a million entries at once
    keeps the interpreter for as long as that takes."""
    if not table:
        return
    with busy():
        while table:
            for _ in range(min(len(table), _AT_ONCE)):
                table.popitem()
