"""Seeded payments in order of event time: everyday ones, a fraud ring, card testing, and odd input."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from simulator.cards import Card, Population, public_ip

DAY_MS = 86_400_000
START_MS = 1_736_121_600_000
"""2025-01-06 00:00 UTC: fixed, so that a seed means the same payments on every day that it is run."""

SPAN_DAYS = 30
MERCHANTS = 200
PLATFORM_ID = "plat-1"
INDEPENDENT = range(180, 190)
"""Merchants outside the sample policy's platform: silent ones, so that nothing of theirs is shared."""

FREQUENT_SHARE = 0.15
"""Share of the payments that the first 5% of the cards make: recurring cards, as in life."""

# Shares of all payments. Together with the lone ones about 4% fraud.
RING_SHARE = 0.012
LONE_FRAUD_SHARE = 0.013
TESTING_SHARE = 0.015
BAD_FIELD_SHARE = 0.01
NO_KEY_REFERENCES_SHARE = 0.02
"""Payments whose acquirer sends no reference that is a key: only the composite is left to match by."""

RING_DEVICES, RING_IPS = 12, 8
TESTING_CARDS = 40
"""Cards tried in one burst, seconds apart, from one device."""

BAD_FIELDS = ("customer.email", "device.ip", "customer.phone_e164", "merchant.mcc", "card.par")
ACQUIRERS = ("423456", "411111", "498765")
_NETWORK_VISA, _NETWORK_MASTERCARD = 1, 2
_ECOM, _APP, _MOTO, _POS = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class SimulatedPayment:
    """One attempt of one payment, with what it really is. `repr` shows no card and no person."""

    payment_id: str
    attempt_no: int
    at_ms: int
    card: Card
    merchant_id: str
    platform_id: str
    merchant_name: str
    mcc: str
    merchant_country: str
    amount_minor: int
    currency: str
    channel: int
    network: int
    device_id: str
    ip: str
    account_age_days: int
    transactions_24h: int
    acquirer_id: str
    stan: str
    fraud: bool
    kind: str
    """everyday, ring, lone or testing."""
    bad_field: str = ""
    keyless: bool = False
    reported_at_ms: int = 0
    """When the issuer reports the fraud, where the input says so; 0 where the simulator draws it."""

    @property
    def request_id(self) -> str:
        return f"{self.payment_id}-{self.attempt_no}"

    @property
    def card_acceptor_id(self) -> str:
        return f"CA{self.merchant_id[-13:]:>13}".replace(" ", "0")

    @property
    def terminal_id(self) -> str:
        return f"T{self.merchant_id[-7:]:>7}".replace(" ", "0")

    @property
    def transmission_date_time(self) -> str:
        """DE7: MMDDhhmmss, UTC."""
        return time.strftime("%m%d%H%M%S", time.gmtime(self.at_ms // 1000))

    @property
    def retrieval_reference_number(self) -> str:
        """DE37: last digit of the year, day of the year, hour, trace number. Twelve characters."""
        moment = time.gmtime(self.at_ms // 1000)
        return f"{moment.tm_year % 10}{moment.tm_yday:03d}{moment.tm_hour:02d}{self.stan}"

    def retried(self, at_ms: int, stan: str) -> "SimulatedPayment":
        """The next attempt: same payment, its own time and trace number."""
        return replace(self, attempt_no=self.attempt_no + 1, at_ms=at_ms, stan=stan, bad_field="")


class TraceNumbers:
    """DE11: rises by one with each message of the acquirer side, from 000001, and starts again."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> str:
        self._last = self._last % 999_999 + 1
        return f"{self._last:06d}"


@dataclass(slots=True)
class _Burst:
    left: int
    at_ms: int
    device_id: str
    ip: str
    merchant: int


class PaymentStream:
    """`payments` payments over 30 days of event time, one after the other."""

    def __init__(self, seed: int, payments: int, traces: TraceNumbers) -> None:
        self._random = Random(f"{seed}:payments")
        self._seed = seed
        self._payments = payments
        self._traces = traces
        self.population = Population.for_payments(seed, payments)
        setup = Random(f"{seed}:ring")
        self._ring_devices = [f"d-{setup.getrandbits(64):016x}" for _ in range(RING_DEVICES)]
        self._ring_ips = [public_ip(setup) for _ in range(RING_IPS)]
        # Mallory's stolen cards: few, used again and again.
        self._ring_cards = [setup.randrange(self.population.cards) for _ in range(max(20, payments // 200))]
        self._burst: _Burst | None = None

    def __iter__(self) -> Iterator[SimulatedPayment]:
        at_ms = START_MS
        step_ms = SPAN_DAYS * DAY_MS / max(1, self._payments)
        for number in range(self._payments):
            at_ms += int(self._random.expovariate(1.0) * step_ms)
            yield self._payment(number, at_ms)

    def _payment(self, number: int, at_ms: int) -> SimulatedPayment:
        random = self._random
        if self._burst is None and random.random() < TESTING_SHARE / TESTING_CARDS * 1.02:
            self._burst = _Burst(
                left=TESTING_CARDS,
                at_ms=at_ms,
                device_id=f"d-{random.getrandbits(64):016x}",
                ip=public_ip(random),
                merchant=random.randrange(MERCHANTS),
            )
        if self._burst is not None:
            return self._testing(number, self._burst)
        drawn = random.random()
        if drawn < RING_SHARE:
            return self._ring(number, at_ms)
        card = self._card()
        payment = self._plain(number, at_ms, card)
        if drawn < RING_SHARE + LONE_FRAUD_SHARE:
            return replace(
                payment,
                fraud=True,
                kind="lone",
                device_id=f"d-{random.getrandbits(64):016x}",
                ip=public_ip(random),
                amount_minor=payment.amount_minor * 3 + 5_000,
            )
        return payment

    def _card(self) -> Card:
        random, cards = self._random, self.population.cards
        frequent = random.random() < FREQUENT_SHARE
        return self.population.card(random.randrange(max(1, cards // 20) if frequent else cards))

    def _plain(self, number: int, at_ms: int, card: Card, merchant: int | None = None) -> SimulatedPayment:
        random = self._random
        place = random.randrange(MERCHANTS) if merchant is None else merchant
        channel = random.choices((_ECOM, _APP, _MOTO, _POS), (70, 15, 3, 12))[0]
        odd = random.random()
        return SimulatedPayment(
            payment_id=f"pi-{self._seed}-{number:07d}",
            attempt_no=1,
            at_ms=at_ms,
            card=card,
            merchant_id=f"m-{place + 1:04d}",
            platform_id="" if place + 1 in INDEPENDENT else PLATFORM_ID,
            merchant_name=f"Shop {place + 1}",
            mcc=("5411", "5732", "5812", "5942", "4511", "7995", "5999")[place % 7],
            merchant_country="US",
            amount_minor=max(100, int(random.lognormvariate(8.2, 1.0))),
            currency="USD",
            channel=channel,
            network=_NETWORK_VISA if card.number % 5 < 3 else _NETWORK_MASTERCARD,
            device_id="" if channel == _POS else random.choice(card.devices),
            ip="" if channel == _POS else random.choice(card.ips),
            account_age_days=card.account_age_days,
            transactions_24h=random.choice((0, 0, 0, 1, 1, 2)),
            acquirer_id=ACQUIRERS[place % len(ACQUIRERS)],
            stan=self._traces.next(),
            fraud=False,
            kind="everyday",
            bad_field=random.choice(BAD_FIELDS) if odd < BAD_FIELD_SHARE else "",
            keyless=odd > 1 - NO_KEY_REFERENCES_SHARE,
        )

    def _ring(self, number: int, at_ms: int) -> SimulatedPayment:
        random = self._random
        card = self.population.card(random.choice(self._ring_cards))
        return replace(
            self._plain(number, at_ms, card),
            fraud=True,
            kind="ring",
            channel=_ECOM,
            device_id=random.choice(self._ring_devices),
            ip=random.choice(self._ring_ips),
            account_age_days=random.randrange(3),
            transactions_24h=random.randrange(3, 12),
            amount_minor=random.randrange(30_000, 180_000),
        )

    def _testing(self, number: int, burst: _Burst) -> SimulatedPayment:
        random = self._random
        burst.left -= 1
        if burst.left <= 0:
            self._burst = None
        burst.at_ms += random.randrange(1_000, 12_000)
        card = self.population.card(random.randrange(self.population.cards))
        return replace(
            self._plain(number, burst.at_ms, card, burst.merchant),
            fraud=True,
            kind="testing",
            channel=_ECOM,
            device_id=burst.device_id,
            ip=burst.ip,
            account_age_days=0,
            amount_minor=random.randrange(100, 300),
        )
