"""Packs: some rows of an import in one text, which is kept as it is taken in. Pure.

A row of a pack is told by its number of members: with seven it says something else than the row before it,
with two the same. In a page the first one has two more, its epoch and number; those below count on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from gateway.programs.consent_rows import MEMBER, ROW
from gateway.programs.model import Tier

HASH_BITS: Final = 32
"""Of `hash_of`."""

_SAID_MEMBERS: Final = 5

Columns = tuple[str, str, str, str, str, int, int]
"""Party, its id, name of the tier, version of the terms, evidence, valid from and until."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows of an import, and between which hashes those of their parties lie."""

    text: str
    rows: int
    low: int
    high: int


def hash_of(party_id: str) -> int:
    """A number of HASH_BITS, by which a party's packs are found. It is stored: another one would not do."""
    return crc32(party_id.encode())


def says(party: str, tier: Tier, terms_version: str, valid_from_ms: int, valid_until_ms: int) -> str:
    """What stands before the id in a row that says something else than the row before it."""
    return MEMBER.join((party, tier.name, terms_version, str(valid_from_ms), str(valid_until_ms), ""))


def joined(said: Sequence[str], party_ids: Sequence[str], evidence: Sequence[str]) -> str:
    """Text of a pack: what its rows say, of whom, and by which evidence. All are checked and printable."""
    before, rows = "", []
    for says_this, party_id, by in zip(said, party_ids, evidence, strict=True):
        rows.append(f"{'' if says_this == before else says_this}{party_id}{MEMBER}{by}")
        before = says_this
    return ROW.join(rows)


def page_of(text: str, epoch: int, first_row: int) -> str:
    """For `Registered.take` and `stage`."""
    return f"{epoch}{MEMBER}{first_row}{MEMBER}{text}"


def cut(text: str, start: int, end: int) -> str:
    """Some rows of a pack, counted from 0, as a pack. The end is exclusive."""
    rows = text.split(ROW)
    # What the first one says may stand further up.
    said = next(row for row in reversed(rows[: start + 1]) if row.count(MEMBER) > 1)
    first = MEMBER.join((*said.split(MEMBER)[:_SAID_MEMBERS], *rows[start].split(MEMBER)[-2:]))
    return ROW.join((first, *rows[start + 1 : end]))


def columns_of(text: str) -> Iterator[Columns]:
    """The rows of a pack, each in full. Raises ValueError for what is no pack."""
    said: list[str] = []
    for row in text.split(ROW):
        *others, party_id, evidence = row.split(MEMBER)
        said = others or said
        party, tier, terms_version, valid_from_ms, valid_until_ms = said
        yield party, party_id, tier, terms_version, evidence, int(valid_from_ms), int(valid_until_ms)
