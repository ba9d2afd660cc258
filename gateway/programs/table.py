"""The release table: deny by default, compiled ahead, so that a decision is a few look-ups and mask ANDs.

Release = program ∩ enrolment ∩ region ∩ merchant tier ∩ what is there ∩ quality.

`ProgramEntry.release` refuses with the first reason that holds, in this order:

1. `not_enrolled`: the issuer has no enrolment in the program.
2. `killed`, then `program_not_active`: state of the program or the enrolment, whichever is stricter.
3. `recipient_disabled`.
4. `outside_validity`, then `attestation_expired`, of the enrolment, in wall time.
5. `region_unknown`, then `region_not_covered`.
6. `merchant_opted_out`, then `merchant_consent_missing`.
7. `subject_objected`.
8. `condition_not_met`.
9. `below_quality`: nothing that may leave is there and good enough.

What comes before it is the caller's: `policy_stale`, the switches, `unknown_issuer`; what comes after it too:
`key_unavailable`, then the arm. A field refused by several rules names the first of `not_enrolled`,
`region_not_covered`, `merchant_consent_missing`, `below_quality`. A field that was not there is no refusal.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from gateway.programs.model import (
    Conditions,
    ConsentSetting,
    Enrolment,
    Issuer,
    PolicySnapshot,
    Program,
    State,
    Tier,
)
from gateway.records.reasons import Reason, Withhold
from gateway.runtime.native import engines

Refusals = tuple[tuple[int, Reason], ...]

WIDENED_CACHED: Final = 4096
"""Sets of refusals kept: regions and tiers times what payments have that is not good enough."""

_WITHHELD: Final = {reason: Withhold(reason) for reason in Reason}


class Query(NamedTuple):
    """What a release depends on besides the policy. `now_ms` is wall time, never payment time."""

    region: str
    merchant_id: str
    platform_id: str
    channel: int
    mcc: str
    amount_minor: int
    merchant_country: str
    available_mask: int
    below_quality_mask: int
    now_ms: int
    subject_objected: bool = False


make_query: Callable[[tuple[Any, ...]], Query] = partial(tuple.__new__, Query)
"""`Query` of all its values, without the call in between, which takes twice as long as the rest."""


class Release(NamedTuple):
    """Fields that may leave (bit n = field n), those refused and why, and the consent that covers."""

    mask: int
    refusals: Refusals
    consent_id: str


class _Grant(NamedTuple):
    """What one region and tier leave of a program, and why the rest is refused."""

    mask: int
    refusals: Refusals


_Consent = tuple[int, int, int, str]
"""Tier as a number, valid from and until in epoch milliseconds, consent id."""

# Named once: to look an enum's member up costs as much as a whole step of a release.
_OPTED_OUT: Final = int(Tier.OPTED_OUT)
_NO_TIER: Final = int(Tier.NONE)
_WITHHOLD_OUTSIDE_VALIDITY: Final = _WITHHELD[Reason.OUTSIDE_VALIDITY]
_WITHHOLD_ATTESTATION_EXPIRED: Final = _WITHHELD[Reason.ATTESTATION_EXPIRED]
_WITHHOLD_REGION_UNKNOWN: Final = _WITHHELD[Reason.REGION_UNKNOWN]
_WITHHOLD_REGION_NOT_COVERED: Final = _WITHHELD[Reason.REGION_NOT_COVERED]
_WITHHOLD_OPTED_OUT: Final = _WITHHELD[Reason.MERCHANT_OPTED_OUT]
_WITHHOLD_NO_CONSENT: Final = _WITHHELD[Reason.MERCHANT_CONSENT_MISSING]
_WITHHOLD_OBJECTED: Final = _WITHHELD[Reason.SUBJECT_OBJECTED]
_WITHHOLD_CONDITION: Final = _WITHHELD[Reason.CONDITION_NOT_MET]
_WITHHOLD_BELOW_QUALITY: Final = _WITHHELD[Reason.BELOW_QUALITY]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEntry:
    """One program at one issuer. An entry without enrolment is there to say so."""

    program: str
    issuer_id: str
    ahead: bool
    purpose: int
    enrolment_id: str = ""
    contract_id: str = ""
    recipient_id: str = ""
    transports: tuple[int, ...] = ()
    message_elements: tuple[tuple[str, int], ...] = ()
    salt: bytes = field(default=b"", repr=False)
    ramp_ppm: int = 0
    holdout_ppm: int = 0
    experiment_id: str = ""
    variant: str = ""
    profile: str = "B"
    state: State = State.DRAFT
    shadow: bool = False
    valid_from_ms: int = 0
    valid_until_ms: int = 0
    attestation_expires_ms: int = 0
    conditions: Conditions | None = None
    standing_refusal: Withhold | None = None
    grants: Mapping[str, tuple[_Grant, ...]] = field(default_factory=dict, repr=False)
    """Region to the grant of each tier, in the order of `Tier`."""
    merchants: Mapping[str, _Consent] = field(default_factory=dict, repr=False)
    platforms: Mapping[str, _Consent] = field(default_factory=dict, repr=False)
    _engine: Any = field(default=None, init=False, repr=False, compare=False)
    """Made of the fields above, so that a copy that differs has one of its own. None asks the twin."""

    def __post_init__(self) -> None:
        # Nothing granted, nothing to hurry: a payment of no issuer makes an entry of its own.
        if _answers is None or not self.grants:
            return
        if self.standing_refusal is not None or self.conditions is not None:
            return
        valid_ms, attested_ms = (self.valid_from_ms, self.valid_until_ms), self.attestation_expires_ms
        made = _answers.entry(valid_ms, attested_ms, self.grants, self.merchants, self.platforms)
        if made is not None:
            object.__setattr__(self, "_engine", made.release)

    def release(self, query: Query) -> Release | Withhold:
        """Which fields may leave for this payment, or the first reason why none may."""
        answer: Release | Withhold | None = None if self._engine is None else self._engine(query)
        return self.release_by_twin(query) if answer is None else answer

    def release_by_twin(self, query: Query) -> Release | Withhold:
        """The same in Python: what the engine (native/src/release.rs) answers, and what it leaves."""
        if self.standing_refusal is not None:
            return self.standing_refusal
        region, merchant_id, platform_id, _, _, _, _, available, below_quality, now_ms, objected = query
        if not self.valid_from_ms <= now_ms < self.valid_until_ms:
            return _WITHHOLD_OUTSIDE_VALIDITY
        if now_ms >= self.attestation_expires_ms:
            return _WITHHOLD_ATTESTATION_EXPIRED
        grants = self.grants.get(region)
        if grants is None:
            return _WITHHOLD_REGION_NOT_COVERED if region else _WITHHOLD_REGION_UNKNOWN
        merchant = self.merchants.get(merchant_id)
        platform = self.platforms.get(platform_id)
        if merchant is None:
            if platform is None:
                return _WITHHOLD_NO_CONSENT
            merchant = platform
        elif platform is None:
            platform = merchant
        # The merchant's where both say the same.
        tier, _, _, consent_id = merchant if merchant[0] <= platform[0] else platform
        if tier <= _NO_TIER:
            return _WITHHOLD_OPTED_OUT if tier == _OPTED_OUT else _WITHHOLD_NO_CONSENT
        # What has lapsed is no silence: it neither grants nor lets the other party's setting stand alone.
        if not (merchant[1] <= now_ms < merchant[2] and platform[1] <= now_ms < platform[2]):
            return _WITHHOLD_NO_CONSENT
        granted, refusals = grants[tier]
        if not granted:
            return _WITHHOLD_NO_CONSENT
        if objected:
            return _WITHHOLD_OBJECTED
        if self.conditions is not None and not _meets(self.conditions, query):
            return _WITHHOLD_CONDITION
        there = granted & available
        mask = there & ~below_quality
        if not mask:
            return _WITHHOLD_BELOW_QUALITY
        if mask != there:
            refusals = _with_below_quality(refusals, there & below_quality)
        # What `Release(...)` does, without the call in between.
        return tuple.__new__(Release, (mask, refusals, consent_id))


@dataclass(frozen=True, slots=True)
class IssuerEntry:
    """An issuer with its programs: those ahead of the authorization, and those after the fact."""

    issuer_id: str
    region: str
    recipient_id: str
    programs: tuple[ProgramEntry, ...]
    after: tuple[ProgramEntry, ...]


@dataclass(frozen=True, slots=True)
class ReleaseTable:
    """A compiled snapshot. A worker changes policy by changing one reference to it.

    `merchants` and `platforms` are what its entries ask, and the one part that changes in place: what the
    registry knows of a party takes the place of what the documents say.
    """

    version: int
    issuers: Mapping[str, IssuerEntry]
    global_salt: bytes = field(repr=False)
    global_holdout_ppm: int
    _starts: list[str] = field(repr=False)
    _owners: list[IssuerEntry | None] = field(repr=False)
    merchants: dict[str, _Consent] = field(default_factory=dict, repr=False)
    platforms: dict[str, _Consent] = field(default_factory=dict, repr=False)

    def issuer_of(self, iin: str) -> IssuerEntry | None:
        """The issuer of the most specific range that holds an IIN of 6 or 8 digits, or None.

        Six digits that span ranges of several issuers belong to none: who it is, is not known.
        """
        if len(iin) == 8:
            return self._owners[bisect_right(self._starts, iin)]
        if len(iin) != 6:
            return None
        first = bisect_right(self._starts, iin + "00")
        last = bisect_right(self._starts, iin + "99")
        owner = self._owners[first]
        return owner if all(other is owner for other in self._owners[first : last + 1]) else None


def compile_table(snapshot: PolicySnapshot) -> ReleaseTable:
    """Compiles a checked snapshot. What it does not grant is refused."""
    merchants, platforms = _consents(snapshot.merchants), _consents(snapshot.platforms)
    enrolments = {(one.issuer_id, one.program): one for one in snapshot.enrolments}
    programs = [snapshot.programs[name] for name in sorted(snapshot.programs)]
    issuers: dict[str, IssuerEntry] = {}
    for issuer in snapshot.issuers.values():
        entries = [
            _entry(
                snapshot,
                issuer,
                program,
                enrolments.get((issuer.issuer_id, program.program)),
                merchants,
                platforms,
            )
            for program in programs
        ]
        issuers[issuer.issuer_id] = IssuerEntry(
            issuer.issuer_id,
            issuer.region,
            issuer.recipient_id,
            tuple(entry for entry in entries if entry.ahead),
            tuple(entry for entry in entries if not entry.ahead),
        )
    starts, owners = _flatten(snapshot, issuers)
    experiment = snapshot.experiment
    return ReleaseTable(
        snapshot.version, issuers, experiment.global_salt, experiment.global_holdout_ppm, starts, owners,
        merchants, platforms,
    )  # fmt: skip


def _entry(
    snapshot: PolicySnapshot,
    issuer: Issuer,
    program: Program,
    enrolment: Enrolment | None,
    merchants: Mapping[str, _Consent],
    platforms: Mapping[str, _Consent],
) -> ProgramEntry:
    purpose = int(program.purpose)
    if enrolment is None:
        return ProgramEntry(
            program=program.program,
            issuer_id=issuer.issuer_id,
            ahead=program.ahead,
            purpose=purpose,
            standing_refusal=_WITHHELD[Reason.NOT_ENROLLED],
        )
    state = max(program.state, enrolment.state)
    granted = set(enrolment.transports)
    return ProgramEntry(
        program=program.program,
        issuer_id=issuer.issuer_id,
        ahead=program.ahead,
        purpose=purpose,
        enrolment_id=enrolment.enrolment_id,
        contract_id=enrolment.contract_id,
        recipient_id=issuer.recipient_id,
        transports=tuple(int(one) for one in program.transports if one in granted),
        message_elements=enrolment.message_elements if enrolment.clear_elements_allowed else (),
        salt=program_salt(snapshot.experiment.salts[program.salt_version], program.program),
        ramp_ppm=program.ramp_ppm if enrolment.ramp_ppm is None else enrolment.ramp_ppm,
        holdout_ppm=program.holdout_ppm if enrolment.holdout_ppm is None else enrolment.holdout_ppm,
        experiment_id=f"{program.program}@{program.salt_version}",
        variant=enrolment.variant,
        profile=enrolment.profile,
        state=state,
        shadow=state is State.SHADOW,
        valid_from_ms=enrolment.valid_from_ms,
        valid_until_ms=enrolment.valid_until_ms,
        attestation_expires_ms=enrolment.attestation_expires_ms,
        conditions=None if enrolment.conditions == Conditions() else enrolment.conditions,
        standing_refusal=_standing_refusal(snapshot, issuer, state),
        grants=_grants(snapshot, program, enrolment),
        merchants=merchants,
        platforms=platforms,
    )


def program_salt(salt: bytes, program: str) -> bytes:
    """The program's own salt, so that programs that share a salt version draw independently."""
    return blake2b(program.encode(), key=salt, digest_size=32, person=b"ein-program-salt").digest()


def _standing_refusal(snapshot: PolicySnapshot, issuer: Issuer, state: State) -> Withhold | None:
    if state is State.KILLED:
        return _WITHHELD[Reason.KILLED]
    if state not in (State.ACTIVE, State.SHADOW):
        return _WITHHELD[Reason.PROGRAM_NOT_ACTIVE]
    if not snapshot.recipients[issuer.recipient_id].enabled:
        return _WITHHELD[Reason.RECIPIENT_DISABLED]
    return None


def _grants(
    snapshot: PolicySnapshot, program: Program, enrolment: Enrolment
) -> dict[str, tuple[_Grant, ...]]:
    tier_masks = {Tier.BASIC: program.basic_mask, Tier.ENHANCED: program.enhanced_mask}
    granted = program.field_mask & enrolment.field_mask
    grants: dict[str, tuple[_Grant, ...]] = {}
    for region in enrolment.regions:
        in_region = granted & snapshot.regions.get(region, 0)
        if not in_region:
            continue  # a region that leaves nothing is not covered
        not_enrolled = _refused(program.field_mask & ~granted, Reason.NOT_ENROLLED)
        not_in_region = _refused(granted & ~in_region, Reason.REGION_NOT_COVERED)
        by_tier: list[_Grant] = []
        for tier in Tier:
            mask = in_region & tier_masks.get(tier, 0)
            no_consent = _refused(in_region & ~mask, Reason.MERCHANT_CONSENT_MISSING)
            by_tier.append(_Grant(mask, not_enrolled + not_in_region + no_consent))
        grants[region] = tuple(by_tier)
    return grants


def _consents(settings: Mapping[str, ConsentSetting]) -> dict[str, _Consent]:
    return {
        party: (int(one.tier), one.valid_from_ms, one.valid_until_ms, one.consent_id)
        for party, one in settings.items()
    }


_widened: dict[tuple[int, int], tuple[Refusals, Refusals]] = {}


def _with_below_quality(refusals: Refusals, mask: int) -> Refusals:
    """`refusals` and those of `mask`: the same object each time, so that what is made of it is kept too."""
    # By identity: what is kept here stays alive, so that no other takes its number.
    kept = _widened.get((id(refusals), mask))
    if kept is None:
        kept = (refusals, refusals + _refused(mask, Reason.BELOW_QUALITY))
        if len(_widened) >= WIDENED_CACHED:
            _widened.clear()
        _widened[id(refusals), mask] = kept
    return kept[1]


_IN_ORDER: Final = (
    *(_WITHHOLD_OUTSIDE_VALIDITY, _WITHHOLD_ATTESTATION_EXPIRED, _WITHHOLD_REGION_UNKNOWN),
    *(_WITHHOLD_REGION_NOT_COVERED, _WITHHOLD_OPTED_OUT, _WITHHOLD_NO_CONSENT),
    *(_WITHHOLD_OBJECTED, _WITHHOLD_BELOW_QUALITY),
)
_answers: Any = engines and engines.Answers(
    Query, Release, _NO_TIER, _OPTED_OUT, _IN_ORDER, _with_below_quality
)
"""What the engine of an entry answers with, or None where everything runs on the twin."""


def _refused(mask: int, reason: Reason) -> Refusals:
    return tuple((number, reason) for number in range(mask.bit_length()) if mask >> number & 1)


def _meets(conditions: Conditions, query: Query) -> bool:
    """A condition on a fact that is absent does not hold."""
    if conditions.channels and query.channel not in conditions.channels:
        return False
    if conditions.mccs and query.mcc not in conditions.mccs:
        return False
    if conditions.merchant_countries and query.merchant_country not in conditions.merchant_countries:
        return False
    if conditions.amount_minor_from is not None and query.amount_minor < conditions.amount_minor_from:
        return False
    return conditions.amount_minor_below is None or query.amount_minor < conditions.amount_minor_below


def _flatten(
    snapshot: PolicySnapshot, issuers: Mapping[str, IssuerEntry]
) -> tuple[list[str], list[IssuerEntry | None]]:
    """Nested ranges as one sorted line of segments: owner n holds from start n - 1 to before start n."""
    ranges = [
        (int(one.first), int(one.last), issuers[issuer.issuer_id])
        for issuer in snapshot.issuers.values()
        for one in issuer.iin_ranges
    ]
    # Wide first, so that narrower ones are painted over; of two equally wide ones the higher wins.
    ranges.sort(key=lambda one: (one[0] - one[1], one[0]))
    edges = sorted({edge for first, last, _ in ranges for edge in (first, last + 1)})
    at = {edge: index for index, edge in enumerate(edges)}
    painted: list[IssuerEntry | None] = [None] * len(edges)
    for first, last, entry in ranges:
        for index in range(at[first], at[last + 1]):
            painted[index] = entry
    # Eight nines have no successor of eight digits; nine digits sort wrongly, and nothing lies behind them.
    starts = [f"{edge:08d}" for edge in edges if edge <= 99_999_999]
    return starts, [None, *painted[: len(starts)]]
