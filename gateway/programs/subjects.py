"""What cardholders asked for: objections stop sharing, erasures take back what was shared. Pure.

A subject is a card: all pseudonyms (`unit_key`, 16 bytes) that it is known by here. An erasure objects too,
in a case of its own, so that nothing is shared anew while it is under way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from gateway.records.errors import GatewayError
from gateway.records.reasons import Reason

UNIT_KEY_BYTES: Final = 16

KEYS_A_CASE_MAX: Final = 256
"""Names of one card: its number, its PAR, and a token of each wallet and shop; few cards have a hundred."""


EFFECT_MS: Final = 2_000
"""An act is in effect everywhere by then, and decisions of before are recorded: twice what is promised."""


class SubjectRefused(GatewayError):
    """The request cannot be taken as it is. Names what is wrong and how to mend it, never a value."""

    code = "invalid_argument"


class CaseKind(StrEnum):
    """What was asked for."""

    OBJECTION = "objection"
    ERASURE = "erasure"


class CaseState(StrEnum):
    """How far it has come. Sharing stops from `received`, and comes back with `refused` alone."""

    RECEIVED = "received"
    UPHELD = "upheld"
    REFUSED = "refused"
    CERTIFIED = "certified"


MOVES: Final = {
    (CaseKind.OBJECTION, CaseState.RECEIVED): frozenset({CaseState.UPHELD, CaseState.REFUSED}),
    (CaseKind.ERASURE, CaseState.RECEIVED): frozenset({CaseState.CERTIFIED}),
}
"""All that may follow. What is not there is final: who objects again opens another case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent:
    """One step of a case. `epoch` orders it among all acts of the registry."""

    case_id: int
    kind: CaseKind
    state: CaseState
    event_id: int = 0
    """Number of the step among all steps of all cases."""
    unit_keys: tuple[bytes, ...] = field(repr=False)
    epoch: int
    actor: str
    reason: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldByHand:
    """That an operator told a recipient of an erasure by other means than its stream."""

    case_id: int
    recipient_id: str
    evidence: str
    epoch: int
    actor: str
    reason: str
    at_ms: int


def check_keys(unit_keys: Sequence[bytes]) -> tuple[bytes, ...]:
    """Without repeats. Raises SubjectRefused."""
    kept = tuple(dict.fromkeys(unit_keys))
    if not 1 <= len(kept) <= KEYS_A_CASE_MAX or any(len(key) != UNIT_KEY_BYTES for key in kept):
        raise SubjectRefused(f"card: it has to be known by 1 to {KEYS_A_CASE_MAX} pseudonyms")
    return kept


def check_under_way(kind: CaseKind, state: CaseState) -> None:
    """Raises SubjectRefused where no recipient is to be told of a case."""
    if kind is not CaseKind.ERASURE:
        raise SubjectRefused("case: this is an objection; recipients are told of erasures alone")
    if state is not CaseState.RECEIVED:
        raise SubjectRefused(f"case: the erasure is {state}; nothing is added to it any more")


def check_move(kind: CaseKind, before: CaseState, after: CaseState) -> None:
    """Raises SubjectRefused where `after` may not follow."""
    if after not in MOVES.get((kind, before), frozenset()):
        raise SubjectRefused(f"case: an {kind} that is {before} cannot become {after}")


class Subjects:
    """What a worker knows: who objects, and what was erased when. Changed by one thread, asked by any."""

    def __init__(self) -> None:
        self.erased_until_ms: dict[bytes, int] = {}
        """By any key of a card: nothing decided before then may leave, or be kept longer than it must."""
        self._cases: dict[bytes, tuple[int, ...]] = {}

    @property
    def objecting(self) -> Mapping[bytes, tuple[int, ...]]:
        """Who objects, by which cases. Empty and so false where nobody does: the hot path asks that first."""
        return self._cases

    def __len__(self) -> int:
        return len(self._cases)

    def take(self, events: Sequence[CaseEvent]) -> None:
        """Takes steps of cases in, in order. Who asks meanwhile sees a card before all of them or after.

        Whoever objects anew with the refusal of another case objects throughout.
        """
        changed: dict[bytes, tuple[int, ...]] = {}
        for one in events:
            for key in one.unit_keys:
                if one.kind is CaseKind.ERASURE:
                    if one.state is CaseState.RECEIVED:
                        until_ms = one.at_ms + EFFECT_MS
                        self.erased_until_ms[key] = max(until_ms, self.erased_until_ms.get(key, 0))
                    continue
                standing = changed[key] if key in changed else self._cases.get(key, ())
                if one.state is CaseState.RECEIVED:
                    changed[key] = (*standing, one.case_id)
                elif one.state is CaseState.REFUSED:
                    # Another case of the same card still holds.
                    changed[key] = tuple(case_id for case_id in standing if case_id != one.case_id)
        for key, standing in changed.items():
            if standing:
                self._cases[key] = standing
            else:
                self._cases.pop(key, None)

    def joins(self, key: bytes, other: bytes) -> bool:
        """Whether a case names one of two keys that are one card's, and none the other."""
        return (key in self._cases) != (other in self._cases)

    def stops(self, unit_key: bytes, card_key: bytes, decided_at_ms: int) -> Reason | None:
        """Why what was decided about a card of these names then may not leave now; None where it may."""
        for name in (unit_key, card_key):
            if name in self._cases or decided_at_ms < self.erased_until_ms.get(name, 0):
                return Reason.SUBJECT_OBJECTED
        return None


class CaseReader(Protocol):
    """What a worker follows. Raises ConsentStoreUnavailable."""

    def events(self, after: int, most: int) -> tuple[list[CaseEvent], int]:
        """Steps of all cases behind a place, in order, and the place of the last. 0 is before all."""
        ...


class SubjectStore(CaseReader, Protocol):
    """The registry's part of cardholders. Raises SubjectRefused, ConsentStoreUnavailable."""

    def open(
        self, kinds: Sequence[CaseKind], unit_keys: Sequence[bytes], *, actor: str, reason: str
    ) -> tuple[list[int], int]:
        """Opens a case of each kind, in force with one epoch: ids of the cases, epoch.

        Open an erasure with an objection: that is what stops sharing, and withdraws what is queued.
        """
        ...

    def move(self, case_id: int, state: CaseState, *, actor: str, reason: str) -> int:
        """The next state of a case; its epoch. Raises SubjectRefused where `MOVES` has no such step."""
        ...

    def case(self, case_id: int) -> list[CaseEvent]:
        """All steps of a case, the newest last; none where there is no such case."""
        ...

    def tell(self, case_id: int, recipient_id: str, evidence: str, *, actor: str, reason: str) -> int:
        """Writes down that a recipient was told of an erasure by hand; the epoch of the act.

        Raises SubjectRefused where the case is no erasure that is still under way.
        """
        ...

    def told(self, case_id: int) -> list[ToldByHand]:
        """Who was told of an erasure by hand, by the newest act of each; in order of recipients."""
        ...

    def of_card(self, unit_keys: Sequence[bytes]) -> list[CaseEvent]:
        """All steps of all cases that name one of the keys, in order."""
        ...
