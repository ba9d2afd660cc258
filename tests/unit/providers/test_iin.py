"""What a table has of the leading digits of a card."""

import pytest

from enrichment.provider import UNAVAILABLE
from enrichment.providers.iin import Iin
from tests.unit.providers.columns import one

TABLE = {
    "400000": ("US", "credit", None),
    "4000001": (None, "debit", None),
    "40000012": ("CA", None, "Gold"),
}


@pytest.mark.parametrize(
    ("iin", "found"),
    [
        ("40000012", {"iin_country": "CA", "iin_product": "Gold"}),
        ("40000013", {"iin_funding": "debit"}),
        ("40000023", {"iin_country": "US", "iin_funding": "credit"}),
        ("400000", {"iin_country": "US", "iin_funding": "credit"}),
        ("40000112", {}),
        ("400001", {}),
        ("", {}),
    ],
)
def test_the_longest_entry_that_every_such_card_fits_speaks_whole(iin: str, found: object) -> None:
    provider = Iin()
    provider.use(TABLE)
    assert one(provider, iin=iin) == found


def test_it_lacks_its_table_until_there_is_one() -> None:
    provider = Iin()
    assert (provider.lacking, one(provider, iin="400000")) == (UNAVAILABLE, {})
    provider.use(TABLE)
    assert provider.lacking == ""
