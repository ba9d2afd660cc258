"""Load for races: payments of the parties that race, and one receiver who writes down what comes, and when.

The receiver does not judge: what a party's shares are is told by the gateway's journal, when all is over.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from issuernetwork.v1 import common_pb2 as common
from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import feed_pb2 as feed
from tests.kit.installation import Installation
from tests.kit.payments import NORTHGATE, payment
from tests.prove.both_ends import Answered, BothEnds, claims_of

PROGRAM, RECIPIENT = "risk-score", "northgate-bank"
REPEATS = 0.15
"""Of the payments: a request sent once more, whose answer is on record. It must not bring the data again."""

RECENT = 8
"""Payments of a party that look-ups ask for: the last ones."""

DRAIN_S = 30.0


@dataclass(slots=True)
class Party:
    """Who races: a number, and what its payments have of their own."""

    number: int
    kind: str
    party_id: str
    merchant_id: str = "m-0001"
    platform_id: str = "plat-1"
    iin: str = NORTHGATE
    card: int | None = None
    par: str = ""
    """Payments of its card give this beside the number, and are known by it."""
    shared: int = 0
    """Payments of its own that were shared, as far as their sender knows."""

    asked_s: float = 0.0
    """When the last payment that was answered had been sent."""

    recent: deque[v1.EnrichAuthorizationRequest] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Payments that were shared."""

    @property
    def prefix(self) -> str:
        """Of its payments' ids, by which its records are known."""
        return f"race-{self.number}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender was told: when it asked, when the answer came, whether anything was shared."""

    party: int
    asked_s: float
    came_s: float
    shared: bool


@dataclass(frozen=True, slots=True)
class Received:
    """One share's data as a receiver got it. `transport` is `poll` or `lookup`."""

    share_id: str
    transport: str
    asked_s: float
    came_s: float


@dataclass(slots=True)
class Log:
    """What came to the ends, in order. Appended by the load's thread, read by others."""

    answers: list[Answer] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)
    """`data` or `withdrawn` by place of the stream; what comes again stands as it came last."""

    tombstones: dict[str, float] = field(default_factory=dict)
    polled_s: float = 0.0
    looked_up_s: float = 0.0
    bytes_received: int = 0
    failures: int = 0
    lookups_refused: int = 0
    """Nothing may leave while switches are stale: look-ups are told so."""

    repeats: int = 0


class Load(BothEnds):
    """Payments of whoever races, and what one recipient gets of them."""

    RECIPIENT = RECIPIENT
    PAYMENTS_PER_S = 300
    """Of all parties together: what two cores carry beside the races themselves."""

    POLL_PAUSE_S = (0.02, 0.1)
    """So that something is queued whenever a race ends."""

    POLL_MAX_EVENTS = 100
    LOOKUP_PAUSE_S = 0.003

    def __init__(self, installation: Installation, seed: int) -> None:
        super().__init__(installation, seed)
        self.log = Log()
        self._active: tuple[Party, ...] = ()
        self._changing = threading.Lock()
        self._number = 0

    def begin(self, party: Party) -> None:
        """Its payments flow from now on."""
        with self._changing:
            self._active = (*self._active, party)

    def end(self, party: Party) -> None:
        with self._changing:
            self._active = tuple(one for one in self._active if one is not party)

    def stop(self) -> None:
        """Ends the payments; polls go on until the stream is empty."""
        self._paid_up.set()
        deadline, seen, empty_s = time.monotonic() + DRAIN_S, -1, time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - empty_s < 1.5:
            if len(self.log.places) != seen:
                seen, empty_s = len(self.log.places), time.monotonic()
            time.sleep(0.05)
        super().stop()

    def next_payment(self) -> tuple[v1.EnrichAuthorizationRequest, Answered] | None:
        if not (active := self._active):
            return None
        party = self._random.choice(active)
        request = self._request(party)
        return request, partial(self._answered, party, request)

    def payment_failed(self) -> None:
        self.log.failures += 1

    def _request(self, party: Party) -> v1.EnrichAuthorizationRequest:
        if party.recent and self._random.random() < REPEATS:
            return self._random.choice(party.recent)
        self._number += 1
        request = payment(
            self._number, iin=party.iin, card=party.card, merchant_id=party.merchant_id, prefix=party.prefix
        )
        request.platform_id = party.platform_id
        request.card.par = party.par
        return request

    def _answered(
        self,
        party: Party,
        request: v1.EnrichAuthorizationRequest,
        answer: v1.EnrichAuthorizationResponse,
        asked_s: float,
    ) -> None:
        repeated = any(request is one for one in party.recent)
        # A repeat tells again what became of the first; what it may not bring again is the data.
        shared = any(
            one.program == PROGRAM
            and (bool(one.elements) or (one.status == common.SHARE_STATUS_SHARED and not repeated))
            for one in answer.decisions
        )
        self.log.answers.append(Answer(party.number, asked_s, time.monotonic(), shared))
        self.log.repeats += repeated
        party.shared += shared
        party.asked_s = max(party.asked_s, asked_s)
        if shared and not repeated:
            party.recent.append(request)

    def polled(self, content: bytes, sets: dict[str, str], asked_s: float) -> None:
        self.log.bytes_received += len(content)
        self._take_all(list(sets.values()), asked_s)
        self.log.polled_s = asked_s

    def _take_all(self, tokens: Sequence[str], asked_s: float) -> None:
        came_s = time.monotonic()
        for token in tokens:
            ((uri, event),) = claims_of(token)["events"].items()
            withdrawn = "withdrawn" in uri
            self.log.places[event["stream_seq"]] = "withdrawn" if withdrawn else "data"
            if withdrawn:
                self.log.tombstones[event["share_id"]] = came_s
            else:
                self.log.received.append(Received(event["share_id"], "poll", asked_s, came_s))

    def next_lookup(self) -> v1.EnrichAuthorizationRequest | None:
        asked_of = [party for party in self._active if party.recent]
        return self._random.choice(self._random.choice(asked_of).recent) if asked_of else None

    def lookup_failed(self) -> None:
        self.log.lookups_refused += 1

    def looked_up(self, found: feed.LookupResponse, asked_s: float) -> None:
        came_s = time.monotonic()
        for share in found.shares:
            self.log.bytes_received += len(share.signed_set)
            self.log.received.append(Received(share.share_id, "lookup", asked_s, came_s))
        self.log.looked_up_s = asked_s
