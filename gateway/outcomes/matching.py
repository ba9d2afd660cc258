"""Finds the payment that a report is about. The form of the keys is the SDK's: both sides make them."""

from dataclasses import dataclass
from typing import Protocol

from issuernetwork.match_keys import ReferencesLike, is_composite, match_keys

__all__ = [
    "MATCH_WINDOW_MS",
    "EvaluationRow",
    "PaymentIndex",
    "ReferencesLike",
    "StoredShare",
    "is_composite",
    "match_keys",
]

MATCH_WINDOW_MS = 15 * 60 * 1000
"""How far from the payment time an attempt may lie and still be the same authorization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    """What later reports about a payment are matched with. `evaluation_key` is its place in the journal."""

    evaluation_key: int
    evaluation_id: str
    sender_id: str
    merchant_id: str
    platform_id: str
    payment_intent_id: str
    attempt_no: int
    issuer_id: str
    unit_key: bytes
    initiated_at_ms: int
    channel: int
    mcc: str
    amount_minor: int
    currency: str
    cardholder_region: str = ""
    merchant_country: str = ""
    match_keys: tuple[str, ...] = ()
    card_key: bytes = b""
    """As in the record: empty where the unit key is that of the only name given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredShare:
    """A share with the payment that it is about."""

    share_id: str
    program: str
    issuer_id: str
    recipient_id: str
    evaluation: EvaluationRow


class PaymentIndex(Protocol):
    """Finds the payment that a report is about."""

    def share(self, share_id: str) -> StoredShare | None: ...

    def evaluation_of_payment(
        self, sender_id: str, payment_intent_id: str, attempt_no: int
    ) -> EvaluationRow | None:
        """The newest evaluation of the attempt."""
        ...

    def evaluations_of_key(self, match_key: str, *, from_ms: int, to_ms: int) -> list[EvaluationRow]:
        """At most a named number of evaluations with that key in the span of payment time."""
        ...
