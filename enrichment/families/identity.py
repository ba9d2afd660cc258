"""Who the customer is, and what history they have."""

from typing import Any

from enrichment import quality
from enrichment.contact import email_of
from enrichment.families import Values, bit
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Address, History, Payment
from enrichment.quality import Poor

EMAIL = FIELD_BY_NAME["email"].number
EMAIL_HASH = FIELD_BY_NAME["email_hash"].number
PHONE = FIELD_BY_NAME["phone_e164"].number
PHONE_HASH = FIELD_BY_NAME["phone_hash"].number
NAME = FIELD_BY_NAME["cardholder_name"].number
BILLING = FIELD_BY_NAME["billing_address"].number
SHIPPING = FIELD_BY_NAME["shipping_address"].number
SHIP_BILL_MATCH = FIELD_BY_NAME["ship_bill_match"].number

# In the order of `History`.
HISTORY = tuple(
    FIELD_BY_NAME[name].number
    for name in (
        "account_age_days",
        "account_change_age_days",
        "password_change_age_days",
        "txn_count_24h",
        "txn_count_1y",
        "purchases_6m",
        "add_card_attempts_24h",
        "card_on_file_age_days",
    )
)


def _place(address: Address) -> tuple[str, str, str]:
    """What two spellings of one address share: letters and digits of the street, postal code, country."""
    street = "".join(filter(str.isalnum, address.line1)).casefold()
    return street, address.postal_code.replace(" ", "").casefold(), address.country


def addresses_match(billing: Address, shipping: Address) -> bool:
    """Whether goods go where the bill goes.

    >>> bill = Address("1 Main St.", "", "", "62701", "US")
    >>> addresses_match(bill, Address("1 main st", "Springfield", "", "62701", "US"))
    True
    """
    return billing == shipping or _place(billing) == _place(shipping)


def _json(address: Any) -> dict[str, str]:
    line1, city, region, postal_code, country = address
    return {"line1": line1, "city": city, "region": region, "postal_code": postal_code, "country": country}


VALUES: Values = {
    EMAIL: lambda known: email_of(known.payment),
    PHONE: "phone_e164",
    NAME: "cardholder_name",
    BILLING: lambda known: _json(known.payment.billing),
    SHIPPING: lambda known: _json(known.payment.shipping),
    SHIP_BILL_MATCH: lambda known: known.ship_bill_match,
    **{number: f"history.{name}" for number, name in zip(HISTORY, History._fields, strict=True)},
}

# What may be shared may be hashed, and what is doubtful is doubtful in both.
_EMAIL, _PHONE, _NAME = bit(EMAIL) | bit(EMAIL_HASH), bit(PHONE) | bit(PHONE_HASH), bit(NAME)
_BILLING, _SHIPPING, _SHIP_BILL_MATCH = bit(BILLING), bit(SHIPPING), bit(SHIP_BILL_MATCH)
_HISTORY = tuple(bit(number) for number in HISTORY)
_WHOLE_HISTORY = sum(_HISTORY)
# Places in `History`.
_NOT_ABOVE = tuple(
    (History._fields.index(part), History._fields.index(whole), most)
    for part, whole, most in quality.NOT_ABOVE
)


def present(payment: Payment, poor: list[Poor]) -> int:
    """Mask of the groups contact and history."""
    mask = 0
    if payment.email:
        mask |= _EMAIL
        why = quality.poor_email(payment.email.lower())
        if why:
            poor += [(EMAIL, why), (EMAIL_HASH, why)]
    phone = payment.phone_e164
    if phone:
        mask |= _PHONE
        why = quality.poor_phone(phone)
        if why:
            poor += [(PHONE, why), (PHONE_HASH, why)]
    if payment.cardholder_name:
        mask |= _NAME
        why = quality.poor_name(payment.cardholder_name)
        if why:
            poor.append((NAME, why))
    billing, shipping = payment.billing, payment.shipping
    if billing is not None:
        mask |= _BILLING
        why = quality.poor_address(billing.country, billing.postal_code, billing.line1)
        if why:
            poor.append((BILLING, why))
    if shipping is not None:
        mask |= _SHIPPING
        if shipping is not billing:
            why = quality.poor_address(shipping.country, shipping.postal_code, shipping.line1)
        if why:
            poor.append((SHIPPING, why))
        if billing is not None:
            mask |= _SHIP_BILL_MATCH
    history = payment.history
    if history is not None:
        if None in history:
            for one, value in zip(_HISTORY, history, strict=True):
                if value is not None:
                    mask |= one
        else:
            mask |= _WHOLE_HISTORY
        for part, whole, most in _NOT_ABOVE:
            if quality.is_above(history[part], history[whole], most):
                poor.append((HISTORY[part], quality.INCONSISTENT))
    return mask
