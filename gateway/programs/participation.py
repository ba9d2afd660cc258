"""Who takes part in what: a record of processing (GDPR article 30) made from a checked policy. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from enrichment.fields import FIELDS, Field
from gateway.programs.consent_rows import MERCHANT, PLATFORM, Said, TwinRegistered
from gateway.programs.model import (
    ConsentSetting,
    Enrolment,
    PolicySnapshot,
    Terms,
    Tier,
    consent_id_of,
)
from gateway.programs.switches import SwitchView, effective_state

_CATEGORIES = {
    "A": "low sensitivity",
    "Y": "pseudonymous",
    "I": "personal",
    "P": "card number",
}


@dataclass(frozen=True, slots=True)
class FieldsOfCategory:
    """Fields of one category of data, by name."""

    category: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Participation:
    """One issuer in one program. Times are UTC epoch milliseconds; until is exclusive."""

    program: str
    issuer_id: str
    recipient_id: str
    state: str
    since_ms: int
    until_ms: int
    contract_id: str
    purpose: str
    legal_basis: str
    controller_role: str
    data: tuple[FieldsOfCategory, ...]
    regions: tuple[str, ...]
    transfers: tuple[str, ...]
    """Regions of cardholders whose data goes to an issuer of another region."""

    transports: tuple[str, ...]
    terms: Terms


@dataclass(frozen=True, slots=True)
class Parties:
    """Merchants or platforms, and how many of them said what."""

    by_tier: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Participants:
    """The whole record, of one policy."""

    policy_version: int
    kept_sealed_days: int
    """Sealed bodies: in journals, and in what waits for its recipient."""

    kept_pseudonymous_days: int
    """Rows that reports are matched by, and that measurement reads."""

    issuers: tuple[Participation, ...]
    merchants: Parties
    platforms: Parties


def participants(
    policy: PolicySnapshot,
    view: SwitchView,
    *,
    registry: TwinRegistered,
    now_ms: int,
    kept_sealed_days: int,
    kept_pseudonymous_days: int,
) -> Participants:
    """Who takes part now, by policy and registry; fields are those that the rules can ever let leave."""
    rows = [
        _participation(policy, enrolment, view)
        for enrolment in sorted(policy.enrolments, key=lambda one: (one.program, one.issuer_id))
    ]
    return Participants(
        policy.version,
        kept_sealed_days,
        kept_pseudonymous_days,
        tuple(rows),
        _parties(policy.merchants, registry.said(MERCHANT), now_ms),
        _parties(policy.platforms, registry.said(PLATFORM), now_ms),
    )


@dataclass(frozen=True, slots=True)
class PartyRow:
    """One merchant or platform: what it agreed to, and since when. Times are UTC epoch milliseconds."""

    party: str
    party_id: str
    tier: str
    in_force: bool
    since_ms: int
    until_ms: int
    consent_id: str
    fields: Mapping[str, tuple[str, ...]]
    """By program, those that its tier lets leave; the stricter of merchant and platform holds."""


def parties(policy: PolicySnapshot, *, registry: TwinRegistered, now_ms: int) -> Iterator[PartyRow]:
    """Every merchant and platform that said something, in order of their names."""
    fields = {tier: _fields_of(policy, tier) for tier in Tier}
    for party, documents in ((MERCHANT, policy.merchants), (PLATFORM, policy.platforms)):
        said = {
            name: (int(one.tier), one.valid_from_ms, one.valid_until_ms, one.terms_version)
            for name, one in documents.items()
        }
        said.update(registry.said(party))
        for name in sorted(said):
            tier, since_ms, until_ms, terms_version = said[name]
            yield PartyRow(
                party=party,
                party_id=name,
                tier=Tier(tier).name.lower(),
                in_force=since_ms <= now_ms < until_ms,
                since_ms=since_ms,
                until_ms=until_ms,
                consent_id=consent_id_of(party, name, terms_version, tier),
                fields=fields[Tier(tier)],
            )


def _fields_of(policy: PolicySnapshot, tier: Tier) -> dict[str, tuple[str, ...]]:
    found = {}
    for program in policy.programs.values():
        masks = {Tier.BASIC: program.basic_mask, Tier.ENHANCED: program.enhanced_mask}
        leaves = program.field_mask & masks.get(tier, 0)
        if leaves:
            found[program.program] = tuple(one.name for one in FIELDS if leaves >> one.number & 1)
    return found


def _participation(policy: PolicySnapshot, enrolment: Enrolment, view: SwitchView) -> Participation:
    program, issuer = policy.programs[enrolment.program], policy.issuers[enrolment.issuer_id]
    stop = view.stopped(enrolment.program, enrolment.issuer_id)
    state = effective_state(program.state, enrolment.state, stop)
    in_regions = 0
    for region in enrolment.regions:
        in_regions |= policy.regions.get(region, 0)
    leaves = program.field_mask & program.enhanced_mask & enrolment.field_mask & in_regions
    return Participation(
        program=enrolment.program,
        issuer_id=enrolment.issuer_id,
        recipient_id=issuer.recipient_id,
        state=state.name.lower(),
        since_ms=enrolment.valid_from_ms,
        until_ms=enrolment.valid_until_ms,
        contract_id=enrolment.contract_id,
        purpose=program.purpose.name.lower(),
        legal_basis=enrolment.legal_basis,
        controller_role=enrolment.controller_role,
        data=_by_category([one for one in FIELDS if leaves >> one.number & 1]),
        regions=enrolment.regions,
        transfers=tuple(region for region in enrolment.regions if region != issuer.region),
        transports=tuple(one.name.lower() for one in enrolment.transports),
        terms=enrolment.terms,
    )


def _by_category(fields: list[Field]) -> tuple[FieldsOfCategory, ...]:
    return tuple(
        FieldsOfCategory(category, names)
        for sensitivity, category in _CATEGORIES.items()
        if (names := tuple(one.name for one in fields if one.sensitivity == sensitivity))
    )


def _parties(documents: Mapping[str, ConsentSetting], registry: Mapping[str, Said], now_ms: int) -> Parties:
    """The registry stands in place of a document; a setting out of its time shares nothing."""
    rows = {
        **{name: (int(one.tier), one.valid_from_ms, one.valid_until_ms) for name, one in documents.items()},
        **{name: one[:3] for name, one in registry.items()},
    }
    told = (
        Tier(tier).name.lower() if from_ms <= now_ms < until_ms else "not in force"
        for tier, from_ms, until_ms in rows.values()
    )
    return Parties(dict(Counter(told)))
