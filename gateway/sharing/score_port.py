"""Port of the score: a batch of payments in, our assessment of each out."""

from collections.abc import Sequence
from typing import Final, Protocol

from enrichment.payment import Assessment, Facts, Payment

Asked = tuple[Payment, Facts, bool | None]
"""A payment, what was fetched about it, and whether goods go where the bill goes (None: not known)."""

UNASSESSED: Final = ("score", "model_unavailable")
"""The omission of a payment that a model was meant to assess and the points did."""


class Scorer(Protocol):
    """Assesses a batch in one go, on the hot loop's thread."""

    def assess(self, asked: Sequence[Asked]) -> Sequence[Assessment | None]:
        """One assessment a payment, in order; None where there is none to be had: the points serve then."""
        ...
