from issuernetwork.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubjectCaseKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_CASE_KIND_UNSPECIFIED: _ClassVar[SubjectCaseKind]
    SUBJECT_CASE_KIND_OBJECTION: _ClassVar[SubjectCaseKind]
    SUBJECT_CASE_KIND_ERASURE: _ClassVar[SubjectCaseKind]

class SubjectCaseState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_CASE_STATE_UNSPECIFIED: _ClassVar[SubjectCaseState]
    SUBJECT_CASE_STATE_RECEIVED: _ClassVar[SubjectCaseState]
    SUBJECT_CASE_STATE_UPHELD: _ClassVar[SubjectCaseState]
    SUBJECT_CASE_STATE_REFUSED: _ClassVar[SubjectCaseState]
    SUBJECT_CASE_STATE_CERTIFIED: _ClassVar[SubjectCaseState]
SUBJECT_CASE_KIND_UNSPECIFIED: SubjectCaseKind
SUBJECT_CASE_KIND_OBJECTION: SubjectCaseKind
SUBJECT_CASE_KIND_ERASURE: SubjectCaseKind
SUBJECT_CASE_STATE_UNSPECIFIED: SubjectCaseState
SUBJECT_CASE_STATE_RECEIVED: SubjectCaseState
SUBJECT_CASE_STATE_UPHELD: SubjectCaseState
SUBJECT_CASE_STATE_REFUSED: SubjectCaseState
SUBJECT_CASE_STATE_CERTIFIED: SubjectCaseState

class SubjectCard(_message.Message):
    __slots__ = ("pan", "par", "card_ref", "card_token")
    PAN_FIELD_NUMBER: _ClassVar[int]
    PAR_FIELD_NUMBER: _ClassVar[int]
    CARD_REF_FIELD_NUMBER: _ClassVar[int]
    CARD_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pan: str
    par: str
    card_ref: SenderCardRef
    card_token: str
    def __init__(self, pan: _Optional[str] = ..., par: _Optional[str] = ..., card_ref: _Optional[_Union[SenderCardRef, _Mapping]] = ..., card_token: _Optional[str] = ...) -> None: ...

class SenderCardRef(_message.Message):
    __slots__ = ("sender_id", "card_ref")
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_REF_FIELD_NUMBER: _ClassVar[int]
    sender_id: str
    card_ref: str
    def __init__(self, sender_id: _Optional[str] = ..., card_ref: _Optional[str] = ...) -> None: ...

class SubjectCaseStep(_message.Message):
    __slots__ = ("case_id", "kind", "state", "actor", "reason", "at_ms")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    case_id: int
    kind: SubjectCaseKind
    state: SubjectCaseState
    actor: str
    reason: str
    at_ms: int
    def __init__(self, case_id: _Optional[int] = ..., kind: _Optional[_Union[SubjectCaseKind, str]] = ..., state: _Optional[_Union[SubjectCaseState, str]] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., at_ms: _Optional[int] = ...) -> None: ...

class DisclosureWay(_message.Message):
    __slots__ = ("transport", "left_at_ms", "state")
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    LEFT_AT_MS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    transport: str
    left_at_ms: int
    state: str
    def __init__(self, transport: _Optional[str] = ..., left_at_ms: _Optional[int] = ..., state: _Optional[str] = ...) -> None: ...

class Disclosure(_message.Message):
    __slots__ = ("share_id", "program", "issuer_id", "recipient_id", "sender_id", "purpose", "consent_id", "contract_id", "policy_version", "decided_at_ms", "fields", "ways")
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ISSUER_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_ID_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    WAYS_FIELD_NUMBER: _ClassVar[int]
    share_id: str
    program: str
    issuer_id: str
    recipient_id: str
    sender_id: str
    purpose: str
    consent_id: str
    contract_id: str
    policy_version: int
    decided_at_ms: int
    fields: _containers.RepeatedScalarFieldContainer[str]
    ways: _containers.RepeatedCompositeFieldContainer[DisclosureWay]
    def __init__(self, share_id: _Optional[str] = ..., program: _Optional[str] = ..., issuer_id: _Optional[str] = ..., recipient_id: _Optional[str] = ..., sender_id: _Optional[str] = ..., purpose: _Optional[str] = ..., consent_id: _Optional[str] = ..., contract_id: _Optional[str] = ..., policy_version: _Optional[int] = ..., decided_at_ms: _Optional[int] = ..., fields: _Optional[_Iterable[str]] = ..., ways: _Optional[_Iterable[_Union[DisclosureWay, _Mapping]]] = ...) -> None: ...

class GetSubjectRequest(_message.Message):
    __slots__ = ("card",)
    CARD_FIELD_NUMBER: _ClassVar[int]
    card: SubjectCard
    def __init__(self, card: _Optional[_Union[SubjectCard, _Mapping]] = ...) -> None: ...

class GetSubjectResponse(_message.Message):
    __slots__ = ("disclosures", "disclosures_total", "steps")
    DISCLOSURES_FIELD_NUMBER: _ClassVar[int]
    DISCLOSURES_TOTAL_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    disclosures: _containers.RepeatedCompositeFieldContainer[Disclosure]
    disclosures_total: int
    steps: _containers.RepeatedCompositeFieldContainer[SubjectCaseStep]
    def __init__(self, disclosures: _Optional[_Iterable[_Union[Disclosure, _Mapping]]] = ..., disclosures_total: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[SubjectCaseStep, _Mapping]]] = ...) -> None: ...

class RecordObjectionRequest(_message.Message):
    __slots__ = ("card", "reason")
    CARD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    card: SubjectCard
    reason: str
    def __init__(self, card: _Optional[_Union[SubjectCard, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class SubjectEffect(_message.Message):
    __slots__ = ("consent_epoch", "effective_after_ms", "workers_acknowledged", "workers_expired")
    CONSENT_EPOCH_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_EXPIRED_FIELD_NUMBER: _ClassVar[int]
    consent_epoch: int
    effective_after_ms: int
    workers_acknowledged: int
    workers_expired: int
    def __init__(self, consent_epoch: _Optional[int] = ..., effective_after_ms: _Optional[int] = ..., workers_acknowledged: _Optional[int] = ..., workers_expired: _Optional[int] = ...) -> None: ...

class RecordObjectionResponse(_message.Message):
    __slots__ = ("case_id", "effect")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    case_id: int
    effect: SubjectEffect
    def __init__(self, case_id: _Optional[int] = ..., effect: _Optional[_Union[SubjectEffect, _Mapping]] = ...) -> None: ...

class DecideObjectionRequest(_message.Message):
    __slots__ = ("case_id", "state", "reason")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    case_id: int
    state: SubjectCaseState
    reason: str
    def __init__(self, case_id: _Optional[int] = ..., state: _Optional[_Union[SubjectCaseState, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class DecideObjectionResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: SubjectEffect
    def __init__(self, effect: _Optional[_Union[SubjectEffect, _Mapping]] = ...) -> None: ...

class RequestErasureRequest(_message.Message):
    __slots__ = ("card", "reason")
    CARD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    card: SubjectCard
    reason: str
    def __init__(self, card: _Optional[_Union[SubjectCard, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class RequestErasureResponse(_message.Message):
    __slots__ = ("case_id", "objection_case_id", "effect")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    OBJECTION_CASE_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    case_id: int
    objection_case_id: int
    effect: SubjectEffect
    def __init__(self, case_id: _Optional[int] = ..., objection_case_id: _Optional[int] = ..., effect: _Optional[_Union[SubjectEffect, _Mapping]] = ...) -> None: ...

class RecordRecipientToldRequest(_message.Message):
    __slots__ = ("case_id", "recipient_id", "evidence", "reason")
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    case_id: int
    recipient_id: str
    evidence: str
    reason: str
    def __init__(self, case_id: _Optional[int] = ..., recipient_id: _Optional[str] = ..., evidence: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RecordRecipientToldResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: SubjectEffect
    def __init__(self, effect: _Optional[_Union[SubjectEffect, _Mapping]] = ...) -> None: ...

class GetErasureRequest(_message.Message):
    __slots__ = ("case_id",)
    CASE_ID_FIELD_NUMBER: _ClassVar[int]
    case_id: int
    def __init__(self, case_id: _Optional[int] = ...) -> None: ...

class ErasureRecipient(_message.Message):
    __slots__ = ("recipient_id", "shares", "told_at_ms", "answered_at_ms", "refused", "told_by_hand")
    RECIPIENT_ID_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    TOLD_AT_MS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    TOLD_BY_HAND_FIELD_NUMBER: _ClassVar[int]
    recipient_id: str
    shares: int
    told_at_ms: int
    answered_at_ms: int
    refused: str
    told_by_hand: ErasureToldByHand
    def __init__(self, recipient_id: _Optional[str] = ..., shares: _Optional[int] = ..., told_at_ms: _Optional[int] = ..., answered_at_ms: _Optional[int] = ..., refused: _Optional[str] = ..., told_by_hand: _Optional[_Union[ErasureToldByHand, _Mapping]] = ...) -> None: ...

class ErasureToldByHand(_message.Message):
    __slots__ = ("actor", "at_ms", "evidence")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    actor: str
    at_ms: int
    evidence: str
    def __init__(self, actor: _Optional[str] = ..., at_ms: _Optional[int] = ..., evidence: _Optional[str] = ...) -> None: ...

class GetErasureResponse(_message.Message):
    __slots__ = ("asked_at_ms", "recipients", "forgotten_at_ms", "sealed_bodies_gone_by_ms", "certified_at_ms", "certificate")
    ASKED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SEALED_BODIES_GONE_BY_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFIED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    asked_at_ms: int
    recipients: _containers.RepeatedCompositeFieldContainer[ErasureRecipient]
    forgotten_at_ms: int
    sealed_bodies_gone_by_ms: int
    certified_at_ms: int
    certificate: str
    def __init__(self, asked_at_ms: _Optional[int] = ..., recipients: _Optional[_Iterable[_Union[ErasureRecipient, _Mapping]]] = ..., forgotten_at_ms: _Optional[int] = ..., sealed_bodies_gone_by_ms: _Optional[int] = ..., certified_at_ms: _Optional[int] = ..., certificate: _Optional[str] = ...) -> None: ...
