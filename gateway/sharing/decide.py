"""Per program: what decides whether data may leave, in the order of CONTRACT "Arms". Pure."""

from dataclasses import dataclass
from typing import Protocol

from gateway.programs.arms import Arm, draw
from gateway.programs.switches import SwitchView
from gateway.programs.table import IssuerEntry, ProgramEntry, Query, Release, ReleaseTable
from gateway.records.reasons import Reason, Withhold


class KeyCheck(Protocol):
    """Whether a recipient has a key to seal to now. Asked before the draw, so that both arms lose alike."""

    def __call__(self, recipient_id: str) -> bool: ...


@dataclass(slots=True)
class Decided:
    """One program's decision. `reason` is None where the data is released. Sealing fills in the rest."""

    entry: ProgramEntry
    reason: Reason | None
    eligible: bool = False
    arm: int = 0
    release: Release | None = None
    share_id: str = ""
    card_token: str = ""
    recipient_kid: str = ""
    sealed: bytes = b""
    payload_sha256: bytes = b""
    elements: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all decisions of one batch. `view` is None, or `fresh` false: policy is stale."""

    table: ReleaseTable
    view: SwitchView | None
    fresh: bool
    has_key: KeyCheck


def no_program(reason: Reason, issuer_id: str = "") -> Decided:
    """The decision where there is no program to decide about."""
    return Decided(ProgramEntry(program="", issuer_id=issuer_id, ahead=True, purpose=0), reason)


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
    return [_decide(rules, entry, query, unit_key, duplicate, withhold) for entry in issuer.programs]


def _decide(
    rules: Rules,
    entry: ProgramEntry,
    query: Query,
    unit_key: bytes,
    duplicate: bool,
    withhold: Reason | None,
) -> Decided:
    if duplicate:
        return Decided(entry, Reason.DUPLICATE_REQUEST)
    view = rules.view
    if view is None or not rules.fresh:
        return Decided(entry, Reason.POLICY_STALE)
    stopped = view.stopped(entry.program, entry.issuer_id)
    if stopped is not None:
        return Decided(entry, stopped)
    release = entry.release(query)
    if isinstance(release, Withhold):
        return Decided(entry, release.reason)
    if not rules.has_key(entry.recipient_id):
        return Decided(entry, Reason.KEY_UNAVAILABLE, release=release)
    # Consent, key and quality allow it: from here on the arm is drawn and kept, whatever fails.
    table = rules.table
    arm = draw(entry, unit_key, table.global_salt, table.global_holdout_ppm)
    reason = _after_draw(entry, arm, withhold)
    return Decided(entry, reason, True, int(arm), release)


def _after_draw(entry: ProgramEntry, arm: Arm, withhold: Reason | None) -> Reason | None:
    if entry.shadow:
        return Reason.SHADOW
    if arm is Arm.TREATMENT:
        return withhold
    return Reason.RAMP if arm is Arm.PENDING else Reason.HOLDOUT
