"""The population: cards and the people behind them. Each card is a pure function of seed and number."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

MIN_CARDS = 10_000
"""Fewer cards would make clusters so large that 20,000 payments say little about any issuer."""

CARDS_PER_PAYMENT = 1.2
"""Most cards of a day are seen once; some are seen often (`FREQUENT_SHARE`)."""

CACHED_CARDS = 20_000
"""Cards kept built; the others are built again when they come up."""

# Share of the cards by IIN. The IINs are invented, in the ISO/IEC 7812 range 9 that no network routes.
ISSUER_SHARES: tuple[tuple[str, float], ...] = (
    ("90100101", 0.50),
    ("90200202", 0.20),
    ("90300303", 0.14),
    ("90400404", 0.12),
    ("90900909", 0.04),
)

TOKEN_IIN = "90990099"  # noqa: S105 - a number range
"""Network tokens have a range of their own, as in life; the issuer shows in `iin`."""

_FIRST = ("Ada", "Ben", "Cleo", "Dina", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jo", "Kai", "Lea", "Max", "Nia")
_LAST = (
    "Abel",
    "Brook",
    "Cole",
    "Dorn",
    "Ekman",
    "Frost",
    "Garza",
    "Hale",
    "Imani",
    "Jensen",
    "Kato",
    "Lund",
)
_STREETS = ("Oak St", "Elm Ave", "Mill Rd", "Lake Dr", "Hill Ct", "Bay Ln", "Park Blvd", "Main St")
_CITIES = (("Austin", "TX", "787"), ("Albany", "NY", "122"), ("Salem", "OR", "973"), ("Boise", "ID", "837"))
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
)


@dataclass(frozen=True, slots=True)
class Card:
    """One card and its holder. `repr` shows no number and no person."""

    number: int
    pan: str
    identifier: str
    """How the payment service names it: pan, network_token or card_ref. Stable, as a wallet's is."""
    par: str
    funding: int
    commercial: bool
    region: str
    email: str
    phone: str
    name: str
    line1: str
    city: str
    state: str
    postal_code: str
    ips: tuple[str, ...]
    devices: tuple[str, ...]
    user_agent: str
    account_age_days: int
    card_on_file_age_days: int

    def __repr__(self) -> str:
        return f"Card({self.number})"

    @property
    def iin(self) -> str:
        return self.pan[:8]

    @property
    def network_token(self) -> str:
        """Token of the network in place of the PAN."""
        return make_pan(TOKEN_IIN, self.number % 10_000_000)

    @property
    def last4(self) -> str:
        return self.pan[-4:]


def luhn_digit(digits: str) -> str:
    """The check digit that ISO/IEC 7812-1 annex B asks for behind `digits`."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def make_pan(iin: str, account: int) -> str:
    """A 16-digit card number with a valid check digit."""
    body = f"{iin}{account:07d}"
    return body + luhn_digit(body)


def public_ip(random: Random) -> str:
    """An address that counts as public: documentation ranges would be refused for their quality.

    44.128.0.0/10 belongs to radio amateurs, 2a02:ff40::/32 is dark. Nothing is ever sent there.
    """
    if random.random() < 0.1:
        return f"2a02:ff40:{random.randrange(65536):x}::{random.randrange(1, 65536):x}"
    return f"44.{random.randrange(128, 192)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def iin_of_share(share: float) -> str:
    """The issuer whose part of [0, 1) holds `share`."""
    for iin, width in ISSUER_SHARES:
        if share < width:
            return iin
        share -= width
    return ISSUER_SHARES[-1][0]


def make_card(seed: int, number: int, pan: str | None = None) -> Card:
    """The card of that number; with `pan`, the holder of a card that exists already."""
    random = Random(f"{seed}:card:{number if pan is None else pan}")
    if pan is None:
        pan = make_pan(iin_of_share(random.random()), number)
    first, last = random.choice(_FIRST), random.choice(_LAST)
    city, state, zone = random.choice(_CITIES)
    handle = f"{first}.{last}.{random.randrange(10**6):06d}".lower()
    identified = random.random()
    region = random.random()
    age_days = int(random.lognormvariate(6.0, 1.0))
    return Card(
        number=number,
        pan=pan,
        identifier="pan" if identified < 0.88 else "card_ref" if identified < 0.95 else "network_token",
        par=f"V0010013{random.randrange(10**21):021d}" if random.random() < 0.3 else "",
        funding=random.choice((1, 1, 2, 2, 2, 3)),
        commercial=random.random() < 0.05,
        region="" if region < 0.01 else "US",
        email=f"{handle}@mailbox.internal",
        phone=f"+1202555{random.randrange(100, 9999):04d}",
        name=f"{first} {last}",
        line1=f"{random.randrange(1, 9999)} {random.choice(_STREETS)}",
        city=city,
        state=state,
        postal_code=f"{zone}{random.randrange(100):02d}",
        ips=tuple(public_ip(random) for _ in range(random.choice((1, 1, 2, 3)))),
        devices=tuple(f"d-{random.getrandbits(64):016x}" for _ in range(random.choice((1, 1, 2)))),
        user_agent=random.choice(_AGENTS),
        account_age_days=age_days,
        card_on_file_age_days=random.randrange(age_days + 1),
    )


class Population:
    """The cards of one seed."""

    def __init__(self, seed: int, *, cards: int) -> None:
        self.seed = seed
        self.cards = cards
        self._cached = lru_cache(CACHED_CARDS)(lambda number: make_card(seed, number))

    @classmethod
    def for_payments(cls, seed: int, payments: int) -> "Population":
        return cls(seed, cards=max(MIN_CARDS, int(payments * CARDS_PER_PAYMENT)))

    def card(self, number: int) -> Card:
        """Card `number`, from 0."""
        return self._cached(number)
