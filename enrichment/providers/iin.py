"""The card's issuer identification number: country, funding and product that a table of them has."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.payment import JsonValue
from enrichment.provider import UNAVAILABLE, Columns

IIN_DIGITS: Final = (6, 8)
"""The fewest and the most that an entry may have (ISO/IEC 7812-1: eight, six of those issued before)."""

Entry = tuple[str | None, str | None, str | None]
"""Country, funding, product."""

Iins = dict[str, Entry]
"""Leading digits of card numbers, as many as `IIN_DIGITS` says. Of two that fit, the longer one speaks."""

_NOTHING: Final[Entry] = (None, None, None)


def entry_of(iins: Iins, iin: str) -> Entry:
    """What the table has of these leading digits, eight or six.

    An entry of more digits than are given is not asked: other cards may begin alike.

    >>> iins = {"411111": ("US", "credit", None), "41111122": ("US", "debit", "Classic")}
    >>> entry_of(iins, "41111122"), entry_of(iins, "411111")
    (('US', 'debit', 'Classic'), ('US', 'credit', None))
    """
    fewest, most = IIN_DIGITS
    for digits in range(min(len(iin), most), fewest - 1, -1):
        found = iins.get(iin[:digits])
        if found is not None:
            return found
    return _NOTHING


class Iin:
    """`iin_country`, `iin_funding` and `iin_product`, of a table. `use` replaces it between two batches."""

    name = "iin"
    version = "1"
    wants = ("iin",)
    gives = ("iin_country", "iin_funding", "iin_product")

    __slots__ = ("_iins", "lacking")

    def __init__(self) -> None:
        self._iins: Iins = {}
        self.lacking = UNAVAILABLE

    def use(self, iins: Iins) -> None:
        """Takes another table."""
        self._iins, self.lacking = iins, ""

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        iins = self._iins
        columns = zip(*[entry_of(iins, iin) for iin in batch["iin"]], strict=True)
        return dict(zip(self.gives, columns, strict=True))
