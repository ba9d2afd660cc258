"""The policy as plain values: what documents say, checked, and nothing computed from it yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

PPM = 1_000_000
"""Parts in a million: percentages are kept as whole parts, so that no float decides an arm."""


FOREVER_MS = 253_402_300_800_000
"""End of the year 9999, UTC epoch milliseconds: of what has no end."""


class Purpose(IntEnum):
    """What released fields may be used for. Numbers equal `v1.Purpose`."""

    FRAUD_AUTHORIZATION = 1
    FRAUD_REPORTING = 2


class Transport(IntEnum):
    """How data may reach a recipient. Numbers equal `v1.Transport`."""

    MESSAGE = 1
    LOOKUP = 2
    SSF = 3


class Channel(IntEnum):
    """Where a payment was made. Numbers equal `v1.Channel`."""

    ECOM = 1
    APP = 2
    MOTO = 3
    POS = 4


class State(IntEnum):
    """State of a program or an enrolment, the stricter the higher."""

    ACTIVE = 0
    SHADOW = 1
    PAUSED = 2
    DRAFT = 3
    RETIRED = 4
    KILLED = 5


class Tier(IntEnum):
    """What a merchant agreed to, the stricter the lower."""

    OPTED_OUT = 0
    NONE = 1
    BASIC = 2
    ENHANCED = 3


def consent_id_of(party: str, party_id: str, terms_version: str, tier: int) -> str:
    """Who agreed to what: of another tier under the same terms it is another consent."""
    return f"{party}/{party_id}/{terms_version}/{_TIER_WORDS[tier]}"


_TIER_WORDS = tuple(tier.name.lower() for tier in Tier)


@dataclass(frozen=True, slots=True)
class IinRange:
    """First and last IIN of a range, both as 8 digits."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Issuer:
    issuer_id: str
    iin_ranges: tuple[IinRange, ...]
    region: str
    recipient_id: str


CLEAR_PROFILE: Final = "A"
"""Protection profile of records with no subject: signed, and not sealed."""

DEFAULT_SIGNING_ALGORITHM: Final = "ES256"
"""What receivers read most widely, and the quickest to sign."""


@dataclass(frozen=True, slots=True)
class Recipient:
    recipient_id: str
    enabled: bool
    signing_algorithm: str = DEFAULT_SIGNING_ALGORITHM
    """How its stream is signed: a name of `sealing.keys.SignatureAlgorithm`."""
    content_key: str = "cached"
    """`fresh`: a content key of its own for each message (RFC 7516 5.1)."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """When an enrolment shares at all; an empty set or None asks for nothing."""

    channels: frozenset[int] = frozenset()
    mccs: frozenset[str] = frozenset()
    mcc_groups: frozenset[str] = frozenset()
    """Names of `mcc_groups`; what they hold is looked up where the table is compiled."""
    merchant_countries: frozenset[str] = frozenset()
    amount_minor_from: int | None = None
    amount_minor_below: int | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A data-sharing product. Field sets are bit masks over the field dictionary."""

    program: str
    ahead: bool
    purpose: Purpose
    field_mask: int
    basic_mask: int
    enhanced_mask: int
    transports: tuple[Transport, ...]
    state: State
    ramp_ppm: int
    holdout_ppm: int
    salt_version: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract says besides what may leave; empty and 0 where it says nothing."""

    transfer_basis: str = ""
    dpia_reference: str = ""
    notice_reference: str = ""
    retention_days: int = 0
    onward_transfer: str = "forbidden"
    model_training: str = "forbidden"
    cross_sender_use: str = "forbidden"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One issuer in one program. Times are UTC epoch milliseconds; until is exclusive."""

    enrolment_id: str
    issuer_id: str
    program: str
    contract_id: str
    legal_basis: str
    controller_role: str
    valid_from_ms: int
    valid_until_ms: int
    attestation_expires_ms: int
    regions: tuple[str, ...]
    field_mask: int
    transports: tuple[Transport, ...]
    message_elements: tuple[tuple[str, int], ...]
    clear_elements_allowed: bool
    state: State
    ramp_ppm: int | None
    holdout_ppm: int | None
    profile: str
    variant: str
    conditions: Conditions = Conditions()
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class ConsentSetting:
    """What one merchant or platform said, with its evidence. Valid until is exclusive."""

    consent_id: str
    tier: Tier
    terms_version: str
    actor: str
    evidence: str
    valid_from_ms: int
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """Salts decide arms: whoever knows them can tell an arm, so that they are never shown."""

    global_holdout_ppm: int = 0
    global_salt: bytes = field(default=b"", repr=False)
    salts: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """Everything that decides a release, as one numbered whole."""

    version: int
    issuers: Mapping[str, Issuer]
    recipients: Mapping[str, Recipient]
    programs: Mapping[str, Program]
    enrolments: tuple[Enrolment, ...]
    regions: Mapping[str, int]
    """Region to the mask of fields that it allows; a region that is not here is not covered."""
    merchants: Mapping[str, ConsentSetting]
    platforms: Mapping[str, ConsentSetting]
    experiment: Experiment
