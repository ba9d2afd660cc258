"""The shape of each policy document as pydantic models: strict, closed, no meaning beyond one file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from enrichment.fields import FIELD_BY_NAME, GROUPS
from gateway.programs.mcc_groups import MCC_GROUPS
from gateway.programs.model import PPM, IinRange

MAX_ITEMS = 100_000
"""Longest list in a document: a merchants file of a large acquirer."""

A_DAY = "Write a day as year-month-day, 2026-01-31"

ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
REGION_PATTERN = r"^[A-Z]{2}$"
MCC_PATTERN = r"^[0-9]{4}$"
TARGET_PATTERN = r"^[A-Za-z0-9._-]{1,32}$"

_MS_A_DAY = 86_400_000
_PERCENT_PPM = PPM // 100


def _date(value: object) -> object:
    """YAML reads an unquoted date by itself; a quoted one is the same date."""
    if isinstance(value, datetime):
        raise ValueError("a day is expected, without a time")
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(A_DAY) from None


def _whole_ppm(value: float) -> float:
    if abs(value * _PERCENT_PPM - round(value * _PERCENT_PPM)) > 1e-6:
        raise ValueError("at most four decimals: shares are kept in parts per million")
    return value


def _once(value: list[str]) -> list[str]:
    for index, one in enumerate(value):
        if one in value[:index]:
            raise ValueError(f'"{one}" stands twice, keep it once')
    return value


def _one_of(names: Iterable[str]) -> Any:
    """For editors: names that are checked later, with a suggestion for what reads alike."""
    return Field(json_schema_extra={"enum": [*names]})


def _iin_range(value: str) -> str:
    first, _, last = value.partition("-")
    for part in (first, last or first):
        if not (part.isascii() and part.isdigit() and len(part) in (6, 8)):
            raise ValueError('6 or 8 digits, or two of them as "first-last"')
    if iin_range(value).first > iin_range(value).last:
        raise ValueError("the first IIN of a range comes before the last")
    return value


def iin_range(text: str) -> IinRange:
    """A checked range as 8 digits: six digits hold all that begin with them."""
    first, _, last = text.partition("-")
    return IinRange(first.ljust(8, "0"), (last or first).ljust(8, "9"))


def ppm(percent: float) -> int:
    return round(percent * _PERCENT_PPM)


def start_ms(day: date) -> int:
    """Start of the day in UTC, epoch milliseconds."""
    return (day - date(1970, 1, 1)).days * _MS_A_DAY


Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
OpaqueId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
Day = Annotated[date, BeforeValidator(_date)]
Percent = Annotated[float, Field(ge=0, le=100), AfterValidator(_whole_ppm)]
IinRangeText = Annotated[
    str,
    AfterValidator(_iin_range),
    Field(json_schema_extra={"pattern": r"^([0-9]{6}|[0-9]{8})(-([0-9]{6}|[0-9]{8}))?$"}),
]
FieldName = Annotated[str, _one_of(FIELD_BY_NAME)]
GroupName = Annotated[str, _one_of(GROUPS)]
MccGroupName = Annotated[str, _one_of(MCC_GROUPS)]
Member = TypeVar("Member", bound=str)
# Only where lists are short: it compares each with all before it.
Once = Annotated[list[Member], AfterValidator(_once), Field(json_schema_extra={"uniqueItems": True})]
TransportName = Literal["message", "lookup", "ssf"]
SigningAlgorithmName = Literal["ES256", "EdDSA", "RS256", "PS256"]
PurposeName = Literal["fraud_authorization", "fraud_reporting"]
Target = Annotated[str, StringConstraints(pattern=TARGET_PATTERN)]


class Document(BaseModel):
    """Every model: unknown keys are errors, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class IssuerDocument(Document):
    issuer_id: Id
    iin_ranges: Annotated[list[IinRangeText], Field(min_length=1, max_length=MAX_ITEMS)]
    region: Region
    recipient_id: Id | None = None
    """Who receives for it. May be absent while it is in no program."""


class RecipientDocument(Document):
    recipient_id: Id
    status: Literal["enabled", "disabled"]
    signing_algorithm: SigningAlgorithmName = "ES256"
    content_key: Literal["cached", "fresh"] = "cached"


class TiersDocument(Document):
    basic: Once[FieldName]
    enhanced: Once[FieldName]


class ProgramDocument(Document):
    program: Id
    kind: Literal["ahead", "after"]
    purpose: PurposeName
    fields: Annotated[Once[FieldName], Field(min_length=1)]
    tiers: TiersDocument
    transports: Annotated[Once[TransportName], Field(min_length=1)]
    state: Literal["draft", "shadow", "active", "paused", "killed", "retired"]
    ramp_percent: Percent
    holdout_percent: Percent
    salt_version: Text


class ConditionsDocument(Document):
    channel: Once[Literal["ecom", "app", "moto", "pos"]] = []
    mcc: Once[Annotated[str, StringConstraints(pattern=MCC_PATTERN)]] = []
    mcc_group: Once[MccGroupName] = []
    merchant_country: Once[Region] = []
    amount_minor_from: Annotated[int, Field(ge=0)] | None = None
    amount_minor_below: Annotated[int, Field(ge=1)] | None = None


class TermsDocument(Document):
    """What the contract says besides: nothing here lets more leave."""

    transfer_basis: (
        Literal["none_needed", "adequacy", "standard_clauses", "binding_rules", "derogation"] | None
    ) = None
    dpia_reference: Text | None = None
    notice_reference: Text | None = None
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    onward_transfer: Literal["forbidden", "allowed"] = "forbidden"
    model_training: Literal["forbidden", "allowed"] = "forbidden"
    cross_sender_use: Literal["forbidden", "allowed"] = "forbidden"


class EnrolmentDocument(Document):
    enrolment_id: Id
    issuer_id: Id
    program: Id
    contract_id: Text
    legal_basis: Literal["legitimate_interest", "contract", "legal_obligation", "consent"]
    controller_role: Literal["independent_controller", "joint_controller", "processor"]
    valid_from: Day
    valid_until: Day
    attestation_expires: Day
    regions: Annotated[Once[Region], Field(min_length=1)]
    fields: Annotated[Once[FieldName], Field(min_length=1)]
    transports: Annotated[Once[TransportName], Field(min_length=1)]
    message_elements: dict[Target, FieldName] = {}
    protection: Literal["sealed", "network"] = "sealed"
    state: Literal["active", "shadow", "paused"]
    ramp_percent: Percent | None = None
    holdout_percent: Percent | None = None
    profile: Literal["A", "B"] = "B"
    variant: Id = "default"
    when: ConditionsDocument = ConditionsDocument()
    terms: TermsDocument = TermsDocument()


class RegionDocument(Document):
    groups: Once[GroupName] = []
    fields: Once[FieldName] = []


class RegionsDocument(Document):
    regions: dict[Region, RegionDocument]


class ConsentDocument(Document):
    """One setting, said by or for many alike."""

    ids: Annotated[list[OpaqueId], Field(min_length=1, max_length=MAX_ITEMS)]
    tier: Literal["none", "basic", "enhanced"] | None = None
    opted_out: bool = False
    terms_version: Text
    actor: Text
    evidence: Text
    valid_from: Day
    valid_until: Day | None = None


class MerchantsDocument(Document):
    platforms: Annotated[list[ConsentDocument], Field(max_length=MAX_ITEMS)] = []
    merchants: Annotated[list[ConsentDocument], Field(max_length=MAX_ITEMS)] = []


class ExperimentDocument(Document):
    global_holdout_percent: Percent
    # 22 letters of base64 are 128 bits: enough that nobody finds an arm by trying.
    global_salt: Annotated[str, StringConstraints(min_length=22, max_length=256)] = Field(repr=False)
    salts: dict[Text, Annotated[str, StringConstraints(min_length=22, max_length=256)]] = Field(repr=False)


NOT_YET: Mapping[type[Document], Mapping[str, str]] = {
    RecipientDocument: {
        "jwks": "Put the JWK Set into keys/recipients of the state directory, and remove this",
        "key_algorithms": "Remove it: the algorithm is the one of the recipient's key",
    },
    ProgramDocument: {
        "deadline_ms": "Remove it: a share is found by look-up for 30 minutes, whatever its program",
    },
}
"""Members that a later version will take, with what to do until then. None is accepted and left alone."""


ANY_KEY = "[key]"
"""In a place that was not read: a key of the mapping, so that nobody knows all that it has."""


@dataclass(slots=True)
class Documents:
    """What the files say, each checked for itself. Keys of the mappings are file names."""

    names: dict[str, set[str]] = field(default_factory=dict)
    """Directory to the names of its files, without `.yaml`, those that could not be read included."""

    unread: dict[str, frozenset[str]] = field(default_factory=dict)
    """File to the places in it that could not be read, and have stand-ins."""

    issuers: dict[str, IssuerDocument] = field(default_factory=dict)
    recipients: dict[str, RecipientDocument] = field(default_factory=dict)
    programs: dict[str, ProgramDocument] = field(default_factory=dict)
    enrolments: dict[str, EnrolmentDocument] = field(default_factory=dict)
    regions: RegionsDocument | None = None
    merchants: MerchantsDocument | None = None
    experiment: ExperimentDocument | None = None

    def whole(self, file: str, path: str) -> bool:
        """Whether a member stands as it was written, all of it: what it does not say is not said."""
        return not any(
            place == path or place.startswith(f"{path}.") or path.startswith(f"{place}.")
            for place in self.unread.get(file, ())
        )

    def lacks(self, file: str, member: str, key: str) -> bool:
        """Of a key that a mapping does not have: whether that is so as it was written."""
        return self.whole(file, f"{member}.{key}") and self.whole(file, f"{member}.{ANY_KEY}")

    def hides(self, file: str, path: str) -> bool:
        """Whether what is said of a place would be said of a stand-in."""
        return any(path == place or path.startswith(f"{place}.") for place in self.unread.get(file, ()))
