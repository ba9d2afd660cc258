"""Consents from a CSV file, staged some at a time: a million hold up neither payments nor other acts."""

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from io import StringIO
from itertools import chain
from typing import Any, Final, NamedTuple, TextIO

import click

from gateway.programs.consent_packs import Pack, says
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
from gateway.server.cli.consent_buckets import Buckets, PackMembers, buckets

COLUMNS: Final = ("party", "party_id", "tier", "terms_version", "evidence", "valid_from", "valid_until")
TIERS: Final = {
    "opted-out": Tier.OPTED_OUT,
    "none": Tier.NONE,
    "basic": Tier.BASIC,
    "enhanced": Tier.ENHANCED,
}

ERRORS_TOLD: Final = 20
"""Of a file with mistakes: enough to see the pattern."""

ROWS_A_LOOK: Final = 64
"""Read by the csv module between two looks at whether to rest: a fifth of a millisecond."""

BLOCK_CHARACTERS: Final = 1 << 14
"""Read by the engine between two such looks: some 250 rows, a tenth of a millisecond."""

BURST_NS: Final = 200_000
REST: Final = 8.0
"""What an import rests at least after a burst, times what that worked: it takes a ninth of a core at most. On
two cores a neighbour that is always busy doubles the p99 of payments, whatever its priority."""

ROWS_A_S: Final = 25_000
"""Read at most: a million in 40 s of the minute that it may take. The engine needs a twentieth of them."""

DAYS_CACHED: Final = 4_096
"""Texts of days kept: eleven years of them."""

ALIKE_CACHED: Final = 4_096
"""Of what rows have in common: versions of terms times tiers times first days."""

_PARTIES: Final = {str(party): party for party in Party}


class Pace:
    """Lets an import rest between short bursts of work, counted in its own processor time."""

    def __init__(
        self, worked_ns: Callable[[], int], now_ns: Callable[[], int], sleep: Callable[[float], None]
    ) -> None:
        self._worked_ns = worked_ns
        self._now_ns = now_ns
        self._sleep = sleep
        self._began_ns = now_ns()
        self._rested_ns = worked_ns()
        self._rows = 0

    def rest(self, rows: int) -> None:
        """Call it often, with how many rows were read since: it rests where a burst is over."""
        self._rows += rows
        burst_ns = self._worked_ns() - self._rested_ns
        if burst_ns >= BURST_NS:
            # From the beginning on: what was late is caught up, as far as the rest after a burst lets it.
            early_ns = self._began_ns + self._rows * 1_000_000_000 // ROWS_A_S - self._now_ns()
            self._sleep(max(burst_ns * REST, early_ns) / 1e9)
            self._rested_ns = self._worked_ns()


def stage(store: ConsentStore, import_id: int, file: TextIO, rest: Callable[[int], None]) -> int:
    """How many were staged. Calls `rest` often. Raises ConsentRefused with the first mistakes, by line.

    What was staged before a mistake stays: who calls gives the import up.
    """
    lines = _lines(file, rest)
    if _columns(file.readline()) != COLUMNS:
        raise ConsentRefused(f"the first line has to be {','.join(COLUMNS)}")
    mistakes: list[str] = []
    waiting = buckets(_says)
    count = 0
    progress: Any = click.progressbar(length=lines, label="staging")
    with progress as bar:
        for read, packs in chain(_read(file, waiting, mistakes), _left(waiting)):
            for pack in () if mistakes else packs:
                store.stage_pack(import_id, Pack(*pack))
                count += pack[1]
                rest(0)
            rest(read)
            bar.update(read)
    return count


def _left(waiting: Buckets) -> Iterator[tuple[int, list[PackMembers]]]:
    """Behind the last line."""
    yield 0, waiting.left()


def _read(file: TextIO, waiting: Buckets, mistakes: list[str]) -> Iterator[tuple[int, list[PackMembers]]]:
    """How many lines were read at a time, and packs that came together. Raises ConsentRefused at the end."""
    line = 2
    while len(mistakes) < ERRORS_TOLD and (block := file.read(BLOCK_CHARACTERS)):
        block += file.readline()
        found = waiting.lines(block)
        if found is not None:
            line += found[0]
            yield found
            continue
        # What is quoted may go on behind the block: all the rest is then the csv module's.
        reader = csv.reader(chain(StringIO(block), file if '"' in block else ()))
        for numbers, rows in _some(reader, line, mistakes):
            checked = zip(*_checked(rows, numbers, mistakes), strict=True)
            if len(mistakes) >= ERRORS_TOLD:
                break
            yield len(rows), [pack for row in checked if (pack := waiting.put(*row)) is not None]
        line += reader.line_num
    if mistakes:
        raise ConsentRefused("nothing was imported:\n  " + "\n  ".join(mistakes[:ERRORS_TOLD]))


def _columns(line: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([line]), ()))
    except csv.Error:
        return ()


def _some(reader: Any, line: int, mistakes: list[str]) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Rows, some at a time, each with the line that it begins at; up to one that cannot be read."""
    readable = True
    while readable:
        numbers: list[int] = []
        rows: list[list[str]] = []
        try:
            while len(rows) < ROWS_A_LOOK and readable:
                number = line + reader.line_num
                row = next(reader, None)
                readable = row is not None
                if row is not None:
                    numbers.append(number)
                    rows.append(row)
        except csv.Error:
            readable = False
            yield numbers, rows
            mistakes.append(f"line {number}: it cannot be read; look for a quote that is not closed")
            return
        if rows:
            yield numbers, rows


def _lines(file: TextIO, rest: Callable[[int], None]) -> int | None:
    """For the progress alone; None where the file cannot be read twice."""
    if not file.seekable():
        return None
    lines = 0
    while block := file.read(BLOCK_CHARACTERS):
        lines += block.count("\n")
        rest(0)
    file.seek(0)
    return lines


class _Checked(NamedTuple):
    """Rows without a mistake: what each says (`consent_packs.says`), of whom, and by which evidence."""

    said: Sequence[str] = ()
    party_ids: Sequence[str] = ()
    evidence: Sequence[str] = ()


def _checked(rows: list[list[str]], numbers: Sequence[int], mistakes: list[str]) -> _Checked:
    """All of them, or none and what is wrong. `numbers` are those of their lines."""
    if set(map(len, rows)) == {len(COLUMNS)}:
        parties, party_ids, tiers, terms, evidence, starts, ends = zip(*rows, strict=True)
        try:
            said = list(map(_says, parties, tiers, terms, starts, ends))
        except ConsentRefused:
            said = []
        if said and _texts(party_ids, ID_CHARACTERS_MAX) and _texts(evidence, TEXT_CHARACTERS_MAX):
            return _Checked(said, party_ids, evidence)
    # Row by row, where something is wrong or a line is empty.
    good: list[list[str]] = []
    for number, row in zip(numbers, rows, strict=True):
        try:
            if row:
                good.append(_checked_row(row))
        except ConsentRefused as mistake:
            mistakes.append(f"line {number}: {mistake.public}")
    return _Checked(*zip(*good, strict=True)) if good else _Checked()


def _texts(texts: Sequence[str], longest: int) -> bool:
    """Whether `check_text` takes every one of them."""
    return "".join(texts).isprintable() and len(max(texts, key=len)) <= longest and all(map(str.strip, texts))


def _checked_row(row: list[str]) -> list[str]:
    if len(row) != len(COLUMNS):
        raise ConsentRefused(f"it takes {len(COLUMNS)} columns")
    party, party_id, tier, terms_version, evidence, valid_from, valid_until = row
    said = _says(party, tier, terms_version, valid_from, valid_until)
    check_text("party_id", party_id, ID_CHARACTERS_MAX)
    check_text("evidence", evidence, TEXT_CHARACTERS_MAX)
    return [said, party_id, evidence]


@lru_cache(maxsize=ALIKE_CACHED)
def _says(party: str, tier: str, terms_version: str, valid_from: str, valid_until: str) -> str:
    if party not in _PARTIES or tier not in TIERS:
        raise ConsentRefused(f"party is merchant or platform, and tier one of {', '.join(TIERS)}")
    from_ms = start_ms(valid_from, "valid_from")
    until_ms = start_ms(valid_until, "valid_until") if valid_until else FOREVER_MS
    check_setting(Setting(_PARTIES[party], "-", TIERS[tier], terms_version, "-", from_ms, until_ms))
    return says(party, TIERS[tier], terms_version, from_ms, until_ms)


@lru_cache(maxsize=DAYS_CACHED)
def start_ms(text: str, member: str) -> int:
    """When a day begins. Raises ConsentRefused."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConsentRefused(f"{member}: a day is expected, YYYY-MM-DD") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
