"""Who the customer is, and what history they have."""

from enrichment import quality
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Address, JsonValue, Payment
from enrichment.quality import Poor

EMAIL = FIELD_BY_NAME["email"].number
PHONE = FIELD_BY_NAME["phone_e164"].number
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


def normalise_email(email: str) -> str:
    """Lower case, and nothing else: tags and dots are part of what the customer gave, and only some mail
    services ignore them. Local parts are case-sensitive by RFC 5321 and by no service in use.

    >>> normalise_email("Jane.Doe+Shop@Mail.Example.COM")
    'jane.doe+shop@mail.example.com'
    """
    return email.lower()


def normalise_phone(phone: str) -> str:
    """E.164 has one form of each number; `check` refuses every other, so this returns it as it is.

    >>> normalise_phone("+14155550123")
    '+14155550123'
    """
    return phone


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


def provide(payment: Payment, values: dict[int, JsonValue], poor: list[Poor]) -> None:
    """Adds the groups contact and history."""
    if payment.email:
        email = values[EMAIL] = normalise_email(payment.email)
        if quality.email_is_test(email):
            poor.append((EMAIL, quality.TEST_DOMAIN))
    if payment.phone_e164:
        values[PHONE] = normalise_phone(payment.phone_e164)
        if len(set(payment.phone_e164[-7:])) == 1:
            poor.append((PHONE, quality.PLACEHOLDER))
    if payment.cardholder_name:
        values[NAME] = payment.cardholder_name
        if quality.is_placeholder(payment.cardholder_name):
            poor.append((NAME, quality.PLACEHOLDER))
    billing, shipping = payment.billing, payment.shipping
    if billing is not None:
        values[BILLING] = _json(billing)
        if not (billing.country and (billing.postal_code or billing.line1)):
            poor.append((BILLING, quality.INCOMPLETE))
    if shipping is not None:
        values[SHIPPING] = _json(shipping)
        if not (shipping.country and (shipping.postal_code or shipping.line1)):
            poor.append((SHIPPING, quality.INCOMPLETE))
    if billing is not None and shipping is not None:
        values[SHIP_BILL_MATCH] = addresses_match(billing, shipping)
    if payment.history is not None:
        given = zip(HISTORY, payment.history, strict=True)
        values.update((number, value) for number, value in given if value is not None)


def _json(address: Address) -> dict[str, str]:
    return {
        "line1": address.line1,
        "city": address.city,
        "region": address.region,
        "postal_code": address.postal_code,
        "country": address.country,
    }
