"""An answer to a poll has one status, whatever happens while it is written."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web

from gateway.feeds.delivery import Reply
from gateway.feeds.ports import OutboxItem, StoreUnavailable
from gateway.server.feeds.in_flight import InFlight
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.feeds.ssf_http import WRITE_CHUNK_BYTES, SsfApp
from gateway.server.identity import Principal
from issuernetwork.v1.common_pb2 import TRANSPORT_SSF

REQUEST = (
    b"POST /ssf/streams/stream-bank/poll HTTP/1.1\r\nHost: us\r\nContent-Length: 27\r\n\r\n"
    b'{"returnImmediately": true}'
)
ITEM = OutboxItem(
    share_id="s", transport=TRANSPORT_SSF, recipient_id="bank", program="p", issuer_id="bank",
    evaluation_id="e", stream_id="stream-bank", stream_seq=1, jti="s", set_bytes=b"a" * WRITE_CHUNK_BYTES * 3,
)  # fmt: skip


class Engine:
    """Has one item, and faults or refuses at the n-th question whether it may leave."""

    def __init__(self, at: int, instead: Exception | bool) -> None:
        self.parts = SimpleNamespace(switches=SimpleNamespace(fresh=lambda: True))
        self.metrics, self.in_flight = FeedsMetrics(), InFlight()
        self.revocations = SimpleNamespace(count=0)
        self.closing = False
        self._at, self._instead, self._asked = at, instead, 0

    def wake_of(self, stream_id: str) -> asyncio.Event:
        return asyncio.Event()

    async def poll(self, event: object) -> Reply:
        return Reply((ITEM,))

    def may_leave(self, items: object, chosen: int) -> bool:
        self._asked += 1
        if self._asked < self._at:
            return True
        if isinstance(self._instead, Exception):
            raise self._instead
        return self._instead


async def _jwks(known: str, held: Callable[[], dict[str, Any]]) -> tuple[int, Any, str, str]:
    app = SsfApp(
        cast(Any, None), lambda request: None, issuer_url="https://us.test", jwks=held, jwks_max_age_s=7
    )
    runner = web.AppRunner(app.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with ClientSession() as session:
            headers = {"If-None-Match": known} if known else {}
            async with session.get(f"http://{host}:{port}/.well-known/jwks.json", headers=headers) as reply:
                body = await reply.read()
                told = reply.headers["ETag"], reply.headers["Cache-Control"]
                return reply.status, json.loads(body) if body else None, *told
    finally:
        await runner.cleanup()


def test_who_has_the_jwk_set_already_is_told_so_without_it_and_a_new_set_has_a_new_tag() -> None:
    async def scenario() -> None:
        one, two = {"keys": [{"kid": "a"}]}, {"keys": [{"kid": "a"}, {"kid": "b"}]}
        status, body, tag, age = await _jwks("", lambda: one)
        assert (status, body, age) == (200, one, "max-age=7")
        for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
            assert await _jwks(known, lambda: one) == (304, None, tag, age), known
        status, body, other, _ = await _jwks(tag, lambda: two)
        assert (status, body) == (200, two)
        assert other != tag

    asyncio.run(scenario())


async def _answered(engine: Engine) -> bytes:
    """All bytes of the answer, until the connection is closed or the answer is whole."""
    app = SsfApp(
        cast(Any, engine), lambda request: Principal("bank", "issuer"), issuer_url="https://us.test",
        jwks=lambda: {"keys": []},
    )  # fmt: skip
    runner = web.AppRunner(app.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
    writer.write(REQUEST)
    got = b""
    try:
        while not got.endswith(b"0\r\n\r\n"):
            some = await asyncio.wait_for(reader.read(WRITE_CHUNK_BYTES), 10)
            if not some:
                break
            got += some
    except ConnectionResetError:
        pass
    finally:
        writer.close()
        await runner.cleanup()
    return got


@pytest.mark.parametrize("at", [1, 2, 3, 5], ids="question {}".format)
@pytest.mark.parametrize(
    "fault", [StoreUnavailable("down"), RuntimeError("CANARY")], ids=["known", "unknown"]
)
def test_an_answer_that_faults_in_its_middle_ends_the_connection_without_a_second_status(
    at: int, fault: Exception
) -> None:
    engine = Engine(at, fault)
    got = asyncio.run(_answered(engine))
    assert got.count(b"HTTP/1.1") <= 1
    assert b"503" not in got
    assert b"500" not in got
    assert not got.endswith(b"0\r\n\r\n"), "what is cut off must not read as whole"
    assert engine.metrics.faults._value.get() == 1


def test_what_may_not_leave_any_more_is_answered_whole_before_and_cut_off_within() -> None:
    before = asyncio.run(_answered(Engine(1, False)))
    assert before.startswith(b"HTTP/1.1 200")
    assert b'{"sets":{},"moreAvailable":true}' in before
    within = asyncio.run(_answered(Engine(3, False)))
    assert within.count(b"HTTP/1.1") <= 1
    assert not within.endswith(b"0\r\n\r\n")
    assert asyncio.run(_answered(Engine(6, False))).endswith(b"0\r\n\r\n"), "asked once a chunk"
