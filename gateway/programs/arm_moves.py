"""How many cards another policy would move from arm to arm. Pure: cards come in, counts come out.

Cards are sampled in constant memory: kept are those whose hash is below a limit, which halves each time that
too many are kept (adaptive sampling: P. Flajolet, Computing 43, 1990). Up to MAX_CARDS the count is exact;
beyond, each kept card stands for 2**n.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from gateway.programs.arms import Arm, draw
from gateway.programs.table import ProgramEntry, ReleaseTable

MAX_CARDS: Final = 100_000
"""Kept at most, some 25 MB. Beyond, a share of a tenth is told to about 1 part in 100."""

NO_ARM: Final = "none"
"""Not enrolled: no arm is drawn."""


@dataclass(frozen=True, slots=True)
class ArmMoves:
    """Cards of one program and issuer: how many go from which arm to which. "none": not enrolled."""

    program: str
    issuer_id: str
    cards: int
    moves: tuple[tuple[str, str, int], ...]

    @property
    def changed(self) -> int:
        return sum(count for _, _, count in self.moves)


class CardSample:
    """Distinct cards by issuer, in constant memory."""

    __slots__ = ("_kept", "_limit_bits", "_max_cards")

    def __init__(self, max_cards: int = MAX_CARDS) -> None:
        self._kept: dict[tuple[str, bytes], int] = {}
        self._limit_bits = 64
        self._max_cards = max(1, max_cards)

    def add(self, issuer_id: str, unit_key: bytes) -> None:
        place = int.from_bytes(blake2b(unit_key, digest_size=8).digest(), "big")
        if place >> self._limit_bits:
            return
        self._kept[issuer_id, unit_key] = place
        while len(self._kept) > self._max_cards:
            self._limit_bits -= 1
            self._kept = {card: place for card, place in self._kept.items() if not place >> self._limit_bits}

    @property
    def each_stands_for(self) -> int:
        """1 where the count is exact."""
        return 1 << (64 - self._limit_bits)

    @property
    def cards(self) -> int:
        return len(self._kept) * self.each_stands_for

    def moves(self, was: ReleaseTable, now: ReleaseTable) -> tuple[ArmMoves, ...]:
        """What the cards would do, for each program of an issuer that has any; cards that stay are left out.

        A card counts with the issuer that its payments had.
        """
        old, new = _experiments(was), _experiments(now)
        by_issuer: dict[str, list[bytes]] = {}
        for issuer_id, unit_key in self._kept:
            by_issuer.setdefault(issuer_id, []).append(unit_key)
        found = []
        for program, issuer_id in sorted(old.keys() | new.keys()):
            units = by_issuer.get(issuer_id, [])
            before, after = old.get((program, issuer_id)), new.get((program, issuer_id))
            moved = Counter((_arm(was, before, unit), _arm(now, after, unit)) for unit in units)
            moves = tuple(
                (source, target, count * self.each_stands_for)
                for (source, target), count in sorted(moved.items())
                if source != target
            )
            if moves:
                found.append(ArmMoves(program, issuer_id, len(units) * self.each_stands_for, moves))
        return tuple(found)


def _experiments(table: ReleaseTable) -> dict[tuple[str, str], ProgramEntry]:
    """Arms are drawn ahead of an authorization alone."""
    return {
        (entry.program, issuer.issuer_id): entry
        for issuer in table.issuers.values()
        for entry in issuer.programs
        if entry.enrolment_id
    }


def _arm(table: ReleaseTable, entry: ProgramEntry | None, unit_key: bytes) -> str:
    if entry is None:
        return NO_ARM
    arm: Arm = draw(entry, unit_key, table.global_salt, table.global_holdout_ppm)
    return arm.name.lower()
