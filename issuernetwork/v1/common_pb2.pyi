from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Network(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NETWORK_UNSPECIFIED: _ClassVar[Network]
    NETWORK_VISA: _ClassVar[Network]
    NETWORK_MASTERCARD: _ClassVar[Network]
    NETWORK_AMEX: _ClassVar[Network]
    NETWORK_DISCOVER: _ClassVar[Network]
    NETWORK_OTHER: _ClassVar[Network]

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_ECOM: _ClassVar[Channel]
    CHANNEL_APP: _ClassVar[Channel]
    CHANNEL_MOTO: _ClassVar[Channel]
    CHANNEL_POS: _ClassVar[Channel]

class Initiation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INITIATION_UNSPECIFIED: _ClassVar[Initiation]
    INITIATION_CIT: _ClassVar[Initiation]
    INITIATION_MIT: _ClassVar[Initiation]

class Funding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUNDING_UNSPECIFIED: _ClassVar[Funding]
    FUNDING_CREDIT: _ClassVar[Funding]
    FUNDING_DEBIT: _ClassVar[Funding]
    FUNDING_PREPAID: _ClassVar[Funding]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_FRAUD_AUTHORIZATION: _ClassVar[Purpose]
    PURPOSE_FRAUD_REPORTING: _ClassVar[Purpose]

class Arm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARM_UNSPECIFIED: _ClassVar[Arm]
    ARM_TREATMENT: _ClassVar[Arm]
    ARM_HOLDOUT: _ClassVar[Arm]
    ARM_PENDING: _ClassVar[Arm]
    ARM_GLOBAL_HOLDOUT: _ClassVar[Arm]

class UnitSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNIT_SOURCE_UNSPECIFIED: _ClassVar[UnitSource]
    UNIT_SOURCE_PAR: _ClassVar[UnitSource]
    UNIT_SOURCE_PAN: _ClassVar[UnitSource]
    UNIT_SOURCE_CARD_REF: _ClassVar[UnitSource]
    UNIT_SOURCE_NETWORK_TOKEN: _ClassVar[UnitSource]

class PublicReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUBLIC_REASON_UNSPECIFIED: _ClassVar[PublicReason]
    PUBLIC_REASON_NOT_SHARED: _ClassVar[PublicReason]
    PUBLIC_REASON_UNKNOWN_ISSUER: _ClassVar[PublicReason]
    PUBLIC_REASON_NOT_ENROLLED: _ClassVar[PublicReason]
    PUBLIC_REASON_PROGRAM_NOT_ACTIVE: _ClassVar[PublicReason]
    PUBLIC_REASON_KILLED: _ClassVar[PublicReason]
    PUBLIC_REASON_OUTSIDE_VALIDITY: _ClassVar[PublicReason]
    PUBLIC_REASON_ATTESTATION_EXPIRED: _ClassVar[PublicReason]
    PUBLIC_REASON_REGION_UNKNOWN: _ClassVar[PublicReason]
    PUBLIC_REASON_REGION_NOT_COVERED: _ClassVar[PublicReason]
    PUBLIC_REASON_MERCHANT_CONSENT_MISSING: _ClassVar[PublicReason]
    PUBLIC_REASON_MERCHANT_OPTED_OUT: _ClassVar[PublicReason]
    PUBLIC_REASON_PURPOSE_MISMATCH: _ClassVar[PublicReason]
    PUBLIC_REASON_CONDITION_NOT_MET: _ClassVar[PublicReason]
    PUBLIC_REASON_BELOW_QUALITY: _ClassVar[PublicReason]
    PUBLIC_REASON_KEY_UNAVAILABLE: _ClassVar[PublicReason]
    PUBLIC_REASON_RECIPIENT_DISABLED: _ClassVar[PublicReason]
    PUBLIC_REASON_POLICY_STALE: _ClassVar[PublicReason]
    PUBLIC_REASON_OVER_DEADLINE: _ClassVar[PublicReason]
    PUBLIC_REASON_OVERLOADED: _ClassVar[PublicReason]
    PUBLIC_REASON_JOURNAL_UNAVAILABLE: _ClassVar[PublicReason]
    PUBLIC_REASON_DUPLICATE_REQUEST: _ClassVar[PublicReason]

class ShareStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHARE_STATUS_UNSPECIFIED: _ClassVar[ShareStatus]
    SHARE_STATUS_SHARED: _ClassVar[ShareStatus]
    SHARE_STATUS_WITHHELD: _ClassVar[ShareStatus]
    SHARE_STATUS_UNDETERMINED: _ClassVar[ShareStatus]

class Transport(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSPORT_UNSPECIFIED: _ClassVar[Transport]
    TRANSPORT_MESSAGE: _ClassVar[Transport]
    TRANSPORT_LOOKUP: _ClassVar[Transport]
    TRANSPORT_SSF: _ClassVar[Transport]
NETWORK_UNSPECIFIED: Network
NETWORK_VISA: Network
NETWORK_MASTERCARD: Network
NETWORK_AMEX: Network
NETWORK_DISCOVER: Network
NETWORK_OTHER: Network
CHANNEL_UNSPECIFIED: Channel
CHANNEL_ECOM: Channel
CHANNEL_APP: Channel
CHANNEL_MOTO: Channel
CHANNEL_POS: Channel
INITIATION_UNSPECIFIED: Initiation
INITIATION_CIT: Initiation
INITIATION_MIT: Initiation
FUNDING_UNSPECIFIED: Funding
FUNDING_CREDIT: Funding
FUNDING_DEBIT: Funding
FUNDING_PREPAID: Funding
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_FRAUD_AUTHORIZATION: Purpose
PURPOSE_FRAUD_REPORTING: Purpose
ARM_UNSPECIFIED: Arm
ARM_TREATMENT: Arm
ARM_HOLDOUT: Arm
ARM_PENDING: Arm
ARM_GLOBAL_HOLDOUT: Arm
UNIT_SOURCE_UNSPECIFIED: UnitSource
UNIT_SOURCE_PAR: UnitSource
UNIT_SOURCE_PAN: UnitSource
UNIT_SOURCE_CARD_REF: UnitSource
UNIT_SOURCE_NETWORK_TOKEN: UnitSource
PUBLIC_REASON_UNSPECIFIED: PublicReason
PUBLIC_REASON_NOT_SHARED: PublicReason
PUBLIC_REASON_UNKNOWN_ISSUER: PublicReason
PUBLIC_REASON_NOT_ENROLLED: PublicReason
PUBLIC_REASON_PROGRAM_NOT_ACTIVE: PublicReason
PUBLIC_REASON_KILLED: PublicReason
PUBLIC_REASON_OUTSIDE_VALIDITY: PublicReason
PUBLIC_REASON_ATTESTATION_EXPIRED: PublicReason
PUBLIC_REASON_REGION_UNKNOWN: PublicReason
PUBLIC_REASON_REGION_NOT_COVERED: PublicReason
PUBLIC_REASON_MERCHANT_CONSENT_MISSING: PublicReason
PUBLIC_REASON_MERCHANT_OPTED_OUT: PublicReason
PUBLIC_REASON_PURPOSE_MISMATCH: PublicReason
PUBLIC_REASON_CONDITION_NOT_MET: PublicReason
PUBLIC_REASON_BELOW_QUALITY: PublicReason
PUBLIC_REASON_KEY_UNAVAILABLE: PublicReason
PUBLIC_REASON_RECIPIENT_DISABLED: PublicReason
PUBLIC_REASON_POLICY_STALE: PublicReason
PUBLIC_REASON_OVER_DEADLINE: PublicReason
PUBLIC_REASON_OVERLOADED: PublicReason
PUBLIC_REASON_JOURNAL_UNAVAILABLE: PublicReason
PUBLIC_REASON_DUPLICATE_REQUEST: PublicReason
SHARE_STATUS_UNSPECIFIED: ShareStatus
SHARE_STATUS_SHARED: ShareStatus
SHARE_STATUS_WITHHELD: ShareStatus
SHARE_STATUS_UNDETERMINED: ShareStatus
TRANSPORT_UNSPECIFIED: Transport
TRANSPORT_MESSAGE: Transport
TRANSPORT_LOOKUP: Transport
TRANSPORT_SSF: Transport

class Assessment(_message.Message):
    __slots__ = ("assessor", "type", "model_id", "value", "scale_min", "scale_max", "high_is_risky", "normalised", "reason_codes")
    ASSESSOR_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SCALE_MIN_FIELD_NUMBER: _ClassVar[int]
    SCALE_MAX_FIELD_NUMBER: _ClassVar[int]
    HIGH_IS_RISKY_FIELD_NUMBER: _ClassVar[int]
    NORMALISED_FIELD_NUMBER: _ClassVar[int]
    REASON_CODES_FIELD_NUMBER: _ClassVar[int]
    assessor: str
    type: str
    model_id: str
    value: float
    scale_min: float
    scale_max: float
    high_is_risky: bool
    normalised: int
    reason_codes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, assessor: _Optional[str] = ..., type: _Optional[str] = ..., model_id: _Optional[str] = ..., value: _Optional[float] = ..., scale_min: _Optional[float] = ..., scale_max: _Optional[float] = ..., high_is_risky: bool = ..., normalised: _Optional[int] = ..., reason_codes: _Optional[_Iterable[str]] = ...) -> None: ...

class MatchReferences(_message.Message):
    __slots__ = ("network_match_key", "acquiring_institution_id", "stan", "transmission_date_time", "retrieval_reference_number", "amount_minor", "currency", "iin", "last4", "card_acceptor_id", "attempted_at_ms", "network_transaction_id")
    NETWORK_MATCH_KEY_FIELD_NUMBER: _ClassVar[int]
    ACQUIRING_INSTITUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STAN_FIELD_NUMBER: _ClassVar[int]
    TRANSMISSION_DATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_REFERENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    IIN_FIELD_NUMBER: _ClassVar[int]
    LAST4_FIELD_NUMBER: _ClassVar[int]
    CARD_ACCEPTOR_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    network_match_key: str
    acquiring_institution_id: str
    stan: str
    transmission_date_time: str
    retrieval_reference_number: str
    amount_minor: int
    currency: str
    iin: str
    last4: str
    card_acceptor_id: str
    attempted_at_ms: int
    network_transaction_id: str
    def __init__(self, network_match_key: _Optional[str] = ..., acquiring_institution_id: _Optional[str] = ..., stan: _Optional[str] = ..., transmission_date_time: _Optional[str] = ..., retrieval_reference_number: _Optional[str] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., iin: _Optional[str] = ..., last4: _Optional[str] = ..., card_acceptor_id: _Optional[str] = ..., attempted_at_ms: _Optional[int] = ..., network_transaction_id: _Optional[str] = ...) -> None: ...

class FieldIssue(_message.Message):
    __slots__ = ("field", "code", "mend")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MEND_FIELD_NUMBER: _ClassVar[int]
    field: str
    code: str
    mend: str
    def __init__(self, field: _Optional[str] = ..., code: _Optional[str] = ..., mend: _Optional[str] = ...) -> None: ...
