"""Fields that are hashes of contact data: which they are, and what of a payment they are made of. Pure.

The form that is hashed is the SDK's, since recipients make the same (`issuernetwork.contact`). The hash is
made where a share is sealed: each recipient and epoch has a key of its own.
"""

from collections.abc import Callable
from typing import Final

from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Payment
from issuernetwork.contact import normal_email, normal_phone


def email_of(payment: Payment) -> str:
    """The address in its form. One that was checked has one, and nothing to trim."""
    email = payment.email
    # What `normal_email` comes to for nearly all, in a third of its time.
    return email.lower() if email.isascii() else normal_email(email)


HASHED: Final[tuple[tuple[int, str, Callable[[Payment], str]], ...]] = (
    (FIELD_BY_NAME["email_hash"].number, "email_hash", email_of),
    (FIELD_BY_NAME["phone_hash"].number, "phone_hash", lambda payment: normal_phone(payment.phone_e164)),
)
"""(number, name, what is hashed). A payment that was checked has both in a form that can be hashed."""

HASHED_MASK: Final = sum(1 << number for number, _, _ in HASHED)
"""Signals have no value of these: it differs by recipient."""
