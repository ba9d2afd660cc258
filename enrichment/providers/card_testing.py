"""Card testing: somebody tries whether stolen card numbers work, at a merchant or from a device.

Its marks are many cards, small amounts and card verification values that do not match, in a short time.
Payments that are small or fail are counted by merchant and by device in windows of ten minutes of payment
time; how many attempts there were in all, and with how many cards a device's, is velocity's to say. Pure
given the order of the payments.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from enrichment.payment import Counts, JsonValue
from enrichment.provider import Columns
from enrichment.providers.kept import Leaving
from enrichment.scoring.points import dollars
from enrichment.velocity import VelocityKind

MERCHANTS: Final = 1 << 16
"""Merchants with such payments in a window, 120 bytes each: 8 MB."""

DEVICES: Final = 1 << 17
"""Devices with such payments in a window: 16 MB, and over 200 new ones a second."""

WINDOW_MS: Final = 600_000
"""As the shortest window of velocity: testers try some cards a minute."""

SMALL_DOLLARS: Final = 5
"""Testers try amounts that cardholders overlook. The same line as the rule of the points."""

NONE: Final = "none"
POSSIBLE: Final = "possible"
LIKELY: Final = "likely"
VERDICTS: Final = (NONE, POSSIBLE, LIKELY)

# Thresholds are plain judgement, as those of the points, and tuned to no data. A household has a handful of
# cards and a shop's till many; so a device is judged by few cards, a merchant only with values that fail.
DEVICE_CARDS: Final = (4, 6)
"""Cards in small or failing payments from one device in a window: possible, likely."""

DEVICE_FAILURES: Final = (2, 3)
"""Card verification values that did not match, from one device. Without them most amounts are small."""

MERCHANT_CARDS: Final = (10, 16)
"""Cards in small or failing payments at one merchant in a window: possible, likely."""

MERCHANT_FAILURES: Final = (5, 10)
"""Values that did not match at one merchant; and at least a tenth, or a quarter, of its attempts."""


def of_device(attempts: int, small: int, failures: int, cards: int) -> int:
    """Index in `VERDICTS` for a device's window."""
    if cards >= DEVICE_CARDS[1] and (failures >= DEVICE_FAILURES[1] or 5 * small >= 4 * attempts):
        return 2
    return int(cards >= DEVICE_CARDS[0] and (failures >= DEVICE_FAILURES[0] or 2 * small >= attempts))


def of_merchant(attempts: int, small: int, failures: int, cards: int) -> int:
    """Index in `VERDICTS` for a merchant's window."""
    if cards >= MERCHANT_CARDS[1] and failures >= MERCHANT_FAILURES[1] and 4 * failures >= attempts:
        return 2
    return int(
        cards >= MERCHANT_CARDS[0]
        and failures >= MERCHANT_FAILURES[0]
        and 10 * failures >= attempts
        and 2 * small >= attempts
    )


class _Window:
    """One packed number a key: small ones, failures, both together, and 64 marks that cards set.

    Marks are never more than cards: two cards may set the same. The window is that of the latest payment; an
    earlier attempt counts into it. A verdict is kept through the window that follows, in which counting
    begins anew. So it does when there are too many keys.
    """

    __slots__ = ("_judge", "_late", "_most", "_states", "verdicts")

    def __init__(self, most: int, judge: Callable[[int, int, int, int], int], late: Leaving) -> None:
        self._most = most
        self._judge = judge
        self._late = late
        self._states: dict[int, int] = {}
        self.verdicts: dict[int, int] = {}
        """Of this window and of the one before, those that are not none: key to twice the index, and 1 more
        where it is of this window."""

    def turn(self) -> None:
        """Begins another window."""
        self._late.add(self._states)
        self._states = {}
        self.verdicts = {key: kept & ~1 for key, kept in self.verdicts.items() if kept & 1}

    def count(self, key: int, adds: int, attempts: int, cards: int) -> int:
        """Index in `VERDICTS` for the key, with a payment that is small or fails. `attempts` and `cards` as
        counted elsewhere, 0 where they are not."""
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= self._most:
                self.turn()
            self._states[key] = adds
            return 0
        state = (state & _COUNTS) + (adds & _COUNTS) | (state | adds) & _ALL_MARKS
        self._states[key] = state
        verdict = self._judge(
            max(attempts, state & _COUNT),
            state >> _SMALL_AT & _COUNT,
            state >> _FAILURES_AT & _COUNT,
            max(cards, (state >> _MARKS_AT).bit_count()),
        )
        if verdict:
            kept = self.verdicts.get(key, 0) >> 1
            self.verdicts[key] = max(verdict, kept) << 1 | 1
        return verdict


_BITS: Final = 24  # of a count: 28,000 attempts/s at one merchant
_COUNT: Final = (1 << _BITS) - 1
_SMALL_AT: Final = _BITS
_FAILURES_AT: Final = 2 * _BITS
_MARKS_AT: Final = 3 * _BITS
_COUNTS: Final = (1 << _MARKS_AT) - 1
_ALL_MARKS: Final = (1 << 64) - 1 << _MARKS_AT
_SMALL: Final = 1 << _SMALL_AT
_FAILURE: Final = 1 << _FAILURES_AT
_MARKS: Final = tuple(1 | 1 << _MARKS_AT + mark for mark in range(64))
_OTHERS_10M: Final = 4  # of `Counts`
_MERCHANT: Final = VelocityKind.MERCHANT.value
_DEVICE: Final = VelocityKind.DEVICE.value
_Velocity = tuple[Counts | None, ...] | None


class CardTesting:
    """`card_testing`: the worse of what device and merchant show. A payment that is neither small nor fails
    is at most possible by its merchant: others pay there too."""

    name = "card_testing"
    version = "1"
    wants = (
        "card_key", "merchant_key", "device_key", "initiated_at_ms", "amount_minor", "currency", "cvv_result",
        "velocity",
    )  # fmt: skip
    gives = ("card_testing",)

    __slots__ = ("_devices", "_late", "_merchants", "_until_ms")

    def __init__(self, merchants: int = MERCHANTS, devices: int = DEVICES) -> None:
        self._late = Leaving()
        self._merchants = _Window(merchants, of_merchant, self._late)
        self._devices = _Window(devices, of_device, self._late)
        self._until_ms = 0

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        verdicts: list[str] = []
        for card, merchant, device, at_ms, dollar, cvv, velocity in zip(
            batch["card_key"], batch["merchant_key"], batch["device_key"], batch["initiated_at_ms"],
            map(dollars, batch["amount_minor"], batch["currency"]), batch["cvv_result"], batch["velocity"],
            strict=True,
        ):  # fmt: skip
            small, fails = dollar < SMALL_DOLLARS, cvv in ("N", "n")
            verdicts.append(self.verdict(card, merchant, device, at_ms, small, fails, velocity))
        self._late.step()
        return {"card_testing": verdicts}

    def verdict(
        self, card: int, merchant: int, device: int, at_ms: int, small: bool, fails: bool, velocity: _Velocity
    ) -> str:
        """On the next payment, by its keyed hashes (0: none). `velocity` as the fact key of that name."""
        if at_ms >= self._until_ms:
            self._turn(at_ms)
        merchants, devices = self._merchants.verdicts, self._devices.verdicts
        if small or fails:
            adds = (_SMALL if small else 0) + (_FAILURE if fails else 0) | (_MARKS[card & 63] if card else 1)
            return VERDICTS[self._count(merchant, device, adds, velocity)]
        if devices or merchants:
            return VERDICTS[max(min(merchants.get(merchant, 0) >> 1, 1), devices.get(device, 0) >> 1)]
        return NONE

    def _count(self, merchant: int, device: int, adds: int, velocity: _Velocity) -> int:
        verdict = 0
        for key, window, kind in ((merchant, self._merchants, _MERCHANT), (device, self._devices, _DEVICE)):
            if key:
                counts = None if velocity is None else velocity[kind]
                # Without counts nobody knows what part of the attempts these are: taken for all of them.
                # What velocity tells apart at a merchant is nothing.
                attempts, cards = (0, 0) if counts is None else (counts[0], counts[_OTHERS_10M])
                found = window.count(key, adds, attempts, cards)
                verdict = max(verdict, found, window.verdicts.get(key, 0) >> 1)
        return verdict

    def _turn(self, at_ms: int) -> None:
        # A pause of a window or more forgets the verdicts too: nothing of them is of the window before.
        again = at_ms >= self._until_ms + WINDOW_MS
        for one in (self._merchants, self._devices):
            one.turn()
            if again:
                one.turn()
        self._until_ms = (at_ms // WINDOW_MS + 1) * WINDOW_MS
