"""The merchant: how its kind of business is judged, and how its payments turned out, as measured."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.payment import JsonValue
from enrichment.provider import UNAVAILABLE, Columns

RATE_PAYMENTS_MIN: Final = 500
"""Payments behind a rate. At the 10 to 50 basis points that are usual, fewer have seen one or two frauds."""

_KINDS: Final[tuple[tuple[str, int, str], ...]] = (
    ("money sent, and what is as good as cash", 3, "4829 6010-6012 6050-6051 6211 6534 6538 6540"),
    ("games of chance", 3, "7800-7802 7995 9406 9754"),
    ("sold over the telephone, by post or by subscription", 3, "5960-5969"),
    ("delivered at once and without an address", 3, "5815-5818"),
    ("introductions and personal services", 3, "7273 7276-7278 7296-7299"),
    ("small and dear, easily sold on", 2, "5045 5094 5732-5735 5944 5946 5947"),
    ("telephone credit and telecommunication", 2, "4812-4816 4821"),
    ("flights and journeys, paid long before", 2, "3000-3299 4411 4511 4722-4723 7011-7012 3501-3999"),
    ("medicines and food supplements", 2, "5122 5912 5499"),
    ("tickets and events", 2, "7922 7929 7932 7933 7941 7991 7994 7996 7998 7999"),
    ("software, adverts and data", 2, "7311 7372 7375 7379 5045"),
    ("vehicles hired", 2, "3351-3441 7512-7513 7519"),
    ("fares and tolls", 0, "4011 4111-4112 4131 4784 7523"),
    ("food and drink bought in person", 0, "5411 5422 5441 5451 5462 5811-5814"),
    ("fuel", 1, "5541-5542 5552 9752"),
    ("public bodies, energy and water", 0, "4900 9211 9222 9311 9399 9402 9405"),
    ("physicians and hospitals", 0, "8011-8099"),
    ("schools", 0, "8211 8220 8241 8244 8249 8299 8351"),
)
"""What kind of business, class, codes of ISO 18245. Plain judgement, as of the points: tuned to no data."""

OTHER_RISK: Final = 1
"""Of every code that no kind has."""


def _risks() -> dict[str, int]:
    risks: dict[str, int] = {}
    for _, risk, codes in _KINDS:
        for part in codes.split():
            first, _, last = part.partition("-")
            for code in range(int(first), int(last or first) + 1):
                risks[f"{code:04d}"] = max(risk, risks.get(f"{code:04d}", 0))
    return risks


RISK_BY_MCC: Final[Mapping[str, int]] = _risks()
"""0 seldom, 1 usual, 2 often, 3 very often the place of fraud."""

Rates = dict[tuple[str, str], tuple[int | None, int | None]]
"""(sender id, merchant id) to fraud and dispute rate in basis points."""


def rate_bp(events: int, payments: int) -> int | None:
    """The rate in basis points; None where there are too few payments to say so.

    >>> rate_bp(3, 2_000), rate_bp(3, 20)
    (15, None)
    """
    return (20_000 * events + payments) // (2 * payments) if payments >= RATE_PAYMENTS_MIN else None


class Merchant:
    """`merchant_fraud_rate_bp` and `merchant_dispute_rate_bp` where a table of them is given, and
    `mcc_risk` for the score. `use` replaces the table between two batches."""

    name = "merchant"
    version = "1"
    wants = ("mcc", "sender_id", "merchant_id")

    __slots__ = ("_rates", "gives", "lacking")

    def __init__(self, *, rates_named: bool = False) -> None:
        """`rates_named`: a table is to come; its fields are lacking until then. Else they are not ours."""
        self._rates: Rates = {}
        self.gives = (
            "mcc_risk",
            *(("merchant_fraud_rate_bp", "merchant_dispute_rate_bp") if rates_named else ()),
        )
        self.lacking = UNAVAILABLE if rates_named else ""

    def use(self, rates: Rates) -> None:
        """Takes another table."""
        self._rates, self.lacking = rates, ""

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        risk_of = RISK_BY_MCC.get
        columns: dict[str, Sequence[JsonValue]] = {
            "mcc_risk": [risk_of(mcc, OTHER_RISK) if mcc else None for mcc in batch["mcc"]]
        }
        rates = self._rates
        if rates:
            found = [rates.get(one, _NO_RATES) for one in zip(batch["sender_id"], batch["merchant_id"])]  # noqa: B905
            columns["merchant_fraud_rate_bp"] = [fraud for fraud, _ in found]
            columns["merchant_dispute_rate_bp"] = [dispute for _, dispute in found]
        return columns


_NO_RATES: Final = (None, None)
