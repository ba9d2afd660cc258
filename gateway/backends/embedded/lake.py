"""The embedded lake: Parquet files under a manifest in SQLite, queried with DuckDB.

A file is written whole and durable before the transaction that names it in the manifest and moves the
offsets. What no manifest names is an orphan of a crash, and is removed at the next start.
"""

import io
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from gateway.backends.embedded.lake_erase import Erased, erased_of
from gateway.backends.embedded.lake_merge import merge_files
from gateway.measurement.ports import Batch, Params, ResultRow, Source
from gateway.measurement.queries import VIEWS, sql
from gateway.measurement.tables import DECISIONS, LABELS, OUTCOMES, RECEIPTS, SCHEMAS, Row, Schema
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.runtime.disk import Disk

SMALL_FILE_ROWS = 100_000
"""Files below this are merged: about the row group that DuckDB scans best (its own default: 122,880)."""

COMPACT_AT_FILES = 16
"""Small files of a table and a size before they are merged: opening one costs a query about a millisecond."""

MERGE_SIZES = (6_000, 25_000, SMALL_FILE_ROWS)
"""Upper bounds (rows) of the sizes that are merged apart: no large file is rewritten for a few more rows."""

READER_GRACE_MS = 60_000
"""How long a retired file stays for readers that hold an older manifest: a report takes seconds."""

RETENTION_MS = 400 * 86_400_000
"""Pseudonymous measurement rows are kept at most 400 days from when they entered the lake."""

MERGE_SPAN_MS = 7 * 86_400_000
"""Only rows of the last days are merged, so that retention, which goes by file, cuts at most this early."""

QUERY_THREADS = 2
QUERY_MEMORY = "512MB"
"""A report runs beside the gateway on the same machine and may not starve it."""

BUSY_TIMEOUT_S = 5.0
"""The one writer commits in milliseconds; longer means that the disk is stuck."""

_ARROW_TYPES = {"text": pa.string(), "bigint": pa.int64(), "boolean": pa.bool_()}

_DDL = """
create table if not exists files (
  name text primary key, table_name text not null, partition_name text not null, row_count integer not null,
  oldest_ms integer not null, retired_at_ms integer
) strict;
create table if not exists offsets (
  journal text not null, topic text not null, partition integer not null, position integer not null,
  primary key (journal, topic, partition)
) strict;
create table if not exists counters (name text primary key, value integer not null) strict;
"""


class LakeMissing(GatewayError):
    """No lake has been made yet."""

    code = "lake_missing"


class Manifest:
    """Which files the lake is made of, and how far the journals are in it."""

    def __init__(self, path: Path, *, create: bool) -> None:
        if not create and not path.exists():
            raise LakeMissing(f"{path}: no lake yet; start `ein measure` or `ein up` first")
        self._database = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        if create:
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = full")
            self._database.executescript(_DDL)

    def close(self) -> None:
        self._database.close()

    def files(self, table: str) -> list[str]:
        """Names of the files that a table is made of now, oldest first."""
        found = self._database.execute(
            "select name from files where table_name = ? and retired_at_ms is null order by rowid", (table,)
        )
        return [name for (name,) in found]

    def snapshot(self) -> dict[str, list[str]]:
        """Files of every table, as of one moment."""
        tables: dict[str, list[str]] = {table: [] for table in SCHEMAS}
        for table, name in self._database.execute(
            "select table_name, name from files where retired_at_ms is null order by rowid"
        ):
            tables.setdefault(table, []).append(name)
        return tables

    def offsets(self) -> dict[Source, int]:
        rows = self._database.execute("select journal, topic, partition, position from offsets")
        return {Source(journal, topic, partition): position for journal, topic, partition, position in rows}

    def all_names(self) -> set[str]:
        return {name for (name,) in self._database.execute("select name from files")}

    def next_number(self) -> int:
        """A number that no file of this lake has had."""
        found = self._database.execute(
            "insert into counters values ('file', 1)"
            " on conflict do update set value = value + 1 returning value"
        ).fetchone()
        return int(found[0])

    def commit(
        self,
        *,
        added: Sequence[tuple[str, str, str, int, int]] = (),
        retired: Sequence[str] = (),
        retired_at_ms: int = 0,
        offsets: Mapping[Source, int] | None = None,
    ) -> None:
        """Adds files (name, table, partition, rows, oldest ms), retires others, moves offsets, or nothing."""
        database = self._database
        database.execute("begin immediate")
        try:
            database.executemany("insert into files values (?, ?, ?, ?, ?, null)", added)
            database.executemany(
                "update files set retired_at_ms = ? where name = ?", [(retired_at_ms, n) for n in retired]
            )
            database.executemany(
                "insert into offsets values (?, ?, ?, ?)"
                " on conflict do update set position = excluded.position",
                [(*source, position) for source, position in (offsets or {}).items()],
            )
            database.execute("commit")
        except BaseException:
            database.execute("rollback")
            raise

    def small_files(self, table: str, *, since_ms: int, rows: range) -> list[tuple[str, int, int]]:
        """(name, rows, oldest ms) of a table's files with so many rows, oldest first."""
        return self._database.execute(
            "select name, row_count, oldest_ms from files where table_name = ? and retired_at_ms is null"
            " and partition_name = '' and row_count >= ? and row_count < ? and oldest_ms >= ?"
            " order by rowid limit ?",
            (table, rows.start, rows.stop, since_ms, COMPACT_AT_FILES),
        ).fetchall()

    def whole_files(self, table: str) -> list[tuple[str, int, int]]:
        """(name, rows, oldest ms) of all files of a table that is no derived one."""
        return self._database.execute(
            "select name, row_count, oldest_ms from files where table_name = ? and retired_at_ms is null"
            " and partition_name = '' order by rowid",
            (table,),
        ).fetchall()

    def partition_files(self, table: str, partition: str) -> list[str]:
        found = self._database.execute(
            "select name from files where table_name = ? and partition_name = ? and retired_at_ms is null",
            (table, partition),
        )
        return [name for (name,) in found]

    def live_with_rows_before(self, at_ms: int) -> list[str]:
        found = self._database.execute(
            "select name from files where retired_at_ms is null and partition_name = '' and oldest_ms < ?",
            (at_ms,),
        )
        return [name for (name,) in found]

    def retired_before(self, at_ms: int) -> list[str]:
        found = self._database.execute("select name from files where retired_at_ms < ?", (at_ms,))
        return [name for (name,) in found]

    def forget(self, names: Sequence[str]) -> None:
        self._database.executemany("delete from files where name = ?", [(name,) for name in names])


def _arrow_schema(schema: Schema) -> pa.Schema:
    return pa.schema([pa.field(name, _ARROW_TYPES[kind], nullable=False) for name, kind in schema.stored])


def _arrow_table(schema: Schema, rows: Sequence[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    target = _arrow_schema(schema)
    return pa.Table.from_arrays(
        [pa.array(values, type=field.type) for values, field in zip(columns, target, strict=True)],
        schema=target,
    )


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


class ParquetWriter:
    """`LakeWriter` of the embedded lake. One process has it open."""

    def __init__(self, *, directory: Path, manifest: Manifest, disk: Disk, clock: Clock) -> None:
        self._directory = directory
        self._manifest = manifest
        self._disk = disk
        self._clock = clock
        disk.make_dirs(str(directory))
        self.orphans_removed = self._remove_orphans()

    def _remove_orphans(self) -> int:
        known = self._manifest.all_names()
        orphans = [name for name in self._disk.list(str(self._directory)) if name not in known]
        for name in orphans:
            self._disk.unlink(str(self._directory / name))
        return len(orphans)

    def offsets(self) -> Mapping[Source, int]:
        return self._manifest.offsets()

    def append(self, batch: Batch) -> None:
        added = []
        for table, rows in batch.rows.items():
            if rows:
                name = self._write(table, _arrow_table(SCHEMAS[table], rows))
                added.append((name, table, "", len(rows), self._clock.wall_ms()))
        self._manifest.commit(added=added, offsets=batch.offsets)

    def _write(self, table: str, content: pa.Table) -> str:
        name = self._new_name(table)
        self._disk.replace(str(self._directory / name), _parquet(content))
        return name

    def _new_name(self, table: str) -> str:
        return f"{table}-{self._manifest.next_number():010d}.parquet"

    def compact(self) -> int:
        merged = 0
        sizes = [range(start, stop) for start, stop in pairwise((0, *MERGE_SIZES))]
        for table, schema in SCHEMAS.items():
            for size in sizes:
                merged += self._merge(table, schema, size)
        return merged

    def _merge(self, table: str, schema: Schema, size: range) -> int:
        """Merges files of one size when there are many of them, or enough rows for one that stays."""
        small, rows = [], 0
        since_ms = self._clock.wall_ms() - MERGE_SPAN_MS
        for name, row_count, oldest_ms in self._manifest.small_files(table, since_ms=since_ms, rows=size):
            small.append((name, oldest_ms))
            rows += row_count
            if rows >= SMALL_FILE_ROWS:
                break
        if len(small) < COMPACT_AT_FILES and rows < SMALL_FILE_ROWS:
            return 0
        old = [name for name, _ in small]
        self._manifest.commit(
            added=[(self._write_merged(table, schema, old), table, "", rows, min(ms for _, ms in small))],
            retired=old,
            retired_at_ms=self._clock.wall_ms(),
        )
        return len(small)

    def _write_merged(self, table: str, schema: Schema, names: Sequence[str]) -> str:
        merged = self._new_name(table)
        merge_files(
            self._disk,
            sources=[str(self._directory / name) for name in names],
            target=str(self._directory / merged),
            schema=_arrow_schema(schema),
        )
        return merged

    def erase(self, unit_keys: Sequence[str]) -> int:
        decisions = [str(self._directory / name) for name in self._manifest.files(DECISIONS)]
        erased = erased_of(unit_keys, decisions)
        gone = 0
        # Decisions last: a crash in between finds the payments again.
        for table in (OUTCOMES, RECEIPTS, LABELS, DECISIONS):
            for name, rows, oldest_ms in self._manifest.whole_files(table):
                gone += self._erase_from(table, name, rows, oldest_ms, erased)
        return gone

    def _erase_from(self, table: str, name: str, rows: int, oldest_ms: int, erased: Erased) -> int:
        """Rows taken out of one file, which another one then stands for."""
        rewritten = self._new_name(table)
        kept = merge_files(
            self._disk,
            sources=[str(self._directory / name)],
            target=str(self._directory / rewritten),
            schema=_arrow_schema(SCHEMAS[table]),
            keep=lambda batch: erased.keep(table, batch),
        )
        if kept == rows:
            self._disk.unlink(str(self._directory / rewritten))
            return 0
        self._manifest.commit(
            added=[(rewritten, table, "", kept, oldest_ms)],
            retired=[name],
            retired_at_ms=self._clock.wall_ms(),
        )
        return rows - kept

    def follow(self, offsets: Mapping[Source, int]) -> None:
        self._manifest.commit(offsets=offsets)

    def expire(self) -> int:
        now_ms = self._clock.wall_ms()
        old = self._manifest.live_with_rows_before(now_ms - RETENTION_MS)
        if old:
            self._manifest.commit(retired=old, retired_at_ms=now_ms)
        gone = self._manifest.retired_before(now_ms - READER_GRACE_MS)
        self._manifest.forget(gone)
        # Forgotten first: a crash in between leaves orphans, which the next start removes.
        for name in gone:
            self._disk.unlink(str(self._directory / name))
        return len(gone)

    def replace_partition(self, *, table: str, partition: str, content: pa.Table) -> None:
        """Puts a derived result in the place of the partition's files. Readers see the old or the new."""
        name = self._write(table, content)
        self._manifest.commit(
            added=[(name, table, partition, content.num_rows, self._clock.wall_ms())],
            retired=self._manifest.partition_files(table, partition),
            retired_at_ms=self._clock.wall_ms(),
        )


class DuckLake:
    """`Lake` over DuckDB, in memory over the Parquet files. Not for several threads at once."""

    def __init__(self, *, directory: Path, manifest: Manifest, writer: ParquetWriter | None = None) -> None:
        self._directory = directory
        self._manifest = manifest
        self._writer = writer
        self._database = duckdb.connect(
            ":memory:",
            config={
                "threads": QUERY_THREADS,
                "memory_limit": QUERY_MEMORY,
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )

    def close(self) -> None:
        self._database.close()

    def refresh(self) -> None:
        for table, names in self._manifest.snapshot().items():
            if table in SCHEMAS:
                self.bind(table, SCHEMAS[table], names)

    def bind(self, name: str, schema: Schema, files: Sequence[str]) -> None:
        if files:
            paths = ", ".join(_quoted(str(self._directory / file)) for file in files)
            source = f"select {', '.join(schema.names)} from read_parquet([{paths}])"  # noqa: S608
        else:
            empty = ", ".join(
                f"cast(null as {_sql_type(kind)}) as {column}" for column, kind in schema.columns
            )
            source = f"select {empty} where false"
        self._database.execute(f"create or replace temp view {name} as {source}")

    def run(self, query: str, params: Params) -> list[ResultRow]:
        rows: list[ResultRow] = self._run(query, params).to_pylist()
        return rows

    def _run(self, query: str, params: Params) -> pa.Table:
        bound = ", ".join(f"cast({int(value)} as bigint) as {name}" for name, value in params.items())
        self._database.execute(f"create or replace temp view params as select {bound}")
        for view in VIEWS:
            self._database.execute(f"create or replace temp view {view} as {sql(view)}")
        result: Any = self._database.sql(sql(query))
        return result.to_arrow_table()

    def materialize(self, query: str, params: Params, *, table: str, partition: str) -> int:
        if self._writer is None:
            raise LakeMissing("this lake is open for reading; only `ein measure` writes it")
        content = self._run(query, params)
        self._writer.replace_partition(table=table, partition=partition, content=content)
        return int(content.num_rows)


def _sql_type(kind: str) -> str:
    return {"text": "varchar", "bigint": "bigint", "boolean": "boolean"}[kind]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
