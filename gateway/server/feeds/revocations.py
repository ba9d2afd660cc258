"""Takes back what is queued under consents that lapsed, about cardholders who object, and of what ended.

It is over before anybody is told that they have.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Final

import structlog

from gateway.feeds.delivery import Action, DeliveryCore
from gateway.feeds.ports import LAST_MS
from gateway.programs.ended import Entries, Standing
from gateway.programs.plan_warnings import enrolled
from gateway.programs.switches import SwitchView
from gateway.programs.table import ReleaseTable
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.server.consent_ends import NextEnd
from gateway.server.consent_follower import ConsentFollower
from gateway.server.feeds.in_flight import InFlight, drop

CARDS_A_QUERY: Final = 500
"""Cards asked for in one statement: well below SQLite's 32,766 parameters."""

LOOP_WAIT_S: Final = 5.0
"""The loop answers within milliseconds; after this long a revocation is tried again."""

_NO_STOPS: Final = SwitchView(epoch=0)

_log = structlog.get_logger("feeds")


class LoopLate(GatewayError):
    """The loop that everything leaves from did not answer in time."""

    code = "store_unavailable"


class Revocations:
    """`count` rises with each round, and belongs to the loop: what was chosen before one does not leave.

    `delivery` is the thread that steps of streams run on, and `carry_out` what it does with actions.
    """

    def __init__(
        self,
        core: DeliveryCore,
        consents: ConsentFollower,
        clock: Clock,
        delivery: Executor,
        carry_out: Callable[[Sequence[Action]], object],
        in_flight: InFlight,
    ) -> None:
        self._core = core
        self._consents = consents
        self._clock = clock
        self._delivery = delivery
        self._carry_out = carry_out
        self._in_flight = in_flight
        self._rounds = threading.Lock()
        """One round at a time: consents, policies and housekeeping have a thread each."""
        self._asking = threading.Lock()
        self._asked = self._asked_done = 0
        """How often a policy or a date asked for a round, and up to which of them one has ended since."""
        self._entries: Entries | None = None
        self._next_end = NextEnd(clock)
        self._withdrew = False
        """Something was withdrawn, and what waits in transports has not been cut off since."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._withdrawn_cards: dict[bytes, tuple[int, ...]] = {}
        """Of those who object, by which cases: what was queued before the newest of them is taken back.

        By card alone would not do: between two cases it may have been shared.
        """
        self._withdrawn_erased: dict[bytes, int] = {}
        """By card, up to when: what was decided before its erasure is taken back, whoever shares it again."""
        self.planning = threading.Lock()
        """Held while fan-out plans and commits a batch."""
        self.count = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def follow(self) -> None:
        """At the start: what lapsed while nobody looked is withdrawn before anybody can ask."""
        self._consents.on_change = self._round
        self._consents.step()

    def policy_changed(self) -> None:
        """Documents may say less of a party than those before did. What fails is tried again by `mend`."""
        self._ask()
        self.mend()

    def use(self, table: ReleaseTable) -> None:
        """What a new policy says of programs at issuers; `policy_changed` takes back what ended with it."""
        self._entries = enrolled(table)

    def standing(self, view: SwitchView) -> Standing:
        """What may leave by the switches and by the policy in force."""
        return Standing(view, self._entries, self._clock.wall_ms(), self._next_end.note)

    def look(self) -> None:
        """The chore: what a date or a policy asked for."""
        if self._next_end.reached():
            self._ask()
        self.mend()

    def _ask(self) -> None:
        with self._asking:
            self._asked += 1

    def mend(self) -> None:
        """The round that was asked for, where it is still due."""
        # Before the registry is known the documents alone would speak, and tombstones are not taken back.
        if self._asked == self._asked_done or not self._consents.whole():
            return
        try:
            self._round()
        except GatewayError as fault:
            _log.error("revocation_put_off", code=fault.code)

    def _round(self) -> None:
        """After rows, or what documents say, have changed. Raises where it fails."""
        with self._rounds:
            # One that comes meanwhile may say what this one does not see.
            asked = self._asked
            self._take_back()
            self._asked_done = asked

    def _take_back(self) -> None:
        # Before the wait: who objects only now may be in what fan-out is planning, and has a round to come.
        objecting = dict(self._consents.subjects.objecting)
        erased = dict(self._consents.subjects.erased_until_ms)
        # What fan-out planned by the rows of before is in the store from here on.
        with self.planning:
            pass
        self._delivery.submit(self._withdraw, objecting, erased).result()
        # Where nothing was open under what lapsed, nothing of it waits in a transport either.
        if not self._withdrew:
            return
        if self._loop is not None and not self._loop.is_closed():
            try:
                asyncio.run_coroutine_threadsafe(self._cut_off(), self._loop).result(LOOP_WAIT_S)
            except TimeoutError:
                raise LoopLate("the feeds are too busy to cut off what waits; it is tried again") from None
        self._withdrew = False

    def _withdraw(self, objecting: Mapping[bytes, tuple[int, ...]], erased: Mapping[bytes, int]) -> None:
        for consent in self._core.lapsed_consents(self._consents.lapsed):
            while actions := self._core.revoke(consent, self._clock.wall_ms()):
                self._withdrew = True
                self._carry_out(actions)
        # Switches have a sweep of their own.
        while actions := self._core.sweep(self.standing(_NO_STOPS), self._clock.wall_ms()):
            self._withdrew = True
            self._carry_out(actions)
        # Kept until it is done: a round that fails is made again.
        unseen = [key for key, cases in objecting.items() if self._withdrawn_cards.get(key) != cases]
        for at in range(0, len(unseen), CARDS_A_QUERY):
            cards = unseen[at : at + CARDS_A_QUERY]
            self._withdraw_cards(cards, LAST_MS)
            self._withdrawn_cards.update((key, objecting[key]) for key in cards)
        for key in self._withdrawn_cards.keys() - self._consents.subjects.objecting.keys():
            del self._withdrawn_cards[key]
        for key, until_ms in erased.items():
            # While its holder objects everything is taken back anyway.
            if key not in objecting and self._withdrawn_erased.get(key, 0) < until_ms:
                self._withdraw_cards([key], until_ms)
                self._withdrawn_erased[key] = until_ms

    def _withdraw_cards(self, cards: Sequence[bytes], queued_before_ms: int) -> None:
        while actions := self._core.object(cards, self._clock.wall_ms(), queued_before_ms):
            self._withdrew = True
            self._carry_out(actions)

    async def _cut_off(self) -> None:
        """What waits in a transport does not leave either."""
        self.count += 1
        for transport, _ in self._in_flight.waiting():
            drop(transport)
