"""Small registries in JSON files for their owner's eyes: changed one at a time, whole and durable."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.records.errors import GatewayError
from gateway.runtime.disk import RealDisk


@contextmanager
def alone(path: Path, busy: GatewayError) -> Iterator[None]:
    """While a registry is read, changed and written: else a change could undo another. Raises `busy`."""
    try:
        lock = RealDisk().lock(str(path.with_suffix(".lock")))
    except BlockingIOError:
        raise busy from None
    try:
        yield
    finally:
        lock.close()


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The whole registry at once, mode 0600."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(list(rows), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    RealDisk().sync_dir(str(path.parent))
