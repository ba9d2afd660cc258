"""Per program: what decides whether data may leave, in the order that arms need. Pure."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from enrichment.masked import MaskedStruct
from gateway.programs.arms import (
    GLOBAL_HOLDOUT,
    HOLDOUT,
    PENDING,
    TREATMENT,
    Line,
    draw_on,
    line_of,
)
from gateway.programs.switches import SwitchView
from gateway.programs.table import IssuerEntry, ProgramEntry, Query, Release
from gateway.records.reasons import Reason, Withhold

_SHADOW, _RAMP, _HOLDOUT = Reason.SHADOW, Reason.RAMP, Reason.HOLDOUT


ISSUERS_CACHED = 4096
"""Issuers without a program, kept: each is named by a policy."""


class KeyCheck(Protocol):
    """Whether a recipient has a key to seal to now. Asked before the draw, so that both arms lose alike."""

    def __call__(self, recipient_id: str) -> bool: ...


class Decided(MaskedStruct):
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

    shared: Line | None
    """Of the holdout that all programs share."""

    view: SwitchView | None
    fresh: bool
    has_key: KeyCheck
    keys: dict[str, bool] = field(default_factory=dict)
    """What `has_key` said, by recipient."""

    lines: dict[int, Line] = field(default_factory=dict)
    refused: dict[int, Decided] = field(default_factory=dict)
    """What stands refused whatever the payment, by the id of its entry: the table outlives the batch."""


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
    view = rules.view
    if view is None or not rules.fresh:
        return [Decided(entry, Reason.POLICY_STALE) for entry in issuer.programs]
    stops, keys, refused, lines = view.stops, rules.keys, rules.refused, rules.lines
    held_out: bool | None = None
    decided = []
    for entry in issuer.programs:
        stopped = view.stopped(entry.program, entry.issuer_id) if stops else None
        if stopped is not None:
            decided.append(Decided(entry, stopped))
            continue
        standing = refused.get(id(entry))
        if standing is not None:
            decided.append(standing)
            continue
        release = entry.release(query)
        if isinstance(release, Withhold):
            one = Decided(entry, release.reason)
            if release is entry.standing_refusal:
                refused[id(entry)] = one
            decided.append(one)
            continue
        has_key = keys.get(entry.recipient_id)
        if has_key is None:
            has_key = keys[entry.recipient_id] = rules.has_key(entry.recipient_id)
        if not has_key:
            decided.append(Decided(entry, Reason.KEY_UNAVAILABLE, release=release))
            continue
        # Consent, key and quality allow it: from here on the arm is drawn and kept, whatever fails.
        if held_out is None:
            held_out = rules.shared is not None and draw_on(rules.shared, unit_key) is HOLDOUT
        arm = GLOBAL_HOLDOUT
        if not held_out:
            line = lines.get(id(entry))
            if line is None:
                line = lines[id(entry)] = line_of(entry.salt, entry.ramp_ppm, entry.holdout_ppm)
            arm = draw_on(line, unit_key)
        if entry.shadow:
            reason: Reason | None = _SHADOW
        elif arm is TREATMENT:
            reason = withhold
        else:
            reason = _RAMP if arm is PENDING else _HOLDOUT
        decided.append(Decided(entry, reason, True, arm, release))
    return decided
