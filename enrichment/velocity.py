"""What is counted: one key a kind, from a payment."""

from enum import IntEnum
from typing import Final

from enrichment.contact import email_of
from enrichment.payment import Payment
from issuernetwork.v1.common_pb2 import UNIT_SOURCE_CARD_REF


class VelocityKind(IntEnum):
    """Kinds of velocity keys, in the order of every tuple of keys and counts."""

    CARD = 0
    MERCHANT = 1
    IP = 2
    DEVICE = 3
    EMAIL = 4


OTHERS: Final[tuple[VelocityKind | None, ...]] = (
    VelocityKind.MERCHANT,
    None,
    VelocityKind.CARD,
    VelocityKind.CARD,
    VelocityKind.CARD,
)
"""By kind: what is told apart under its keys, in the same attempt."""


def velocity_values(payment: Payment, *, sender_id: str = "") -> tuple[str | None, ...]:
    """Clear values by kind, to be put through a MAC at once; None where there is nothing to count.

    CARD is the unit (as for arms). Merchant, card reference and device ids are the sender's own, so they are
    kept apart by `sender_id` where it is given. An e-mail address is one in whatever case it is written. Take
    them before `drop_pan()`.
    """
    source, unit = payment.unit
    owner = f"{sender_id}:" if source == UNIT_SOURCE_CARD_REF else ""
    return (
        f"{source}:{owner}{unit}" if unit else None,
        f"{sender_id}:{payment.merchant_id}",
        payment.ip or None,
        f"{sender_id}:{payment.device_id}" if payment.device_id else None,
        email_of(payment) or None,
    )
