"""What another policy would change, in the words of who gains or loses what. Pure.

`plan(a, b)` compares two checked snapshots and the tables compiled from them: fields by issuer, program,
region and tier; documents member by member; consents by count; and what deserves a second look. Salts decide
arms: that one changed is told, what it is or was never is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from enrichment.fields import names_of
from gateway.programs.members import MemberChange, compare, percent
from gateway.programs.model import ConsentSetting, Experiment, PolicySnapshot, Tier
from gateway.programs.plan_warnings import Warned, enrolled, warnings_of
from gateway.programs.switches import SwitchView
from gateway.programs.table import ProgramEntry, ReleaseTable, compile_table

EMPTY: Final = PolicySnapshot(0, {}, {}, {}, (), {}, {}, {}, Experiment())
"""Nothing is shared: what a first policy is compared with."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """Fields that payments of these regions and tiers begin or cease to give an issuer under a program."""

    program: str
    issuer_id: str
    regions: tuple[str, ...]
    tiers: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """A document that is added, removed or changed. `members` is empty unless it is changed."""

    kind: str
    name: str
    verb: str
    members: tuple[MemberChange, ...] = ()


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """So many merchants or platforms go from one tier to another; "silent" is one without a setting."""

    party: str
    before: str
    after: str
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole difference. Empty where nothing of it would be noticed."""

    before_version: int
    fields: tuple[FieldChange, ...]
    documents: tuple[DocumentChange, ...]
    consents: tuple[ConsentChange, ...]
    warnings: tuple[Warned, ...]

    @property
    def changes(self) -> bool:
        """Whether anything differs. What only deserves a look, such as an end that is near, is no change."""
        return bool(self.fields or self.documents or self.consents)


def plan(before: PolicySnapshot, after: PolicySnapshot, switches: SwitchView, *, now_ms: int) -> Plan:
    """The difference that putting `after` in force in place of `before` makes at `now_ms`, wall time."""
    was, now = compile_table(before), compile_table(after)
    changed = tuple(_field_changes(was, now, now_ms))
    documents = tuple(_documents(before, after))
    return Plan(
        before_version=before.version,
        fields=changed,
        documents=documents,
        consents=(
            *_consents("merchant", before.merchants, after.merchants),
            *_consents("platform", before.platforms, after.platforms),
        ),
        warnings=warnings_of(was, now, switches, released=_released_mask, now_ms=now_ms),
    )


def shared_mask(entry: ProgramEntry, region: str, tier: Tier, now_ms: int) -> int:
    """Fields that the entry lets leave for a good payment of a card that is treated; none in shadow.

    An enrolment that begins later is asked about its first day: what is agreed is a change already.
    """
    if entry.standing_refusal is not None or entry.shadow:
        return 0
    at_ms = max(now_ms, entry.valid_from_ms)
    if at_ms >= min(entry.valid_until_ms, entry.attestation_expires_ms):
        return 0
    grants = entry.grants.get(region)
    return 0 if grants is None else grants[tier].mask


def _released_mask(entry: ProgramEntry, now_ms: int) -> int:
    """What the entry lets leave for any region and tier."""
    mask = 0
    for region in entry.grants:
        for tier in Tier:
            mask |= shared_mask(entry, region, tier, now_ms)
    return mask


_Difference = tuple[int, int]
"""Masks gained and lost."""


def _field_changes(was: ReleaseTable, now: ReleaseTable, now_ms: int) -> Iterator[FieldChange]:
    old, new = enrolled(was), enrolled(now)
    for key in sorted(old.keys() | new.keys()):
        by_region = _differences(old.get(key), new.get(key), now_ms)
        alike: dict[tuple[tuple[Tier, _Difference], ...], list[str]] = {}
        for region, differences in by_region.items():
            alike.setdefault(tuple(differences.items()), []).append(region)
        for tiers_alike, regions in alike.items():
            by_difference: dict[_Difference, list[str]] = {}
            for tier, difference in tiers_alike:
                by_difference.setdefault(difference, []).append(tier.name.lower())
            for (gained, lost), tiers in by_difference.items():
                yield FieldChange(*key, tuple(regions), tuple(tiers), names_of(gained), names_of(lost))


def _differences(
    old: ProgramEntry | None, new: ProgramEntry | None, now_ms: int
) -> dict[str, dict[Tier, _Difference]]:
    """Region to tier to what differs; what does not is left out."""
    regions = sorted({*(old.grants if old else ()), *(new.grants if new else ())})
    found: dict[str, dict[Tier, _Difference]] = {}
    for region in regions:
        for tier in Tier:
            mask_before = shared_mask(old, region, tier, now_ms) if old else 0
            mask_after = shared_mask(new, region, tier, now_ms) if new else 0
            if mask_before != mask_after:
                difference = (mask_after & ~mask_before, mask_before & ~mask_after)
                found.setdefault(region, {})[tier] = difference
    return found


def _documents(before: PolicySnapshot, after: PolicySnapshot) -> Iterator[DocumentChange]:
    for kind in ("issuers", "recipients", "programs"):
        yield from _by_name(kind.removesuffix("s"), getattr(before, kind), getattr(after, kind))
    yield from _by_name(
        "enrolment",
        {one.enrolment_id: one for one in before.enrolments},
        {one.enrolment_id: one for one in after.enrolments},
    )
    for region in sorted(before.regions.keys() | after.regions.keys()):
        old, new = before.regions.get(region), after.regions.get(region)
        if old is None or new is None:
            yield DocumentChange("region", region, "added" if old is None else "removed")
        elif old != new:
            change = MemberChange("fields", names_of(old & ~new), names_of(new & ~old))
            yield DocumentChange("region", region, "changed", (change,))
    if members := tuple(_experiment(before.experiment, after.experiment)):
        yield DocumentChange("experiment", "experiment", "changed", members)
    yield from _what_else(before, after)


_COMPARED: Final = frozenset(
    {
        *("version", "issuers", "recipients", "programs", "enrolments", "regions"),
        *("experiment", "merchants", "platforms"),
    }
)


def _what_else(before: PolicySnapshot, after: PolicySnapshot) -> Iterator[DocumentChange]:
    """A part of a policy that this page does not know yet is told to differ, rather than left out."""
    for one in fields(PolicySnapshot):
        if one.name not in _COMPARED and getattr(before, one.name) != getattr(after, one.name):
            yield DocumentChange(one.name, one.name, "changed")


def _by_name(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[DocumentChange]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield DocumentChange(kind, name, "added")
        elif name not in new:
            yield DocumentChange(kind, name, "removed")
        elif members := compare(old[name], new[name]):
            yield DocumentChange(kind, name, "changed", members)


def _experiment(old: Experiment, new: Experiment) -> Iterator[MemberChange]:
    """Names of salts alone: whoever knows a salt can tell an arm."""
    if old.global_holdout_ppm != new.global_holdout_ppm:
        yield MemberChange(
            "global_holdout_percent",
            (percent(old.global_holdout_ppm),),
            (percent(new.global_holdout_ppm),),
            True,
        )
    if old.global_salt != new.global_salt:
        yield MemberChange("global_salt", (), ())
    removed, added = old.salts.keys() - new.salts.keys(), new.salts.keys() - old.salts.keys()
    if removed or added:
        yield MemberChange("salts", tuple(sorted(removed)), tuple(sorted(added)))
    for name in sorted(old.salts.keys() & new.salts.keys()):
        if old.salts[name] != new.salts[name]:
            yield MemberChange(f"salts.{name}", (), ())


def _consents(
    party: str, old: Mapping[str, ConsentSetting], new: Mapping[str, ConsentSetting]
) -> Iterable[ConsentChange]:
    moves = Counter(
        (_tier(old.get(name)), _tier(new.get(name)))
        for name in old.keys() | new.keys()
        if old.get(name) != new.get(name)
    )
    for (before, after), count in sorted(moves.items()):
        yield ConsentChange(party, before, after, count)


def _tier(setting: ConsentSetting | None) -> str:
    return "silent" if setting is None else setting.tier.name.lower()
