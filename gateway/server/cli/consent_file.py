"""Consents from a CSV file, staged some at a time: a million hold up neither payments nor other acts."""

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple, TextIO

import click

from gateway.programs.consents import (
    ID_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    ConsentRefused,
    ConsentStore,
    Party,
    Setting,
    check_setting,
    check_text,
)
from gateway.programs.model import FOREVER_MS, Tier

COLUMNS: Final = ("party", "party_id", "tier", "terms_version", "evidence", "valid_from", "valid_until")
TIERS: Final = {
    "opted-out": Tier.OPTED_OUT,
    "none": Tier.NONE,
    "basic": Tier.BASIC,
    "enhanced": Tier.ENHANCED,
}

ERRORS_TOLD: Final = 20
"""Of a file with mistakes: enough to see the pattern."""

SORTED_ROWS: Final = 20_000
"""By id at a time, some 10 ms; the sorted parts are then merged. In the order of the registry's index a page
of it is written a few times, in the order of the file once a row, and payments wait for that disk."""

STAGED_ROWS: Final = 50
"""In one transaction: half a millisecond, for the sake of payments; other writers get in between, too."""

ROWS_A_LOOK: Final = 32
"""Read between two looks at whether to rest: a fifth of a millisecond."""

BURST_NS: Final = 200_000
REST: Final = 3.2
"""What an import rests after a burst, times what that worked: at most a quarter of a core. On a machine of
two cores a neighbour that is always busy doubles the p99 of payments, whatever its priority."""

DAYS_CACHED: Final = 4_096
"""Texts of days kept: eleven years of them."""

_ID: Final = attrgetter("party_id")
ALIKE_CACHED: Final = 4_096
"""Of what rows have in common: versions of terms times tiers times first days."""

_PARTIES: Final = {str(party): party for party in Party}


class Pace:
    """Lets an import rest between short bursts of work, counted in its own processor time."""

    def __init__(self, worked_ns: Callable[[], int], sleep: Callable[[float], None]) -> None:
        self._worked_ns = worked_ns
        self._sleep = sleep
        self._rested_ns = worked_ns()

    def rest(self) -> None:
        """Call it often: it rests where a burst is over."""
        burst_ns = self._worked_ns() - self._rested_ns
        if burst_ns >= BURST_NS:
            self._sleep(burst_ns * REST / 1e9)
            self._rested_ns = self._worked_ns()


def stage(store: ConsentStore, import_id: int, file: TextIO, rest: Callable[[], None]) -> int:
    """How many were staged. Calls `rest` often. Raises ConsentRefused with the first mistakes, by line.

    Holds the rows of the file meanwhile: some 250 MB for a million.
    """
    lines = _lines(file)
    reader = csv.reader(file)
    if tuple(next(reader, ())) != COLUMNS:
        raise ConsentRefused(f"the first line has to be {','.join(COLUMNS)}")
    mistakes: list[str] = []
    settings = _settings(reader, mistakes, rest)
    parts: list[list[Setting]] = []
    progress: Any = click.progressbar(length=None if lines is None else 2 * lines, label="staging")
    with progress as bar:
        while some := list(islice(settings, SORTED_ROWS)):
            # Stable, as the merge is: of one party's rows the last of the file is the one that holds.
            some.sort(key=_ID)
            parts.append(some)
            bar.update(len(some))
        if mistakes:
            raise ConsentRefused("nothing was imported:\n  " + "\n  ".join(mistakes))
        in_order = merge(*parts, key=_ID)
        while page := list(islice(in_order, STAGED_ROWS)):
            store.stage(import_id, page)
            rest()
            bar.update(len(page))
    return sum(map(len, parts))


def _lines(file: TextIO) -> int | None:
    """For the progress alone; None where the file cannot be read twice."""
    if not file.seekable():
        return None
    lines = sum(1 for _ in file) - 1
    file.seek(0)
    return lines


def _settings(
    reader: Iterator[list[str]], mistakes: list[str], rest: Callable[[], None]
) -> Iterator[Setting]:
    """Those without a mistake; ends where there are enough of them."""
    line = 1
    for row in reader:
        line += 1
        if line % ROWS_A_LOOK == 0:
            rest()
        try:
            if row:
                yield _setting(row)
        except ConsentRefused as mistake:
            mistakes.append(f"line {line}: {mistake.public}")
            if len(mistakes) == ERRORS_TOLD:
                return


def _setting(row: list[str]) -> Setting:
    if len(row) != len(COLUMNS):
        raise ConsentRefused(f"it takes {len(COLUMNS)} columns")
    party, party_id, tier, terms_version, evidence, valid_from, valid_until = row
    alike = _alike(party, tier, terms_version, valid_from, valid_until)
    check_text("party_id", party_id, ID_CHARACTERS_MAX)
    check_text("evidence", evidence, TEXT_CHARACTERS_MAX)
    return Setting(alike.party, party_id, alike.tier, alike.terms_version, evidence, *alike.valid_ms)


class _Alike(NamedTuple):
    """What many rows say alike, checked once."""

    party: Party
    tier: Tier
    terms_version: str
    valid_ms: tuple[int, int]


@lru_cache(maxsize=ALIKE_CACHED)
def _alike(party: str, tier: str, terms_version: str, valid_from: str, valid_until: str) -> _Alike:
    if party not in _PARTIES or tier not in TIERS:
        raise ConsentRefused(f"party is merchant or platform, and tier one of {', '.join(TIERS)}")
    from_ms = start_ms(valid_from, "valid_from")
    until_ms = start_ms(valid_until, "valid_until") if valid_until else FOREVER_MS
    check_setting(Setting(_PARTIES[party], "-", TIERS[tier], terms_version, "-", from_ms, until_ms))
    return _Alike(_PARTIES[party], TIERS[tier], terms_version, (from_ms, until_ms))


@lru_cache(maxsize=DAYS_CACHED)
def start_ms(text: str, member: str) -> int:
    """When a day begins. Raises ConsentRefused."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConsentRefused(f"{member}: a day is expected, YYYY-MM-DD") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
