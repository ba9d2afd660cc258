"""Port of providers outside the hot loop: they are asked, and waited for within a budget."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from enrichment.payment import JsonValue
from enrichment.provider import Columns, Provider

Found = Mapping[str, Sequence[JsonValue]]
"""A column a name, as long as the batch."""


class Beside(Protocol):
    """A provider that does I/O, on a thread of its own. One batch is asked at a time."""

    @property
    def provider(self) -> Provider: ...

    def ask(self, batch: Columns) -> bool:
        """Hands over a batch; never waits. False where those before it are still in hand: it is dropped."""
        ...

    def answer(self, within_ns: int) -> Found | None:
        """What came of the batch asked last, waiting so long for it; None where it is late, and then what
        comes of it is dropped. Raises what the provider raised."""
        ...
