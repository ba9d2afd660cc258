"""Consents from a CSV file, staged some at a time: a million hold up neither payments nor other acts."""

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NamedTuple, TextIO

import click

from gateway.programs.consent_packs import HASH_BITS, Pack, hash_of, joined, says
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

PACK_ROWS: Final = 250
"""Staged in one transaction: a fifth of a millisecond, so that payments and other writers get in between."""

BUCKETS_BITS: Final = 9
"""Rows wait for their pack by the first bits of their party's hash: 512 times 250 rows at most, some 20 MB.
Where a party is looked for in an import of a million, it is in one of some eight packs."""

ROWS_A_LOOK: Final = 64
"""Read between two looks at whether to rest: a fifth of a millisecond."""

BLOCK_CHARACTERS: Final = 1 << 16
"""Of a file whose lines are counted, between two such looks."""

BURST_NS: Final = 200_000
REST: Final = 8.0
"""What an import rests after a burst, times what that worked: at most a ninth of a core. On a machine of
two cores a neighbour that is always busy doubles the p99 of payments, whatever its priority."""

DAYS_CACHED: Final = 4_096
"""Texts of days kept: eleven years of them."""

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

    What was staged before a mistake stays: who calls gives the import up.
    """
    lines = _lines(file, rest)
    reader = csv.reader(file)
    if tuple(next(reader, ())) != COLUMNS:
        raise ConsentRefused(f"the first line has to be {','.join(COLUMNS)}")
    mistakes: list[str] = []
    buckets = _Buckets()
    count, line = 0, 2
    progress: Any = click.progressbar(length=lines, label="staging")
    with progress as bar:
        while rows := list(islice(reader, ROWS_A_LOOK)):
            checked = _checked(rows, line, mistakes)
            if len(mistakes) >= ERRORS_TOLD:
                break
            count, line = count + len(checked.party_ids), line + len(rows)
            for pack in () if mistakes else buckets.add(checked):
                store.stage_pack(import_id, pack)
                rest()
            rest()
            bar.update(len(rows))
        if mistakes:
            raise ConsentRefused("nothing was imported:\n  " + "\n  ".join(mistakes[:ERRORS_TOLD]))
        for pack in buckets.left():
            store.stage_pack(import_id, pack)
            rest()
    return count


def _lines(file: TextIO, rest: Callable[[], None]) -> int | None:
    """For the progress alone; None where the file cannot be read twice."""
    if not file.seekable():
        return None
    lines = 0
    while block := file.read(BLOCK_CHARACTERS):
        lines += block.count("\n")
        rest()
    file.seek(0)
    return lines


class _Checked(NamedTuple):
    """Rows without a mistake: what each says (`consent_packs.says`), of whom, and by which evidence."""

    said: Sequence[str] = ()
    party_ids: Sequence[str] = ()
    evidence: Sequence[str] = ()


def _checked(rows: list[list[str]], line: int, mistakes: list[str]) -> _Checked:
    """All of them, or none and what is wrong. `line` is that of the first."""
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
    for number, row in enumerate(rows, line):
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


class _Buckets:
    """Rows by the first bits of their party's hash, until there are enough for a pack.

    Those of one party stay in the order of the file: the last is the one that holds.
    """

    def __init__(self) -> None:
        self._rows: list[list[tuple[int, str, str, str]]] = [[] for _ in range(1 << BUCKETS_BITS)]

    def add(self, checked: _Checked) -> Iterator[Pack]:
        """Keeps them; packs of what came together."""
        shift = HASH_BITS - BUCKETS_BITS
        for said, party_id, evidence in zip(*checked, strict=True):
            of_party = hash_of(party_id)
            bucket = self._rows[of_party >> shift]
            bucket.append((of_party, said, party_id, evidence))
            if len(bucket) == PACK_ROWS:
                yield _pack(bucket)
                bucket.clear()

    def left(self) -> Iterator[Pack]:
        """What is left, that of several buckets in one pack."""
        some: list[tuple[int, str, str, str]] = []
        for bucket in self._rows:
            some += bucket
            bucket.clear()
            if len(some) >= PACK_ROWS:
                yield _pack(some)
                some = []
        if some:
            yield _pack(some)


def _pack(rows: list[tuple[int, str, str, str]]) -> Pack:
    hashes, said, party_ids, evidence = zip(*rows, strict=True)
    return Pack(joined(said, party_ids, evidence), len(rows), min(hashes), max(hashes))


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
