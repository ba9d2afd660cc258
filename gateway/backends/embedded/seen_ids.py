"""Ids of tokens that were taken, in a SQLite file that all processes share, so that none is taken twice.

A file of its own, and not the policy's: no kill is to wait behind tokens.
"""

from pathlib import Path
from typing import Final

from gateway.backends.embedded.shared_database import SharedDatabase
from gateway.records.errors import GatewayError
from gateway.sealing.inbound import TokenRefused

_SCHEMA: Final = """
create table if not exists began (began_ms integer not null) strict;
create table if not exists seen (
    party text not null, jti text not null, until_ms integer not null, primary key (party, jti)
) strict, without rowid;
create index if not exists seen_until on seen (until_ms);
"""


class SeenIdsUnavailable(GatewayError):
    """Whether a token was taken before cannot be found out now: none is taken."""

    code = "store_unavailable"


class SqliteSeenIds(SharedDatabase):
    """Implements `SeenIds`. Threads may share one; calls take turns. Each id is durable before it counts."""

    UNAVAILABLE = SeenIdsUnavailable
    NAME = "the store of tokens that were taken"
    SCHEMA = _SCHEMA
    NEWEST_TABLE = "seen"

    def __init__(self, path: Path, *, began_ms: int) -> None:
        """`began_ms`: where the file is new, what was signed before is not taken; 0 where none can have been.

        It is in no backup: after a restore nobody knows what was taken before.
        """
        super().__init__(str(path))
        with self._write() as db:
            db.execute("insert into began select ? where not exists (select 1 from began)", (began_ms,))
            self.began_ms = int(db.execute("select min(began_ms) from began").fetchone()[0])

    def take(self, party: str, jti: str, *, until_ms: int, now_ms: int, most: int) -> None:
        with self._write() as db:
            db.execute("delete from seen where until_ms <= ?", (now_ms,))
            if db.execute("select 1 from seen where party = ? and jti = ?", (party, jti)).fetchone():
                raise TokenRefused("replay")
            (count,) = db.execute("select count(*) from seen where party = ?", (party,)).fetchone()
            if count >= most:
                raise TokenRefused("busy")
            db.execute("insert into seen values (?, ?, ?)", (party, jti, until_ms))


def begin_seen_ids(path: Path) -> None:
    """Makes the file of a new installation: before its keys are made there is nothing to be taken."""
    SqliteSeenIds(path, began_ms=0).close()
