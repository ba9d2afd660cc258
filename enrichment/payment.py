"""A checked payment and what is known about it, as plain values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from enrichment.masked import MASK, MaskedStruct, Pan
from enrichment.repeated import is_repeated

# Numbers of v1.UnitSource: which fact the unit is derived from.
UNIT_PAR: Final = 1
UNIT_PAN: Final = 2
UNIT_CARD_REF: Final = 3
UNIT_NETWORK_TOKEN: Final = 4

PRESENCE_UNKNOWN: Final = -1
"""Of `Payment.presence`: the providers have to look."""

Issue = tuple[str, str, str]
"""(field path, machine code, how to mend it). Never the value."""


@dataclass(frozen=True, slots=True)
class BadRequest:
    """A required field is missing or malformed: the request is refused as a whole."""

    issues: tuple[Issue, ...]


# The parts of a payment are named tuples and not frozen dataclasses: several are made for every request, and
# a tuple takes a third of the time.


class Address(NamedTuple):
    """A postal address; absent parts are empty."""

    line1: str
    city: str
    region: str
    postal_code: str
    country: str

    def __repr__(self) -> str:
        return f"Address({MASK})"


class History(NamedTuple):
    """The customer's history with the caller; None where not given. Ages in days."""

    account_age_days: int | None
    account_change_age_days: int | None
    password_change_age_days: int | None
    transactions_24h: int | None
    transactions_1y: int | None
    purchases_6m: int | None
    add_card_attempts_24h: int | None
    card_on_file_age_days: int | None


class Browser(NamedTuple):
    """Browser properties; empty or 0 where absent. Screen in pixels."""

    time_zone: str
    language: str
    screen_width: int
    screen_height: int

    def __repr__(self) -> str:
        return f"Browser({MASK})"


class Assessment(NamedTuple):
    """One assessor's view of the risk. Up to the reason codes field for field `v1.Assessment`."""

    assessor: str
    type: str
    model_id: str
    value: float
    scale_min: float
    scale_max: float
    high_is_risky: bool
    normalised: int
    reason_codes: tuple[str, ...]
    percentile: float | None = None
    """Share of payments that score lower, in percent; None of an assessor that does not know."""

    recommendation: str = ""
    """trust, neutral or distrust; "" of an assessor that has learnt from nothing."""


class Payment(MaskedStruct):
    """One checked attempt. Absent strings are "", absent enums 0, absent groups None.

    Enum numbers are those of the v1 contract. `iin` has the 8 leading digits where they are known (from the
    PAN), else what the caller gave (6 or 8): find the issuer by it. Beside `last4`, and in whatever is stored
    or shared, use `truncated_iin`, which is 6 digits of a PAN shorter than 16 (PCI SSC FAQ 1091). Bad
    optional values are gone and in `field_issues`.
    """

    request_id: str
    payment_intent_id: str
    attempt_no: int
    merchant_id: str
    platform_id: str
    network: int
    amount_minor: int
    currency: str
    initiated_at_ms: int
    channel: int
    initiation: int
    mit_reason: str
    correlation_id: str
    issuer_reference_id: str
    original_network_transaction_id: str
    basket_category: str
    delivery_timeframe: int
    pan: Pan | None
    network_token: Pan | None
    card_ref: str
    iin: str
    truncated_iin: str
    last4: str
    last4_source: str
    par: str
    funding: int
    commercial: bool
    acquiring_institution_id: str
    stan: str
    transmission_date_time: str
    retrieval_reference_number: str
    terminal_id: str
    card_acceptor_id: str
    network_match_key: str
    mcc: str
    merchant_name: str
    merchant_country: str
    email: str
    phone_e164: str
    cardholder_name: str
    billing: Address | None
    shipping: Address | None
    history: History | None
    ip: str
    device_id: str
    user_agent: str
    browser: Browser | None
    location: tuple[float, float] | None
    eci: str
    trans_status: int
    ds_trans_id: str
    avs_result: str
    cvv_result: str
    exemption: str
    cardholder_region: str
    caller_assessments: tuple[Assessment, ...]
    validate_only: bool
    field_issues: list[Issue]
    presence: int = PRESENCE_UNKNOWN
    """Mask of the fields that are there and plainly fit to be shared, where the engine says so."""

    written: bytes = b""
    """A message of the fields that the reader was asked to write, where the engine has read the request."""

    read: Any = None
    """What the engine has read, for its own later steps. It has the request: never kept longer."""

    def __repr__(self) -> str:
        return f"Payment(request_id={self.request_id!r}, {MASK})"

    @property
    def unit(self) -> tuple[int, str]:
        """(number of v1.UnitSource, clear value): PAR, else PAN, else card_ref, else network token.

        A PAR of one character over and over, which software fills in, is one only where nothing else names
        the card: else all such cards would be one unit.

        Take it before `drop_pan()`. The value may be a card number: hand it to a MAC and nothing else.
        """
        named = self.pan is not None or self.card_ref or self.network_token is not None
        if self.par and not (named and is_repeated(self.par)):
            return UNIT_PAR, self.par
        if self.pan is not None:
            return UNIT_PAN, self.pan.digits()
        if self.card_ref:
            return UNIT_CARD_REF, self.card_ref
        return UNIT_NETWORK_TOKEN, self.network_token.digits() if self.network_token is not None else ""

    def drop_pan(self) -> None:
        """Forgets the PAN and the network token, as soon as pseudonyms stand for them."""
        if self.read is not None:
            self.read.drop_pan()  # what the engine has read makes both: it has them no more
            return
        self.pan = None
        self.network_token = None


Counts = tuple[int, int, int, int, int, int, int, int]
"""In the last 10 minutes, 1 hour, 24 hours and 7 days of payment time, the present attempt included: attempts
(the first four), then the different others that came with them (see `enrichment.velocity.OTHERS`), where the
largest number says "so many or more"."""


JsonValue = Any
"""int, str, bool, float, or a small dict or list of them."""

NOTHING_FOUND: Final[Mapping[str, JsonValue]] = {}
"""Shared by all payments that no provider knows anything of: never written to."""


class Facts(NamedTuple):
    """What was fetched about a payment.

    `velocity`: counts by kind, in the order of `VelocityKind` (None where the payment has no such key), or
    None when the store had no answer; `omissions` then says why: (("velocity", "warming"),).
    `found`: what the other providers know, by name; what is not known has no name in it. `mask` has the bits
    of those names that are fields of the dictionary; the others are for the score alone.
    """

    velocity: tuple[Counts | None, ...] | None = None
    omissions: tuple[tuple[str, str], ...] = ()
    found: Mapping[str, JsonValue] = NOTHING_FOUND
    mask: int = 0

    def __repr__(self) -> str:
        return f"Facts(omissions={self.omissions!r}, {MASK})"


make_facts: Callable[
    [
        tuple[
            tuple[Counts | None, ...] | None,
            tuple[tuple[str, str], ...],
            Mapping[str, JsonValue],
            int,
        ]
    ],
    Facts,
] = partial(tuple.__new__, Facts)
"""`Facts` without the call in between, which takes twice as long as the rest. All four, always."""

NO_FACTS: Final = Facts(None, (("velocity", "not_asked"),))
