"""The one table of fields that may be shared.

The request's contract, the JSON of a share, the reference page and the check of policies all follow it.

Numbers are bits of the field masks in journal records and in the ledger: once given they are never used again
for another field. A field whose provider is not there is never present.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from enrichment.field_shapes import (
    ADDRESS,
    ASSESSMENTS,
    BOOL,
    BROWSER,
    CODES,
    COUNT,
    COUNTRY,
    DAYS,
    HASHES,
    NUMBER,
    PLACE,
    SCALE,
    TIME_MS,
    Shape,
    alphanumeric,
    digits,
    number,
    one_of,
    pattern,
    text,
    whole,
)
from issuernetwork.v1 import common_pb2

Sensitivity = Literal["A", "Y", "I", "P"]
"""A low, Y pseudonymous, I personal, P the PAN itself. On a record about one card nothing is non-personal."""

DICTIONARY_VERSION: Final = 3  # 1 had the fields up to number 62, 2 up to 88
MASK_BITS: Final = 128
"""Of every mask. Two uint64 of a journal record, one u128 of the engines (native/src/policy/masks.rs)."""

EVERY_BIT: Final = (1 << MASK_BITS) - 1

AUTHORIZATION: Final = int(common_pb2.PURPOSE_FRAUD_AUTHORIZATION)
REPORTING: Final = int(common_pb2.PURPOSE_FRAUD_REPORTING)

WELL_FORMED: Final = "well_formed"
"""Rule of what is read from a request or a report and has no other: the checks there refuse or drop what is
not of its form, with a code (enrichment/check.py, enrichment/card.py, gateway/outcomes/labels.py)."""

DERIVED: Final = "derived"
"""Rule of what the gateway makes, counts or looks up: from checked values alone, absent where not known."""

# Groups whose low-sensitivity fields may stand in an authorization message and in the journalled answer:
# results and counts about the payment, never what identifies a card, a person or a device.
_CLEAR_GROUPS: Final = frozenset({"score", "velocity", "auth"})

# Who sells, and nothing else: the same for every cardholder who buys there.
_SUBJECTLESS_GROUPS: Final = frozenset({"merchant"})

# What was measured of a merchant is nobody's name for itself: it leaves sealed.
_MEASURED: Final = frozenset({"merchant_fraud_rate_bp", "merchant_dispute_rate_bp"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the dictionary. Bit `number` of a mask stands for it."""

    number: int
    name: str
    group: str
    sensitivity: Sensitivity
    shape: Shape = field(hash=False)
    """Of its value in a share."""
    category: str
    """Data category of fideslang."""
    provider: str
    """The family of signals that makes it (enrichment/families, enrichment/providers)."""
    meaning: str
    """What it is, with its ISO 8583 data element."""
    source: str
    """Path in a request that it is read from, or "" where it is made of others or looked up."""
    unit: str
    """Of a number, or ""."""
    quality: str
    """Rule that a value keeps to before it is shared: of enrichment/quality.py, WELL_FORMED or DERIVED."""
    purpose: int
    """Number of `v1.Purpose` that the field is collected for."""

    @property
    def clear_ok(self) -> bool:
        """Whether it may stand outside sealed bytes: message elements and the journalled answer."""
        return self.group in _CLEAR_GROUPS and self.sensitivity in "AY"

    @property
    def subjectless(self) -> bool:
        """Whether it says nothing of a card, a person, a device or a payment: it may leave unsealed."""
        return self.group in _SUBJECTLESS_GROUPS and self.sensitivity == "A" and self.name not in _MEASURED


# Of fideslang 3 (https://ethyca.github.io/fideslang/): a record of processing can be drawn by machine.
_OPERATIONS: Final = "system.operations"
_PAYMENT: Final = "user.payment"
_CARD: Final = "user.financial.credit_card"
_PURCHASES: Final = "user.behavior.purchase_history"
_ACCOUNT: Final = "user.account"
_BEHAVIOR: Final = "user.behavior"
_DEVICE: Final = "user.device"
_DEVICE_ID: Final = "user.device.device_id"
_IP: Final = "user.device.ip_address"
_EMAIL: Final = "user.contact.email"
_PHONE: Final = "user.contact.phone_number"
_POSTAL: Final = "user.contact.address"


class _Row(NamedTuple):
    """A field as the table below has it: its number is its place."""

    name: str
    group: str
    sensitivity: Sensitivity
    shape: Shape
    category: str
    provider: str
    meaning: str
    source: str = ""
    unit: str = ""
    quality: str = ""
    """Or "", which stands for the one that follows from where the field comes from."""


def _attempts(name: str, of: str) -> _Row:
    return _Row(name, "velocity", "A", COUNT, _BEHAVIOR, "velocity", f"{of}, the present one included",
                unit="attempts")  # fmt: skip


def _different(name: str, unit: str) -> _Row:
    return _Row(name, "velocity", "A", COUNT, _BEHAVIOR, "velocity",
                "distinct, the present one included; 8 says 8 or more", unit=unit)  # fmt: skip


_ROWS: Final = (
    _Row("match_key", "correlation", "Y", text(64), _OPERATIONS, "card",
         "key that the network issued for matching", "acquirer.network_match_key",
         quality="not_placeholder"),
    _Row("stan", "correlation", "A", digits(6), _OPERATIONS, "card", "DE11", "acquirer.stan",
         quality="not_zeros"),
    _Row("rrn", "correlation", "Y", alphanumeric(12), _OPERATIONS, "card", "DE37",
         "acquirer.retrieval_reference_number", quality="not_zeros"),
    _Row("transmission_date_time", "correlation", "A", digits(10), _OPERATIONS, "card",
         "DE7, MMDDhhmmss in UTC", "acquirer.transmission_date_time"),
    _Row("ds_trans_id", "correlation", "Y", pattern("UUID", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
         _OPERATIONS, "authentication", "transaction id of the 3DS directory server",
         "authentication.ds_trans_id", quality="not_placeholder"),
    _Row("amount_minor", "payment", "A", whole(0, 10**12 - 1), _PAYMENT, "card", "DE4", "amount_minor",
         "minor units"),
    _Row("currency", "payment", "A", pattern("ISO 4217 alphabetic", "[A-Z]{3}"), _PAYMENT, "card", "DE49",
         "currency"),
    _Row("initiated_at", "payment", "A", TIME_MS, _PAYMENT, "card", "when the attempt was started",
         "initiated_at_ms", "UTC epoch milliseconds"),
    _Row("channel", "payment", "A", one_of("ecom", "app", "moto", "pos"), _PAYMENT, "card",
         "where the payment was made", "channel"),
    _Row("initiation", "payment", "A", pattern("CIT | MIT | MIT:reason", "(CIT|MIT)(:.{1,32})?"), _PAYMENT,
         "card", "who started the payment", "initiation"),
    _Row("attempt_no", "payment", "A", whole(1), _PAYMENT, "card", "attempt within the payment",
         "attempt_no", "attempts"),
    _Row("bin8", "card", "A", pattern("n6 or n8", "[0-9]{6}([0-9]{2})?"), _CARD, "card",
         "leading digits of DE2", "card.iin"),
    _Row("last4", "card", "Y", digits(4), _CARD, "card", "last digits of DE2", "card.last4"),
    _Row("pan", "card", "P", digits(13, 19), _CARD, "card", "DE2; only inside a JWE", "card.pan"),
    _Row("par", "card", "Y", alphanumeric(29), _CARD, "card", "Payment Account Reference", "card.par",
         quality="not_placeholder"),
    _Row("is_network_token", "card", "A", BOOL, _CARD, "card", "whether a network token was sent"),
    _Row("funding", "card", "A", one_of("credit", "debit", "prepaid", "commercial"), _CARD, "card",
         "funding of the account", "card.funding"),
    _Row("email", "contact", "I", text(254), _EMAIL, "identity", "RFC 5321, normalised", "customer.email",
         quality="real_mailbox"),
    _Row("phone_e164", "contact", "I", pattern("E.164 with leading plus", "\\+[1-9][0-9]{6,14}"), _PHONE,
         "identity", "telephone number", "customer.phone_e164", quality="possible_number"),
    _Row("cardholder_name", "contact", "I", text(64), "user.name", "identity", "as on the card",
         "customer.name", quality="real_name"),
    _Row("billing_address", "contact", "I", ADDRESS, _POSTAL, "identity", "billing address",
         "customer.billing", quality="whole_address"),
    _Row("shipping_address", "contact", "I", ADDRESS, _POSTAL, "identity", "shipping address",
         "customer.shipping", quality="whole_address"),
    _Row("ship_bill_match", "contact", "A", BOOL, _POSTAL, "identity", "goods go where the bill goes"),
    _Row("ip", "device", "I", text(45), _IP, "network", "IPv4, or IPv6 as RFC 5952 writes it", "device.ip",
         quality="public_address"),
    _Row("device_id", "device", "Y", text(64), _DEVICE_ID, "network", "stable identifier of the device",
         "device.device_id", quality="stable_id"),
    _Row("user_agent", "device", "Y", text(512), _DEVICE, "network", "as the browser sent it",
         "device.user_agent", quality="browser"),
    _Row("browser_fp", "device", "Y", BROWSER, "user.device.telemetry", "network",
         "what the browser says of itself", "device.browser"),
    _Row("geo", "device", "I", PLACE, "user.location.coarse", "network", "coarse position, two decimals",
         "device.coarse_location", "degrees", "real_place"),
    _Row("account_age_days", "history", "Y", DAYS, _ACCOUNT, "identity", "age of the account",
         "customer.history.account_age_days", "days"),
    _Row("account_change_age_days", "history", "Y", DAYS, _ACCOUNT, "identity",
         "since the account was last changed", "customer.history.account_change_age_days", "days",
         "consistent_history"),
    _Row("password_change_age_days", "history", "Y", DAYS, _ACCOUNT, "identity",
         "since the password was last changed", "customer.history.password_change_age_days", "days",
         "consistent_history"),
    _Row("txn_count_24h", "history", "A", COUNT, _PURCHASES, "identity", "payments in the last 24 hours",
         "customer.history.transactions_24h", "payments", "consistent_history"),
    _Row("txn_count_1y", "history", "A", COUNT, _PURCHASES, "identity", "payments in the last year",
         "customer.history.transactions_1y", "payments"),
    _Row("purchases_6m", "history", "A", COUNT, _PURCHASES, "identity", "purchases in the last 6 months",
         "customer.history.purchases_6m", "purchases", "consistent_history"),
    _Row("add_card_attempts_24h", "history", "A", COUNT, _BEHAVIOR, "identity",
         "attempts to add a card in the last 24 hours", "customer.history.add_card_attempts_24h", "attempts"),
    _Row("card_on_file_age_days", "history", "Y", DAYS, _ACCOUNT, "identity", "age of the card on file",
         "customer.history.card_on_file_age_days", "days", "consistent_history"),
    _Row("mcc", "merchant", "A", digits(4), _OPERATIONS, "merchant", "DE18", "merchant.mcc",
         quality="real_category"),
    _Row("merchant_name", "merchant", "A", text(64), _OPERATIONS, "merchant", "DE43", "merchant.name",
         quality="not_placeholder"),
    _Row("acceptor_id", "merchant", "A", text(15), _OPERATIONS, "merchant", "ans15, DE42",
         "acquirer.card_acceptor_id", quality="not_placeholder"),
    _Row("merchant_country", "merchant", "A", COUNTRY, _OPERATIONS, "merchant", "country of the merchant",
         "merchant.country"),
    _Row("eci", "auth", "A", alphanumeric(2), _PAYMENT, "authentication", "electronic commerce indicator",
         "authentication.eci", quality="known_eci"),
    _Row("trans_status", "auth", "A", one_of("Y", "N", "U", "A", "C", "D", "R", "I"), _PAYMENT,
         "authentication", "3DS transaction status", "authentication.trans_status"),
    _Row("sca_exemption", "auth", "A", text(32), _PAYMENT, "authentication",
         "exemption from strong customer authentication", "authentication.exemption",
         quality="not_placeholder"),
    _Row("avs_result", "auth", "A", alphanumeric(1), _PAYMENT, "authentication",
         "result of address verification", "authentication.avs_result"),
    _Row("cvv_result", "auth", "A", alphanumeric(1), _PAYMENT, "authentication",
         "the result and never the value", "authentication.cvv_result"),
    _attempts("card_attempts_10m", "of the card"),
    _attempts("ip_attempts_10m", "from the address"),
    _attempts("device_attempts_10m", "from the device"),
    _Row("score_raw", "score", "Y", NUMBER, _BEHAVIOR, "score", "as its scale says"),
    _Row("score_scale", "score", "A", SCALE, _OPERATIONS, "score", "scale of the raw score"),
    _Row("score_norm", "score", "Y", whole(0, 999), _BEHAVIOR, "score", "high is risky"),
    _Row("reason_codes", "score", "Y", CODES, _BEHAVIOR, "score", "what the score is high for"),
    _Row("model_id", "score", "A", text(64), _OPERATIONS, "score", "model and version"),
    _Row("label_state", "fraud", "Y", one_of("suspected", "confirmed", "not_fraud"), _PAYMENT, "labels",
         "what the source holds of it"),
    _Row("label_source", "fraud", "A",
         one_of("tc40", "mastercard_fld", "issuer", "chargeback", "merchant", "manual"), _PAYMENT, "labels",
         "who says so"),
    _Row("fraud_type", "fraud", "Y", text(16), _PAYMENT, "labels", "code of the source"),
    _Row("reported_at", "fraud", "A", TIME_MS, _PAYMENT, "labels", "when the source said so",
         unit="UTC epoch milliseconds"),
    _Row("effective_at", "fraud", "A", TIME_MS, _PAYMENT, "labels", "when it happened",
         unit="UTC epoch milliseconds"),
    _Row("fraud_amount_minor", "fraud", "A", whole(0, 10**15 - 1), _PAYMENT, "labels", "what was lost",
         unit="minor units"),
    _Row("external_ref", "fraud", "Y", text(64), _OPERATIONS, "labels", "ACN or ARN"),
    _Row("dispute_stage", "fraud", "A",
         one_of("inquiry", "alert", "chargeback", "represented", "won", "lost"), _PAYMENT, "labels",
         "how far a dispute has come"),
    _Row("email_hash", "contact", "Y", HASHES, _EMAIL, "sealing",
         "HMAC of the normal form, by the recipient's key", quality="real_mailbox"),
    _Row("phone_hash", "contact", "Y", HASHES, _PHONE, "sealing",
         "HMAC of the number, by the recipient's key", quality="possible_number"),
    _Row("correlation_id", "correlation", "Y", text(64), _OPERATIONS, "card", "the sender's own reference",
         "correlation_id", quality="not_placeholder"),
    _Row("issuer_reference_id", "correlation", "Y", text(64), _OPERATIONS, "card",
         "returned by the issuer earlier", "issuer_reference_id", quality="not_placeholder"),
    _Row("network_txn_id", "correlation", "Y",
         pattern("13 to 22 of [A-Za-z0-9_-]", "[A-Za-z0-9_-]{13,22}"), _OPERATIONS, "card",
         "of the payment's first attempt or of the original; in a report, of the payment itself",
         "original_network_transaction_id", quality="not_placeholder"),
    _Row("basket_category", "payment", "I", text(64), _PURCHASES, "card", "what is bought",
         "order.basket_category", quality="not_placeholder"),
    _Row("delivery_timeframe", "payment", "A",
         one_of("electronic", "same_day", "overnight", "two_three_days", "four_or_more_days", "to_store"),
         _PURCHASES, "card", "when the goods are delivered", "order.delivery_timeframe"),
    _Row("ip_country", "device", "A", COUNTRY, _IP, "network", "country of the address"),
    _Row("ip_anonymised", "device", "A", one_of("none", "vpn", "proxy", "tor", "hosting"), _IP, "network",
         "how the address hides who is behind it"),
    _Row("ip_asn", "device", "A", whole(0, (1 << 32) - 1), _IP, "network",
         "autonomous system that the address belongs to"),
    _Row("email_domain_type", "contact", "A", one_of("free", "disposable", "corporate"), _EMAIL, "contact",
         "kind of host that the address is at"),
    _different("cards_per_email_24h", "cards"),
    _different("cards_per_device_24h", "cards"),
    _different("cards_per_ip_24h", "cards"),
    _different("merchants_per_card_24h", "merchants"),
    _attempts("card_attempts_1h", "of the card"),
    _attempts("card_attempts_24h", "of the card"),
    _attempts("card_attempts_7d", "of the card"),
    _attempts("email_attempts_24h", "with the e-mail address"),
    _Row("device_on_card_age_days", "device", "Y", DAYS, _DEVICE_ID, "device",
         "since the device was first seen with the card", unit="days"),
    _Row("amount_to_card_mean", "velocity", "A", COUNT, _PURCHASES, "amounts",
         "the amount against the card's own mean", unit="percent"),
    _Row("amount_to_merchant_mean", "velocity", "A", COUNT, _PURCHASES, "amounts",
         "the amount against the merchant's mean", unit="percent"),
    _Row("merchant_fraud_rate_bp", "merchant", "A", COUNT, _OPERATIONS, "merchant",
         "as measured", unit="basis points"),
    _Row("merchant_dispute_rate_bp", "merchant", "A", COUNT, _OPERATIONS, "merchant",
         "as measured", unit="basis points"),
    _Row("card_testing", "velocity", "A", one_of("none", "possible", "likely"), _BEHAVIOR, "card_testing",
         "pattern over a merchant and a device"),
    _Row("score_percentile", "score", "Y", number(0, 100), _BEHAVIOR, "score",
         "share of payments that score lower"),
    _Row("recommendation", "score", "Y", one_of("trust", "neutral", "distrust"), _BEHAVIOR, "score",
         "what the score comes to"),
    _Row("caller_assessments", "assessors", "Y", ASSESSMENTS, _BEHAVIOR, "score",
         "the sender's own scores, each on its own scale", "caller_assessments"),
    _different("cards_per_email_10m", "cards"),
    _different("cards_per_email_1h", "cards"),
    _different("cards_per_email_7d", "cards"),
    _different("cards_per_device_10m", "cards"),
    _different("cards_per_device_1h", "cards"),
    _different("cards_per_device_7d", "cards"),
    _different("cards_per_ip_10m", "cards"),
    _different("cards_per_ip_1h", "cards"),
    _different("cards_per_ip_7d", "cards"),
    _different("merchants_per_card_10m", "merchants"),
    _different("merchants_per_card_1h", "merchants"),
    _different("merchants_per_card_7d", "merchants"),
    _attempts("ip_attempts_1h", "from the address"),
    _attempts("ip_attempts_24h", "from the address"),
    _attempts("ip_attempts_7d", "from the address"),
    _attempts("device_attempts_1h", "from the device"),
    _attempts("device_attempts_24h", "from the device"),
    _attempts("device_attempts_7d", "from the device"),
    _attempts("email_attempts_10m", "with the e-mail address"),
    _attempts("email_attempts_1h", "with the e-mail address"),
    _attempts("email_attempts_7d", "with the e-mail address"),
    _Row("iin_country", "card", "A", COUNTRY, _CARD, "iin", "country that the card was issued in"),
    _Row("iin_funding", "card", "A", one_of("credit", "debit", "prepaid", "commercial"), _CARD, "iin",
         "funding that the table of IINs has, whatever the sender says"),
    _Row("iin_product", "card", "A", text(32), _CARD, "iin", "the card's product, in the table's own words"),
)  # fmt: skip


def _field(number: int, row: _Row) -> Field:
    reported = row.group == "fraud"
    rule = row.quality or (WELL_FORMED if row.source or reported else DERIVED)
    return Field(number, *row._replace(quality=rule), REPORTING if reported else AUTHORIZATION)


FIELDS: Final[tuple[Field, ...]] = tuple(_field(place, row) for place, row in enumerate(_ROWS))
"""In the order of their numbers: `FIELDS[n].number == n`."""

FIELD_BY_NAME: Final[dict[str, Field]] = {field.name: field for field in FIELDS}

GROUPS: Final[tuple[str, ...]] = tuple(dict.fromkeys(field.group for field in FIELDS))


class UnknownFieldError(KeyError):
    """A name that is not in the dictionary. Field names are no secret, so the text may show it."""


def mask_of(names: Iterable[str]) -> int:
    """Bits of the fields named.

    >>> mask_of(["stan", "match_key"])
    3
    """
    mask = 0
    for name in names:
        field = FIELD_BY_NAME.get(name)
        if field is None:
            raise UnknownFieldError(name)
        mask |= 1 << field.number
    return mask


def names_of(mask: int) -> tuple[str, ...]:
    """Names of the bits set, in order of number; a bit with no field is left out.

    >>> names_of(3)
    ('match_key', 'stan')
    """
    return tuple(field.name for field in FIELDS if mask >> field.number & 1)


CLEAR_MASK: Final = mask_of(field.name for field in FIELDS if field.clear_ok)
SUBJECTLESS_MASK: Final = mask_of(field.name for field in FIELDS if field.subjectless)
PERSONAL_MASK: Final = mask_of(field.name for field in FIELDS if field.sensitivity in "IP")
