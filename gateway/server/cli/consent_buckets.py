"""Rows of a file of consents, until there are enough for a pack: a bucket for each range of parties' hashes.

Those of one party stay in the order of the file: the last is the one that holds.
"""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.programs.consent_packs import HASH_BITS, hash_of, joined
from gateway.programs.consents import ID_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from gateway.runtime.native import engines

PACK_ROWS: Final = 250
"""Staged in one transaction: a fifth of a millisecond, so that payments and other writers get in between."""

BITS: Final = 9
"""Of a hash, which tell its bucket: 512 times 250 rows wait at most, some 20 MB. Where a party is looked for
in an import of a million, it is in one of some eight packs."""

PackMembers = tuple[str, int, int, int]
"""Of a `consent_packs.Pack`."""

Says = Callable[[str, str, str, str, str], str]
"""`consent_packs.says` of party, tier, terms_version, valid_from and valid_until, or ConsentRefused."""


class Buckets(Protocol):
    """One thread's."""

    def lines(self, block: str) -> tuple[int, list[PackMembers]] | None:
        """Keeps the rows of whole lines: how many lines, and packs that came together.

        None, and nothing is kept, where a line is not plain, or is wrong, or nobody can tell.
        """
        ...

    def put(self, said: str, party_id: str, evidence: str) -> PackMembers | None:
        """Keeps a row that is checked; a pack where it is complete with it."""
        ...

    def left(self) -> list[PackMembers]:
        """What is left, that of several buckets in one pack."""
        ...


_Row = tuple[int, str, str, str]


class TwinBuckets:
    """Implements `Buckets` in Python."""

    def __init__(self, bits: int = BITS, pack_rows: int = PACK_ROWS) -> None:
        self._rows: list[list[_Row]] = [[] for _ in range(1 << bits)]
        self._shift = HASH_BITS - bits
        self._pack_rows = pack_rows

    def lines(self, block: str) -> tuple[int, list[PackMembers]] | None:
        """Never: reading them is the csv module's."""

    def put(self, said: str, party_id: str, evidence: str) -> PackMembers | None:
        of_party = hash_of(party_id)
        bucket = self._rows[of_party >> self._shift]
        bucket.append((of_party, said, party_id, evidence))
        if len(bucket) < self._pack_rows:
            return None
        pack = _pack(bucket)
        bucket.clear()
        return pack

    def left(self) -> list[PackMembers]:
        packs: list[PackMembers] = []
        some: list[_Row] = []
        for bucket in self._rows:
            some += bucket
            bucket.clear()
            if len(some) >= self._pack_rows:
                packs.append(_pack(some))
                some = []
        return [*packs, _pack(some)] if some else packs


def _pack(rows: list[_Row]) -> PackMembers:
    hashes, said, party_ids, evidence = zip(*rows, strict=True)
    return joined(said, party_ids, evidence), len(rows), min(hashes), max(hashes)


def buckets(says: Says, bits: int = BITS, pack_rows: int = PACK_ROWS) -> Buckets:
    """The engine's (native/src/policy/consent_buckets.rs) where it is built, or their twin."""
    if engines is None:
        return TwinBuckets(bits, pack_rows)
    made: Buckets = engines.ConsentBuckets(says, bits, pack_rows, ID_CHARACTERS_MAX, TEXT_CHARACTERS_MAX)
    return made
