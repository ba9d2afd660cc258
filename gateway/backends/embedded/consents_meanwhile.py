"""What parties said by themselves since an import began, as it is found in the registry's file."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from gateway.programs.consent_meanwhile import stricter
from gateway.programs.consent_packs import Pack, columns_of, hash_of, joined, says
from gateway.programs.consents import ConsentRefused, Party, Setting
from gateway.programs.model import Tier

PARTIES_MEANWHILE_MAX: Final = 10_000
"""That say something while one import is staged: reading what it says of each takes some seconds."""

LOOKED_UP_INSIDE: Final = 50
"""Parties in the transaction that ends an import: some 20 ms, in which no other writer gets in."""

PACK_ROWS: Final = 250
"""As imports have them."""

Words = dict[tuple[Party, str], Setting | None]
"""What an import says last of a party; None where it says nothing."""

# Acts are numbered as they are written: those behind the import's came while it was open.
# With max() the other columns are those of the newest row.
_SAID_SINCE: Final = """select s.party, s.party_id, s.tier, s.terms_version, s.evidence, s.valid_from_ms,
    s.valid_until_ms, max(s.row_id) from acts a cross join settings s on s.act_id = a.act_id
    where a.act_id > ? and a.kind = 'put' group by s.party, s.party_id limit ?"""
_PACKS_OF_PARTY: Final = """select rows from packs indexed by packs_of_hash
    where high >= ?2 and low <= ?2 and act_id = ?1 order by last_row desc"""


def said_since(db: sqlite3.Connection, import_id: int) -> list[Setting]:
    """The newest word of each party. Raises ConsentRefused where there are too many."""
    rows = db.execute(_SAID_SINCE, (import_id, PARTIES_MEANWHILE_MAX + 1)).fetchall()
    if len(rows) > PARTIES_MEANWHILE_MAX:
        raise ConsentRefused(
            f"import: more than {PARTIES_MEANWHILE_MAX} parties said something while it was staged, and"
            " nothing of it holds; import again"
        )
    return [_setting(*columns) for *columns, _ in rows]


def word_of(db: sqlite3.Connection, import_id: int, party: Party, party_id: str) -> Setting | None:
    """What an import says last of a party. Raises ValueError where its packs are damaged."""
    for (text,) in db.execute(_PACKS_OF_PARTY, (import_id, hash_of(party_id))):
        if party_id in text:
            found = [columns for columns in columns_of(text) if columns[:2] == (party, party_id)]
            if found:
                return _setting(*found[-1])
    return None


def kept(said: list[Setting], words: Words, now_ms: int) -> list[Setting]:
    """Words that are stricter than the import's. Raises ConsentRefused where nobody can tell of one."""
    found, unclear = [], 0
    for one in said:
        imported = words[one.party, one.party_id]
        if imported is None:
            continue
        holds = stricter(one, imported, now_ms)
        unclear += holds is None
        if holds is one:
            found.append(one)
    if unclear:
        raise ConsentRefused(
            f"import: {unclear} parties said something while it was staged, of another tier and for other"
            " days than the file says, and nothing of it holds; correct the file, or import again"
        )
    return found


def packs_of(settings: list[Setting]) -> Iterator[Pack]:
    """By hashes, so that each pack is looked through for few parties."""
    by_hash = sorted(settings, key=lambda one: hash_of(one.party_id))
    for start in range(0, len(by_hash), PACK_ROWS):
        yield pack_of(by_hash[start : start + PACK_ROWS])


def pack_of(settings: list[Setting]) -> Pack:
    """Of checked settings, at least one."""
    said = [
        says(one.party.value, one.tier, one.terms_version, one.valid_from_ms, one.valid_until_ms)
        for one in settings
    ]
    text = joined(said, [one.party_id for one in settings], [one.evidence for one in settings])
    hashes = [hash_of(one.party_id) for one in settings]
    return Pack(text, len(settings), min(hashes), max(hashes))


def _setting(
    party: str, party_id: str, tier: str, terms_version: str, evidence: str, valid_from_ms: int,
    valid_until_ms: int,
) -> Setting:  # fmt: skip
    return Setting(Party(party), party_id, Tier[tier], terms_version, evidence, valid_from_ms, valid_until_ms)
