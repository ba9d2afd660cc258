"""The release table: issuers by IIN, each with its programs, compiled from a checked policy.

What an entry answers stands in `release`, how it is made in `compiler`.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.programs.compiler import Shared, entry_of, program_salt
from gateway.programs.consent_rows import NOBODY, Consents
from gateway.programs.model import PolicySnapshot
from gateway.programs.release import ProgramEntry, Query, Refusals, Release, make_query

__all__ = [
    "IssuerEntry",
    "ProgramEntry",
    "Query",
    "Refusals",
    "Release",
    "ReleaseTable",
    "compile_table",
    "make_query",
    "program_salt",
]


@dataclass(frozen=True, slots=True)
class IssuerEntry:
    """An issuer with its programs: those ahead of the authorization, and those after the fact."""

    issuer_id: str
    region: str
    recipient_id: str
    programs: tuple[ProgramEntry, ...]
    after: tuple[ProgramEntry, ...]


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """A compiled snapshot. A worker changes policy by changing one reference to it.

    `consents` is what its entries ask, and the one part whose answers change: what the registry knows of a
    party takes the place of what the documents say.
    """

    version: int
    issuers: Mapping[str, IssuerEntry]
    global_salt: bytes = field(repr=False)
    global_holdout_ppm: int
    _starts: list[str] = field(repr=False)
    _owners: list[IssuerEntry | None] = field(repr=False)
    consents: Consents = field(default=NOBODY, repr=False)

    def issuer_of(self, iin: str) -> IssuerEntry | None:
        """The issuer of the most specific range that holds an IIN of 6 or 8 digits, or None.

        Six digits that span ranges of several issuers belong to none: who it is, is not known.
        """
        if len(iin) == 8:
            return self._owners[bisect_right(self._starts, iin)]
        if len(iin) != 6:
            return None
        first = bisect_right(self._starts, iin + "00")
        last = bisect_right(self._starts, iin + "99")
        owner = self._owners[first]
        return owner if all(other is owner for other in self._owners[first : last + 1]) else None

    def issuers_of_engine(self, native: Any) -> Any:
        """The ranges for the engine (native/src/steps/admit.rs), which finds issuers as `issuer_of` does."""
        return native.Issuers(self._starts, self._owners)


def compile_table(snapshot: PolicySnapshot) -> ReleaseTable:
    """Compiles a checked snapshot. What it does not grant is refused."""
    shared = Shared.of(snapshot)
    enrolments = {(one.issuer_id, one.program): one for one in snapshot.enrolments}
    programs = [snapshot.programs[name] for name in sorted(snapshot.programs)]
    issuers: dict[str, IssuerEntry] = {}
    for issuer in snapshot.issuers.values():
        entries = [
            entry_of(shared, issuer, program, enrolments.get((issuer.issuer_id, program.program)))
            for program in programs
        ]
        issuers[issuer.issuer_id] = IssuerEntry(
            issuer.issuer_id,
            issuer.region,
            issuer.recipient_id,
            tuple(entry for entry in entries if entry.ahead),
            tuple(entry for entry in entries if not entry.ahead),
        )
    starts, owners = _flatten(snapshot, issuers)
    experiment = snapshot.experiment
    return ReleaseTable(
        snapshot.version, issuers, experiment.global_salt, experiment.global_holdout_ppm, starts, owners,
        shared.consents,
    )  # fmt: skip


def _flatten(
    snapshot: PolicySnapshot, issuers: Mapping[str, IssuerEntry]
) -> tuple[list[str], list[IssuerEntry | None]]:
    """Nested ranges as one sorted line of segments: owner n holds from start n - 1 to before start n."""
    ranges = [
        (int(one.first), int(one.last), issuers[issuer.issuer_id])
        for issuer in snapshot.issuers.values()
        for one in issuer.iin_ranges
    ]
    # Wide first, so that narrower ones are painted over; of two equally wide ones the higher wins.
    ranges.sort(key=lambda one: (one[0] - one[1], one[0]))
    edges = sorted({edge for first, last, _ in ranges for edge in (first, last + 1)})
    at = {edge: index for index, edge in enumerate(edges)}
    painted: list[IssuerEntry | None] = [None] * len(edges)
    for first, last, entry in ranges:
        for index in range(at[first], at[last + 1]):
            painted[index] = entry
    # Eight nines have no successor of eight digits; nine digits sort wrongly, and nothing lies behind them.
    starts = [f"{edge:08d}" for edge in edges if edge <= 99_999_999]
    return starts, [None, *painted[: len(starts)]]
