"""A payment service under light load: one payment each 10 ms by the client that we ship, whatever happens."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gateway.records.errors import GatewayError
from issuernetwork.client import EnrichResult, PaymentClient, Preset
from tests.kit.fail_closed import ISSUERS, planted

DEADLINE_MS = 100
"""Callers set 50 to 200 (docs/decisions/0010); half of it is the machine's, which is shared here."""

PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Told:
    """One payment, as its sender saw it."""

    asked_s: float
    took_ms: float
    result: EnrichResult

    @property
    def degraded(self) -> str:
        return "" if self.result.response is None else self.result.response.degraded_reason


class LightLoad(threading.Thread):
    """`told` grows with answers. Every personal field has a canary. `address`: where the gateway is now."""

    def __init__(self, address: Callable[[], str], token: str) -> None:
        super().__init__(name="light-load", daemon=True)
        self._address, self._token = address, token
        self._at = ""
        self._client: PaymentClient
        self._over = threading.Event()
        self.told: list[Told] = []
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._pay())
        except BaseException as fault:
            self.fault = fault
            raise

    def stop(self) -> None:
        self._over.set()
        self.join()
        assert self.fault is None, self.fault

    def between(self, since_s: float, until_s: float) -> list[Told]:
        """Those asked in that time, once all of them have their result."""
        give_up_s = time.monotonic() + 10 * DEADLINE_MS / 1000
        while time.monotonic() < give_up_s and not any(one.asked_s > until_s for one in self.told[-50:]):
            time.sleep(PAUSE_S)
        return [one for one in self.told if since_s <= one.asked_s <= until_s]

    async def _pay(self) -> None:
        issuers = itertools.cycle(ISSUERS)
        await self._connect()
        calls: set[asyncio.Task[None]] = set()
        due_s = time.monotonic()
        for number in itertools.count(1_000_000):
            if self._over.is_set():
                break
            task = asyncio.ensure_future(self._one(number, next(issuers)))
            calls.add(task)
            task.add_done_callback(calls.discard)
            due_s += PAUSE_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        await asyncio.gather(*calls)
        await self._client.close()

    async def _connect(self) -> None:
        """A worker that was started anew has another port."""
        at = self._address()
        if at != self._at:
            before = self._client if self._at else None
            self._at = at
            self._client = PaymentClient(at, self._token, preset=Preset(enrich_deadline_ms=DEADLINE_MS))
            if before is not None:
                await before.close()

    async def _one(self, number: int, issuer_id: str) -> None:
        request = planted(number, issuer_id)
        asked_s = time.monotonic()
        result = await self._client.enrich(request)
        self.told.append(Told(asked_s, (time.monotonic() - asked_s) * 1e3, result))
        if not result.answered:
            with suppress(GatewayError):
                await self._connect()
