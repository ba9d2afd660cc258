from issuernetwork.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProgramState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROGRAM_STATE_UNSPECIFIED: _ClassVar[ProgramState]
    PROGRAM_STATE_DRAFT: _ClassVar[ProgramState]
    PROGRAM_STATE_SHADOW: _ClassVar[ProgramState]
    PROGRAM_STATE_ACTIVE: _ClassVar[ProgramState]
    PROGRAM_STATE_PAUSED: _ClassVar[ProgramState]
    PROGRAM_STATE_KILLED: _ClassVar[ProgramState]
    PROGRAM_STATE_RETIRED: _ClassVar[ProgramState]

class ApprovalKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_KIND_UNSPECIFIED: _ClassVar[ApprovalKind]
    APPROVAL_KIND_REVIVE: _ClassVar[ApprovalKind]
    APPROVAL_KIND_ADD_OPERATOR: _ClassVar[ApprovalKind]
    APPROVAL_KIND_REMOVE_OPERATOR: _ClassVar[ApprovalKind]
    APPROVAL_KIND_ENROL_ISSUER: _ClassVar[ApprovalKind]
    APPROVAL_KIND_DESTROY_KEY: _ClassVar[ApprovalKind]

class ApprovalVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_VERDICT_UNSPECIFIED: _ClassVar[ApprovalVerdict]
    APPROVAL_VERDICT_OPEN: _ClassVar[ApprovalVerdict]
    APPROVAL_VERDICT_APPROVED: _ClassVar[ApprovalVerdict]
    APPROVAL_VERDICT_REFUSED: _ClassVar[ApprovalVerdict]
    APPROVAL_VERDICT_ALONE: _ClassVar[ApprovalVerdict]

class HistoryVerb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HISTORY_VERB_UNSPECIFIED: _ClassVar[HistoryVerb]
    HISTORY_VERB_APPLIED: _ClassVar[HistoryVerb]
    HISTORY_VERB_ROLLED_BACK: _ClassVar[HistoryVerb]
    HISTORY_VERB_KILLED: _ClassVar[HistoryVerb]
    HISTORY_VERB_PAUSED: _ClassVar[HistoryVerb]
    HISTORY_VERB_RESUMED: _ClassVar[HistoryVerb]
    HISTORY_VERB_REVIVED: _ClassVar[HistoryVerb]
PROGRAM_STATE_UNSPECIFIED: ProgramState
PROGRAM_STATE_DRAFT: ProgramState
PROGRAM_STATE_SHADOW: ProgramState
PROGRAM_STATE_ACTIVE: ProgramState
PROGRAM_STATE_PAUSED: ProgramState
PROGRAM_STATE_KILLED: ProgramState
PROGRAM_STATE_RETIRED: ProgramState
APPROVAL_KIND_UNSPECIFIED: ApprovalKind
APPROVAL_KIND_REVIVE: ApprovalKind
APPROVAL_KIND_ADD_OPERATOR: ApprovalKind
APPROVAL_KIND_REMOVE_OPERATOR: ApprovalKind
APPROVAL_KIND_ENROL_ISSUER: ApprovalKind
APPROVAL_KIND_DESTROY_KEY: ApprovalKind
APPROVAL_VERDICT_UNSPECIFIED: ApprovalVerdict
APPROVAL_VERDICT_OPEN: ApprovalVerdict
APPROVAL_VERDICT_APPROVED: ApprovalVerdict
APPROVAL_VERDICT_REFUSED: ApprovalVerdict
APPROVAL_VERDICT_ALONE: ApprovalVerdict
HISTORY_VERB_UNSPECIFIED: HistoryVerb
HISTORY_VERB_APPLIED: HistoryVerb
HISTORY_VERB_ROLLED_BACK: HistoryVerb
HISTORY_VERB_KILLED: HistoryVerb
HISTORY_VERB_PAUSED: HistoryVerb
HISTORY_VERB_RESUMED: HistoryVerb
HISTORY_VERB_REVIVED: HistoryVerb

class ProgramEnrolment(_message.Message):
    __slots__ = ("issuer_id", "state", "ramp_ppm", "holdout_ppm")
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RAMP_PPM_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_PPM_FIELD_NUMBER: _ClassVar[int]
    issuer_id: str
    state: ProgramState
    ramp_ppm: int
    holdout_ppm: int
    def __init__(self, issuer_id: _Optional[str] = ..., state: _Optional[_Union[ProgramState, str]] = ..., ramp_ppm: _Optional[int] = ..., holdout_ppm: _Optional[int] = ...) -> None: ...

class Program(_message.Message):
    __slots__ = ("program", "state", "enrolments")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENROLMENTS_FIELD_NUMBER: _ClassVar[int]
    program: str
    state: ProgramState
    enrolments: _containers.RepeatedCompositeFieldContainer[ProgramEnrolment]
    def __init__(self, program: _Optional[str] = ..., state: _Optional[_Union[ProgramState, str]] = ..., enrolments: _Optional[_Iterable[_Union[ProgramEnrolment, _Mapping]]] = ...) -> None: ...

class ListProgramsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListProgramsResponse(_message.Message):
    __slots__ = ("programs", "policy_version", "switch_epoch")
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    programs: _containers.RepeatedCompositeFieldContainer[Program]
    policy_version: int
    switch_epoch: int
    def __init__(self, programs: _Optional[_Iterable[_Union[Program, _Mapping]]] = ..., policy_version: _Optional[int] = ..., switch_epoch: _Optional[int] = ...) -> None: ...

class KillProgramRequest(_message.Message):
    __slots__ = ("program", "issuer_id", "reason")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    program: str
    issuer_id: str
    reason: str
    def __init__(self, program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class KillProgramResponse(_message.Message):
    __slots__ = ("switch_epoch", "effective_after_ms", "workers_acknowledged", "workers_expired", "shares_already_left")
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_EXPIRED_FIELD_NUMBER: _ClassVar[int]
    SHARES_ALREADY_LEFT_FIELD_NUMBER: _ClassVar[int]
    switch_epoch: int
    effective_after_ms: int
    workers_acknowledged: int
    workers_expired: int
    shares_already_left: int
    def __init__(self, switch_epoch: _Optional[int] = ..., effective_after_ms: _Optional[int] = ..., workers_acknowledged: _Optional[int] = ..., workers_expired: _Optional[int] = ..., shares_already_left: _Optional[int] = ...) -> None: ...

class PauseProgramRequest(_message.Message):
    __slots__ = ("program", "issuer_id", "reason")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    program: str
    issuer_id: str
    reason: str
    def __init__(self, program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseProgramResponse(_message.Message):
    __slots__ = ("switch_epoch", "effective_after_ms", "workers_acknowledged", "workers_expired", "shares_already_left")
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_EXPIRED_FIELD_NUMBER: _ClassVar[int]
    SHARES_ALREADY_LEFT_FIELD_NUMBER: _ClassVar[int]
    switch_epoch: int
    effective_after_ms: int
    workers_acknowledged: int
    workers_expired: int
    shares_already_left: int
    def __init__(self, switch_epoch: _Optional[int] = ..., effective_after_ms: _Optional[int] = ..., workers_acknowledged: _Optional[int] = ..., workers_expired: _Optional[int] = ..., shares_already_left: _Optional[int] = ...) -> None: ...

class ResumeProgramRequest(_message.Message):
    __slots__ = ("program", "issuer_id", "reason")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    program: str
    issuer_id: str
    reason: str
    def __init__(self, program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeProgramResponse(_message.Message):
    __slots__ = ("switch_epoch",)
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    switch_epoch: int
    def __init__(self, switch_epoch: _Optional[int] = ...) -> None: ...

class RequestRevivalRequest(_message.Message):
    __slots__ = ("program", "issuer_id", "reason")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    program: str
    issuer_id: str
    reason: str
    def __init__(self, program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RequestRevivalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("approval_id", "kind", "program", "issuer_id", "principal_id", "role", "key_thumbprint", "reason", "requested_by", "requested_at_ms", "expires_at_ms", "verdict", "decided_by", "decided_at_ms", "done_at_ms")
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    KEY_THUMBPRINT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    DONE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    approval_id: int
    kind: ApprovalKind
    program: str
    issuer_id: str
    principal_id: str
    role: str
    key_thumbprint: str
    reason: str
    requested_by: str
    requested_at_ms: int
    expires_at_ms: int
    verdict: ApprovalVerdict
    decided_by: str
    decided_at_ms: int
    done_at_ms: int
    def __init__(self, approval_id: _Optional[int] = ..., kind: _Optional[_Union[ApprovalKind, str]] = ..., program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., principal_id: _Optional[str] = ..., role: _Optional[str] = ..., key_thumbprint: _Optional[str] = ..., reason: _Optional[str] = ..., requested_by: _Optional[str] = ..., requested_at_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., verdict: _Optional[_Union[ApprovalVerdict, str]] = ..., decided_by: _Optional[str] = ..., decided_at_ms: _Optional[int] = ..., done_at_ms: _Optional[int] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("include_decided", "limit", "cursor")
    INCLUDE_DECIDED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    include_decided: bool
    limit: int
    cursor: str
    def __init__(self, include_decided: bool = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals", "next_cursor")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    next_cursor: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class ApproveRequest(_message.Message):
    __slots__ = ("approval_id",)
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    approval_id: int
    def __init__(self, approval_id: _Optional[int] = ...) -> None: ...

class ApproveResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class RefuseRequest(_message.Message):
    __slots__ = ("approval_id",)
    APPROVAL_ID_FIELD_NUMBER: _ClassVar[int]
    approval_id: int
    def __init__(self, approval_id: _Optional[int] = ...) -> None: ...

class RefuseResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: Approval
    def __init__(self, approval: _Optional[_Union[Approval, _Mapping]] = ...) -> None: ...

class HistoryEvent(_message.Message):
    __slots__ = ("verb", "actor", "reason", "at_ms", "policy_version", "restored_from", "switch_epoch", "program", "issuer_id", "approved_by")
    VERB_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FROM_FIELD_NUMBER: _ClassVar[int]
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    verb: HistoryVerb
    actor: str
    reason: str
    at_ms: int
    policy_version: int
    restored_from: int
    switch_epoch: int
    program: str
    issuer_id: str
    approved_by: str
    def __init__(self, verb: _Optional[_Union[HistoryVerb, str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., at_ms: _Optional[int] = ..., policy_version: _Optional[int] = ..., restored_from: _Optional[int] = ..., switch_epoch: _Optional[int] = ..., program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., approved_by: _Optional[str] = ...) -> None: ...

class ListHistoryRequest(_message.Message):
    __slots__ = ("limit", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListHistoryResponse(_message.Message):
    __slots__ = ("events", "next_cursor", "policy_version")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    next_cursor: str
    policy_version: int
    def __init__(self, events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., policy_version: _Optional[int] = ...) -> None: ...
