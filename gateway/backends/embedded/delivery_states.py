"""How far deliveries came, read from the feeds' database beside its owner or without one."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.feeds.ports import ACKNOWLEDGED, QUEUED, REFUSED, SENT
from gateway.ledger.access import Delivery
from gateway.ledger.entry import TRANSPORT_NAMES
from gateway.records.errors import GatewayError

MAX_IDS: Final = 500
"""Ids asked for in one statement: well below SQLite's 32,766 parameters."""

BUSY_TIMEOUT_S: Final = 1.0
"""Readers of a WAL wait for nobody but a recovery."""

_STATES: Final = {QUEUED: "queued", SENT: "sent", ACKNOWLEDGED: "acknowledged", REFUSED: "refused"}
_OF_SHARES: Final = """select share_id, transport, state, withdrawn from outbox
    where share_id in ({marks}) order by transport"""


class DeliveriesUnavailable(GatewayError):
    """The feeds' database does not answer."""

    code = "store_unavailable"


class StoredDeliveries:
    """Implements `DeliveryStates`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def states(self, share_ids: Sequence[str]) -> Mapping[str, Sequence[Delivery]]:
        found: dict[str, list[Delivery]] = {}
        if not (share_ids and self._path.exists()):
            return found
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as raw:
                for first in range(0, len(share_ids), MAX_IDS):
                    some = share_ids[first : first + MAX_IDS]
                    query = _OF_SHARES.format(marks=",".join("?" * len(some)))
                    for share_id, transport, state, withdrawn in raw.execute(query, some):
                        told = "withdrawn" if withdrawn else _STATES.get(state, "unknown")
                        name = TRANSPORT_NAMES.get(transport, str(transport))
                        found.setdefault(share_id, []).append(Delivery(name, told))
        except sqlite3.Error:
            raise DeliveriesUnavailable("the feeds' database cannot be read: check its disk") from None
        return found
