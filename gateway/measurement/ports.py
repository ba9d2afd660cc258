"""The lake: an append-only set of Parquet files under a manifest, and the SQL that runs over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.measurement.tables import Row, Schema, Value

ResultRow = Mapping[str, Value]
"""One row of a query's result, by column name. Queries return no nulls."""

Params = Mapping[str, int]
"""Columns of the one-row view `params` that queries read their parameters from."""


class Source(NamedTuple):
    """A journal topic that the lake follows."""

    journal: str
    topic: str
    partition: int = 0


CASES = Source("registry", "cases")
"""Steps of cardholders' cases, in place of a journal: which of them the lake has let go of."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one round of tailing adds: rows by table, and the positions that they reach."""

    rows: Mapping[str, Sequence[Row]]
    offsets: Mapping[Source, int]


class LakeWriter(Protocol):
    """The side that measure alone uses: it owns the manifest."""

    def offsets(self) -> Mapping[Source, int]:
        """Position of the last record in the lake, by source; absent where there is none."""
        ...

    def append(self, batch: Batch) -> None:
        """Adds the rows and moves the offsets, both or neither. Durable when it returns."""
        ...

    def compact(self) -> int:
        """Merges small files; how many went into larger ones. Readers of the old files go on undisturbed."""
        ...

    def erase(self, unit_keys: Sequence[str]) -> int:
        """Takes out all rows of these cards (unit keys as hex) and of their payments; how many."""
        ...

    def follow(self, offsets: Mapping[Source, int]) -> None:
        """Keeps how far something that brings no rows was followed."""
        ...

    def expire(self) -> int:
        """Retires files older than retention and removes retired ones; how many were removed."""
        ...


class Lake(Protocol):
    """The side that reads: any number of processes, while measure writes."""

    def refresh(self) -> None:
        """Binds every table to the files of the newest manifest: one snapshot for all queries that follow."""
        ...

    def bind(self, name: str, schema: Schema, files: Sequence[str]) -> None:
        """Makes `name` a table over `files`, which all have `schema`; empty without files."""
        ...

    def run(self, query: str, params: Params) -> list[ResultRow]:
        """Runs the packaged query of that name."""
        ...

    def materialize(self, query: str, params: Params, *, table: str, partition: str) -> int:
        """Replaces a partition of a derived table with a query's result, atomically; rows written."""
        ...
