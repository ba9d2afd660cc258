from issuernetwork.v1 import access_pb2 as _access_pb2
from issuernetwork.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MatchResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCH_RESULT_UNSPECIFIED: _ClassVar[MatchResult]
    MATCH_RESULT_UNIQUE: _ClassVar[MatchResult]
    MATCH_RESULT_AMBIGUOUS: _ClassVar[MatchResult]
    MATCH_RESULT_NOT_MATCHED: _ClassVar[MatchResult]

class ReceiptUse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECEIPT_USE_UNSPECIFIED: _ClassVar[ReceiptUse]
    RECEIPT_USE_USED: _ClassVar[ReceiptUse]
    RECEIPT_USE_SEEN: _ClassVar[ReceiptUse]
    RECEIPT_USE_LATE: _ClassVar[ReceiptUse]
    RECEIPT_USE_NOT_MATCHED: _ClassVar[ReceiptUse]

class LabelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_KIND_UNSPECIFIED: _ClassVar[LabelKind]
    LABEL_KIND_FRAUD: _ClassVar[LabelKind]
    LABEL_KIND_DISPUTE: _ClassVar[LabelKind]

class LabelSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_SOURCE_UNSPECIFIED: _ClassVar[LabelSource]
    LABEL_SOURCE_TC40: _ClassVar[LabelSource]
    LABEL_SOURCE_MASTERCARD_FLD: _ClassVar[LabelSource]
    LABEL_SOURCE_ISSUER: _ClassVar[LabelSource]
    LABEL_SOURCE_CHARGEBACK: _ClassVar[LabelSource]
    LABEL_SOURCE_MERCHANT: _ClassVar[LabelSource]
    LABEL_SOURCE_MANUAL: _ClassVar[LabelSource]

class LabelVerb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_VERB_UNSPECIFIED: _ClassVar[LabelVerb]
    LABEL_VERB_REPORTED: _ClassVar[LabelVerb]
    LABEL_VERB_CHANGED: _ClassVar[LabelVerb]
    LABEL_VERB_DELETED: _ClassVar[LabelVerb]

class LabelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_STATE_UNSPECIFIED: _ClassVar[LabelState]
    LABEL_STATE_SUSPECTED: _ClassVar[LabelState]
    LABEL_STATE_CONFIRMED: _ClassVar[LabelState]
    LABEL_STATE_NOT_FRAUD: _ClassVar[LabelState]

class DisputeStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPUTE_STAGE_UNSPECIFIED: _ClassVar[DisputeStage]
    DISPUTE_STAGE_INQUIRY: _ClassVar[DisputeStage]
    DISPUTE_STAGE_ALERT: _ClassVar[DisputeStage]
    DISPUTE_STAGE_CHARGEBACK: _ClassVar[DisputeStage]
    DISPUTE_STAGE_REPRESENTED: _ClassVar[DisputeStage]
    DISPUTE_STAGE_WON: _ClassVar[DisputeStage]
    DISPUTE_STAGE_LOST: _ClassVar[DisputeStage]
MATCH_RESULT_UNSPECIFIED: MatchResult
MATCH_RESULT_UNIQUE: MatchResult
MATCH_RESULT_AMBIGUOUS: MatchResult
MATCH_RESULT_NOT_MATCHED: MatchResult
RECEIPT_USE_UNSPECIFIED: ReceiptUse
RECEIPT_USE_USED: ReceiptUse
RECEIPT_USE_SEEN: ReceiptUse
RECEIPT_USE_LATE: ReceiptUse
RECEIPT_USE_NOT_MATCHED: ReceiptUse
LABEL_KIND_UNSPECIFIED: LabelKind
LABEL_KIND_FRAUD: LabelKind
LABEL_KIND_DISPUTE: LabelKind
LABEL_SOURCE_UNSPECIFIED: LabelSource
LABEL_SOURCE_TC40: LabelSource
LABEL_SOURCE_MASTERCARD_FLD: LabelSource
LABEL_SOURCE_ISSUER: LabelSource
LABEL_SOURCE_CHARGEBACK: LabelSource
LABEL_SOURCE_MERCHANT: LabelSource
LABEL_SOURCE_MANUAL: LabelSource
LABEL_VERB_UNSPECIFIED: LabelVerb
LABEL_VERB_REPORTED: LabelVerb
LABEL_VERB_CHANGED: LabelVerb
LABEL_VERB_DELETED: LabelVerb
LABEL_STATE_UNSPECIFIED: LabelState
LABEL_STATE_SUSPECTED: LabelState
LABEL_STATE_CONFIRMED: LabelState
LABEL_STATE_NOT_FRAUD: LabelState
DISPUTE_STAGE_UNSPECIFIED: DisputeStage
DISPUTE_STAGE_INQUIRY: DisputeStage
DISPUTE_STAGE_ALERT: DisputeStage
DISPUTE_STAGE_CHARGEBACK: DisputeStage
DISPUTE_STAGE_REPRESENTED: DisputeStage
DISPUTE_STAGE_WON: DisputeStage
DISPUTE_STAGE_LOST: DisputeStage

class LookupRequest(_message.Message):
    __slots__ = ("match",)
    MATCH_FIELD_NUMBER: _ClassVar[int]
    match: _common_pb2.MatchReferences
    def __init__(self, match: _Optional[_Union[_common_pb2.MatchReferences, _Mapping]] = ...) -> None: ...

class LookupShare(_message.Message):
    __slots__ = ("share_id", "program", "signed_set")
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    SIGNED_SET_FIELD_NUMBER: _ClassVar[int]
    share_id: str
    program: str
    signed_set: str
    def __init__(self, share_id: _Optional[str] = ..., program: _Optional[str] = ..., signed_set: _Optional[str] = ...) -> None: ...

class LookupResponse(_message.Message):
    __slots__ = ("match", "shares")
    MATCH_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    match: MatchResult
    shares: _containers.RepeatedCompositeFieldContainer[LookupShare]
    def __init__(self, match: _Optional[_Union[MatchResult, str]] = ..., shares: _Optional[_Iterable[_Union[LookupShare, _Mapping]]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("receipt_id", "share_id", "match", "use", "received_at_ms", "decided_at_ms", "recorded_at_ms", "approved")
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    receipt_id: str
    share_id: str
    match: MatchResult
    use: ReceiptUse
    received_at_ms: int
    decided_at_ms: int
    recorded_at_ms: int
    approved: bool
    def __init__(self, receipt_id: _Optional[str] = ..., share_id: _Optional[str] = ..., match: _Optional[_Union[MatchResult, str]] = ..., use: _Optional[_Union[ReceiptUse, str]] = ..., received_at_ms: _Optional[int] = ..., decided_at_ms: _Optional[int] = ..., recorded_at_ms: _Optional[int] = ..., approved: bool = ...) -> None: ...

class ReportReceiptsRequest(_message.Message):
    __slots__ = ("receipts", "signed")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    signed: str
    def __init__(self, receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., signed: _Optional[str] = ...) -> None: ...

class FeedReportResult(_message.Message):
    __slots__ = ("recorded", "duplicate", "field_issues")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    FIELD_ISSUES_FIELD_NUMBER: _ClassVar[int]
    recorded: bool
    duplicate: bool
    field_issues: _containers.RepeatedCompositeFieldContainer[_common_pb2.FieldIssue]
    def __init__(self, recorded: bool = ..., duplicate: bool = ..., field_issues: _Optional[_Iterable[_Union[_common_pb2.FieldIssue, _Mapping]]] = ...) -> None: ...

class ReportReceiptsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FeedReportResult]
    def __init__(self, results: _Optional[_Iterable[_Union[FeedReportResult, _Mapping]]] = ...) -> None: ...

class LabelEvent(_message.Message):
    __slots__ = ("label_id", "source_ref", "share_id", "payment_intent_id", "attempt_no", "match", "kind", "source", "verb", "state", "fraud_type", "dispute_stage", "amount_minor", "currency", "effective_at_ms", "reported_at_ms", "recorded_at_ms")
    LABEL_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_REF_FIELD_NUMBER: _ClassVar[int]
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FRAUD_TYPE_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_STAGE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REPORTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    label_id: str
    source_ref: str
    share_id: str
    payment_intent_id: str
    attempt_no: int
    match: _common_pb2.MatchReferences
    kind: LabelKind
    source: LabelSource
    verb: LabelVerb
    state: LabelState
    fraud_type: str
    dispute_stage: DisputeStage
    amount_minor: int
    currency: str
    effective_at_ms: int
    reported_at_ms: int
    recorded_at_ms: int
    def __init__(self, label_id: _Optional[str] = ..., source_ref: _Optional[str] = ..., share_id: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., match: _Optional[_Union[_common_pb2.MatchReferences, _Mapping]] = ..., kind: _Optional[_Union[LabelKind, str]] = ..., source: _Optional[_Union[LabelSource, str]] = ..., verb: _Optional[_Union[LabelVerb, str]] = ..., state: _Optional[_Union[LabelState, str]] = ..., fraud_type: _Optional[str] = ..., dispute_stage: _Optional[_Union[DisputeStage, str]] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., effective_at_ms: _Optional[int] = ..., reported_at_ms: _Optional[int] = ..., recorded_at_ms: _Optional[int] = ...) -> None: ...

class ReportLabelsRequest(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[LabelEvent]
    def __init__(self, labels: _Optional[_Iterable[_Union[LabelEvent, _Mapping]]] = ...) -> None: ...

class ReportLabelsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FeedReportResult]
    def __init__(self, results: _Optional[_Iterable[_Union[FeedReportResult, _Mapping]]] = ...) -> None: ...
