"""One program at one issuer, compiled from the checked policy: masks by region and tier, refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from gateway.programs.consent_rows import Consent, Consents
from gateway.programs.mcc_groups import mccs_of
from gateway.programs.model import (
    Conditions,
    ConsentSetting,
    Enrolment,
    Issuer,
    PolicySnapshot,
    Program,
    State,
)
from gateway.programs.profiles import profile_mask
from gateway.programs.purposes import purpose_mask
from gateway.programs.release import WITHHELD, Grant, ProgramEntry, Refusals, When, refused
from gateway.records.reasons import Reason, Withhold

CONDITIONS_CACHED = 256
"""Sets of conditions kept: a policy has a few, however many its enrolments."""

_NOTHING: Final = Grant(0, ())
"""Of a tier that says no: it is refused before it is looked up."""


_Grants = dict[str, tuple[Grant, ...]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the entries of one table have in common: what is alike is one object, and stays near."""

    snapshot: PolicySnapshot
    consents: Consents
    grants: dict[tuple[str, int, tuple[str, ...], str], _Grants] = field(default_factory=dict)
    """By program, fields, regions and profile of an enrolment."""

    @classmethod
    def of(cls, snapshot: PolicySnapshot) -> "Shared":
        return cls(snapshot, Consents(consents_of(snapshot.merchants), consents_of(snapshot.platforms)))


def entry_of(shared: Shared, issuer: Issuer, program: Program, enrolment: Enrolment | None) -> ProgramEntry:
    """The entry of a program at an issuer; one that only refuses where the issuer has no enrolment in it."""
    purpose = int(program.purpose)
    if enrolment is None:
        return ProgramEntry(
            program=program.program,
            issuer_id=issuer.issuer_id,
            ahead=program.ahead,
            purpose=purpose,
            standing_refusal=WITHHELD[Reason.NOT_ENROLLED],
        )
    snapshot = shared.snapshot
    state, recipient = max(program.state, enrolment.state), snapshot.recipients[issuer.recipient_id]
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
        signing_algorithm=recipient.signing_algorithm,
        fresh_content_key=recipient.content_key == "fresh",
        state=state,
        shadow=state is State.SHADOW,
        valid_from_ms=enrolment.valid_from_ms,
        valid_until_ms=enrolment.valid_until_ms,
        attestation_expires_ms=enrolment.attestation_expires_ms,
        when=_when(enrolment.conditions),
        standing_refusal=_standing_refusal(snapshot, issuer, program, state),
        grants=_grants(shared, program, enrolment),
        consents=shared.consents,
    )


def program_salt(salt: bytes, program: str) -> bytes:
    """The program's own salt, so that programs that share a salt version draw independently."""
    return blake2b(program.encode(), key=salt, digest_size=32, person=b"ein-program-salt").digest()


def _standing_refusal(
    snapshot: PolicySnapshot, issuer: Issuer, program: Program, state: State
) -> Withhold | None:
    if state is State.KILLED:
        return WITHHELD[Reason.KILLED]
    if state not in (State.ACTIVE, State.SHADOW):
        return WITHHELD[Reason.PROGRAM_NOT_ACTIVE]
    if not snapshot.recipients[issuer.recipient_id].enabled:
        return WITHHELD[Reason.RECIPIENT_DISABLED]
    if not program.field_mask & purpose_mask(program.purpose):
        return WITHHELD[Reason.PURPOSE_MISMATCH]
    return None


def _grants(shared: Shared, program: Program, enrolment: Enrolment) -> _Grants:
    like = program.program, enrolment.field_mask, enrolment.regions, enrolment.profile
    grants = shared.grants.get(like)
    if grants is None:
        grants = shared.grants[like] = _new_grants(shared.snapshot, program, enrolment)
    return grants


def _new_grants(snapshot: PolicySnapshot, program: Program, enrolment: Enrolment) -> _Grants:
    # The documents' check refuses what the purpose does not allow; what it might miss must not leave either.
    allowed = program.field_mask & purpose_mask(program.purpose)
    granted = allowed & enrolment.field_mask & profile_mask(enrolment.profile)
    refusals = refused(program.field_mask & ~allowed, Reason.PURPOSE_MISMATCH)
    refusals += refused(allowed & ~granted, Reason.NOT_ENROLLED)
    grants: _Grants = {}
    # Regions that leave the same share one object, so that what is made of its refusals is kept too.
    alike: dict[int, tuple[Grant, ...]] = {}
    for region in enrolment.regions:
        in_region = granted & snapshot.regions.get(region, 0)
        if not in_region:
            continue  # a region that leaves nothing is not covered
        by_tier = alike.get(in_region)
        if by_tier is None:
            by_tier = alike[in_region] = _by_tier(program, granted, in_region, refusals)
        grants[region] = by_tier
    return grants


def _by_tier(program: Program, granted: int, in_region: int, refusals: Refusals) -> tuple[Grant, ...]:
    """The grants of one region, in the order of `Tier`. `refusals` hold in every region."""
    refusals += refused(granted & ~in_region, Reason.REGION_NOT_COVERED)
    by_tier = [_NOTHING, _NOTHING]
    for tier_mask in (program.basic_mask, program.enhanced_mask):
        mask = in_region & tier_mask
        no_consent = refused(in_region & ~mask, Reason.MERCHANT_CONSENT_MISSING)
        by_tier.append(Grant(mask, refusals + no_consent))
    return tuple(by_tier)


def consents_of(settings: Mapping[str, ConsentSetting]) -> dict[str, Consent]:
    """Settings by party, as every entry of a table shares them."""
    return {
        party: (int(one.tier), one.valid_from_ms, one.valid_until_ms, one.consent_id)
        for party, one in settings.items()
    }


@lru_cache(maxsize=CONDITIONS_CACHED)
def _when(conditions: Conditions) -> When | None:
    """None where nothing is asked for."""
    compiled = When(
        conditions.channels or None,
        mccs_of(conditions.mccs, conditions.mcc_groups),
        conditions.merchant_countries or None,
        conditions.amount_minor_from or 0,
        conditions.amount_minor_below,
    )
    return None if compiled == When() else compiled
