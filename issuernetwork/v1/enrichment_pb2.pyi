from issuernetwork.v1 import access_pb2 as _access_pb2
from issuernetwork.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliveryTimeframe(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_TIMEFRAME_UNSPECIFIED: _ClassVar[DeliveryTimeframe]
    DELIVERY_TIMEFRAME_ELECTRONIC: _ClassVar[DeliveryTimeframe]
    DELIVERY_TIMEFRAME_SAME_DAY: _ClassVar[DeliveryTimeframe]
    DELIVERY_TIMEFRAME_OVERNIGHT: _ClassVar[DeliveryTimeframe]
    DELIVERY_TIMEFRAME_TWO_THREE_DAYS: _ClassVar[DeliveryTimeframe]
    DELIVERY_TIMEFRAME_FOUR_OR_MORE_DAYS: _ClassVar[DeliveryTimeframe]
    DELIVERY_TIMEFRAME_TO_STORE: _ClassVar[DeliveryTimeframe]

class TransStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANS_STATUS_UNSPECIFIED: _ClassVar[TransStatus]
    TRANS_STATUS_Y: _ClassVar[TransStatus]
    TRANS_STATUS_N: _ClassVar[TransStatus]
    TRANS_STATUS_U: _ClassVar[TransStatus]
    TRANS_STATUS_A: _ClassVar[TransStatus]
    TRANS_STATUS_C: _ClassVar[TransStatus]
    TRANS_STATUS_D: _ClassVar[TransStatus]
    TRANS_STATUS_R: _ClassVar[TransStatus]
    TRANS_STATUS_I: _ClassVar[TransStatus]

class Completeness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPLETENESS_UNSPECIFIED: _ClassVar[Completeness]
    COMPLETENESS_FULL: _ClassVar[Completeness]
    COMPLETENESS_DEGRADED: _ClassVar[Completeness]
DELIVERY_TIMEFRAME_UNSPECIFIED: DeliveryTimeframe
DELIVERY_TIMEFRAME_ELECTRONIC: DeliveryTimeframe
DELIVERY_TIMEFRAME_SAME_DAY: DeliveryTimeframe
DELIVERY_TIMEFRAME_OVERNIGHT: DeliveryTimeframe
DELIVERY_TIMEFRAME_TWO_THREE_DAYS: DeliveryTimeframe
DELIVERY_TIMEFRAME_FOUR_OR_MORE_DAYS: DeliveryTimeframe
DELIVERY_TIMEFRAME_TO_STORE: DeliveryTimeframe
TRANS_STATUS_UNSPECIFIED: TransStatus
TRANS_STATUS_Y: TransStatus
TRANS_STATUS_N: TransStatus
TRANS_STATUS_U: TransStatus
TRANS_STATUS_A: TransStatus
TRANS_STATUS_C: TransStatus
TRANS_STATUS_D: TransStatus
TRANS_STATUS_R: TransStatus
TRANS_STATUS_I: TransStatus
COMPLETENESS_UNSPECIFIED: Completeness
COMPLETENESS_FULL: Completeness
COMPLETENESS_DEGRADED: Completeness

class EnrichAuthorizationRequest(_message.Message):
    __slots__ = ("request_id", "payment_intent_id", "attempt_no", "merchant_id", "platform_id", "network", "amount_minor", "currency", "initiated_at_ms", "channel", "initiation", "mit_reason", "card", "acquirer", "merchant", "customer", "device", "authentication", "cardholder_region", "caller_assessments", "validate_only", "correlation_id", "issuer_reference_id", "original_network_transaction_id", "order")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_INTENT_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_NO_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_ID_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_ID_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INITIATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    INITIATION_FIELD_NUMBER: _ClassVar[int]
    MIT_REASON_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    ACQUIRER_FIELD_NUMBER: _ClassVar[int]
    MERCHANT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATION_FIELD_NUMBER: _ClassVar[int]
    CARDHOLDER_REGION_FIELD_NUMBER: _ClassVar[int]
    CALLER_ASSESSMENTS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    ISSUER_REFERENCE_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_NETWORK_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    payment_intent_id: str
    attempt_no: int
    merchant_id: str
    platform_id: str
    network: _common_pb2.Network
    amount_minor: int
    currency: str
    initiated_at_ms: int
    channel: _common_pb2.Channel
    initiation: _common_pb2.Initiation
    mit_reason: str
    card: Card
    acquirer: Acquirer
    merchant: Merchant
    customer: Customer
    device: Device
    authentication: Authentication
    cardholder_region: str
    caller_assessments: _containers.RepeatedCompositeFieldContainer[_common_pb2.Assessment]
    validate_only: bool
    correlation_id: str
    issuer_reference_id: str
    original_network_transaction_id: str
    order: Order
    def __init__(self, request_id: _Optional[str] = ..., payment_intent_id: _Optional[str] = ..., attempt_no: _Optional[int] = ..., merchant_id: _Optional[str] = ..., platform_id: _Optional[str] = ..., network: _Optional[_Union[_common_pb2.Network, str]] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., initiated_at_ms: _Optional[int] = ..., channel: _Optional[_Union[_common_pb2.Channel, str]] = ..., initiation: _Optional[_Union[_common_pb2.Initiation, str]] = ..., mit_reason: _Optional[str] = ..., card: _Optional[_Union[Card, _Mapping]] = ..., acquirer: _Optional[_Union[Acquirer, _Mapping]] = ..., merchant: _Optional[_Union[Merchant, _Mapping]] = ..., customer: _Optional[_Union[Customer, _Mapping]] = ..., device: _Optional[_Union[Device, _Mapping]] = ..., authentication: _Optional[_Union[Authentication, _Mapping]] = ..., cardholder_region: _Optional[str] = ..., caller_assessments: _Optional[_Iterable[_Union[_common_pb2.Assessment, _Mapping]]] = ..., validate_only: bool = ..., correlation_id: _Optional[str] = ..., issuer_reference_id: _Optional[str] = ..., original_network_transaction_id: _Optional[str] = ..., order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("basket_category", "delivery_timeframe")
    BASKET_CATEGORY_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TIMEFRAME_FIELD_NUMBER: _ClassVar[int]
    basket_category: str
    delivery_timeframe: DeliveryTimeframe
    def __init__(self, basket_category: _Optional[str] = ..., delivery_timeframe: _Optional[_Union[DeliveryTimeframe, str]] = ...) -> None: ...

class Card(_message.Message):
    __slots__ = ("pan", "network_token", "card_ref", "iin", "last4", "last4_source", "par", "funding", "commercial")
    PAN_FIELD_NUMBER: _ClassVar[int]
    NETWORK_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CARD_REF_FIELD_NUMBER: _ClassVar[int]
    IIN_FIELD_NUMBER: _ClassVar[int]
    LAST4_FIELD_NUMBER: _ClassVar[int]
    LAST4_SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAR_FIELD_NUMBER: _ClassVar[int]
    FUNDING_FIELD_NUMBER: _ClassVar[int]
    COMMERCIAL_FIELD_NUMBER: _ClassVar[int]
    pan: str
    network_token: str
    card_ref: str
    iin: str
    last4: str
    last4_source: str
    par: str
    funding: _common_pb2.Funding
    commercial: bool
    def __init__(self, pan: _Optional[str] = ..., network_token: _Optional[str] = ..., card_ref: _Optional[str] = ..., iin: _Optional[str] = ..., last4: _Optional[str] = ..., last4_source: _Optional[str] = ..., par: _Optional[str] = ..., funding: _Optional[_Union[_common_pb2.Funding, str]] = ..., commercial: bool = ...) -> None: ...

class Acquirer(_message.Message):
    __slots__ = ("acquiring_institution_id", "stan", "transmission_date_time", "retrieval_reference_number", "terminal_id", "card_acceptor_id", "network_match_key")
    ACQUIRING_INSTITUTION_ID_FIELD_NUMBER: _ClassVar[int]
    STAN_FIELD_NUMBER: _ClassVar[int]
    TRANSMISSION_DATE_TIME_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_REFERENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_ID_FIELD_NUMBER: _ClassVar[int]
    CARD_ACCEPTOR_ID_FIELD_NUMBER: _ClassVar[int]
    NETWORK_MATCH_KEY_FIELD_NUMBER: _ClassVar[int]
    acquiring_institution_id: str
    stan: str
    transmission_date_time: str
    retrieval_reference_number: str
    terminal_id: str
    card_acceptor_id: str
    network_match_key: str
    def __init__(self, acquiring_institution_id: _Optional[str] = ..., stan: _Optional[str] = ..., transmission_date_time: _Optional[str] = ..., retrieval_reference_number: _Optional[str] = ..., terminal_id: _Optional[str] = ..., card_acceptor_id: _Optional[str] = ..., network_match_key: _Optional[str] = ...) -> None: ...

class Merchant(_message.Message):
    __slots__ = ("mcc", "name", "country")
    MCC_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    mcc: str
    name: str
    country: str
    def __init__(self, mcc: _Optional[str] = ..., name: _Optional[str] = ..., country: _Optional[str] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("line1", "city", "region", "postal_code", "country")
    LINE1_FIELD_NUMBER: _ClassVar[int]
    CITY_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    POSTAL_CODE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    line1: str
    city: str
    region: str
    postal_code: str
    country: str
    def __init__(self, line1: _Optional[str] = ..., city: _Optional[str] = ..., region: _Optional[str] = ..., postal_code: _Optional[str] = ..., country: _Optional[str] = ...) -> None: ...

class CustomerHistory(_message.Message):
    __slots__ = ("account_age_days", "account_change_age_days", "password_change_age_days", "transactions_24h", "transactions_1y", "purchases_6m", "add_card_attempts_24h", "card_on_file_age_days")
    ACCOUNT_AGE_DAYS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_CHANGE_AGE_DAYS_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_CHANGE_AGE_DAYS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_24H_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_1Y_FIELD_NUMBER: _ClassVar[int]
    PURCHASES_6M_FIELD_NUMBER: _ClassVar[int]
    ADD_CARD_ATTEMPTS_24H_FIELD_NUMBER: _ClassVar[int]
    CARD_ON_FILE_AGE_DAYS_FIELD_NUMBER: _ClassVar[int]
    account_age_days: int
    account_change_age_days: int
    password_change_age_days: int
    transactions_24h: int
    transactions_1y: int
    purchases_6m: int
    add_card_attempts_24h: int
    card_on_file_age_days: int
    def __init__(self, account_age_days: _Optional[int] = ..., account_change_age_days: _Optional[int] = ..., password_change_age_days: _Optional[int] = ..., transactions_24h: _Optional[int] = ..., transactions_1y: _Optional[int] = ..., purchases_6m: _Optional[int] = ..., add_card_attempts_24h: _Optional[int] = ..., card_on_file_age_days: _Optional[int] = ...) -> None: ...

class Customer(_message.Message):
    __slots__ = ("email", "phone_e164", "name", "billing", "shipping", "history")
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PHONE_E164_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BILLING_FIELD_NUMBER: _ClassVar[int]
    SHIPPING_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    email: str
    phone_e164: str
    name: str
    billing: Address
    shipping: Address
    history: CustomerHistory
    def __init__(self, email: _Optional[str] = ..., phone_e164: _Optional[str] = ..., name: _Optional[str] = ..., billing: _Optional[_Union[Address, _Mapping]] = ..., shipping: _Optional[_Union[Address, _Mapping]] = ..., history: _Optional[_Union[CustomerHistory, _Mapping]] = ...) -> None: ...

class Browser(_message.Message):
    __slots__ = ("time_zone", "language", "screen_width", "screen_height")
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    SCREEN_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SCREEN_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    time_zone: str
    language: str
    screen_width: int
    screen_height: int
    def __init__(self, time_zone: _Optional[str] = ..., language: _Optional[str] = ..., screen_width: _Optional[int] = ..., screen_height: _Optional[int] = ...) -> None: ...

class CoarseLocation(_message.Message):
    __slots__ = ("latitude", "longitude")
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    latitude: float
    longitude: float
    def __init__(self, latitude: _Optional[float] = ..., longitude: _Optional[float] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("ip", "device_id", "user_agent", "browser", "coarse_location")
    IP_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    BROWSER_FIELD_NUMBER: _ClassVar[int]
    COARSE_LOCATION_FIELD_NUMBER: _ClassVar[int]
    ip: str
    device_id: str
    user_agent: str
    browser: Browser
    coarse_location: CoarseLocation
    def __init__(self, ip: _Optional[str] = ..., device_id: _Optional[str] = ..., user_agent: _Optional[str] = ..., browser: _Optional[_Union[Browser, _Mapping]] = ..., coarse_location: _Optional[_Union[CoarseLocation, _Mapping]] = ...) -> None: ...

class Authentication(_message.Message):
    __slots__ = ("eci", "trans_status", "ds_trans_id", "avs_result", "cvv_result", "exemption")
    ECI_FIELD_NUMBER: _ClassVar[int]
    TRANS_STATUS_FIELD_NUMBER: _ClassVar[int]
    DS_TRANS_ID_FIELD_NUMBER: _ClassVar[int]
    AVS_RESULT_FIELD_NUMBER: _ClassVar[int]
    CVV_RESULT_FIELD_NUMBER: _ClassVar[int]
    EXEMPTION_FIELD_NUMBER: _ClassVar[int]
    eci: str
    trans_status: TransStatus
    ds_trans_id: str
    avs_result: str
    cvv_result: str
    exemption: str
    def __init__(self, eci: _Optional[str] = ..., trans_status: _Optional[_Union[TransStatus, str]] = ..., ds_trans_id: _Optional[str] = ..., avs_result: _Optional[str] = ..., cvv_result: _Optional[str] = ..., exemption: _Optional[str] = ...) -> None: ...

class Omission(_message.Message):
    __slots__ = ("provider", "reason")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    provider: str
    reason: str
    def __init__(self, provider: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class MessageElement(_message.Message):
    __slots__ = ("target", "value")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    target: str
    value: str
    def __init__(self, target: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ProgramDecision(_message.Message):
    __slots__ = ("program", "status", "public_reason", "share_id", "elements", "match_key", "expires_at_ms")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_REASON_FIELD_NUMBER: _ClassVar[int]
    SHARE_ID_FIELD_NUMBER: _ClassVar[int]
    ELEMENTS_FIELD_NUMBER: _ClassVar[int]
    MATCH_KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    program: str
    status: _common_pb2.ShareStatus
    public_reason: _common_pb2.PublicReason
    share_id: str
    elements: _containers.RepeatedCompositeFieldContainer[MessageElement]
    match_key: str
    expires_at_ms: int
    def __init__(self, program: _Optional[str] = ..., status: _Optional[_Union[_common_pb2.ShareStatus, str]] = ..., public_reason: _Optional[_Union[_common_pb2.PublicReason, str]] = ..., share_id: _Optional[str] = ..., elements: _Optional[_Iterable[_Union[MessageElement, _Mapping]]] = ..., match_key: _Optional[str] = ..., expires_at_ms: _Optional[int] = ...) -> None: ...

class EnrichAuthorizationResponse(_message.Message):
    __slots__ = ("request_id", "evaluation_id", "policy_version", "completeness", "degraded_reason", "assessments", "decisions", "field_issues", "omissions")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASON_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENTS_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    FIELD_ISSUES_FIELD_NUMBER: _ClassVar[int]
    OMISSIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    evaluation_id: str
    policy_version: int
    completeness: Completeness
    degraded_reason: str
    assessments: _containers.RepeatedCompositeFieldContainer[_common_pb2.Assessment]
    decisions: _containers.RepeatedCompositeFieldContainer[ProgramDecision]
    field_issues: _containers.RepeatedCompositeFieldContainer[_common_pb2.FieldIssue]
    omissions: _containers.RepeatedCompositeFieldContainer[Omission]
    def __init__(self, request_id: _Optional[str] = ..., evaluation_id: _Optional[str] = ..., policy_version: _Optional[int] = ..., completeness: _Optional[_Union[Completeness, str]] = ..., degraded_reason: _Optional[str] = ..., assessments: _Optional[_Iterable[_Union[_common_pb2.Assessment, _Mapping]]] = ..., decisions: _Optional[_Iterable[_Union[ProgramDecision, _Mapping]]] = ..., field_issues: _Optional[_Iterable[_Union[_common_pb2.FieldIssue, _Mapping]]] = ..., omissions: _Optional[_Iterable[_Union[Omission, _Mapping]]] = ...) -> None: ...

class BatchEnrichAuthorizationsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[EnrichAuthorizationRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[EnrichAuthorizationRequest, _Mapping]]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("code", "message", "field_issues")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_ISSUES_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field_issues: _containers.RepeatedCompositeFieldContainer[_common_pb2.FieldIssue]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field_issues: _Optional[_Iterable[_Union[_common_pb2.FieldIssue, _Mapping]]] = ...) -> None: ...

class BatchEnrichAuthorizationsItem(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: EnrichAuthorizationResponse
    error: ItemError
    def __init__(self, response: _Optional[_Union[EnrichAuthorizationResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class BatchEnrichAuthorizationsResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[BatchEnrichAuthorizationsItem]
    def __init__(self, items: _Optional[_Iterable[_Union[BatchEnrichAuthorizationsItem, _Mapping]]] = ...) -> None: ...

class StreamedAuthorization(_message.Message):
    __slots__ = ("request", "budget_ms")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    request: EnrichAuthorizationRequest
    budget_ms: int
    def __init__(self, request: _Optional[_Union[EnrichAuthorizationRequest, _Mapping]] = ..., budget_ms: _Optional[int] = ...) -> None: ...

class StreamEnrichAuthorizationsRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[StreamedAuthorization]
    def __init__(self, items: _Optional[_Iterable[_Union[StreamedAuthorization, _Mapping]]] = ...) -> None: ...

class StreamedAnswer(_message.Message):
    __slots__ = ("request_id", "response", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    response: EnrichAuthorizationResponse
    error: ItemError
    def __init__(self, request_id: _Optional[str] = ..., response: _Optional[_Union[EnrichAuthorizationResponse, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ...) -> None: ...

class StreamEnrichAuthorizationsResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[StreamedAnswer]
    def __init__(self, items: _Optional[_Iterable[_Union[StreamedAnswer, _Mapping]]] = ...) -> None: ...
