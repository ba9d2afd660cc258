"""Tokens by client credentials: asked for in time, one at a time, and kept while the network is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web

from issuernetwork._jose import BadKey, json_object, verify_jws, verify_keys
from issuernetwork.issuer_cli import new_signing_key
from issuernetwork.tokens import ASSERTION_TYPE, AskFault, TokenSource, sign_key

ISS, CLIENT = "https://issuernetwork.test", "northgate-bank"
PRIVATE, PUBLIC = new_signing_key("k-1")


class Network:
    """A token endpoint that counts what it is asked."""

    def __init__(self, life_s: int = 600) -> None:
        self.life_s = life_s
        self.asked: list[dict[str, str]] = []
        self.status = 200
        self.body: Any = None
        self.second = asyncio.Event()

    async def token(self, request: web.Request) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.asked.append(form)
        if len(self.asked) > 1:
            self.second.set()
        told = {"access_token": f"t-{len(self.asked)}", "token_type": "Bearer", "expires_in": self.life_s}
        return web.json_response(told if self.body is None else self.body, status=self.status)


def with_source(
    network: Network,
    work: Callable[[TokenSource], Awaitable[None]],
    monotonic_s: Callable[[], float] = time.monotonic,
) -> None:
    async def main() -> None:
        app = web.Application()
        app.router.add_post("/oauth/token", network.token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            async with aiohttp.ClientSession() as session:
                await work(
                    TokenSource(
                        session,
                        f"http://127.0.0.1:{port}/",
                        client_id=CLIENT,
                        iss=ISS,
                        key=sign_key(PRIVATE),
                        monotonic_s=monotonic_s,
                    )
                )
        finally:
            await runner.cleanup()

    asyncio.run(main())


def test_what_is_sent_is_signed_for_this_network_once() -> None:
    network = Network()

    async def work(source: TokenSource) -> None:
        assert await source.fresh() == source.current() == "t-1"

    with_source(network, work)
    (form,) = network.asked
    assert (form["grant_type"], form["client_assertion_type"]) == ("client_credentials", ASSERTION_TYPE)
    _, payload = verify_jws(form["client_assertion"].encode(), verify_keys({"keys": [PUBLIC]}))
    claims = json_object(payload)
    assert (claims["iss"], claims["sub"], claims["aud"]) == (CLIENT, CLIENT, ISS)
    assert 0 < claims["exp"] - claims["iat"] <= 300


def test_a_token_is_asked_for_once_by_many_and_again_before_it_ends() -> None:
    network = Network()
    passed_s = 1.0

    async def work(source: TokenSource) -> None:
        nonlocal passed_s
        assert set(await asyncio.gather(*(source.fresh() for _ in range(20)))) == {"t-1"}
        passed_s += 0.6 * network.life_s
        assert await source.fresh() == "t-1"
        passed_s += 0.15 * network.life_s
        assert await source.fresh() == "t-2"
        # A network that does not answer takes no token away that is still good.
        network.status = 503
        passed_s += 0.75 * network.life_s
        assert await source.fresh() == "t-2"
        passed_s += 0.3 * network.life_s
        with pytest.raises(AskFault, match="503"):
            await source.fresh()

    with_source(network, work, lambda: passed_s)


@pytest.mark.parametrize("body", [{}, {"access_token": 1}, {"access_token": "t", "expires_in": 0}, []])
def test_an_answer_without_a_token_is_a_fault(body: Any) -> None:
    network = Network()
    network.body = body

    async def work(source: TokenSource) -> None:
        with pytest.raises(AskFault):
            await source.fresh()
        assert source.current() == ""

    with_source(network, work)


def test_a_source_that_runs_has_a_token_at_hand_until_it_is_stopped() -> None:
    network = Network(life_s=1)

    async def work(source: TokenSource) -> None:
        stop = asyncio.Event()
        running = asyncio.ensure_future(source.run(stop))
        async with asyncio.timeout(20):
            await network.second.wait()
            stop.set()
            await running
        assert source.current()

    with_source(network, work)


@pytest.mark.parametrize("spoilt", [{"d": ""}, {"kid": ""}, {"use": "enc"}, {"alg": "none"}, {"x": "AA"}])
def test_a_key_that_signs_nothing_is_refused(spoilt: dict[str, str]) -> None:
    with pytest.raises(BadKey):
        sign_key({**PRIVATE, **spoilt})


def test_nothing_shows_a_key_or_a_token() -> None:
    async def work(source: TokenSource) -> None:
        token = await source.fresh()
        assert token not in repr(source)
        assert PRIVATE["d"] not in repr(source) + repr(sign_key(PRIVATE))

    with_source(Network(), work)
