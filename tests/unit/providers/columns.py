"""Batches of the look-ups' tests."""

from collections.abc import Sequence
from typing import Any

from enrichment.provider import Columns, Provider


def columns(**given: Sequence[Any]) -> Columns:
    """One column a fact key, all of one length."""
    (size,) = {len(column) for column in given.values()}
    return Columns(given, size)


def one(provider: Provider, **given: Any) -> dict[str, Any]:
    """What a provider says of a single payment; names that it knows nothing for are left out."""
    found = provider.fetch(columns(**{key: [value] for key, value in given.items()}))
    return {name: column[0] for name, column in found.items() if column[0] is not None}
