from issuernetwork.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConsentParty(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSENT_PARTY_UNSPECIFIED: _ClassVar[ConsentParty]
    CONSENT_PARTY_MERCHANT: _ClassVar[ConsentParty]
    CONSENT_PARTY_PLATFORM: _ClassVar[ConsentParty]

class ConsentTier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSENT_TIER_UNSPECIFIED: _ClassVar[ConsentTier]
    CONSENT_TIER_OPTED_OUT: _ClassVar[ConsentTier]
    CONSENT_TIER_NONE: _ClassVar[ConsentTier]
    CONSENT_TIER_BASIC: _ClassVar[ConsentTier]
    CONSENT_TIER_ENHANCED: _ClassVar[ConsentTier]
CONSENT_PARTY_UNSPECIFIED: ConsentParty
CONSENT_PARTY_MERCHANT: ConsentParty
CONSENT_PARTY_PLATFORM: ConsentParty
CONSENT_TIER_UNSPECIFIED: ConsentTier
CONSENT_TIER_OPTED_OUT: ConsentTier
CONSENT_TIER_NONE: ConsentTier
CONSENT_TIER_BASIC: ConsentTier
CONSENT_TIER_ENHANCED: ConsentTier

class ConsentSetting(_message.Message):
    __slots__ = ("party", "party_id", "tier", "terms_version", "evidence", "valid_from_ms", "valid_until_ms")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    TERMS_VERSION_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_MS_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    party: ConsentParty
    party_id: str
    tier: ConsentTier
    terms_version: str
    evidence: str
    valid_from_ms: int
    valid_until_ms: int
    def __init__(self, party: _Optional[_Union[ConsentParty, str]] = ..., party_id: _Optional[str] = ..., tier: _Optional[_Union[ConsentTier, str]] = ..., terms_version: _Optional[str] = ..., evidence: _Optional[str] = ..., valid_from_ms: _Optional[int] = ..., valid_until_ms: _Optional[int] = ...) -> None: ...

class Consent(_message.Message):
    __slots__ = ("setting", "consent_epoch", "actor", "reason", "at_ms")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    CONSENT_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    setting: ConsentSetting
    consent_epoch: int
    actor: str
    reason: str
    at_ms: int
    def __init__(self, setting: _Optional[_Union[ConsentSetting, _Mapping]] = ..., consent_epoch: _Optional[int] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ..., at_ms: _Optional[int] = ...) -> None: ...

class ConsentEffect(_message.Message):
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

class SetConsentRequest(_message.Message):
    __slots__ = ("setting", "reason")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    setting: ConsentSetting
    reason: str
    def __init__(self, setting: _Optional[_Union[ConsentSetting, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class SetConsentResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: ConsentEffect
    def __init__(self, effect: _Optional[_Union[ConsentEffect, _Mapping]] = ...) -> None: ...

class RevokeConsentRequest(_message.Message):
    __slots__ = ("party", "party_id", "reason")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    party: ConsentParty
    party_id: str
    reason: str
    def __init__(self, party: _Optional[_Union[ConsentParty, str]] = ..., party_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeConsentResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: ConsentEffect
    def __init__(self, effect: _Optional[_Union[ConsentEffect, _Mapping]] = ...) -> None: ...

class BatchSetConsentsRequest(_message.Message):
    __slots__ = ("settings", "reason")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    settings: _containers.RepeatedCompositeFieldContainer[ConsentSetting]
    reason: str
    def __init__(self, settings: _Optional[_Iterable[_Union[ConsentSetting, _Mapping]]] = ..., reason: _Optional[str] = ...) -> None: ...

class BatchSetConsentsResponse(_message.Message):
    __slots__ = ("effect",)
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    effect: ConsentEffect
    def __init__(self, effect: _Optional[_Union[ConsentEffect, _Mapping]] = ...) -> None: ...

class GetConsentRequest(_message.Message):
    __slots__ = ("party", "party_id")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    party: ConsentParty
    party_id: str
    def __init__(self, party: _Optional[_Union[ConsentParty, str]] = ..., party_id: _Optional[str] = ...) -> None: ...

class GetConsentResponse(_message.Message):
    __slots__ = ("consent",)
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    consent: Consent
    def __init__(self, consent: _Optional[_Union[Consent, _Mapping]] = ...) -> None: ...

class ListConsentsRequest(_message.Message):
    __slots__ = ("party", "party_id", "limit", "cursor")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    PARTY_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    party: ConsentParty
    party_id: str
    limit: int
    cursor: str
    def __init__(self, party: _Optional[_Union[ConsentParty, str]] = ..., party_id: _Optional[str] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListConsentsResponse(_message.Message):
    __slots__ = ("consents", "next_cursor")
    CONSENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    consents: _containers.RepeatedCompositeFieldContainer[Consent]
    next_cursor: str
    def __init__(self, consents: _Optional[_Iterable[_Union[Consent, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...
