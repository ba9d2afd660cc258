"""What deserves a second look before a policy is put in force: each with what it means and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Final

from enrichment.fields import names_of
from gateway.programs.members import day, percent
from gateway.programs.model import State
from gateway.programs.switches import SwitchView
from gateway.programs.table import ProgramEntry, ReleaseTable
from gateway.records.reasons import Reason

ENDS_SOON_DAYS: Final = 30
"""A contract or an attestation takes weeks to renew."""

_RUNNING: Final = (State.ACTIVE, State.PAUSED)

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning. `program` and `issuer_id` are empty where it is about all of them."""

    code: str
    program: str
    issuer_id: str
    text: str


ReleasedMask = Callable[[ProgramEntry, int], int]
"""All that an entry lets leave, at a time."""


def warnings_of(
    was: ReleaseTable, now: ReleaseTable, switches: SwitchView, *, released: ReleasedMask, now_ms: int
) -> tuple[Warned, ...]:
    """Everything that deserves a look, in order of program and issuer."""
    old, new = enrolled(was), enrolled(now)
    found = [*_global(was, now)]
    for key in sorted(new):
        before, after = old.get(key), new[key]
        differs = before is None or not _same(before, after)
        if before is not None:
            found += _experiment(before, after)
            found += _recipient(before, after)
        found += _ends(after, now_ms)
        stopped = switches.stopped(*key)
        if differs and stopped is not None:
            found.append(_stopped(key, stopped))
    found += _first_released(old, new, released, now_ms)
    return tuple(found)


def enrolled(table: ReleaseTable) -> dict[tuple[str, str], ProgramEntry]:
    """Programs with an enrolment, by program and issuer."""
    return {
        (entry.program, issuer.issuer_id): entry
        for issuer in table.issuers.values()
        for entry in (*issuer.programs, *issuer.after)
        if entry.enrolment_id
    }


def _same(before: ProgramEntry, after: ProgramEntry) -> bool:
    """Merchants are apart: they are many, and the same for all entries."""
    return all(
        getattr(before, one.name) == getattr(after, one.name)
        for one in fields(ProgramEntry)
        if one.compare and one.name != "consents"
    )


def _global(was: ReleaseTable, now: ReleaseTable) -> Iterator[Warned]:
    if not was.issuers:
        return
    if was.global_salt != now.global_salt:
        yield Warned(
            "salt_changed",
            "",
            "",
            "the global salt changes: other cards are held out of everything from here",
        )
    if was.global_holdout_ppm != now.global_holdout_ppm:
        before, after = percent(was.global_holdout_ppm), percent(now.global_holdout_ppm)
        yield Warned(
            "holdout_changed",
            "",
            "",
            f"the global holdout goes from {before} to {after}: cards leave or enter every comparison",
        )


def _experiment(before: ProgramEntry, after: ProgramEntry) -> Iterator[Warned]:
    """Only while it runs: what is drafted or ended has no cards to compare."""
    if not before.ahead or before.state not in _RUNNING or after.state not in _RUNNING:
        return
    key = (after.program, after.issuer_id)
    if before.salt != after.salt or before.experiment_id != after.experiment_id:
        yield Warned(
            "salt_changed",
            *key,
            "every card draws its arm anew: read what was measured so far before you apply it",
        )
    if after.ramp_ppm < before.ramp_ppm:
        yield Warned(
            "ramp_lowered",
            *key,
            f"the ramp goes down from {percent(before.ramp_ppm)} to {percent(after.ramp_ppm)}:"
            " cards that were treated become pending; to stop sharing, pause the program",
        )
    if after.holdout_ppm != before.holdout_ppm:
        yield Warned(
            "holdout_changed",
            *key,
            f"the holdout goes from {percent(before.holdout_ppm)} to {percent(after.holdout_ppm)}"
            " while the experiment runs: cards change arm; a new salt_version begins a new experiment",
        )


def _recipient(before: ProgramEntry, after: ProgramEntry) -> Iterator[Warned]:
    if before.recipient_id != after.recipient_id:
        yield Warned(
            "recipient_changed",
            after.program,
            after.issuer_id,
            f"what goes to {before.recipient_id} goes to {after.recipient_id} from here: check the contract",
        )


def _ends(entry: ProgramEntry, now_ms: int) -> Iterator[Warned]:
    """Only of what could share: a retired enrolment may end."""
    if entry.standing_refusal is not None:
        return
    for what, end_ms in (
        ("the enrolment", entry.valid_until_ms),
        ("the attestation", entry.attestation_expires_ms),
    ):
        if end_ms <= now_ms:
            text = f"{what} ended on {day(end_ms)}: nothing is shared under it; renew it or remove it"
        elif end_ms <= now_ms + ENDS_SOON_DAYS * _DAY_MS:
            text = f"{what} ends on {day(end_ms)}, within {ENDS_SOON_DAYS} days: renew it before"
        else:
            continue
        yield Warned("ends_soon", entry.program, entry.issuer_id, text)


def _stopped(key: tuple[str, str], reason: Reason) -> Warned:
    if reason is Reason.KILLED:
        text = "a kill holds: the change has no effect until its revival is approved (`ein revive`)"
        return Warned("killed", *key, text)
    return Warned("paused", *key, "a pause holds: the change has no effect until `ein resume`")


def _first_released(
    old: dict[tuple[str, str], ProgramEntry],
    new: dict[tuple[str, str], ProgramEntry],
    released: ReleasedMask,
    now_ms: int,
) -> Iterator[Warned]:
    """Fields that nobody gets. A first policy shares everything for the first time: no news."""
    if not old:
        return
    today = 0
    for entry in old.values():
        # What is paused or has ended has shared; what is drafted or in shadow has not.
        if entry.state not in (State.DRAFT, State.SHADOW):
            today |= _granted(entry)
    for key in sorted(new):
        mask = released(new[key], now_ms) & ~today
        if mask:
            yield Warned(
                "first_release",
                *key,
                f"new to every recipient: {', '.join(names_of(mask))}; check the notice to cardholders",
            )


def _granted(entry: ProgramEntry) -> int:
    mask = 0
    for tiers in entry.grants.values():
        for grant in tiers:
            mask |= grant.mask
    return mask
