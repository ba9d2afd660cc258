"""What a worker knows of consents: the registry's rows, before what a policy's documents say. Pure.

A worker has one `Registered`, which all its release tables ask; each table has a `Consents` of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from gateway.programs.model import Tier, consent_id_of
from gateway.runtime.native import engines

Consent = tuple[int, int, int, str]
"""Tier as a number, valid from and until in epoch milliseconds, consent id."""

MERCHANT: Final = "merchant"
PLATFORM: Final = "platform"

MEMBER: Final = "\x1f"
"""Between the members of a row of a page. Ids and versions of terms are printable: none has it."""

ROW: Final = "\x1e"
"""Between the rows of a page."""

Place = tuple[int, int]
"""Epoch of an act and number of a row: the registry's order."""

LAST_ROW: Final = (1 << 63) - 1
"""Behind all rows of an act."""


class Registered(Protocol):
    """The registry's rows in a worker. One thread takes pages in while others ask."""

    def take(self, page: str) -> Place:
        """Takes a page in, all or none; later rows stand in place of earlier ones. The place of its last.

        Rows are party, party_id, name of the tier, terms_version, valid_from_ms, valid_until_ms, epoch, row
        number; or those of packs (`consent_packs`). Raises ValueError for no page, or one out of order.
        """
        ...

    def stage(self, page: str) -> Place:
        """The same of an import that is not in force yet: nobody is told of it."""
        ...

    def enforce(self) -> None:
        """What was staged is in force, all of it at once, in place of what was taken in before."""
        ...

    def unstage(self) -> None:
        """What was staged never was."""
        ...

    def settle(self, most: int) -> bool:
        """Lets about so many rows of what was enforced last become like all others; true when none is left.

        Answers are the same before and after. It takes memory twice until then.
        """
        ...

    def merchant(self, party_id: str) -> Consent | None: ...

    def platform(self, party_id: str) -> Consent | None: ...

    def __len__(self) -> int:
        """Parties in force, as far as they are settled."""
        ...


Said = tuple[int, int, int, str]
"""Tier, valid from and until, and version of the terms: what many parties said alike."""

_Rows = dict[tuple[str, str], Said]
"""By party and its id."""


class TwinRegistered:
    """Implements `Registered` in Python."""

    __slots__ = ("_alike", "_base", "_over", "_staged")

    def __init__(self) -> None:
        self._base: _Rows = {}
        self._over: _Rows = {}
        self._staged: _Rows = {}
        self._alike: dict[Said, Said] = {}

    def take(self, page: str) -> Place:
        rows, place = self._read(page)
        # In both: what lies over neither hides it, nor is put over it later.
        self._over.update({party: said for party, said in rows.items() if party in self._over})
        self._base.update(rows)
        return place

    def stage(self, page: str) -> Place:
        rows, place = self._read(page)
        self._staged.update(rows)
        return place

    def enforce(self) -> None:
        self.settle(len(self._over) + 1)
        self._over, self._staged = self._staged, {}

    def unstage(self) -> None:
        self._staged = {}

    def settle(self, most: int) -> bool:
        for party in list(islice(self._over, most)):
            # There before it is taken from where it is asked for first.
            self._base[party] = self._over[party]
            del self._over[party]
        return not self._over

    def merchant(self, party_id: str) -> Consent | None:
        return self._consent(MERCHANT, party_id)

    def platform(self, party_id: str) -> Consent | None:
        return self._consent(PLATFORM, party_id)

    def said(self, party: str) -> dict[str, Said]:
        """All that merchants, or platforms, said."""
        return {party_id: said for (of, party_id), said in (self._base | self._over).items() if of == party}

    def __len__(self) -> int:
        return len(self._base)

    def _read(self, page: str) -> tuple[_Rows, Place]:
        rows: _Rows = {}
        place = (0, 0)
        for party, said, here in _rows_of(page):
            if here <= place:
                raise ValueError("no page of the registry")
            rows[party] = self._alike.setdefault(said, said)
            place = here
        return rows, place

    def _consent(self, party: str, party_id: str) -> Consent | None:
        said = self._over.get((party, party_id)) or self._base.get((party, party_id))
        if said is None:
            return None
        tier, valid_from_ms, valid_until_ms, terms_version = said
        # Made when it is asked for: a million ids would take as much room as all the rest.
        return tier, valid_from_ms, valid_until_ms, consent_id_of(party, party_id, terms_version, tier)


def _rows_of(page: str) -> Iterator[tuple[tuple[str, str], Said, Place]]:
    pack: list[str] = []
    epoch = number = 0
    for row in page.split(ROW):
        members = row.split(MEMBER)
        match len(members):
            case 8:
                party, party_id, *others, epoch_text, number_text = members
                said, pack = [party, *others], []
                epoch, number = _whole(epoch_text), _whole(number_text)
            case 9:
                epoch_text, number_text, *pack, party_id, _ = members
                said, epoch, number = pack, _whole(epoch_text), _whole(number_text)
            case 2 | 7 if pack:
                *others, party_id, _ = members
                said = pack = others or pack
                number = _whole(str(number + 1))
            case _:
                raise ValueError("no page of the registry")
        if not party_id:
            raise ValueError("no page of the registry")
        yield (said[0], party_id), _said_of(*said), (epoch, number)


def _said_of(party: str, tier: str, terms_version: str, valid_from_ms: str, valid_until_ms: str) -> Said:
    if party not in (MERCHANT, PLATFORM) or tier not in Tier.__members__:
        raise ValueError("no page of the registry")
    return int(Tier[tier]), _whole(valid_from_ms), _whole(valid_until_ms), terms_version


def _whole(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number < 1 << 63:
        raise ValueError("no page of the registry")
    return number


_TIERS: Final = [tier.name for tier in sorted(Tier)]

registered: Callable[[], Registered] = (
    TwinRegistered if engines is None else lambda: engines.Registered([MERCHANT, PLATFORM], _TIERS)
)
"""An empty one: the engine (native/src/policy/consents.rs) where it is built, or its twin."""


class Consents:
    """What one table knows: what the registry says of a party goes before what the policy's documents say."""

    __slots__ = ("_registered", "engine", "merchants", "platforms")

    def __init__(self, merchants: Mapping[str, Consent], platforms: Mapping[str, Consent]) -> None:
        self.merchants = merchants
        """As the documents have it, and so `platforms`. Neither changes."""
        self.platforms = platforms
        self._registered: Registered | None = None
        self.engine: Any = engines and engines.Consents(dict(merchants), dict(platforms))
        """What the engine of a release asks, or None."""

    def follow(self, registered: Registered) -> None:
        """From now on the registry is asked first. Raises ValueError where another one is already."""
        if self._registered is not None and self._registered is not registered:
            raise ValueError("it follows another registry")
        if self.engine is not None:
            self.engine.follow(registered)
        self._registered = registered

    def merchant(self, party_id: str) -> Consent | None:
        found = None if self._registered is None else self._registered.merchant(party_id)
        return self.merchants.get(party_id) if found is None else found

    def platform(self, party_id: str) -> Consent | None:
        found = None if self._registered is None else self._registered.platform(party_id)
        return self.platforms.get(party_id) if found is None else found


NOBODY: Final = Consents({}, {})
"""Nobody said anything."""
