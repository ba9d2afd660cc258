"""Why a program's data is withheld: the closed list, and what callers are told of it."""

from dataclasses import dataclass
from enum import IntEnum


class Reason(IntEnum):
    """True reason, as the journal keeps it. Numbers equal `storage.v1.WithholdReason`."""

    UNKNOWN_ISSUER = 1
    NOT_ENROLLED = 2
    PROGRAM_NOT_ACTIVE = 3
    KILLED = 4
    SHADOW = 5
    HOLDOUT = 6
    RAMP = 7
    OUTSIDE_VALIDITY = 8
    ATTESTATION_EXPIRED = 9
    REGION_UNKNOWN = 10
    REGION_NOT_COVERED = 11
    MERCHANT_CONSENT_MISSING = 12
    MERCHANT_OPTED_OUT = 13
    SUBJECT_OBJECTED = 14
    PURPOSE_MISMATCH = 15
    CONDITION_NOT_MET = 16
    BELOW_QUALITY = 17
    KEY_UNAVAILABLE = 18
    RECIPIENT_DISABLED = 19
    POLICY_STALE = 20
    OVER_DEADLINE = 21
    OVERLOADED = 22
    JOURNAL_UNAVAILABLE = 23
    DUPLICATE_REQUEST = 24


NOT_SHARED = 1
"""`v1.PublicReason` that covers what callers may not tell apart."""

# Numbers of v1.PublicReason. Holdout, shadow, ramp and objection read alike: no unblinding, no disclosure.
PUBLIC: dict[Reason, int] = {
    Reason.UNKNOWN_ISSUER: 2,
    Reason.NOT_ENROLLED: 3,
    Reason.PROGRAM_NOT_ACTIVE: 4,
    Reason.KILLED: 5,
    Reason.SHADOW: NOT_SHARED,
    Reason.HOLDOUT: NOT_SHARED,
    Reason.RAMP: NOT_SHARED,
    Reason.OUTSIDE_VALIDITY: 6,
    Reason.ATTESTATION_EXPIRED: 7,
    Reason.REGION_UNKNOWN: 8,
    Reason.REGION_NOT_COVERED: 9,
    Reason.MERCHANT_CONSENT_MISSING: 10,
    Reason.MERCHANT_OPTED_OUT: 11,
    Reason.SUBJECT_OBJECTED: NOT_SHARED,
    Reason.PURPOSE_MISMATCH: 12,
    Reason.CONDITION_NOT_MET: 13,
    Reason.BELOW_QUALITY: 14,
    Reason.KEY_UNAVAILABLE: 15,
    Reason.RECIPIENT_DISABLED: 16,
    Reason.POLICY_STALE: 17,
    Reason.OVER_DEADLINE: 18,
    Reason.OVERLOADED: 19,
    Reason.JOURNAL_UNAVAILABLE: 20,
    Reason.DUPLICATE_REQUEST: 21,
}


@dataclass(frozen=True, slots=True)
class Withhold:
    """A refusal is a value with a closed reason."""

    reason: Reason
