"""What a fault is, and what may leave while it stands and once it is mended."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kit.faulty_process import Patches

MESSAGE, STREAM, LOOKUP = "message", "stream", "lookup"
Transports = frozenset[str]
NOTHING: Transports = frozenset()
FED: Transports = frozenset({STREAM, LOOKUP})
ALL: Transports = frozenset({MESSAGE, STREAM, LOOKUP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One step that goes wrong. `leaves` while it stands, `leaves_after` once it is mended: data of payments
    that were sent while it stood. `refused`: the code of gRPC that callers get where not an answer."""

    name: str
    put: Callable[[Patches], None]
    leaves: Transports = NOTHING
    leaves_after: Transports = NOTHING
    refused: str = ""
    queued: bool = False
    """The payments are sent, and wait for their recipients, before the fault is put in place."""

    takes_ms: int = 0
    """Until it is felt: a lease has to run out first."""

    ends_process: bool = False
    """The process does not go on with it: it ends, and who supervises it starts it again."""


def raising(fault: BaseException) -> Callable[..., Any]:
    def broken(*args: Any, **options: Any) -> Any:
        raise fault

    return broken


class Instead:
    """Stands in front of an object; what is given here is its own."""

    def __init__(self, behind: Any, **own: Any) -> None:
        self._behind = behind
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)
