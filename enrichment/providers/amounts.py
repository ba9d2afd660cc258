"""The amount beside what this card and this merchant usually have, in the same currency."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.payment import JsonValue
from enrichment.provider import Columns
from enrichment.providers.kept import Kept, apart

CARDS: Final = 2 * 174_762
"""Cards by currency, 130 bytes each: 45 MB. Two dicts of 2^18 places, which are full at two thirds."""

MERCHANTS: Final = 2 * 43_690
"""Merchants by currency: 11 MB."""

CARD_PAYMENTS_MIN: Final = 3
"""Payments before a card's mean says something: of two, one is always the larger."""

MERCHANT_PAYMENTS_MIN: Final = 20
"""Payments before a merchant's mean says something: baskets differ more than a card's habits do."""

CARD_PAYMENTS_COUNTED: Final = 32
"""A card's mean follows its last thirty payments or so: habits change in months."""

MERCHANT_PAYMENTS_COUNTED: Final = 1_024
"""A merchant's mean moves by a thousandth a payment: one large sale changes nothing."""

PERCENT_MAX: Final = 100_000
"""A thousand times the mean; what is above is the same to everybody."""

_SIXTEENTHS: Final = 16  # means are kept in sixteenths of a minor unit: without them small ones would stick
AMOUNT_MAX: Final = 10**14  # minor units: a hundred times the largest amount of DE4 (n12)
_DAY_MS: Final = 86_400_000
_COUNT_BITS: Final = 11  # of a packed number: how many payments; above them the mean
_COUNT: Final = (1 << _COUNT_BITS) - 1


class _Means:
    """Running means by key, each one packed number."""

    __slots__ = ("_counted", "_least", "kept")

    def __init__(self, most: int, *, least: int, counted: int) -> None:
        self.kept = Kept(most)
        self._least = least
        self._counted = counted

    def percents(self, keys: Sequence[int], sixteenths: Sequence[int]) -> list[int | None]:
        """Each amount in percent of the mean before it, which then takes it in. None for a key of 0."""
        young, old, least, counted = self.kept.young, self.kept.old, self._least, self._counted
        get = young.get
        percents: list[int | None] = []
        append = percents.append
        for key, amount in zip(keys, sixteenths, strict=True):
            percent = None
            packed = (get(key) or old(key)) if key else 0
            if packed:
                count, mean = packed & _COUNT, packed >> _COUNT_BITS
                seen = count + 1 if count < counted else count
                young[key] = mean + (amount - mean) // seen << _COUNT_BITS | seen
                if count >= least:
                    percent = 100 * amount // (mean or 1)
                    if percent > PERCENT_MAX:
                        percent = PERCENT_MAX
            elif key:
                young[key] = amount << _COUNT_BITS | 1
            append(percent)
        return percents


class Amounts:
    """`amount_to_card_mean` and `amount_to_merchant_mean`, in percent of the mean of earlier attempts.

    An amount of nothing (an account that is verified) counts for nothing.
    """

    name = "amounts"
    version = "1"
    wants = ("card_key", "merchant_key", "amount_minor", "currency", "initiated_at_ms")
    gives = ("amount_to_card_mean", "amount_to_merchant_mean")

    __slots__ = ("_apart", "_cards", "_merchants", "kept")

    def __init__(self, cards: int = CARDS, merchants: int = MERCHANTS) -> None:
        self._cards = _Means(cards, least=CARD_PAYMENTS_MIN, counted=CARD_PAYMENTS_COUNTED)
        self._merchants = _Means(merchants, least=MERCHANT_PAYMENTS_MIN, counted=MERCHANT_PAYMENTS_COUNTED)
        self.kept = (self._cards.kept, self._merchants.kept)
        self._apart: dict[str, int] = {}  # at most the currencies of ISO 4217, which a request is checked for

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        amounts, currencies = batch["amount_minor"], batch["currency"]
        known = self._apart
        first = currencies[0]
        for currency in (first,) if len(currencies) == 1 else set(currencies):
            if currency not in known:
                known[currency] = apart(currency)
        if currencies.count(first) == len(currencies) and 0 < min(amounts) <= max(amounts) < AMOUNT_MAX:
            other = known[first]
            cards = [key and key ^ other for key in batch["card_key"]]
            merchants = [key and key ^ other for key in batch["merchant_key"]]
        else:
            # 0 where the amount is nothing or absurd.
            others = [
                known[currency] if 0 < amount < AMOUNT_MAX else 0
                for currency, amount in zip(currencies, amounts, strict=True)
            ]
            cards, merchants = (
                [key and other and key ^ other for key, other in zip(batch[name], others, strict=True)]
                for name in ("card_key", "merchant_key")
            )
        sixteenths = [amount * _SIXTEENTHS for amount in amounts]
        found = {
            "amount_to_card_mean": self._cards.percents(cards, sixteenths),
            "amount_to_merchant_mean": self._merchants.percents(merchants, sixteenths),
        }
        day = batch["initiated_at_ms"][0] // _DAY_MS
        for one in self.kept:
            one.settle(day)
        return found

    def state(self) -> tuple[int, ...]:
        """Nothing besides."""
        return ()

    def restore(self, state: Sequence[int]) -> None:
        """Nothing to put back."""
