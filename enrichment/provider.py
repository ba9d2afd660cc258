"""The port of providers: what one is asked about a batch of payments, and what it says.

A provider is asked once a batch and sees columns: one list a fact key, one entry a payment. It sees what it
says it wants and nothing else; card numbers are no fact key. docs/reference/providers.md has the keys.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from enrichment.masked import MASK
from enrichment.payment import JsonValue

BUDGET_US: Final = 2_000
"""A batch, where neither the provider nor the settings say otherwise: a tenth of what a full batch takes."""

HASHED: Final = "velocity_keys"
"""Where the keyed hashes are, of all kinds."""

OF_PAYMENT: Final = "payment."
"""Before what is an attribute of `Payment`."""

KEYS: Final[Mapping[str, str]] = {
    "amount_minor": "payment.amount_minor",
    "attempt_no": "payment.attempt_no",
    "avs_result": "payment.avs_result",
    "billing": "payment.billing",
    "card_key": HASHED,
    "cardholder_name": "payment.cardholder_name",
    "channel": "payment.channel",
    "currency": "payment.currency",
    "cvv_result": "payment.cvv_result",
    "device_key": HASHED,
    "device_id": "payment.device_id",
    "eci": "payment.eci",
    "email": "payment.email",
    "email_key": HASHED,
    "history": "payment.history",
    "iin": "payment.truncated_iin",
    "initiated_at_ms": "payment.initiated_at_ms",
    "initiation": "payment.initiation",
    "ip": "payment.ip",
    "ip_key": HASHED,
    "mcc": "payment.mcc",
    "merchant_country": "payment.merchant_country",
    "merchant_key": HASHED,
    "merchant_id": "payment.merchant_id",
    "network": "payment.network",
    "phone_e164": "payment.phone_e164",
    "platform_id": "payment.platform_id",
    "sender_id": "item.sender_id",
    "shipping": "payment.shipping",
    "trans_status": "payment.trans_status",
    "user_agent": "payment.user_agent",
    "velocity": "velocity",
}
"""What a provider may want of a payment, and where the hot path has it.

`card_key`, `merchant_key`, `ip_key`, `device_key` and `email_key` are 64 bits of keyed hashes, 0 where the
payment has no such thing; they are the same for as long as the installation's keys are. `velocity` are the
counts by kind, or None while there are none. The others are as in `Payment`: "" or None where absent.
"""

PERSONAL: Final = frozenset(
    {"billing", "cardholder_name", "device_id", "email", "ip", "phone_e164", "shipping", "user_agent"}
)
"""Keys that a third party's provider sees only where the settings say so: what it does with them is out of
reach of programs and consents."""

WARMING: Final = "warming"
UNAVAILABLE: Final = "unavailable"
OVER_BUDGET: Final = "over_budget"
OVER_DEADLINE: Final = "over_deadline"

REASONS: Final[Mapping[str, str]] = {
    OVER_BUDGET: "it was late, or has been late so often that it is not asked for a while",
    OVER_DEADLINE: "a payment of the batch had less time left than it may take: it was not asked",
    UNAVAILABLE: "it failed, or what it looks things up in cannot be read",
    WARMING: "its memory is too young to say so yet",
}
"""Why a provider's fields are absent though it was asked."""


class Columns(dict[str, Sequence[JsonValue]]):
    """One column a fact key. Its text shows nothing: it holds personal data."""

    __slots__ = ("size",)

    def __init__(self, columns: Mapping[str, Sequence[JsonValue]], size: int) -> None:
        super().__init__(columns)
        self.size = size
        """Payments of the batch: the length of every column."""

    def __repr__(self) -> str:
        return f"Columns({MASK})"


class Provider(Protocol):
    """One family of facts. Attributes are read once, at the start."""

    @property
    def name(self) -> str:
        """In settings, omissions and metrics: lower-case letters, digits and `_`."""
        ...

    @property
    def version(self) -> str:
        """Of what it does; told at the start."""
        ...

    @property
    def wants(self) -> Sequence[str]:
        """Fact keys, of `KEYS`."""
        ...

    @property
    def gives(self) -> Sequence[str]:
        """Names of what it finds out: fields of the dictionary, or names for the score alone."""
        ...

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """A column of `batch.size` values for each name that it gives, or for some; None where not known."""
        ...


class Lacking(Protocol):
    """What a provider may have beside: why some of what it gives is absent now, "" where nothing is; one of
    `REASONS`. And `close()`, called once, at the end."""

    @property
    def lacking(self) -> str: ...
