"""Merges Parquet files of one table chunk by chunk, so that memory does not grow with what is merged."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gateway.runtime.disk import Disk

MERGE_CHUNK_ROWS = 8_192
"""Rows of a merge in memory at once, and in a row group that it writes: some 3 MB of decisions."""

WRITE_BUFFER_BYTES = 1024 * 1024
"""Bytes of a merged file gathered before they go to the disk."""


Keep = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Rows of a batch that stay."""


def merge_files(
    disk: Disk, *, sources: Sequence[str], target: str, schema: pa.Schema, keep: Keep = lambda batch: batch
) -> int:
    """Writes the rows of `sources`, in order, to the new file `target`, durable when it returns; how many.

    Raises OSError; what it wrote is then gone, or is no file of any manifest.
    """
    file = _DiskStream(disk, target)
    rows = 0
    try:
        with (
            io.BufferedWriter(file, WRITE_BUFFER_BYTES) as buffer,
            pq.ParquetWriter(buffer, schema, compression="zstd") as writer,
        ):
            for chunk in _chunks(sources, schema, keep):
                writer.write_table(chunk, row_group_size=MERGE_CHUNK_ROWS)
                rows += chunk.num_rows
    except BaseException:
        disk.unlink(target)
        raise
    finally:
        # The allocator would keep the chunks' memory for the next merge, which is minutes away.
        pa.default_memory_pool().release_unused()
    disk.sync_dir(os.path.dirname(target))
    return rows


class _DiskStream(io.RawIOBase):
    """A new file as a stream that is durable once closed. Its entry in the directory is not yet."""

    def __init__(self, disk: Disk, path: str) -> None:
        super().__init__()
        self._file = disk.open_append(path)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        self._file.write(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            super().close()
            try:
                self._file.sync()
            finally:
                self._file.close()


def _chunks(paths: Sequence[str], schema: pa.Schema, keep: Keep) -> Iterator[pa.Table]:
    """Rows of all the files in order. One file is open at a time, and one chunk held."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for path in paths:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            # One thread: each further one has buffers of its own, which the allocator keeps.
            batches = file.iter_batches(MERGE_CHUNK_ROWS, use_threads=False)
            for batch in (keep(_whole(batch, schema)) for batch in batches):
                if rows + batch.num_rows > MERGE_CHUNK_ROWS:
                    yield pa.Table.from_batches(held, schema=schema)
                    held, rows = [], 0
                held.append(batch)
                rows += batch.num_rows
    if held:
        yield pa.Table.from_batches(held, schema=schema)


def _whole(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """With empty texts in the last columns that a file of before lacks."""
    for field in list(schema)[batch.num_columns :]:
        batch = batch.append_column(field, pa.array([""] * batch.num_rows, field.type))
    return batch
