"""Compares the entries of administrative acts with the rows that the acts' own stores keep.

The ledger has the hash of each row. What is done to rows behind its back is named here: a kill taken out of
the policy store, a reason written anew.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.ledger.entry import ACTS_CHAIN, PREFIX, Act, row_sha256
from gateway.ledger.ports import ActSource, EntryRow
from gateway.ledger.runs import DELETED, EDITED, INSERTED, MAX_FINDINGS, Finding

PAGE_ACTS: Final = 64
"""Rows of a store read at a time."""

BEFORE_ALL: Final = -(1 << 63)
"""Positions begin with 1; a row that somebody put before them is to be seen all the same."""

_DETAILS: Final = {
    EDITED: "the row in its store is not the one that the entry was made of",
    DELETED: "the row is not in its store any more",
    INSERTED: "the ledger has no entry of this row, and has entries of later ones",
}


def compare_acts(rows: Iterable[EntryRow], acts: ActSource) -> tuple[int, list[Finding]]:
    """Entries compared, and what was found. `rows` is the chain of acts as it stands.

    Findings are numbered as the rows are in their store. Rows behind the newest entry are not judged: the
    ledger may not have read them yet.
    """
    stores = {source: _Store(source, acts) for source in acts.sources()}
    compared = 0
    for _, _, data in rows:
        entry = _act(data)
        store = stores.get(str(entry.get("source"))) if entry else None
        position = entry.get("position") if entry else None
        if entry is None or store is None or type(position) is not int:
            continue
        store.compare(position, str(entry.get("row_sha256")))
        compared += 1
    return compared, [one for store in stores.values() for one in store.findings]


class _Store:
    """Rows of one store, read in step with the entries."""

    def __init__(self, source: str, acts: ActSource) -> None:
        self._place = f"{ACTS_CHAIN}/{source}"
        self._acts = _pages(source, acts)
        self._next = next(self._acts, None)
        self._last = 0
        self.findings: list[Finding] = []

    def compare(self, position: int, digest: str) -> None:
        """Entries rise by position; one that does not is the chain's own fault, and named there."""
        if position <= self._last:
            return
        self._last = position
        while self._next is not None and self._next.position < position:
            self._found(INSERTED, self._next.position)
            self._next = next(self._acts, None)
        if self._next is None or self._next.position > position:
            self._found(DELETED, position)
            return
        if row_sha256(self._next) != digest:
            self._found(EDITED, position)
        self._next = next(self._acts, None)

    def _found(self, kind: str, position: int) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(
                Finding(kind=kind, place=self._place, first=position, last=position, detail=_DETAILS[kind])
            )


def _pages(source: str, acts: ActSource) -> Iterator[Act]:
    position = BEFORE_ALL
    while page := list(acts.after(source, position, PAGE_ACTS)):
        yield from page
        position = page[-1].position


def _act(data: bytes) -> dict[str, object] | None:
    """The body of an entry; None where it is none of an act, which the chain's own check judges."""
    try:
        body = json.loads(data[PREFIX.size :])
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) and body.get("kind") == "act" else None
