"""Ports of the hot path: the front that calls come in by. The velocity store's port is `velocity_port`."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from enrichment.masked import MASK

ENRICH = 0
"""Method number of EnrichAuthorization."""

BATCH_ENRICH = 1
"""Method number of BatchEnrichAuthorizations."""

STREAM_ENRICH = 2
"""Method number of StreamEnrichAuthorizations: a call is one item of a stream, and its answer is one too."""

METHOD_PATHS = (
    "/issuernetwork.v1.EnrichmentService/EnrichAuthorization",
    "/issuernetwork.v1.EnrichmentService/BatchEnrichAuthorizations",
    "/issuernetwork.v1.EnrichmentService/StreamEnrichAuthorizations",
)
"""Paths by method number: what a front brings to the hot loop."""

UNARY_METHODS = (ENRICH, BATCH_ENRICH)
"""Methods of which each call is one message and one answer."""

MAX_REQUEST_BYTES = (64 * 1024, 4 * 1024 * 1024, 64 * 1024)
"""By method number. A full request has under 4 KiB, 256 of them under 1 MiB; the rest is room."""


class Caller(Protocol):
    """Who calls, as the authenticator says."""

    @property
    def principal_id(self) -> str: ...
    @property
    def role(self) -> str: ...


Credential = str | bytes | Caller | None
"""The Authorization header; or who it is, where the front has found that out by itself."""


class IncomingCall(NamedTuple):
    """One call. `remaining_ms`: of its time, as it is handed over; None where there is no deadline."""

    call_id: int
    method: int
    payload: bytes
    authorization: Credential
    remaining_ms: float | None

    def __repr__(self) -> str:
        return f"IncomingCall({MASK})"  # payload and header are nobody's to read

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("a call is never pickled or copied")


make_call: Callable[[tuple[int, int, bytes, Credential, float | None]], IncomingCall] = partial(
    tuple.__new__, IncomingCall
)
"""`IncomingCall` without the call in between, which takes twice as long as the rest."""


class CallFront(Protocol):
    """Where calls come in, off the hot loop's thread. Any thread may take calls and answer them; the first
    answer to a call, by `respond` or `fail`, is the one that counts."""

    def recv(self, max_calls: int, timeout_ms: int) -> list[IncomingCall] | None:
        """Up to `max_calls` that have gathered, waiting `timeout_ms` for the first; None once closed."""
        ...

    def respond(self, call_id: int, payload: bytes) -> None:
        """Answers a call. Does nothing where its caller has gone, or it was answered."""
        ...

    def fail(self, call_id: int, code: int, message: str) -> None:
        """Ends a call with a status code of gRPC. `message` reaches the caller: never a value in it."""
        ...

    def flush(self) -> None:
        """Hands out what was answered: a front may gather that far, and hands out all by the next `recv`."""
        ...

    def close(self) -> None:
        """Ends what is still open, after what was answered has been handed to its caller."""
        ...
