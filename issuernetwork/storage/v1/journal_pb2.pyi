from issuernetwork.v1 import common_pb2 as _common_pb2
from issuernetwork.v1 import feed_pb2 as _feed_pb2
from issuernetwork.v1 import outcomes_pb2 as _outcomes_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DecisionOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_OUTCOME_UNSPECIFIED: _ClassVar[DecisionOutcome]
    DECISION_OUTCOME_RELEASED: _ClassVar[DecisionOutcome]
    DECISION_OUTCOME_WITHHELD: _ClassVar[DecisionOutcome]
    DECISION_OUTCOME_SHADOW: _ClassVar[DecisionOutcome]

class WithholdReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WITHHOLD_REASON_UNSPECIFIED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_UNKNOWN_ISSUER: _ClassVar[WithholdReason]
    WITHHOLD_REASON_NOT_ENROLLED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_PROGRAM_NOT_ACTIVE: _ClassVar[WithholdReason]
    WITHHOLD_REASON_KILLED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_SHADOW: _ClassVar[WithholdReason]
    WITHHOLD_REASON_HOLDOUT: _ClassVar[WithholdReason]
    WITHHOLD_REASON_RAMP: _ClassVar[WithholdReason]
    WITHHOLD_REASON_OUTSIDE_VALIDITY: _ClassVar[WithholdReason]
    WITHHOLD_REASON_ATTESTATION_EXPIRED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_REGION_UNKNOWN: _ClassVar[WithholdReason]
    WITHHOLD_REASON_REGION_NOT_COVERED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_MERCHANT_CONSENT_MISSING: _ClassVar[WithholdReason]
    WITHHOLD_REASON_MERCHANT_OPTED_OUT: _ClassVar[WithholdReason]
    WITHHOLD_REASON_SUBJECT_OBJECTED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_PURPOSE_MISMATCH: _ClassVar[WithholdReason]
    WITHHOLD_REASON_CONDITION_NOT_MET: _ClassVar[WithholdReason]
    WITHHOLD_REASON_BELOW_QUALITY: _ClassVar[WithholdReason]
    WITHHOLD_REASON_KEY_UNAVAILABLE: _ClassVar[WithholdReason]
    WITHHOLD_REASON_RECIPIENT_DISABLED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_POLICY_STALE: _ClassVar[WithholdReason]
    WITHHOLD_REASON_OVER_DEADLINE: _ClassVar[WithholdReason]
    WITHHOLD_REASON_OVERLOADED: _ClassVar[WithholdReason]
    WITHHOLD_REASON_JOURNAL_UNAVAILABLE: _ClassVar[WithholdReason]
    WITHHOLD_REASON_DUPLICATE_REQUEST: _ClassVar[WithholdReason]

class DeliveryEvent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_EVENT_UNSPECIFIED: _ClassVar[DeliveryEvent]
    DELIVERY_EVENT_ENQUEUED: _ClassVar[DeliveryEvent]
    DELIVERY_EVENT_SENT: _ClassVar[DeliveryEvent]
    DELIVERY_EVENT_ACKNOWLEDGED: _ClassVar[DeliveryEvent]
    DELIVERY_EVENT_REFUSED: _ClassVar[DeliveryEvent]
    DELIVERY_EVENT_WITHDRAWN: _ClassVar[DeliveryEvent]
    DELIVERY_EVENT_NOTICE: _ClassVar[DeliveryEvent]
DECISION_OUTCOME_UNSPECIFIED: DecisionOutcome
DECISION_OUTCOME_RELEASED: DecisionOutcome
DECISION_OUTCOME_WITHHELD: DecisionOutcome
DECISION_OUTCOME_SHADOW: DecisionOutcome
WITHHOLD_REASON_UNSPECIFIED: WithholdReason
WITHHOLD_REASON_UNKNOWN_ISSUER: WithholdReason
WITHHOLD_REASON_NOT_ENROLLED: WithholdReason
WITHHOLD_REASON_PROGRAM_NOT_ACTIVE: WithholdReason
WITHHOLD_REASON_KILLED: WithholdReason
WITHHOLD_REASON_SHADOW: WithholdReason
WITHHOLD_REASON_HOLDOUT: WithholdReason
WITHHOLD_REASON_RAMP: WithholdReason
WITHHOLD_REASON_OUTSIDE_VALIDITY: WithholdReason
WITHHOLD_REASON_ATTESTATION_EXPIRED: WithholdReason
WITHHOLD_REASON_REGION_UNKNOWN: WithholdReason
WITHHOLD_REASON_REGION_NOT_COVERED: WithholdReason
WITHHOLD_REASON_MERCHANT_CONSENT_MISSING: WithholdReason
WITHHOLD_REASON_MERCHANT_OPTED_OUT: WithholdReason
WITHHOLD_REASON_SUBJECT_OBJECTED: WithholdReason
WITHHOLD_REASON_PURPOSE_MISMATCH: WithholdReason
WITHHOLD_REASON_CONDITION_NOT_MET: WithholdReason
WITHHOLD_REASON_BELOW_QUALITY: WithholdReason
WITHHOLD_REASON_KEY_UNAVAILABLE: WithholdReason
WITHHOLD_REASON_RECIPIENT_DISABLED: WithholdReason
WITHHOLD_REASON_POLICY_STALE: WithholdReason
WITHHOLD_REASON_OVER_DEADLINE: WithholdReason
WITHHOLD_REASON_OVERLOADED: WithholdReason
WITHHOLD_REASON_JOURNAL_UNAVAILABLE: WithholdReason
WITHHOLD_REASON_DUPLICATE_REQUEST: WithholdReason
DELIVERY_EVENT_UNSPECIFIED: DeliveryEvent
DELIVERY_EVENT_ENQUEUED: DeliveryEvent
DELIVERY_EVENT_SENT: DeliveryEvent
DELIVERY_EVENT_ACKNOWLEDGED: DeliveryEvent
DELIVERY_EVENT_REFUSED: DeliveryEvent
DELIVERY_EVENT_WITHDRAWN: DeliveryEvent
DELIVERY_EVENT_NOTICE: DeliveryEvent

class FieldRefusal(_message.Message):
    __slots__ = ("field", "reason")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    field: int
    reason: WithholdReason
    def __init__(self, field: _Optional[int] = ..., reason: _Optional[_Union[WithholdReason, str]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("program", "share_id", "enrolment_id", "contract_id", "consent_id", "purpose", "outcome", "withhold_reason", "refusals", "arm", "variant", "experiment_id", "ramp_ppm", "holdout_ppm", "eligible", "field_mask", "dictionary_version", "recipient_id", "card_token", "token_epoch", "profile", "recipient_kid", "payload_sha256", "sealed", "transports", "expires_at_ms", "match_keys", "previous_card_token", "field_mask_high")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    ENROLMENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WITHHOLD_REASON_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_ID_FIELD_NUMBER: _ClassVar[int]
    RAMP_PPM_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_PPM_FIELD_NUMBER: _ClassVar[int]
    ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    FIELD_MASK_FIELD_NUMBER: _ClassVar[int]
    DICTIONARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_KID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_SHA256_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    TRANSPORTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    MATCH_KEYS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FIELD_MASK_HIGH_FIELD_NUMBER: _ClassVar[int]
    program: str
    share_id: str
    enrolment_id: str
    contract_id: str
    consent_id: str
    purpose: _common_pb2.Purpose
    outcome: DecisionOutcome
    withhold_reason: WithholdReason
    refusals: _containers.RepeatedCompositeFieldContainer[FieldRefusal]
    arm: _common_pb2.Arm
    variant: str
    experiment_id: str
    ramp_ppm: int
    holdout_ppm: int
    eligible: bool
    field_mask: int
    dictionary_version: int
    recipient_id: str
    card_token: str
    token_epoch: int
    profile: str
    recipient_kid: str
    payload_sha256: bytes
    sealed: bytes
    transports: _containers.RepeatedScalarFieldContainer[_common_pb2.Transport]
    expires_at_ms: int
    match_keys: _containers.RepeatedScalarFieldContainer[str]
    previous_card_token: str
    field_mask_high: int
    def __init__(self, program: _Optional[str] = ..., share_id: _Optional[str] = ..., enrolment_id: _Optional[str] = ..., contract_id: _Optional[str] = ..., consent_id: _Optional[str] = ..., purpose: _Optional[_Union[_common_pb2.Purpose, str]] = ..., outcome: _Optional[_Union[DecisionOutcome, str]] = ..., withhold_reason: _Optional[_Union[WithholdReason, str]] = ..., refusals: _Optional[_Iterable[_Union[FieldRefusal, _Mapping]]] = ..., arm: _Optional[_Union[_common_pb2.Arm, str]] = ..., variant: _Optional[str] = ..., experiment_id: _Optional[str] = ..., ramp_ppm: _Optional[int] = ..., holdout_ppm: _Optional[int] = ..., eligible: bool = ..., field_mask: _Optional[int] = ..., dictionary_version: _Optional[int] = ..., recipient_id: _Optional[str] = ..., card_token: _Optional[str] = ..., token_epoch: _Optional[int] = ..., profile: _Optional[str] = ..., recipient_kid: _Optional[str] = ..., payload_sha256: _Optional[bytes] = ..., sealed: _Optional[bytes] = ..., transports: _Optional[_Iterable[_Union[_common_pb2.Transport, str]]] = ..., expires_at_ms: _Optional[int] = ..., match_keys: _Optional[_Iterable[str]] = ..., previous_card_token: _Optional[str] = ..., field_mask_high: _Optional[int] = ...) -> None: ...

class Evaluation(_message.Message):
    __slots__ = ("evaluation_id", "request_id", "request_digest", "sender_id", "merchant_id", "platform_id", "payment_intent_id", "attempt_no", "issuer_id", "initiated_at_ms", "received_at_ms", "decided_at_ms", "unit_key", "unit_source", "match", "score", "amount_minor", "currency", "channel", "mcc", "velocity_keys", "policy_version", "schema_version", "decisions", "switch_epoch", "answer", "degraded", "cardholder_region", "merchant_country", "card_key", "card_source")
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    INITIATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    UNIT_KEY_FIELD_NUMBER: _ClassVar[int]
    UNIT_SOURCE_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    MCC_FIELD_NUMBER: _ClassVar[int]
    VELOCITY_KEYS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    CARDHOLDER_REGION_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    CARD_KEY_FIELD_NUMBER: _ClassVar[int]
    CARD_SOURCE_FIELD_NUMBER: _ClassVar[int]
    evaluation_id: str
    request_id: str
    request_digest: bytes
    sender_id: str
    merchant_id: str
    platform_id: str
    payment_intent_id: str
    attempt_no: int
    issuer_id: str
    initiated_at_ms: int
    received_at_ms: int
    decided_at_ms: int
    unit_key: bytes
    unit_source: _common_pb2.UnitSource
    match: _common_pb2.MatchReferences
    score: int
    amount_minor: int
    currency: str
    channel: _common_pb2.Channel
    mcc: str
    velocity_keys: _containers.RepeatedScalarFieldContainer[bytes]
    policy_version: int
    schema_version: int
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    switch_epoch: int
    answer: bytes
    degraded: bool
    cardholder_region: str
    merchant_country: str
    card_key: bytes
    card_source: _common_pb2.UnitSource
    def __init__(self, evaluation_id: _Optional[str] = ..., request_id: _Optional[str] = ..., request_digest: _Optional[bytes] = ..., sender_id: _Optional[str] = ..., merchant_id: _Optional[str] = ..., platform_id: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., issuer_id: _Optional[str] = ..., initiated_at_ms: _Optional[int] = ..., received_at_ms: _Optional[int] = ..., decided_at_ms: _Optional[int] = ..., unit_key: _Optional[bytes] = ..., unit_source: _Optional[_Union[_common_pb2.UnitSource, str]] = ..., match: _Optional[_Union[_common_pb2.MatchReferences, _Mapping]] = ..., score: _Optional[int] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., channel: _Optional[_Union[_common_pb2.Channel, str]] = ..., mcc: _Optional[str] = ..., velocity_keys: _Optional[_Iterable[bytes]] = ..., policy_version: _Optional[int] = ..., schema_version: _Optional[int] = ..., decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., switch_epoch: _Optional[int] = ..., answer: _Optional[bytes] = ..., degraded: bool = ..., cardholder_region: _Optional[str] = ..., merchant_country: _Optional[str] = ..., card_key: _Optional[bytes] = ..., card_source: _Optional[_Union[_common_pb2.UnitSource, str]] = ...) -> None: ...

class OutcomeRecord(_message.Message):
    __slots__ = ("sender_id", "outcome", "recorded_at_ms")
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    sender_id: str
    outcome: _outcomes_pb2.OutcomeEvent
    recorded_at_ms: int
    def __init__(self, sender_id: _Optional[str] = ..., outcome: _Optional[_Union[_outcomes_pb2.OutcomeEvent, _Mapping]] = ..., recorded_at_ms: _Optional[int] = ...) -> None: ...

class SignedBy(_message.Message):
    __slots__ = ("token_sha256", "kid", "key_thumbprint", "token")
    TOKEN_SHA256_FIELD_NUMBER: _ClassVar[int]
    KID_FIELD_NUMBER: _ClassVar[int]
    KEY_THUMBPRINT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token_sha256: bytes
    kid: str
    key_thumbprint: str
    token: str
    def __init__(self, token_sha256: _Optional[bytes] = ..., kid: _Optional[str] = ..., key_thumbprint: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class ReceiptRecord(_message.Message):
    __slots__ = ("recipient_id", "receipt", "sender_id", "payment_intent_id", "attempt_no", "issuer_id", "program", "signed_by")
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    SIGNED_BY_FIELD_NUMBER: _ClassVar[int]
    recipient_id: str
    receipt: _feed_pb2.Receipt
    sender_id: str
    payment_intent_id: str
    attempt_no: int
    issuer_id: str
    program: str
    signed_by: SignedBy
    def __init__(self, recipient_id: _Optional[str] = ..., receipt: _Optional[_Union[_feed_pb2.Receipt, _Mapping]] = ..., sender_id: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., issuer_id: _Optional[str] = ..., program: _Optional[str] = ..., signed_by: _Optional[_Union[SignedBy, _Mapping]] = ...) -> None: ...

class LabelRecord(_message.Message):
    __slots__ = ("reporter_id", "reporter_is_recipient", "label", "matched", "sender_id", "payment_intent_id", "attempt_no", "issuer_id", "evaluation_id", "unit_key", "decisions", "policy_version", "label_evaluation_id", "card_key")
    REPORTER_ID_FIELD_NUMBER: _ClassVar[int]
    REPORTER_IS_RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_KEY_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_KEY_FIELD_NUMBER: _ClassVar[int]
    reporter_id: str
    reporter_is_recipient: bool
    label: _feed_pb2.LabelEvent
    matched: bool
    sender_id: str
    payment_intent_id: str
    attempt_no: int
    issuer_id: str
    evaluation_id: str
    unit_key: bytes
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    policy_version: int
    label_evaluation_id: str
    card_key: bytes
    def __init__(self, reporter_id: _Optional[str] = ..., reporter_is_recipient: bool = ..., label: _Optional[_Union[_feed_pb2.LabelEvent, _Mapping]] = ..., matched: bool = ..., sender_id: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., issuer_id: _Optional[str] = ..., evaluation_id: _Optional[str] = ..., unit_key: _Optional[bytes] = ..., decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., policy_version: _Optional[int] = ..., label_evaluation_id: _Optional[str] = ..., card_key: _Optional[bytes] = ...) -> None: ...

class DeliveryRecord(_message.Message):
    __slots__ = ("share_id", "recipient_id", "program", "issuer_id", "transport", "event", "stream_id", "stream_seq", "jti", "at_ms", "set_sha256", "error_code", "void_from_seq")
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_SEQ_FIELD_NUMBER: _ClassVar[int]
    JTI_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    SET_SHA256_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    VOID_FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    share_id: str
    recipient_id: str
    program: str
    issuer_id: str
    transport: _common_pb2.Transport
    event: DeliveryEvent
    stream_id: str
    stream_seq: int
    jti: str
    at_ms: int
    set_sha256: bytes
    error_code: str
    void_from_seq: int
    def __init__(self, share_id: _Optional[str] = ..., recipient_id: _Optional[str] = ..., program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., transport: _Optional[_Union[_common_pb2.Transport, str]] = ..., event: _Optional[_Union[DeliveryEvent, str]] = ..., stream_id: _Optional[str] = ..., stream_seq: _Optional[int] = ..., jti: _Optional[str] = ..., at_ms: _Optional[int] = ..., set_sha256: _Optional[bytes] = ..., error_code: _Optional[str] = ..., void_from_seq: _Optional[int] = ...) -> None: ...
