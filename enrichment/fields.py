"""The one table of fields that may be shared: number, name, group, sensitivity, purpose.

Numbers are bits of the field masks in journal records and in the ledger: once given they are never used again
for another field. A field whose provider is not there is never present.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from issuernetwork.v1 import common_pb2

Sensitivity = Literal["A", "Y", "I", "P"]
"""A low, Y pseudonymous, I personal, P the PAN itself. On a record about one card nothing is non-personal."""

DICTIONARY_VERSION: Final = 2  # 1 had the fields up to number 62
MASK_BITS: Final = 128
"""Of every mask. Two uint64 of a journal record, one u128 of the engines (native/src/release.rs)."""

EVERY_BIT: Final = (1 << MASK_BITS) - 1

AUTHORIZATION: Final = int(common_pb2.PURPOSE_FRAUD_AUTHORIZATION)
REPORTING: Final = int(common_pb2.PURPOSE_FRAUD_REPORTING)

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
    purpose: int
    """Number of `v1.Purpose` that the field is collected for."""
    meaning: str
    """Type, unit and ISO 8583 data element."""

    @property
    def clear_ok(self) -> bool:
        """Whether it may stand outside sealed bytes: message elements and the journalled answer."""
        return self.group in _CLEAR_GROUPS and self.sensitivity in "AY"

    @property
    def subjectless(self) -> bool:
        """Whether it says nothing of a card, a person, a device or a payment: it may leave unsealed."""
        return self.group in _SUBJECTLESS_GROUPS and self.sensitivity == "A" and self.name not in _MEASURED


_ROWS: Final[tuple[tuple[str, str, Sensitivity, str], ...]] = (
    ("match_key", "correlation", "Y", "string <= 64; key that the network issued for matching"),
    ("stan", "correlation", "A", "n6, DE11"),
    ("rrn", "correlation", "Y", "an12, DE37"),
    ("transmission_date_time", "correlation", "A", "MMDDhhmmss UTC, DE7"),
    ("ds_trans_id", "correlation", "Y", "UUID of the 3DS directory server"),
    ("amount_minor", "payment", "A", "int64 minor units, DE4"),
    ("currency", "payment", "A", "ISO 4217 alphabetic, DE49"),
    ("initiated_at", "payment", "A", "int64 UTC epoch milliseconds"),
    ("channel", "payment", "A", "ecom | app | moto | pos"),
    ("initiation", "payment", "A", "CIT | MIT | MIT:reason"),
    ("attempt_no", "payment", "A", "int, from 1"),
    ("bin8", "card", "A", "n6 or n8, leading digits of DE2"),
    ("last4", "card", "Y", "n4, last digits of DE2"),
    ("pan", "card", "P", "n13-19, DE2; only inside a JWE"),
    ("par", "card", "Y", "an29, Payment Account Reference"),
    ("is_network_token", "card", "A", "bool"),
    ("funding", "card", "A", "credit | debit | prepaid | commercial"),
    ("email", "contact", "I", "RFC 5321 <= 254, normalised"),
    ("phone_e164", "contact", "I", "E.164 with leading plus"),
    ("cardholder_name", "contact", "I", "string <= 64"),
    ("billing_address", "contact", "I", "{line1, city, region, postal_code, country}"),
    ("shipping_address", "contact", "I", "{line1, city, region, postal_code, country}"),
    ("ship_bill_match", "contact", "A", "bool"),
    ("ip", "device", "I", "IPv4 or IPv6"),
    ("device_id", "device", "Y", "string <= 64, stable"),
    ("user_agent", "device", "Y", "string <= 512"),
    ("browser_fp", "device", "Y", "{time_zone, language, screen_width, screen_height}"),
    ("geo", "device", "I", "{latitude, longitude}, two decimals"),
    ("account_age_days", "history", "Y", "int, days"),
    ("account_change_age_days", "history", "Y", "int, days"),
    ("password_change_age_days", "history", "Y", "int, days"),
    ("txn_count_24h", "history", "A", "int"),
    ("txn_count_1y", "history", "A", "int"),
    ("purchases_6m", "history", "A", "int"),
    ("add_card_attempts_24h", "history", "A", "int"),
    ("card_on_file_age_days", "history", "Y", "int, days"),
    ("mcc", "merchant", "A", "n4, DE18"),
    ("merchant_name", "merchant", "A", "string <= 64, DE43"),
    ("acceptor_id", "merchant", "A", "ans15, DE42"),
    ("merchant_country", "merchant", "A", "ISO 3166-1 alpha-2"),
    ("eci", "auth", "A", "an2"),
    ("trans_status", "auth", "A", "Y | N | U | A | C | D | R | I"),
    ("sca_exemption", "auth", "A", "string <= 32"),
    ("avs_result", "auth", "A", "an1"),
    ("cvv_result", "auth", "A", "an1, the result and never the value"),
    ("card_attempts_10m", "velocity", "A", "int, the present attempt included"),
    ("ip_attempts_10m", "velocity", "A", "int, the present attempt included"),
    ("device_attempts_10m", "velocity", "A", "int, the present attempt included"),
    ("score_raw", "score", "Y", "int 0-100, high is risky"),
    ("score_scale", "score", "A", "{min, max, high_is_risky}"),
    ("score_norm", "score", "Y", "int 0-999, high is risky"),
    ("reason_codes", "score", "Y", "list of codes, strongest first, at most 4"),
    ("model_id", "score", "A", "string and version"),
    ("label_state", "fraud", "Y", "suspected | confirmed | not_fraud"),
    ("label_source", "fraud", "A", "tc40 | mastercard_fld | issuer | chargeback | merchant | manual"),
    ("fraud_type", "fraud", "Y", "string <= 16, code of the source"),
    ("reported_at", "fraud", "A", "int64 UTC epoch milliseconds: when the source said so"),
    ("effective_at", "fraud", "A", "int64 UTC epoch milliseconds: when it happened"),
    ("fraud_amount_minor", "fraud", "A", "int64 minor units"),
    ("external_ref", "fraud", "Y", "string <= 64, ACN or ARN"),
    ("dispute_stage", "fraud", "A", "inquiry | alert | chargeback | represented | won | lost"),
    ("email_hash", "contact", "Y", "[{token_epoch, hash}], HMAC of the normal form, by the recipient's key"),
    ("phone_hash", "contact", "Y", "[{token_epoch, hash}], HMAC of the number, by the recipient's key"),
    ("correlation_id", "correlation", "Y", "string <= 64, the sender's own"),
    ("issuer_reference_id", "correlation", "Y", "string <= 64, returned by the issuer earlier"),
    ("network_txn_id", "correlation", "Y", "22 of [A-Za-z0-9_-]: of the first attempt or the original"),
    ("basket_category", "payment", "I", "string <= 32, what is bought"),
    (
        "delivery_timeframe",
        "payment",
        "A",
        "electronic | same_day | overnight | two_three_days | four_or_more_days | to_store",
    ),
    ("ip_country", "device", "A", "ISO 3166-1 alpha-2"),
    ("ip_anonymised", "device", "A", "none | vpn | proxy | tor | hosting"),
    ("ip_asn", "device", "A", "int, autonomous system number"),
    ("email_domain_type", "contact", "A", "free | disposable | corporate"),
    ("cards_per_email_24h", "velocity", "A", "int, distinct, the present one included; 8 says 8 or more"),
    ("cards_per_device_24h", "velocity", "A", "int, distinct, the present one included; 8 says 8 or more"),
    ("cards_per_ip_24h", "velocity", "A", "int, distinct, the present one included; 8 says 8 or more"),
    ("merchants_per_card_24h", "velocity", "A", "int, distinct, the present one included; 8 says 8 or more"),
    ("card_attempts_1h", "velocity", "A", "int, the present attempt included"),
    ("card_attempts_24h", "velocity", "A", "int, the present attempt included"),
    ("card_attempts_7d", "velocity", "A", "int, the present attempt included"),
    ("email_attempts_24h", "velocity", "A", "int, the present attempt included"),
    ("device_on_card_age_days", "device", "Y", "int, days since the device was first seen with the card"),
    ("amount_to_card_mean", "velocity", "A", "int, percent of the card's own mean amount"),
    ("amount_to_merchant_mean", "velocity", "A", "int, percent of the merchant's mean amount"),
    ("merchant_fraud_rate_bp", "merchant", "A", "int, basis points, as measured"),
    ("merchant_dispute_rate_bp", "merchant", "A", "int, basis points, as measured"),
    ("card_testing", "velocity", "A", "none | possible | likely"),
    ("score_percentile", "score", "Y", "number 0-100, high is risky"),
    ("recommendation", "score", "Y", "trust | neutral | distrust"),
)

FIELDS: Final[tuple[Field, ...]] = tuple(
    Field(number, name, group, sensitivity, REPORTING if group == "fraud" else AUTHORIZATION, meaning)
    for number, (name, group, sensitivity, meaning) in enumerate(_ROWS)
)
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


def reference_page() -> str:
    """The text of docs/reference/fields.md, made from the table."""
    lines = [
        "# Fields that may be shared",
        "",
        f"Dictionary version {DICTIONARY_VERSION}. Made from `enrichment/fields.py`; a test compares them.",
        "",
        "Class: A low sensitivity, Y pseudonymous, I personal, P the PAN itself. On a record about one card",
        "nothing is non-personal. *Clear* says whether the field may stand outside sealed bytes, in an",
        "element of the authorization message; everything else leaves sealed to the recipient or not at all.",
        "",
        "| number | field | group | class | clear | purpose | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    purposes = {AUTHORIZATION: "fraud authorization", REPORTING: "fraud reporting"}
    for field in FIELDS:
        meaning = field.meaning.replace("|", "\\|")
        clear = "yes" if field.clear_ok else "no"
        lines.append(
            f"| {field.number} | `{field.name}` | {field.group} | {field.sensitivity} | {clear} "
            f"| {purposes[field.purpose]} | {meaning} |"
        )
    return "\n".join(lines) + "\n"
