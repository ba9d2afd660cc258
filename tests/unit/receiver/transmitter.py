"""A transmitter (RFC 8936) on loopback, with faults that a test switches on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

from issuernetwork.receiver import JwksCache
from tests.unit.receiver.network import Network

TOKEN = "token-of-the-bank"


class Transmitter:
    """Gives what was not acknowledged, in order, until it is."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.waiting: dict[str, str] = {}
        self.acknowledged: list[str] = []
        self.errors: dict[str, dict[str, str]] = {}
        self.questions: list[dict[str, Any]] = []
        self.faults: list[web.Response] = []
        self.jwks_asked = 0
        self.redirected = 0
        self.url = ""

    def put(self, jti: str, token: bytes) -> None:
        self.waiting[jti] = token.decode()

    async def poll(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        question = await request.json()
        self.questions.append(question)
        if self.faults:
            return self.faults.pop(0)
        for jti in question.get("ack", []):
            if self.waiting.pop(jti, None) is not None:
                self.acknowledged.append(jti)
        for jti, error in question.get("setErrs", {}).items():
            self.waiting.pop(jti, None)
            self.errors[jti] = error
        given = dict(list(self.waiting.items())[: question["maxEvents"]])
        return web.json_response({"sets": given, "moreAvailable": len(given) < len(self.waiting)})

    async def jwks(self, _: web.Request) -> web.Response:
        self.jwks_asked += 1
        return web.json_response(self.network.jwks)

    async def elsewhere(self, _: web.Request) -> web.Response:
        self.redirected += 1
        return web.json_response({"sets": {}})

    @asynccontextmanager
    async def serving(self, stream_id: str = "stream-northgate-bank") -> AsyncIterator[ClientSession]:
        app = web.Application()
        app.router.add_post(f"/ssf/streams/{stream_id}/poll", self.poll)
        app.router.add_route("*", "/elsewhere", self.elsewhere)
        app.router.add_get("/.well-known/jwks.json", self.jwks)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            async with ClientSession() as session:
                yield session
        finally:
            await runner.cleanup()

    def jwks_cache(self, session: ClientSession, *, cooldown_s: float = 30.0) -> JwksCache:
        return JwksCache(session, f"{self.url}/.well-known/jwks.json", cooldown_s=cooldown_s)
