from issuernetwork.v1 import access_pb2 as _access_pb2
from issuernetwork.v1 import common_pb2 as _common_pb2
from issuernetwork.v1 import feed_pb2 as _feed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OutcomeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_KIND_UNSPECIFIED: _ClassVar[OutcomeKind]
    OUTCOME_KIND_AUTHORIZATION: _ClassVar[OutcomeKind]
    OUTCOME_KIND_ADVICE: _ClassVar[OutcomeKind]
    OUTCOME_KIND_REVERSAL: _ClassVar[OutcomeKind]

class ResponseCodeScheme(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESPONSE_CODE_SCHEME_UNSPECIFIED: _ClassVar[ResponseCodeScheme]
    RESPONSE_CODE_SCHEME_ISO1987: _ClassVar[ResponseCodeScheme]
    RESPONSE_CODE_SCHEME_ISO1993: _ClassVar[ResponseCodeScheme]
    RESPONSE_CODE_SCHEME_ISO2003: _ClassVar[ResponseCodeScheme]

class ReportStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_STATUS_UNSPECIFIED: _ClassVar[ReportStatus]
    REPORT_STATUS_RECORDED: _ClassVar[ReportStatus]
    REPORT_STATUS_DUPLICATE: _ClassVar[ReportStatus]
    REPORT_STATUS_REFUSED: _ClassVar[ReportStatus]
OUTCOME_KIND_UNSPECIFIED: OutcomeKind
OUTCOME_KIND_AUTHORIZATION: OutcomeKind
OUTCOME_KIND_ADVICE: OutcomeKind
OUTCOME_KIND_REVERSAL: OutcomeKind
RESPONSE_CODE_SCHEME_UNSPECIFIED: ResponseCodeScheme
RESPONSE_CODE_SCHEME_ISO1987: ResponseCodeScheme
RESPONSE_CODE_SCHEME_ISO1993: ResponseCodeScheme
RESPONSE_CODE_SCHEME_ISO2003: ResponseCodeScheme
REPORT_STATUS_UNSPECIFIED: ReportStatus
REPORT_STATUS_RECORDED: ReportStatus
REPORT_STATUS_DUPLICATE: ReportStatus
REPORT_STATUS_REFUSED: ReportStatus

class OutcomeEvent(_message.Message):
    __slots__ = ("outcome_id", "payment_intent_id", "attempt_no", "kind", "transmitted_share_ids", "occurred_at_ms", "reported_at_ms", "network", "approved", "requested_minor", "approved_minor", "currency", "response_code", "response_code_scheme", "advice_code", "authorization_id_response", "network_transaction_id", "stand_in", "issuer_latency_ms", "quality_flag", "interchange_minor", "scheme_fee_minor", "fee_currency", "supersedes_outcome_id")
    OUTCOME_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRANSMITTED_SHARE_IDS_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REPORTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_MINOR_FIELD_NUMBER: _ClassVar[int]
    APPROVED_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_CODE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_CODE_SCHEME_FIELD_NUMBER: _ClassVar[int]
    ADVICE_CODE_FIELD_NUMBER: _ClassVar[int]
    AUTHORIZATION_ID_RESPONSE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    STAND_IN_FIELD_NUMBER: _ClassVar[int]
    ISSUER_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FLAG_FIELD_NUMBER: _ClassVar[int]
    INTERCHANGE_MINOR_FIELD_NUMBER: _ClassVar[int]
    SCHEME_FEE_MINOR_FIELD_NUMBER: _ClassVar[int]
    FEE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDES_OUTCOME_ID_FIELD_NUMBER: _ClassVar[int]
    outcome_id: str
    payment_intent_id: str
    attempt_no: int
    kind: OutcomeKind
    transmitted_share_ids: _containers.RepeatedScalarFieldContainer[str]
    occurred_at_ms: int
    reported_at_ms: int
    network: _common_pb2.Network
    approved: bool
    requested_minor: int
    approved_minor: int
    currency: str
    response_code: str
    response_code_scheme: ResponseCodeScheme
    advice_code: str
    authorization_id_response: str
    network_transaction_id: str
    stand_in: bool
    issuer_latency_ms: int
    quality_flag: bool
    interchange_minor: int
    scheme_fee_minor: int
    fee_currency: str
    supersedes_outcome_id: str
    def __init__(self, outcome_id: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., kind: _Optional[_Union[OutcomeKind, str]] = ..., transmitted_share_ids: _Optional[_Iterable[str]] = ..., occurred_at_ms: _Optional[int] = ..., reported_at_ms: _Optional[int] = ..., network: _Optional[_Union[_common_pb2.Network, str]] = ..., approved: bool = ..., requested_minor: _Optional[int] = ..., approved_minor: _Optional[int] = ..., currency: _Optional[str] = ..., response_code: _Optional[str] = ..., response_code_scheme: _Optional[_Union[ResponseCodeScheme, str]] = ..., advice_code: _Optional[str] = ..., authorization_id_response: _Optional[str] = ..., network_transaction_id: _Optional[str] = ..., stand_in: bool = ..., issuer_latency_ms: _Optional[int] = ..., quality_flag: bool = ..., interchange_minor: _Optional[int] = ..., scheme_fee_minor: _Optional[int] = ..., fee_currency: _Optional[str] = ..., supersedes_outcome_id: _Optional[str] = ...) -> None: ...

class ReportOutcomesRequest(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[OutcomeEvent]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[OutcomeEvent, _Mapping]]] = ...) -> None: ...

class ReportResult(_message.Message):
    __slots__ = ("status", "field_issues")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FIELD_ISSUES_FIELD_NUMBER: _ClassVar[int]
    status: ReportStatus
    field_issues: _containers.RepeatedCompositeFieldContainer[_common_pb2.FieldIssue]
    def __init__(self, status: _Optional[_Union[ReportStatus, str]] = ..., field_issues: _Optional[_Iterable[_Union[_common_pb2.FieldIssue, _Mapping]]] = ...) -> None: ...

class ReportOutcomesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ReportResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ReportResult, _Mapping]]] = ...) -> None: ...

class WatchOutcomesRequest(_message.Message):
    __slots__ = ("after_cursor",)
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    after_cursor: str
    def __init__(self, after_cursor: _Optional[str] = ...) -> None: ...

class WatchOutcomesResponse(_message.Message):
    __slots__ = ("cursor", "payment_intent_id", "attempt_no", "receipt", "label")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    cursor: str
    payment_intent_id: str
    attempt_no: int
    receipt: _feed_pb2.Receipt
    label: _feed_pb2.LabelEvent
    def __init__(self, cursor: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., receipt: _Optional[_Union[_feed_pb2.Receipt, _Mapping]] = ..., label: _Optional[_Union[_feed_pb2.LabelEvent, _Mapping]] = ...) -> None: ...
