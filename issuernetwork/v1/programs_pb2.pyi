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
PROGRAM_STATE_UNSPECIFIED: ProgramState
PROGRAM_STATE_DRAFT: ProgramState
PROGRAM_STATE_SHADOW: ProgramState
PROGRAM_STATE_ACTIVE: ProgramState
PROGRAM_STATE_PAUSED: ProgramState
PROGRAM_STATE_KILLED: ProgramState
PROGRAM_STATE_RETIRED: ProgramState

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
