"""One key's counts, packed in 16-bit units of a slab. What is counted: `velocity`'s docstring.

Laid out: the key's clock in minutes (2 units); rings of minutes, fives, hours and days; the sum of the days,
where 65,535 says that they have to be added up; then the others it was seen with, one behind the other: the
low 16 bits of the minute each was last seen in, and its hash (low half, high half), 0 in a free place.
"""

from array import array
from typing import Final

from gateway.sharing.velocity_port import Counts

RECORD_UNITS: Final = 80
RECORD_BYTES: Final = 2 * RECORD_UNITS
EMPTY: Final = array("H", bytes(RECORD_BYTES))

MAX_OTHERS: Final = 8
"""Where counting of different others stops: 48 bytes a key, of the 200 that a key may take."""

_BUCKET_MAX: Final = 65_535
_DAY: Final = 24 * 60
_MINUTES, _FIVES, _HOURS, _DAYS = 10, 12, 24, 7  # buckets of 10 minutes, 1 hour, 24 hours, 7 days
_MINUTE_AT, _FIVE_AT, _HOUR_AT, _DAY_AT, _SUM_AT, _OTHERS_AT = 2, 12, 24, 48, 55, 56
_OTHER_UNITS: Final = 3
_NOTHING: Final = EMPTY[_MINUTE_AT:]
_WINDOWS: Final = (
    (_MINUTE_AT, _MINUTES, 1),
    (_FIVE_AT, _FIVES, 5),
    (_HOUR_AT, _HOURS, 60),
    (_DAY_AT, _DAYS, _DAY),
)
"""Of each ring: where it starts, its buckets, minutes of a bucket."""

_Four = tuple[int, int, int, int]


def count(slab: "array[int]", at: int, minute: int, other: int) -> Counts:
    """Counts an attempt at `minute` since the epoch in the record at `at`; `other` is a hash, 0 is none."""
    clock = slab[at] | slab[at + 1] << 16
    first = at + _OTHERS_AT
    hashed = slab[first + 1] | slab[first + 2] << 16
    if minute < clock:
        attempts = _late(slab, at, clock, minute)
    else:
        attempts = _now(slab, at, clock, minute)
        # Nearly all that comes: nothing to tell apart, or the one and only that was there before.
        if hashed == other and not (slab[first + 4] or slab[first + 5]):
            if not other:
                return (*attempts, 0, 0, 0, 0)
            slab[first] = minute & 0xFFFF
            slab[first + 1], slab[first + 2] = other & 0xFFFF, other >> 16
            return (*attempts, 1, 1, 1, 1)
    if not (hashed or other):
        return (*attempts, 0, 0, 0, 0)
    return attempts + _others(slab, at, max(clock, minute), minute, other)


def _now(slab: "array[int]", at: int, clock: int, minute: int) -> _Four:
    if minute != clock:
        if slab[at + _SUM_AT]:
            _advance(slab, at, clock, minute)
        else:  # nothing was counted yet
            slab[at], slab[at + 1] = minute & 0xFFFF, minute >> 16
    week = slab[at + _SUM_AT] + 1
    if week > _BUCKET_MAX:
        return _many(slab, at, minute)
    # No bucket holds more than the sum, so that none can overflow.
    slab[at + _SUM_AT] = week
    slab[at + _FIVE_AT + minute // 5 % _FIVES] += 1
    slab[at + _HOUR_AT + minute // 60 % _HOURS] += 1
    slab[at + _DAY_AT + minute // _DAY % _DAYS] += 1
    ring = at + _MINUTE_AT + minute % _MINUTES
    slab[ring] = now = slab[ring] + 1
    if now == week:
        return now, now, now, now  # all of it in this minute, as with the first attempt
    return (
        sum(slab[at + _MINUTE_AT : at + _FIVE_AT]),
        sum(slab[at + _FIVE_AT : at + _HOUR_AT]),
        sum(slab[at + _HOUR_AT : at + _DAY_AT]),
        week,
    )


def _advance(slab: "array[int]", at: int, clock: int, minute: int) -> None:
    """Moves the clock on, empties the buckets that come into use again, forgets others of before the week."""
    slab[at], slab[at + 1] = minute & 0xFFFF, minute >> 16
    if minute // _DAY - clock // _DAY >= _DAYS:
        slab[at + _MINUTE_AT : at + RECORD_UNITS] = _NOTHING
        return
    for start, buckets, unit in _WINDOWS:
        now, before = minute // unit, clock // unit
        for bucket in range(max(before, now - buckets) + 1, now + 1):
            slab[at + start + bucket % buckets] = 0
    if minute // _DAY != clock // _DAY:
        slab[at + _SUM_AT] = min(sum(slab[at + _DAY_AT : at + _SUM_AT]), _BUCKET_MAX)
        # All were within the week that ended at the old clock: 16 bits of a minute still tell their age.
        _forget(slab, at, minute)


def _many(slab: "array[int]", at: int, minute: int) -> _Four:
    """Counts where a bucket may be at its end."""
    counts = []
    for start, buckets, unit in _WINDOWS:
        first = at + start
        ring = first + minute // unit % buckets
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        counts.append(sum(slab[first : first + buckets]))
    slab[at + _SUM_AT] = min(counts[3], _BUCKET_MAX)
    return counts[0], counts[1], counts[2], counts[3]


def _late(slab: "array[int]", at: int, clock: int, minute: int) -> _Four:
    """Counts an attempt that is older than the key's clock, where its buckets are still kept."""
    counts = []
    for start, buckets, unit in _WINDOWS:
        first, now, own = at + start, clock // unit, minute // unit
        if own <= now - buckets:
            counts.append(1)
            continue
        ring = first + own % buckets
        if slab[ring] < _BUCKET_MAX:
            slab[ring] += 1
        kept = range(now - buckets + 1, own + 1)
        counts.append(sum([slab[first + bucket % buckets] for bucket in kept]))
    slab[at + _SUM_AT] = min(sum(slab[at + _DAY_AT : at + _SUM_AT]), _BUCKET_MAX)
    return counts[0], counts[1], counts[2], counts[3]


def _reach(clock: int, buckets: int, unit: int) -> int:
    """Minutes from the clock back to the first that the window has."""
    return min(clock % unit + (buckets - 1) * unit, clock)


def _kept(slab: "array[int]", at: int, clock: int) -> list[tuple[int, int]]:
    """(minutes since it was last seen, hash) of each of the others, in their order."""
    kept = []
    for place in range(at + _OTHERS_AT, at + RECORD_UNITS, _OTHER_UNITS):
        hashed = slab[place + 1] | slab[place + 2] << 16
        if not hashed:
            break
        kept.append(((clock - slab[place]) & 0xFFFF, hashed))
    return kept


def _put(slab: "array[int]", at: int, place: int, minute: int, hashed: int) -> None:
    first = at + _OTHERS_AT + _OTHER_UNITS * place
    slab[first] = minute & 0xFFFF
    slab[first + 1], slab[first + 2] = hashed & 0xFFFF, hashed >> 16


def _forget(slab: "array[int]", at: int, clock: int) -> None:
    """Those that stay keep their order."""
    week = _reach(clock, _DAYS, _DAY)
    kept = [one for one in _kept(slab, at, clock) if one[0] <= week]
    slab[at + _OTHERS_AT : at + RECORD_UNITS] = EMPTY[_OTHERS_AT:]
    for place, (age, hashed) in enumerate(kept):
        _put(slab, at, place, clock - age, hashed)


def _others(slab: "array[int]", at: int, clock: int, minute: int, other: int) -> _Four:
    """Takes in the attempt's own other, in place of the one not seen for longest, and counts by window."""
    kept = _kept(slab, at, clock)
    own_age = clock - minute
    if other:
        if own_age <= _reach(clock, _DAYS, _DAY):
            place = _see(kept, own_age, other)
            if place is not None:
                _put(slab, at, place, minute, other)
        # It counts once in each window, wherever the attempt stands.
        ages = [age for age, hashed in kept if hashed != other]
        ages.append(0)
    else:
        ages = [age for age, _ in kept]
    counts = []
    for _, buckets, unit in _WINDOWS:
        reach = _reach(clock, buckets, unit)
        counts.append(min(sum([age <= reach for age in ages]), MAX_OTHERS))
    return counts[0], counts[1], counts[2], counts[3]


def _see(kept: list[tuple[int, int]], age: int, other: int) -> int | None:
    """The place that it takes or is seen in again; None where it changes nothing."""
    for place, (before, hashed) in enumerate(kept):
        if hashed == other:
            return place if age < before else None
    if len(kept) < MAX_OTHERS:
        return len(kept)
    oldest = max(range(MAX_OTHERS), key=lambda place: kept[place][0])
    if age < kept[oldest][0]:
        kept[oldest] = age, other
        return oldest
    return None
