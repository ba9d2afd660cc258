"""Structured logs: one JSON object a line on standard error. No payload, no value of a request, ever."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict

policy_version = 0
"""Of the policy in force in this process, in each line from the first on; 0 where it follows none."""


class _Lossy:
    """A line that cannot be written is lost: a full disk must not end what goes on without the log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logs(level: str) -> None:
    """Sets up structlog for a process. `level`: debug, info, warning or error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    # Library loggers write tracebacks, and those can hold what was sent.
    logging.basicConfig(stream=sys.stderr, level=logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _with_policy_version,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def _with_policy_version(logger: object, method: str, event: EventDict) -> EventDict:
    if policy_version:
        event.setdefault("policy_version", policy_version)
    return event
