"""How far the lake has come, asked by another process, without what it takes to read the lake."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.measurement.ports import Source
from gateway.records.errors import GatewayError

BUSY_TIMEOUT_S: Final = 1.0
"""Readers of a WAL wait for nobody but a recovery."""

_POSITION: Final = "select position from offsets where journal = ? and topic = ? and partition = ?"


class LakeUnavailable(GatewayError):
    """The lake's manifest does not answer."""

    code = "store_unavailable"


def followed(manifest: Path, source: Source) -> int | None:
    """Where the lake is in a source, 0 before its first; None where there is no lake."""
    if not manifest.exists():
        return None
    uri = f"{manifest.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as raw:
            row = raw.execute(_POSITION, source).fetchone()
    except sqlite3.Error:
        raise LakeUnavailable("the lake's manifest cannot be read: check its disk") from None
    return int(row[0]) if row else 0
