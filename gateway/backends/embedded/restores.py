"""Restores from backups in the policy's SQLite file: part of every backup, so that their numbers rise."""

from dataclasses import dataclass
from typing import Final

from gateway.backends.embedded.policy import PolicyStoreUnavailable
from gateway.backends.embedded.shared_database import SharedDatabase

_SCHEMA: Final = """
create table if not exists restores (
    restore_id integer primary key autoincrement, actor text not null, at_ms integer not null,
    began_at_ms integer not null, files integer not null, bytes integer not null,
    first_free_seq integer not null
) strict;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreNote:
    """One restore. `began_at_ms` is when its backup began, and `first_free_seq` where streams go on."""

    actor: str
    at_ms: int
    began_at_ms: int
    files: int
    size_bytes: int
    first_free_seq: int


class SqliteRestores(SharedDatabase):
    """Written once by each restore, before what it restored is put in place."""

    UNAVAILABLE = PolicyStoreUnavailable
    NAME = "the policy store"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "restores"

    def add(self, note: RestoreNote) -> None:
        with self._write() as db:
            db.execute(
                "insert into restores values (null, ?, ?, ?, ?, ?, ?)",
                (
                    note.actor, note.at_ms, note.began_at_ms, note.files, note.size_bytes,
                    note.first_free_seq,
                ),
            )  # fmt: skip
