"""How long one that is asked about payments may take, and when it is not asked for a while."""

from dataclasses import dataclass, field
from typing import Final

from gateway.runtime.clock import MS

STRIKES: Final = 5
"""Batches in a row that are late or fail before one is put aside. One alone may be this machine's."""

ASIDE_MS: Final = 1_000
"""How long it is not asked then: what never answers costs the payments its budget once a second."""


@dataclass(slots=True)
class Patience:
    """How one has done. `strikes` are its late or failed batches in a row."""

    strikes: int = field(default=0, init=False)
    aside_until_ns: int = field(default=0, init=False)
    reason: str = field(default="", init=False)
    """Why it was put aside."""

    def strike(self, reason: str, now_ns: int) -> None:
        """It was late, or it failed."""
        self.strikes += 1
        if self.strikes >= STRIKES:
            # One more is enough when it is asked again.
            self.strikes = STRIKES - 1
            self.reason, self.aside_until_ns = reason, now_ns + ASIDE_MS * MS
