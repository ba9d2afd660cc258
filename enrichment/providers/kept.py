"""What is remembered by key, within a limit: two generations of a dict. Pure given the order of the touches.

Keys are 64 bits of keyed hashes: with a million of them, two meet once in 40 million stores.
"""

from collections.abc import Sequence
from typing import Final, Protocol

_GIVEN_BACK: Final = 512
"""Entries of a forgotten generation given back a batch, in 30 µs. All at once would take 20 ms."""

GENERATION_DAYS: Final = 90
"""What was not seen for half a year is forgotten, though there be room: no keyed hash is kept for good."""

_WORD: Final = 2**64 - 1
SPREAD: Final = 0x9E3779B97F4A7C15
"""2^64 / golden ratio (Knuth, TAOCP 3, 6.4): spreads what is near."""


def apart(text: str) -> int:
    """What keys are combined with, by exclusive or, so that each text (a currency) has keys of its own."""
    return int.from_bytes(text.encode(), "little") * SPREAD & _WORD


class Leaving:
    """Dicts that are no longer used, given back a little at a time."""

    __slots__ = ("_dicts",)

    def __init__(self) -> None:
        self._dicts: list[dict[int, int]] = []

    def add(self, one: dict[int, int]) -> None:
        """Takes a dict that nobody else has."""
        self._dicts.append(one)

    def step(self) -> None:
        """Once a batch."""
        if self._dicts:
            last = self._dicts[-1]
            for _ in range(min(_GIVEN_BACK, len(last))):
                last.popitem()
            if not last:
                self._dicts.pop()


class Kept:
    """Numbers by key. Look into `young` yourself, then ask `old`; write into `young`; `settle` once a batch.

    When half of `most` keys are young, or the young ones have been gathered for `GENERATION_DAYS`, the keys
    that were not touched since the last turn are forgotten: the half that was touched last is kept, and
    nothing that was not touched for twice as many days.
    """

    __slots__ = ("_half", "_leaving", "_old", "_since_day", "young")

    def __init__(self, most: int) -> None:
        if most < 2:
            raise ValueError("most must be at least 2")
        self._half = most // 2
        self.young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._since_day = 0
        self._leaving = Leaving()

    def __len__(self) -> int:
        return len(self.young) + len(self._old)

    def old(self, key: int) -> int | None:
        """The number of a key that is not young; None where it is not kept. It is young from now on."""
        number = self._old.pop(key, None)
        if number is not None:
            self.young[key] = number
        return number

    def settle(self, day: int) -> None:
        """Holds the limits; one batch may go beyond. `day` of payment time: an earlier one ends nothing."""
        if not self._since_day:
            self._since_day = day
        if len(self.young) > self._half or day >= self._since_day + GENERATION_DAYS:
            self._leaving.add(self._old)
            self._old, self.young = self.young, {}
            self._since_day = max(day, self._since_day)
        self._leaving.step()

    def copies(self) -> tuple[int, dict[int, int], dict[int, int]]:
        """Since which day the young are gathered, the old, the young: for a snapshot. Any thread may call it:
        the young are copied first, so that a turn in between loses none but those that it forgets."""
        young = self.young.copy()
        return self._since_day, self._old.copy(), young

    def take(self, since_day: int, old: dict[int, int], young: dict[int, int]) -> None:
        """Puts back what `copies` gave."""
        self._since_day, self._old, self.young = since_day, old, young


class Remembering(Protocol):
    """A provider whose memory is worth keeping over a restart."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Another version does not read its memory."""
        ...

    @property
    def kept(self) -> Sequence[Kept]: ...

    def state(self) -> tuple[int, ...]:
        """What it remembers besides."""
        ...

    def restore(self, state: Sequence[int]) -> None:
        """Puts back what `state` gave."""
        ...
