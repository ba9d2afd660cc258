from issuernetwork.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UpliftMetric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UPLIFT_METRIC_UNSPECIFIED: _ClassVar[UpliftMetric]
    UPLIFT_METRIC_FIRST_ATTEMPT: _ClassVar[UpliftMetric]
    UPLIFT_METRIC_FINAL: _ClassVar[UpliftMetric]
UPLIFT_METRIC_UNSPECIFIED: UpliftMetric
UPLIFT_METRIC_FIRST_ATTEMPT: UpliftMetric
UPLIFT_METRIC_FINAL: UpliftMetric

class GetUpliftRequest(_message.Message):
    __slots__ = ("program", "issuer_id")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    program: str
    issuer_id: str
    def __init__(self, program: _Optional[str] = ..., issuer_id: _Optional[str] = ...) -> None: ...

class ArmCounts(_message.Message):
    __slots__ = ("cards", "payments", "approved")
    CARDS_FIELD_NUMBER: _ClassVar[int]
    PAYMENTS_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    cards: int
    payments: int
    approved: int
    def __init__(self, cards: _Optional[int] = ..., payments: _Optional[int] = ..., approved: _Optional[int] = ...) -> None: ...

class UpliftEstimate(_message.Message):
    __slots__ = ("program", "issuer_id", "ramp_ppm", "metric", "treatment", "holdout", "uplift", "lower", "upper", "no_interval_reason")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    RAMP_PPM_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    TREATMENT_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    NO_INTERVAL_REASON_FIELD_NUMBER: _ClassVar[int]
    program: str
    issuer_id: str
    ramp_ppm: int
    metric: UpliftMetric
    treatment: ArmCounts
    holdout: ArmCounts
    uplift: float
    lower: float
    upper: float
    no_interval_reason: str
    def __init__(self, program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., ramp_ppm: _Optional[int] = ..., metric: _Optional[_Union[UpliftMetric, str]] = ..., treatment: _Optional[_Union[ArmCounts, _Mapping]] = ..., holdout: _Optional[_Union[ArmCounts, _Mapping]] = ..., uplift: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., no_interval_reason: _Optional[str] = ...) -> None: ...

class GetUpliftResponse(_message.Message):
    __slots__ = ("estimates",)
    ESTIMATES_FIELD_NUMBER: _ClassVar[int]
    estimates: _containers.RepeatedCompositeFieldContainer[UpliftEstimate]
    def __init__(self, estimates: _Optional[_Iterable[_Union[UpliftEstimate, _Mapping]]] = ...) -> None: ...
