"""The rules of release: deny by default, compiled ahead, so that a decision is a few look-ups and mask ANDs.

Release = program ∩ purpose ∩ enrolment ∩ region ∩ merchant tier ∩ what is there ∩ quality.

`ProgramEntry.release` refuses with the first reason that holds, in this order:

1. `not_enrolled`: the issuer has no enrolment in the program.
2. `killed`, then `program_not_active`: state of the program or the enrolment, whichever is stricter.
3. `recipient_disabled`, then `purpose_mismatch`: nothing of the program may go under its purpose.
4. `outside_validity`, then `attestation_expired`, of the enrolment, in wall time.
5. `region_unknown`, then `region_not_covered`.
6. `merchant_opted_out`, then `merchant_consent_missing`.
7. `subject_objected`.
8. `condition_not_met`.
9. `below_quality`: nothing that may leave is there and good enough.

What comes before it is the caller's: `policy_stale`, the switches, `unknown_issuer`; what comes after it too:
`key_unavailable`, then the arm. A field refused by several rules names the first of `purpose_mismatch`,
`not_enrolled`, `region_not_covered`, `merchant_consent_missing`, `below_quality`. A field that was not there
is no refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from enrichment.fields import MASK_BITS
from gateway.programs.consent_rows import NOBODY, Consents
from gateway.programs.model import DEFAULT_SIGNING_ALGORITHM, State, Tier
from gateway.records.reasons import Reason, Withhold
from gateway.runtime.native import engines

Refusals = tuple[tuple[int, Reason], ...]

WIDENED_CACHED: Final = 4096
"""Sets of refusals kept: regions and tiers times what payments have that is not good enough."""

WITHHELD: Final = {reason: Withhold(reason) for reason in Reason}


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


class Grant(NamedTuple):
    """What one region and tier leave of a program, and why the rest is refused."""

    mask: int
    refusals: Refusals


class When(NamedTuple):
    """Conditions of an enrolment, compiled: sets and two bounds. None asks for nothing."""

    channels: frozenset[int] | None = None
    mccs: frozenset[str] | None = None
    """Single ones and those of groups."""
    merchant_countries: frozenset[str] | None = None
    amount_minor_from: int = 0
    amount_minor_below: int | None = None

    def holds(self, query: Query) -> bool:
        """A condition on a fact that is absent does not hold."""
        _, _, _, channel, mcc, amount_minor, merchant_country, _, _, _, _ = query
        channels, mccs, merchant_countries, amount_minor_from, amount_minor_below = self
        return (
            (channels is None or channel in channels)
            and (mccs is None or mcc in mccs)
            and (merchant_countries is None or merchant_country in merchant_countries)
            and amount_minor >= amount_minor_from
            and (amount_minor_below is None or amount_minor < amount_minor_below)
        )


# Named once: to look an enum's member up costs as much as a whole step of a release.
_OPTED_OUT: Final = int(Tier.OPTED_OUT)
_NO_TIER: Final = int(Tier.NONE)
_WITHHOLD_OUTSIDE_VALIDITY: Final = WITHHELD[Reason.OUTSIDE_VALIDITY]
_WITHHOLD_ATTESTATION_EXPIRED: Final = WITHHELD[Reason.ATTESTATION_EXPIRED]
_WITHHOLD_REGION_UNKNOWN: Final = WITHHELD[Reason.REGION_UNKNOWN]
_WITHHOLD_REGION_NOT_COVERED: Final = WITHHELD[Reason.REGION_NOT_COVERED]
_WITHHOLD_OPTED_OUT: Final = WITHHELD[Reason.MERCHANT_OPTED_OUT]
_WITHHOLD_NO_CONSENT: Final = WITHHELD[Reason.MERCHANT_CONSENT_MISSING]
_WITHHOLD_OBJECTED: Final = WITHHELD[Reason.SUBJECT_OBJECTED]
_WITHHOLD_CONDITION: Final = WITHHELD[Reason.CONDITION_NOT_MET]
_WITHHOLD_BELOW_QUALITY: Final = WITHHELD[Reason.BELOW_QUALITY]


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
    signing_algorithm: str = DEFAULT_SIGNING_ALGORITHM
    fresh_content_key: bool = False
    state: State = State.DRAFT
    shadow: bool = False
    valid_from_ms: int = 0
    valid_until_ms: int = 0
    attestation_expires_ms: int = 0
    when: When | None = None
    standing_refusal: Withhold | None = None
    grants: Mapping[str, tuple[Grant, ...]] = field(default_factory=dict, repr=False)
    """Region to the grant of each tier, in the order of `Tier`."""
    consents: Consents = field(default=NOBODY, repr=False)
    """One object in all entries of a table."""
    _engine: Any = field(default=None, init=False, repr=False, compare=False)
    """Made of the fields above, so that a copy that differs has one of its own. None asks the twin."""

    def __post_init__(self) -> None:
        # Nothing granted, nothing to hurry: a payment of no issuer makes an entry of its own.
        if _answers is None or not self.grants or self.standing_refusal is not None:
            return
        valid_ms, attested_ms = (self.valid_from_ms, self.valid_until_ms), self.attestation_expires_ms
        made = _answers.entry(valid_ms, attested_ms, self.grants, self.consents.engine, self.when)
        if made is not None:
            object.__setattr__(self, "_engine", made)

    def release(self, query: Query) -> Release | Withhold:
        """Which fields may leave for this payment, or the first reason why none may."""
        answer = self.quick_release(query)
        return self.release_by_twin(query) if answer is None else answer

    @property
    def quick_release(self) -> Callable[[Query], Release | Withhold | None]:
        """`release` without the call around it. Where it says None, ask `release_by_twin`."""
        if self._engine is None:
            return self.release_by_twin
        release: Callable[[Query], Release | Withhold | None] = self._engine.release
        return release

    @property
    def engine(self) -> Any:
        """For other engines; None where there is none."""
        return self._engine

    def release_by_twin(self, query: Query) -> Release | Withhold:
        """The same in Python: what the engine (native/src/policy/release.rs) answers, and what it leaves."""
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
        merchant = self.consents.merchant(merchant_id)
        platform = self.consents.platform(platform_id)
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
        if self.when is not None and not self.when.holds(query):
            return _WITHHOLD_CONDITION
        there = granted & available
        mask = there & ~below_quality
        if not mask:
            return _WITHHOLD_BELOW_QUALITY
        if mask != there:
            refusals = _with_below_quality(refusals, there & below_quality)
        # What `Release(...)` does, without the call in between.
        return tuple.__new__(Release, (mask, refusals, consent_id))


_widened: dict[tuple[int, int], tuple[Refusals, Refusals]] = {}


def _with_below_quality(refusals: Refusals, mask: int) -> Refusals:
    """`refusals` and those of `mask`: the same object each time, so that what is made of it is kept too."""
    # By identity: what is kept here stays alive, so that no other takes its number.
    kept = _widened.get((id(refusals), mask))
    if kept is None:
        kept = (refusals, refusals + refused(mask, Reason.BELOW_QUALITY))
        if len(_widened) >= WIDENED_CACHED:
            _widened.clear()
        _widened[id(refusals), mask] = kept
    return kept[1]


_IN_ORDER: Final = (
    *(_WITHHOLD_OUTSIDE_VALIDITY, _WITHHOLD_ATTESTATION_EXPIRED, _WITHHOLD_REGION_UNKNOWN),
    *(_WITHHOLD_REGION_NOT_COVERED, _WITHHOLD_OPTED_OUT, _WITHHOLD_NO_CONSENT),
    *(_WITHHOLD_OBJECTED, _WITHHOLD_CONDITION, _WITHHOLD_BELOW_QUALITY),
)
_answers: Any = engines and engines.Answers(
    Query, Release, _NO_TIER, _OPTED_OUT, _IN_ORDER, _with_below_quality
)
"""What the engine of an entry answers with, or None where everything runs on the twin."""


def refused(mask: int, reason: Reason) -> Refusals:
    """One reason for each field of a mask."""
    refusals: Refusals = ()
    first = 0
    while mask:
        refusals += _of_byte(mask & 255, first, reason)
        mask >>= 8
        first += 8
    return refusals


# All there are: 256 bytes in 16 places, under each reason that a field can be refused for.
@lru_cache(maxsize=256 * (MASK_BITS // 8) * 5)
def _of_byte(byte: int, first: int, reason: Reason) -> Refusals:
    return tuple((first + bit, reason) for bit in range(8) if byte >> bit & 1)
