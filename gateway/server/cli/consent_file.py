"""Consents from a CSV file: staged some at a time, so that a million take neither memory nor a long lock."""

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Any, Final, TextIO

import click

from gateway.programs.consents import (
    ConsentRefused,
    ConsentStore,
    Party,
    Setting,
    check_setting,
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

SORTED_ROWS: Final = 50_000
"""By id, as the registry's index has them: in the order of the file each row would write a page of it. Some
30 MB at a time."""

STAGED_ROWS: Final = 50
"""In one transaction: a millisecond or two, for the sake of payments; other writers get in between, too."""

ROWS_A_LOOK: Final = 32
"""Read between two looks at whether to rest: a fifth of a millisecond."""

BURST_NS: Final = 200_000
REST: Final = 2.0
"""What an import rests after a burst, times what that worked: at most a third of a core. On a machine of two
cores a neighbour that is always busy doubles the p99 of payments, whatever its priority."""

DAYS_CACHED: Final = 4_096
"""Texts of days kept: eleven years of them."""

_ID: Final = attrgetter("party_id")
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
    """How many were staged. Calls `rest` often. Raises ConsentRefused with the first mistakes, by line."""
    lines = _lines(file)
    reader = csv.reader(file)
    if tuple(next(reader, ())) != COLUMNS:
        raise ConsentRefused(f"the first line has to be {','.join(COLUMNS)}")
    count, mistakes = 0, list[str]()
    settings = _settings(reader, mistakes, rest)
    progress: Any = click.progressbar(length=lines, label="staging", show_pos=True)
    with progress as bar:
        while some := list(islice(settings, SORTED_ROWS)):
            if mistakes:
                break
            # Stable: of one party's rows the last of the file is the one that holds.
            some.sort(key=_ID)
            for first in range(0, len(some), STAGED_ROWS):
                page = some[first : first + STAGED_ROWS]
                store.stage(import_id, page)
                rest()
                bar.update(len(page))
            count += len(some)
    if mistakes:
        raise ConsentRefused("nothing was imported:\n  " + "\n  ".join(mistakes))
    return count


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
    if party not in _PARTIES or tier not in TIERS:
        raise ConsentRefused(f"party is merchant or platform, and tier one of {', '.join(TIERS)}")
    return check_setting(
        Setting(
            _PARTIES[party], party_id, TIERS[tier], terms_version, evidence,
            start_ms(valid_from, "valid_from"),
            start_ms(valid_until, "valid_until") if valid_until else FOREVER_MS,
        )
    )  # fmt: skip


@lru_cache(maxsize=DAYS_CACHED)
def start_ms(text: str, member: str) -> int:
    """When a day begins. Raises ConsentRefused."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConsentRefused(f"{member}: a day is expected, YYYY-MM-DD") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
