"""Which of our signing keys tokens in the feeds' database are signed by, as long as a recipient may get them.

A token says it in its first segment. There is no index over that: a look reads what is open, some 10 us a
token, in pages, so that no reader holds up the log of the database.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from gateway.backends.embedded.delivery_database import Connection
from gateway.sealing.key_ring import KeyUse, RingKey
from gateway.sealing.set import header_segment
from issuernetwork.v1.common_pb2 import TRANSPORT_LOOKUP

PAGE_ROWS: Final = 5_000
"""Some 50 ms of reading."""

# By the partial indexes of open rows (delivery_sql), which are far fewer than all.
_HEADER: Final = "substr(t.set_bytes, 1, instr(t.set_bytes, x'2e') - 1)"
_ON_STREAMS: Final = f"""select {_HEADER}, o.stream_id, o.stream_seq
    from outbox o join sets t on t.jti = o.jti
    where o.stream_seq > 0 and o.open = 1 and (o.stream_id, o.stream_seq) > (?, ?)
    order by o.stream_id, o.stream_seq limit ?"""  # noqa: S608
_LOOK_UPS: Final = f"""select {_HEADER}, o.expires_at_ms, o.share_id
    from outbox o join sets t on t.jti = o.jti
    where o.transport = {int(TRANSPORT_LOOKUP)} and o.stream_seq = 0 and o.open = 1
    and (o.expires_at_ms, o.share_id) > (?, ?) order by o.expires_at_ms, o.share_id limit ?"""  # noqa: S608
_LAST_OPEN: Final = "select kid, seen_at_ms from key_uses"
_KNOWN: Final = "select 1 from sqlite_master where name = 'key_uses'"


class StoredKeyUses:
    """Reads beside the feeds, or without them. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, keys: Iterable[RingKey]) -> Mapping[str, KeyUse]:
        """By kid. Raises StoreUnavailable."""
        wanted = {header_segment(str(key.alg), key.kid): key.kid for key in keys}
        if not wanted or not self._path.exists():
            return {}
        connection = Connection(self._path, read_only=True)
        try:
            counted: Counter[bytes] = Counter()
            for header in _headers(connection):
                counted[header] += 1
            known = connection.rows(_KNOWN)
            last: dict[str, int] = dict(connection.rows(_LAST_OPEN)) if known else {}
        finally:
            connection.close()
        return {
            kid: KeyUse(open_tokens=counted[header], last_open_ms=last.get(kid, 0))
            for header, kid in wanted.items()
        }


def _headers(connection: Connection) -> Iterator[bytes]:
    for statement, first in ((_ON_STREAMS, ("", 0)), (_LOOK_UPS, (-1, ""))):
        after: tuple[object, ...] = first
        while rows := connection.rows(statement, (*after, PAGE_ROWS)):
            yield from (bytes(row[0]) for row in rows)
            after = rows[-1][1:]
