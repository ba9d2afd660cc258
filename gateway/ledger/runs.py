"""Says what was done to a chain: edited, inserted, deleted, reordered or truncated, and where.

Rows are read as they stand, whoever wrote them. Rows that follow one another, by number and by hash, are a
run; a chain that nobody touched is one run. What was done is named from how the runs lie.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final, NamedTuple

EDITED: Final = "edited"
INSERTED: Final = "inserted"
DELETED: Final = "deleted"
REORDERED: Final = "reordered"
TRUNCATED: Final = "truncated"

MAX_FINDINGS: Final = 100
"""Of one chain: enough to see what was done; what is beyond is counted."""

MAX_RUNS: Final = 2_000
"""Runs of which the order is looked at, 2 s of work; with more the chain is rubble, and the rest says so."""

UNREADABLE: Final = -1
"""Number of a row that does not say one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was done to `first` to `last` of `place`. Entries are numbered from 0, heads from 1."""

    kind: str
    place: str
    first: int
    last: int
    detail: str

    def as_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "place": self.place,
            "first": self.first,
            "last": self.last,
            "detail": self.detail,
        }


class Row(NamedTuple):
    """A row as it stands. `kept` is the hash kept beside it; other than `own` where the row was changed."""

    number: int
    previous: bytes
    own: bytes
    kept: bytes | None


@dataclass(slots=True)
class Run:
    """Rows that follow one another. A hash is None where it is not known."""

    first: int
    last: int
    previous: bytes | None
    last_hash: bytes | None
    row: int
    changed: bool = False
    """One row alone, of which the hash is not the one that was kept."""

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


@dataclass(slots=True)
class Runs:
    """Takes the rows that do not go straight on, and the ends of the stretches between them."""

    found: list[Run] = field(default_factory=list)

    def end(self, next_number: int, last_hash: bytes) -> None:
        """The run under way ends before `next_number`."""
        if self.found and not self.found[-1].changed:
            self.found[-1].last, self.found[-1].last_hash = next_number - 1, last_hash

    def begin(self, row: Row, place: int, expected: int) -> int:
        """A row that begins a run of its own; the number that it stands for."""
        if row.own != row.kept:
            # By its place: what it says of itself may be what was changed.
            self.found.append(Run(expected, expected, None, row.kept, place, changed=True))
            return expected
        if self.found:
            current = self.found[-1]
            if current.first < row.number <= current.last:
                # It stands for a row that is there already: either may be the one that does not belong.
                at = current.row + row.number - current.first
                rest = Run(row.number, current.last, None, current.last_hash, at)
                current.last, current.last_hash = row.number - 1, None
                self.found.append(rest)
        self.found.append(Run(row.number, row.number, row.previous, row.own, place))
        return row.number


def runs_of(rows: Iterable[Row]) -> list[Run]:
    """The runs of short chains; `verify` has the same as a straight line for millions of entries."""
    runs, number, last = Runs(), 0, b""
    for place, row in enumerate(rows):
        if not place or row.number != number or row.previous != last or row.own != row.kept:
            runs.end(number, last)
            number = runs.begin(row, place, number)
        last = row.own if row.own == row.kept else b""
        number += 1
    runs.end(number, last)
    return runs.found


@dataclass(slots=True)
class Namer:
    """Names what was done to one chain. `hash_at` says of some numbers which hash is known to be theirs."""

    place: str
    start: bytes
    hash_at: Mapping[int, bytes]
    size: int
    """Rows that there have to be, by what was signed or counted."""

    counted: bool = True
    """Whether more rows than `size` are too many."""

    base: int = 0
    """Number of the first row, as people count."""

    findings: list[Finding] = field(default_factory=list)

    def name(self, runs: Sequence[Run]) -> list[Finding]:
        """All that the runs show, in order of place."""
        walked, end = self._walk(runs)
        self._links(walked)
        self._order(walked)
        if end < self.size:
            self._add(TRUNCATED, end, self.size - 1, "the rest was signed or counted, and is not there")
        elif end > self.size and self.counted:
            self._add(INSERTED, self.size, end - 1, "more than were ever counted, or the count was set back")
        self.findings.sort(key=lambda one: (one.first, one.last))
        return self.findings

    def _add(self, kind: str, first: int, last: int, detail: str) -> None:
        self.findings.append(
            Finding(
                kind=kind, place=self.place, first=first + self.base, last=last + self.base, detail=detail
            )
        )

    def _walk(self, runs: Sequence[Run]) -> tuple[list[Run], int]:
        """The runs that are the chain, in order of their numbers, and the number behind the last."""
        beginning: dict[int, list[Run]] = {}
        for run in runs:
            beginning.setdefault(run.first, []).append(run)
        numbers = sorted(number for number in beginning if number >= 0)
        walked: list[Run] = []
        number, at = 0, 0
        before: bytes | None = self.start
        while True:
            while at < len(numbers) and numbers[at] < number:
                at += 1
            if at == len(numbers):
                break
            if numbers[at] > number:
                self._add(DELETED, number, numbers[at] - 1, "entries on both sides are there, these are not")
                number, before = numbers[at], None
            chosen = max(beginning[number], key=partial(self._fits, before))
            walked.append(chosen)
            number, before = chosen.last + 1, chosen.last_hash
        chain = {id(run) for run in walked}
        for run in runs:
            if id(run) not in chain:
                what = f"at row {run.row + self.base}, of no place in the chain"
                first = run.first if run.first >= 0 else run.row
                self._add(INSERTED, first, first + run.rows - 1, what)
        return walked, number

    def _fits(self, before: bytes | None, run: Run) -> tuple[int, bool, int, int]:
        """How well a run goes on: by hash, by not being other than what was signed, by length, by place."""
        # Two: it does. One: that is not known.
        linked = 1 if None in (before, run.previous) else 2 * (run.previous == before)
        signed = self.hash_at.get(run.last, run.last_hash) == run.last_hash
        return linked, signed, run.rows, -run.row

    def _links(self, walked: Sequence[Run]) -> None:
        """Names rows that were changed: by their own hash, or by what the next one says of them."""
        broken = []
        before: bytes | None = self.start
        end = 0
        for place, run in enumerate(walked):
            if run.changed:
                self._add(EDITED, run.first, run.first, "its content is not that of its hash")
            elif before is not None and run.previous not in (None, before) and run.first == end:
                broken.append(place)
            before, end = run.last_hash, run.last + 1
        named = -1
        for place in broken:
            run, earlier = walked[place], walked[place - 1] if place else None
            if place == named:
                continue
            if earlier is None or (run.rows == 1 and place + 1 in broken):
                self._add(EDITED, run.first, run.first, "it does not go on from the one before it")
                named = place + 1
            elif not earlier.changed:
                self._add(EDITED, earlier.last, earlier.last, "the one behind it names another hash")

    def _order(self, walked: Sequence[Run]) -> None:
        """Names the runs that stand elsewhere: all but the heaviest that are in order."""
        if len(walked) > MAX_RUNS or all(a.row < b.row for a, b in pairwise(walked)):
            return
        weight, before = [run.rows for run in walked], [-1] * len(walked)
        for place, run in enumerate(walked):
            for earlier in range(place):
                if walked[earlier].row < run.row and weight[earlier] + run.rows > weight[place]:
                    weight[place], before[place] = weight[earlier] + run.rows, earlier
        stays, place = set(), max(range(len(walked)), key=weight.__getitem__)
        while place >= 0:
            stays.add(place)
            place = before[place]
        for place, run in enumerate(walked):
            if place not in stays:
                self._add(REORDERED, run.first, run.last, f"it stands at row {run.row + self.base}")
