"""Shapes of e-mail addresses and telephone numbers: what they tell without knowing whose they are."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.calling_codes import COUNTRIES_BY_PREFIX
from enrichment.domains import KINDS
from enrichment.payment import Address, JsonValue
from enrichment.provider import Columns

_COUNTRY: Final = Address._fields.index("country")
_DIGITS: Final = b"0123456789"  # bytes are searched in a fifth of the time


class Contact:
    """`email_domain_type`; for the score, how much of the local part is digits, and whether the telephone's
    calling code is one of the billing country's."""

    name = "contact"
    version = "1"
    wants = ("email", "phone_e164", "billing")
    gives = ("email_domain_type", "email_digits_percent", "phone_fits_billing")

    __slots__ = ()

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        kinds: list[str | None] = []
        digits: list[int | None] = []
        fits: list[bool | None] = []
        countries = COUNTRIES_BY_PREFIX.get
        for email, phone, billing in zip(batch["email"], batch["phone_e164"], batch["billing"], strict=True):
            if email:
                local, _, domain = email.rpartition("@")
                kinds.append(KINDS[domain])
                written = local.encode()
                others = len(written.translate(None, _DIGITS))
                # Most have none, or are none: no division.
                digits.append(100 - 100 * others // len(written) if others < len(written) else 0)
            else:
                kinds.append(None)
                digits.append(None)
            country = billing[_COUNTRY] if billing is not None and phone else ""
            fits.append(country in countries(phone[1:4], ()) if country else None)
        return {"email_domain_type": kinds, "email_digits_percent": digits, "phone_fits_billing": fits}
