"""Device continuity: how long this device has been seen with this card."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.payment import JsonValue
from enrichment.provider import WARMING, Columns
from enrichment.providers.kept import Kept

PAIRS: Final = 2 * 174_762
"""Pairs of card and device, 80 bytes each: 28 MB. Two dicts of 2^18 places, which are full at two thirds."""

KNOWN_AFTER_DAYS: Final = 7
"""Only a memory of this age says of a pair that it is new: a week has most cards' regular payments in it."""

_DAY_MS: Final = 86_400_000
_NO_DAY: Final = -1


class DeviceContinuity:
    """`device_on_card_age_days`: days since the pair was first seen, so far as memory goes.

    A pair that was seen before has its age; a pair that was not has 0 once the memory is
    `KNOWN_AFTER_DAYS` old, and none until then: to a young memory everybody looks new.
    """

    name = "device"
    version = "1"
    wants = ("card_key", "device_key", "initiated_at_ms")
    gives = ("device_on_card_age_days",)

    __slots__ = ("_began", "_first", "_today", "kept", "lacking")

    def __init__(self, pairs: int = PAIRS) -> None:
        self._first = Kept(pairs)
        self.kept = (self._first,)
        self._began = _NO_DAY
        self._today = _NO_DAY
        self.lacking = WARMING

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        first = self._first
        young, old = first.young, first.old
        ages: list[int | None] = []
        for card, device, at_ms in zip(
            batch["card_key"], batch["device_key"], batch["initiated_at_ms"], strict=True
        ):
            if not card or not device:
                ages.append(None)
                continue
            pair = card ^ device
            day = at_ms // _DAY_MS
            since = young.get(pair)
            if since is None:
                since = old(pair)
                if since is None:
                    if day == self._today:
                        day = self._today  # one number for all pairs of a day
                    else:
                        self._turn(day)
                    young[pair] = day
                    ages.append(None if self.lacking else 0)
                    continue
            age = day - since
            ages.append(age if age > 0 else 0)
        first.settle(batch["initiated_at_ms"][0] // _DAY_MS)
        return {"device_on_card_age_days": ages}

    def _turn(self, day: int) -> None:
        self._today = day
        if self._began == _NO_DAY:
            self._began = day
        elif day - self._began >= KNOWN_AFTER_DAYS:
            self.lacking = ""

    def state(self) -> tuple[int, ...]:
        """Since which day it remembers, and whether that is long enough."""
        return self._began, not self.lacking

    def restore(self, state: Sequence[int]) -> None:
        """Puts back what `state` gave."""
        self._began, warm = state
        self.lacking = "" if warm else WARMING
