"""Per program: what decides whether data may leave, in the order that arms need. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from enrichment.masked import MaskedStruct
from gateway.programs.arms import (
    GLOBAL_HOLDOUT,
    HOLDOUT,
    PENDING,
    TREATMENT,
    Arm,
    Line,
    line_of,
)
from gateway.programs.switches import SwitchView
from gateway.programs.table import IssuerEntry, ProgramEntry, Query, Release
from gateway.records.reasons import Reason, Withhold

_SHADOW, _RAMP, _HOLDOUT = Reason.SHADOW, Reason.RAMP, Reason.HOLDOUT


ISSUERS_CACHED = 4096
"""Issuers without a program, kept: each is named by a policy."""


class KeyCheck(Protocol):
    """Whether an entry's recipient has a key to seal to now, where it needs one, and we one to sign with.

    Asked before the draw, so that both arms lose alike.
    """

    def __call__(self, entry: ProgramEntry) -> bool: ...


class Decided(MaskedStruct):
    """One program's decision. `reason` is None where the data is released. Sealing fills in the rest."""

    entry: ProgramEntry
    reason: Reason | None
    eligible: bool = False
    arm: int = 0
    release: Release | None = None
    share_id: str = ""
    told: bytes = b""
    """Of what is released: its decision in the answer, and below in the record, with what is sealed."""

    recorded: bytes = b""


class _Standing(NamedTuple):
    """What stands for an entry as long as table and switches are the same."""

    entry: ProgramEntry
    refused: Decided | None
    """The decision, where it is the same whatever the payment."""

    release: Callable[[Query], Release | Withhold | None]
    """None: ask the entry's twin."""

    draw: Callable[[bytes], Arm]
    shadow: bool
    line: Line | None


class Standing:
    """What stands for each program of an issuer, kept while table and switches are the same.

    By the id of an issuer's entry: the table that it is of outlives what is kept here.
    """

    __slots__ = ("_of", "_of_engine", "view")

    def __init__(self, view: SwitchView | None) -> None:
        self.view = view
        """None: policy is stale, and decides nothing."""

        self._of: dict[int, list[_Standing]] = {}
        self._of_engine: dict[tuple[int, tuple[bool, ...]], list[tuple[Any, ...]]] = {}

    def of(self, issuer: IssuerEntry) -> list[_Standing]:
        found = self._of.get(id(issuer))
        if found is None:
            found = self._of[id(issuer)] = [self._stand(entry) for entry in issuer.programs]
        return found

    def of_engine(self, issuer: IssuerEntry, keys: tuple[bool, ...]) -> list[tuple[Any, ...]]:
        """The same for the engine (native/src/steps/decide.rs), with whether each has a key."""
        found = self._of_engine.get((id(issuer), keys))
        if found is None:
            found = self._of_engine[id(issuer), keys] = [
                (one.entry, one.refused, one.entry.engine, has_key, one.line, one.shadow)
                for one, has_key in zip(self.of(issuer), keys, strict=True)
            ]
        return found

    def _stand(self, entry: ProgramEntry) -> _Standing:
        assert self.view is not None, "a stale policy decides nothing"
        reason = self.view.stopped(entry.program, entry.issuer_id)
        if reason is None and entry.standing_refusal is not None:
            reason = entry.standing_refusal.reason
        if reason is not None:
            return _Standing(entry, Decided(entry, reason), entry.quick_release, _no_arm, False, None)
        line = line_of(entry.salt, entry.ramp_ppm, entry.holdout_ppm)
        return _Standing(entry, None, entry.quick_release, line.draw, entry.shadow, line)


@dataclass(slots=True)
class Rules:
    """What holds for all decisions of one batch. Where it is not `fresh`, policy is stale."""

    shared: Line | None
    """Of the holdout that all programs share."""

    standing: Standing
    fresh: bool
    has_key: KeyCheck
    _keys: dict[tuple[str, str], bool] = field(default_factory=dict)
    """What `has_key` said, by recipient and profile."""

    def key(self, entry: ProgramEntry) -> bool:
        """Whether it has a key now, asked once a batch."""
        found = self._keys.get((entry.recipient_id, entry.profile))
        if found is None:
            found = self._keys[entry.recipient_id, entry.profile] = self.has_key(entry)
        return found

    def of_engine(self, issuer: IssuerEntry) -> list[tuple[Any, ...]]:
        """What stands for each program of an issuer."""
        keys = tuple([one.refused is None and self.key(one.entry) for one in self.standing.of(issuer)])
        return self.standing.of_engine(issuer, keys)


def _no_arm(unit_key: bytes) -> Arm:
    raise AssertionError("what is refused whatever the payment has no arm")


def no_program(reason: Reason, issuer_id: str = "") -> Decided:
    """The decision where there is no program to decide about."""
    return Decided(_no_entry(issuer_id), reason)


@lru_cache(maxsize=ISSUERS_CACHED)
def _no_entry(issuer_id: str) -> ProgramEntry:
    """The same object each time: what is written of it is kept by its identity."""
    return ProgramEntry(program="", issuer_id=issuer_id, ahead=True, purpose=0)


def decide(
    rules: Rules,
    issuer: IssuerEntry,
    query: Query,
    unit_key: bytes,
    *,
    duplicate: bool,
    withhold: Reason | None,
) -> list[Decided]:
    """One decision for each program of the issuer that runs ahead of the authorization."""
    if duplicate:
        return [Decided(entry, Reason.DUPLICATE_REQUEST) for entry in issuer.programs]
    if rules.standing.view is None or not rules.fresh:
        return [Decided(entry, Reason.POLICY_STALE) for entry in issuer.programs]
    held_out: bool | None = None
    decided = []
    for entry, refused, release_of, draw, shadow, _ in rules.standing.of(issuer):
        if refused is not None:
            decided.append(refused)
            continue
        release = release_of(query)
        if release is None:
            release = entry.release_by_twin(query)
        if isinstance(release, Withhold):
            decided.append(Decided(entry, release.reason))
            continue
        if not rules.key(entry):
            decided.append(Decided(entry, Reason.KEY_UNAVAILABLE, release=release))
            continue
        # Consent, key and quality allow it: from here on the arm is drawn and kept, whatever fails.
        if held_out is None:
            held_out = rules.shared is not None and rules.shared.draw(unit_key) is HOLDOUT
        arm = GLOBAL_HOLDOUT if held_out else draw(unit_key)
        if shadow:
            reason: Reason | None = _SHADOW
        elif arm is TREATMENT:
            reason = withhold
        else:
            reason = _RAMP if arm is PENDING else _HOLDOUT
        decided.append(Decided(entry, reason, True, arm, release))
    return decided
