"""A receiver's copy of our JWK Set: as old as we let it be, anew for an unknown key, and not more often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from issuernetwork.jwks_cache import MAX_AGE_DEFAULT_S, MAX_AGE_MAX_S, JwksCache, PollFault
from issuernetwork.receiver import Receiver, RefusedToken, Share, open_fresh
from tests.unit.receiver.network import BANK, ISS, NOW_MS, Network

OLD, NEW = {"keys": [{"kid": "old"}]}, {"keys": [{"kid": "old"}, {"kid": "new"}]}


class Publisher:
    """Serves a JWK Set as the feeds do."""

    def __init__(self) -> None:
        self.jwks: Any = OLD
        self.tag = '"1"'
        self.headers = {"Cache-Control": "max-age=60"}
        self.status = 200
        self.asked: list[str | None] = []
        self.held: asyncio.Event | None = None
        self.arrived = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("If-None-Match"))
        self.arrived.set()
        if self.held is not None:
            await self.held.wait()
        headers = {**self.headers, "ETag": self.tag} if self.tag else self.headers
        if self.status == 200 and self.asked[-1] == self.tag:
            return web.Response(status=304, headers=headers)
        return web.json_response(self.jwks, status=self.status, headers=headers)

    @asynccontextmanager
    async def cache(self, cooldown_s: float = 30.0) -> AsyncIterator[JwksCache]:
        app = web.Application()
        app.router.add_get("/jwks.json", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            async with ClientSession() as session:
                yield JwksCache(session, f"http://{host}:{port}/jwks.json", cooldown_s=cooldown_s)
        finally:
            await runner.cleanup()


def aged(cache: JwksCache, seconds: float) -> None:
    """As if so much time had passed."""
    assert cache._fetched_at is not None
    cache._fetched_at -= seconds
    cache._retry_at -= seconds
    if cache._refreshed_at is not None:
        cache._refreshed_at -= seconds


def kids(cache: JwksCache) -> list[str]:
    return [key["kid"] for key in cache.current()["keys"]]


def test_a_set_is_fetched_anew_when_it_is_as_old_as_it_may_be_and_not_before() -> None:
    async def scenario() -> None:
        ours = Publisher()
        async with ours.cache() as cache:
            assert await cache.keep_fresh()
            ours.jwks, ours.tag = NEW, '"2"'
            aged(cache, 59)
            assert not await cache.keep_fresh()
            assert kids(cache) == ["old"]
            aged(cache, 2)
            assert await cache.keep_fresh()
            assert kids(cache) == ["old", "new"]

    asyncio.run(scenario())


def test_a_key_that_was_taken_out_is_not_trusted_for_longer_than_the_set_may_be_kept() -> None:
    async def scenario() -> None:
        ours = Publisher()
        ours.jwks = NEW
        async with ours.cache() as cache:
            await cache.keep_fresh()
            ours.jwks, ours.tag = OLD, '"2"'
            aged(cache, 61)
            await cache.keep_fresh()
            assert kids(cache) == ["old"]

    asyncio.run(scenario())


def test_what_did_not_change_is_not_sent_again_and_is_fresh_all_the_same() -> None:
    async def scenario() -> None:
        ours = Publisher()
        async with ours.cache() as cache:
            await cache.keep_fresh()
            aged(cache, 61)
            assert await cache.keep_fresh()
            assert ours.asked == [None, '"1"']
            assert kids(cache) == ["old"]
            assert not await cache.keep_fresh()

    asyncio.run(scenario())


def test_an_unknown_key_is_looked_for_once_a_cooldown_however_young_the_set_is() -> None:
    async def scenario() -> None:
        ours = Publisher()
        async with ours.cache() as cache:
            await cache.keep_fresh()
            ours.jwks, ours.tag = NEW, '"2"'
            assert await cache.refresh()
            assert kids(cache) == ["old", "new"]
            assert not await cache.refresh()
            aged(cache, 31)
            assert await cache.refresh()

    asyncio.run(scenario())


def test_who_asks_while_the_set_is_on_its_way_waits_for_it_and_nobody_asks_twice() -> None:
    async def scenario() -> None:
        ours = Publisher()
        async with ours.cache() as cache:
            ours.held = asyncio.Event()
            asking = [asyncio.ensure_future(cache.keep_fresh()) for _ in range(3)]
            asking.append(asyncio.ensure_future(cache.refresh()))
            await ours.arrived.wait()
            assert not any(one.done() for one in asking)
            ours.held.set()
            await asyncio.gather(*asking)
            assert len(ours.asked) <= 2, "once for its age, once for a key that was asked for before"
            assert kids(cache) == ["old"]

    asyncio.run(scenario())


def test_after_a_failure_the_last_set_stays_and_a_second_passes_before_the_next_try() -> None:
    async def scenario() -> None:
        ours = Publisher()
        async with ours.cache() as cache:
            await cache.keep_fresh()
            ours.status = 503
            aged(cache, 61)
            with pytest.raises(PollFault, match="503"):
                await cache.keep_fresh()
            assert not await cache.keep_fresh()
            assert not await cache.refresh()
            assert len(ours.asked) == 2
            assert kids(cache) == ["old"]
            ours.status = 200
            aged(cache, 1)
            assert await cache.keep_fresh()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ("max-age=60", 60),
        ("public, Max-Age = 7", 7),
        ("max-age=0", 1),
        ("max-age=999999999", MAX_AGE_MAX_S),
        ("", MAX_AGE_DEFAULT_S),
        ("no-store", MAX_AGE_DEFAULT_S),
        ("s-max-age=5", MAX_AGE_DEFAULT_S),
        ("max-age=-5", MAX_AGE_DEFAULT_S),
        ("max-age=99999999999999999999", MAX_AGE_DEFAULT_S),
    ],
)
def test_the_age_is_what_the_transmitter_says_within_bounds(header: str, expected_s: float) -> None:
    async def scenario() -> None:
        ours = Publisher()
        ours.headers = {"Cache-Control": header} if header else {}
        async with ours.cache() as cache:
            await cache.keep_fresh()
            assert cache._max_age_s == expected_s

    asyncio.run(scenario())


@pytest.mark.parametrize("answer", [[], "keys", None])
def test_what_is_no_set_is_a_fault_and_the_last_set_stays(answer: Any) -> None:
    async def scenario() -> None:
        ours = Publisher()
        async with ours.cache() as cache:
            await cache.keep_fresh()
            ours.jwks, ours.tag = answer, ""
            aged(cache, 61)
            with pytest.raises(PollFault):
                await cache.keep_fresh()
            assert kids(cache) == ["old"]

    asyncio.run(scenario())


def test_what_a_look_up_brought_is_opened_by_a_key_that_came_since_and_by_none_that_went() -> None:
    async def scenario() -> None:
        ours, network = Publisher(), Network()
        ours.jwks = {"keys": []}
        async with ours.cache() as cache:
            receiver = Receiver(
                recipient_id=BANK, private_keys=[network.private], jwks=cache.current, iss=ISS,
                now_ms=lambda: NOW_MS,
            )  # fmt: skip
            with pytest.raises(RefusedToken, match="unknown_key"):
                await open_fresh(receiver, cache, network.share())
            ours.jwks, ours.tag = network.jwks, '"2"'
            with pytest.raises(RefusedToken, match="unknown_key"):
                await open_fresh(receiver, cache, network.share())
            assert len(ours.asked) == 2, "within the cooldown nobody asks again"
            aged(cache, 31)
            assert isinstance(await open_fresh(receiver, cache, network.share()), Share)
            ours.jwks, ours.tag = {"keys": []}, '"3"'
            aged(cache, 61)
            with pytest.raises(RefusedToken, match="unknown_key"):
                await open_fresh(receiver, cache, network.share())
            ours.status = 503
            with pytest.raises(RefusedToken, match="unknown_key"):
                await open_fresh(receiver, cache, network.share())

    asyncio.run(scenario())
