from issuernetwork.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmissionStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBMISSION_STAGE_UNSPECIFIED: _ClassVar[SubmissionStage]
    SUBMISSION_STAGE_SUBMITTED: _ClassVar[SubmissionStage]
    SUBMISSION_STAGE_PROVEN: _ClassVar[SubmissionStage]
    SUBMISSION_STAGE_IN_FORCE: _ClassVar[SubmissionStage]
    SUBMISSION_STAGE_REPLACED: _ClassVar[SubmissionStage]
    SUBMISSION_STAGE_REVOKED: _ClassVar[SubmissionStage]
SUBMISSION_STAGE_UNSPECIFIED: SubmissionStage
SUBMISSION_STAGE_SUBMITTED: SubmissionStage
SUBMISSION_STAGE_PROVEN: SubmissionStage
SUBMISSION_STAGE_IN_FORCE: SubmissionStage
SUBMISSION_STAGE_REPLACED: SubmissionStage
SUBMISSION_STAGE_REVOKED: SubmissionStage

class InviteIssuerRequest(_message.Message):
    __slots__ = ("recipient_id", "days", "reason")
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    recipient_id: str
    days: int
    reason: str
    def __init__(self, recipient_id: _Optional[str] = ..., days: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class InviteIssuerResponse(_message.Message):
    __slots__ = ("token", "expires_at_ms")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    token: str
    expires_at_ms: int
    def __init__(self, token: _Optional[str] = ..., expires_at_ms: _Optional[int] = ...) -> None: ...

class IssuerSubmission(_message.Message):
    __slots__ = ("recipient_id", "submission_id", "stage", "thumbprints", "at_ms")
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    THUMBPRINTS_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    recipient_id: str
    submission_id: int
    stage: SubmissionStage
    thumbprints: _containers.RepeatedScalarFieldContainer[str]
    at_ms: int
    def __init__(self, recipient_id: _Optional[str] = ..., submission_id: _Optional[int] = ..., stage: _Optional[_Union[SubmissionStage, str]] = ..., thumbprints: _Optional[_Iterable[str]] = ..., at_ms: _Optional[int] = ...) -> None: ...

class ListIssuersRequest(_message.Message):
    __slots__ = ("limit", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListIssuersResponse(_message.Message):
    __slots__ = ("issuers", "next_cursor")
    ISSUERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    issuers: _containers.RepeatedCompositeFieldContainer[IssuerSubmission]
    next_cursor: str
    def __init__(self, issuers: _Optional[_Iterable[_Union[IssuerSubmission, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class WithdrawInvitationsRequest(_message.Message):
    __slots__ = ("recipient_id", "reason")
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    recipient_id: str
    reason: str
    def __init__(self, recipient_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawInvitationsResponse(_message.Message):
    __slots__ = ("withdrawn",)
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    withdrawn: int
    def __init__(self, withdrawn: _Optional[int] = ...) -> None: ...

class RevokeIssuerKeysRequest(_message.Message):
    __slots__ = ("recipient_id", "reason")
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    recipient_id: str
    reason: str
    def __init__(self, recipient_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeIssuerKeysResponse(_message.Message):
    __slots__ = ("revoked",)
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    revoked: IssuerSubmission
    def __init__(self, revoked: _Optional[_Union[IssuerSubmission, _Mapping]] = ...) -> None: ...
