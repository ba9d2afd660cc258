"""Polling against a real HTTP server on loopback."""

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from issuernetwork import issuer_cli
from issuernetwork.issuer_cli import new_key
from issuernetwork.receiver import (
    Inbox,
    JwksCache,
    PollFault,
    PollReceiver,
    Receiver,
    RefusedToken,
    Share,
    Withdrawn,
)
from tests.unit.receiver.network import BANK, FIELDS, ISS, Network
from tests.unit.receiver.transmitter import TOKEN, Transmitter


def poller(
    transmitter: Transmitter,
    session: ClientSession,
    handler: Any,
    jwks: JwksCache | None = None,
    **options: Any,
) -> PollReceiver:
    cache = transmitter.jwks_cache(session) if jwks is None else jwks
    network = transmitter.network
    receiver = Receiver(recipient_id=BANK, private_keys=[network.private], jwks=cache.current, iss=ISS)
    return PollReceiver(
        session=session,
        poll_url=f"{transmitter.url}/ssf/streams/stream-{BANK}/poll",
        token=TOKEN,
        receiver=receiver,
        jwks=cache,
        handler=handler,
        backoff_max_s=0.2,
        **options,
    )


def filled(count: int) -> Transmitter:
    """Shares 1 to `count`, offered in reverse: `sets` is an unordered object."""
    network = Network()
    transmitter = Transmitter(network)
    for seq in range(count, 0, -1):
        transmitter.put(f"jti-share-{seq}", network.share(f"share-{seq}", seq=seq))
    return transmitter


def test_shares_arrive_in_order_and_are_acknowledged_with_the_next_poll() -> None:
    async def scenario() -> None:
        transmitter = filled(5)
        got: list[Share | Withdrawn] = []
        async with transmitter.serving() as session:
            poll = poller(transmitter, session, got.append)
            assert await poll.poll_once()
            assert [item.stream_seq for item in got] == [1, 2, 3, 4, 5]
            assert transmitter.acknowledged == []
            assert await poll.poll_once()
            assert len(transmitter.acknowledged) == 5
            assert transmitter.jwks_asked == 1
            assert isinstance(got[0], Share)
            assert got[0].fields == FIELDS

    asyncio.run(scenario())


def test_a_handler_that_raises_gets_the_same_share_again_and_nothing_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        transmitter = filled(3)
        got: list[int | None] = []
        failures = iter([False, True, True, False, False])

        async def handler(item: Share | Withdrawn) -> None:
            got.append(item.stream_seq)
            if next(failures):
                raise RuntimeError("canary@example.test")

        async with transmitter.serving() as session:
            poll = poller(transmitter, session, handler)
            assert not await poll.poll_once()
            assert poll.inbox.acks() == ["jti-share-1"]
            assert not await poll.poll_once()
            assert await poll.poll_once()
            assert got == [1, 2, 2, 2, 3]
            assert poll.counts.handler_faults == 2

    with caplog.at_level(logging.DEBUG, logger="issuernetwork"):
        asyncio.run(scenario())
    assert "RuntimeError" in caplog.text
    assert "canary" not in caplog.text


def test_the_state_is_saved_before_the_acknowledgement_leaves() -> None:
    async def scenario() -> None:
        transmitter = filled(2)
        saved: list[tuple[int, int]] = []
        async with transmitter.serving() as session:
            poll = poller(
                transmitter,
                session,
                lambda _: None,
                save_state=lambda state: saved.append((state["next_seq"], len(transmitter.acknowledged))),
            )
            await poll.poll_once()
            await poll.poll_once()
        assert saved == [(3, 0)]

    asyncio.run(scenario())


def test_a_refused_token_is_told_by_a_registered_code_and_the_others_go_on() -> None:
    async def scenario() -> None:
        transmitter = filled(1)
        network = transmitter.network
        transmitter.put("jti-swapped", network.share("share-9", seq=2, sealed=network.sealed("share-1")))
        transmitter.put("jti-other-name", network.share("share-3", seq=3))
        transmitter.put("jti-no-token", b"not.a.token")
        refused: list[tuple[str, str]] = []
        async with transmitter.serving() as session:
            poll = poller(
                transmitter,
                session,
                lambda _: None,
                on_refused=lambda jti, refusal: refused.append((jti, refusal.code)),
            )
            assert await poll.poll_once()
            assert await poll.poll_once()
        assert {jti: error["err"] for jti, error in transmitter.errors.items()} == {
            "jti-swapped": "authentication_failed",
            "jti-other-name": "invalid_request",
            "jti-no-token": "invalid_request",
        }
        assert len(refused) == 3
        assert transmitter.acknowledged == ["jti-share-1"]

    asyncio.run(scenario())


def test_a_share_sealed_to_a_key_that_we_lack_is_refused_at_once_and_the_stream_goes_on() -> None:
    async def scenario() -> None:
        network = Network()
        transmitter = Transmitter(network)
        # Sealed to another key of the recipient, signed by the transmitter all the same.
        other = Network(private_jwk={**new_key("bank-2", "ECDH-ES+A256KW")[0]})
        transmitter.put("jti-share-1", network.share("share-1", seq=1, sealed=other.sealed("share-1")))
        transmitter.put("jti-share-2", network.share("share-2", seq=2))
        refused: list[str] = []
        got: list[Share | Withdrawn] = []
        async with transmitter.serving() as session:
            poll = poller(
                transmitter, session, got.append, on_refused=lambda jti, refusal: refused.append(refusal.code)
            )
            await poll.poll_once()
            assert (refused, poll.counts.deferred) == (["unknown_recipient_key"], 0)
            await poll.poll_once()
            assert transmitter.errors["jti-share-1"]["err"] == "invalid_key"
            assert got == []
            # What the transmitter puts in the place of a token that was refused.
            transmitter.put("jti-withdrawn-share-1", network.withdrawn("share-1", seq=1))
            await poll.poll_once()
        assert [(item.stream_seq, type(item)) for item in got] == [(1, Withdrawn), (2, Share)]

    asyncio.run(scenario())


def test_a_gap_is_told_once_and_does_not_make_a_tight_loop() -> None:
    async def scenario() -> None:
        network = Network()
        transmitter = Transmitter(network)
        transmitter.put("jti-share-2", network.share("share-2", seq=2))
        gaps: list[tuple[int, int]] = []
        async with transmitter.serving() as session:
            poll = poller(
                transmitter, session, lambda _: None, on_gap=lambda gap: gaps.append((gap.first, gap.last))
            )
            assert not await poll.poll_once()
            assert not await poll.poll_once()
            transmitter.put("jti-withdrawn-share-1", network.withdrawn("share-1", seq=1))
            assert await poll.poll_once()
        assert gaps == [(1, 1)]
        assert (poll.counts.shares, poll.counts.withdrawn) == (1, 1)

    asyncio.run(scenario())


def test_an_unknown_kid_asks_for_the_jwks_once_a_cooldown() -> None:
    async def scenario() -> None:
        transmitter = filled(2)
        network = transmitter.network
        good, network.jwks = network.jwks, {"keys": []}
        async with transmitter.serving() as session:
            jwks = transmitter.jwks_cache(session)
            poll = poller(transmitter, session, lambda _: None, jwks)
            await poll.poll_once()
            # Once for its age, once for the key that it lacks.
            assert transmitter.jwks_asked == 2
            # The first was refused after a look; the second is left to come again: no look, no verdict.
            assert (poll.counts.refused, poll.counts.deferred) == (1, 1)
            network.jwks = good
            transmitter.put("jti-share-1", network.share("share-1", seq=1))
            transmitter.put("jti-share-2", network.share("share-2", seq=2))
            jwks._cooldown_s = 0
            poll._refused.clear()
            await poll.poll_once()
            assert transmitter.jwks_asked == 3
            assert poll.counts.shares == 2

    asyncio.run(scenario())


def test_run_goes_on_after_failures_and_acknowledges_at_the_end() -> None:
    async def scenario() -> None:
        transmitter = filled(3)
        transmitter.faults = [
            web.Response(status=503, headers={"Retry-After": "0"}),
            web.Response(text="[1"),
            web.Response(text="[]"),
            web.json_response({"sets": []}),
            web.Response(status=302, headers={"Location": "/elsewhere"}),
        ]
        got: list[int | None] = []
        stop = asyncio.Event()

        def handler(item: Share | Withdrawn) -> None:
            got.append(item.stream_seq)
            if item.stream_seq == 3:
                stop.set()

        async with transmitter.serving() as session:
            poll = poller(transmitter, session, handler)
            async with asyncio.timeout(20):
                await poll.run(stop)
        assert got == [1, 2, 3]
        assert poll.counts.poll_faults == 5
        assert len(transmitter.acknowledged) == 3
        assert transmitter.questions[-1]["maxEvents"] == 0
        assert transmitter.redirected == 0

    asyncio.run(scenario())


def test_stop_lets_a_running_handler_finish() -> None:
    async def scenario() -> None:
        transmitter = filled(1)
        began, finish = asyncio.Event(), asyncio.Event()
        finished: list[int] = []

        async def handler(_: Share | Withdrawn) -> None:
            began.set()
            await finish.wait()
            finished.append(1)

        async with transmitter.serving() as session:
            stop = asyncio.Event()
            running = asyncio.ensure_future(poller(transmitter, session, handler).run(stop))
            await began.wait()
            stop.set()
            await asyncio.sleep(0)
            finish.set()
            async with asyncio.timeout(20):
                await running
        assert finished == [1]
        assert transmitter.acknowledged == ["jti-share-1"]

    asyncio.run(scenario())


def test_a_receiver_that_starts_again_from_its_state_goes_on_without_a_repeat() -> None:
    async def scenario() -> None:
        transmitter = filled(3)
        states: list[str] = []
        got: list[int | None] = []
        async with transmitter.serving() as session:
            first = poller(
                transmitter,
                session,
                lambda item: got.append(item.stream_seq),
                save_state=lambda state: states.append(json.dumps(state)),
            )
            await first.poll_once()
            inbox = Inbox()
            inbox.restore(json.loads(states[-1]))
            network = transmitter.network
            transmitter.put("jti-share-4", network.share("share-4", seq=4))
            second = poller(transmitter, session, lambda item: got.append(item.stream_seq), inbox=inbox)
            await second.poll_once()
            await second.poll_once()
        assert got == [1, 2, 3, 4]
        assert len(transmitter.acknowledged) == 4

    asyncio.run(scenario())


def test_a_huge_reply_is_a_fault() -> None:
    async def scenario() -> None:
        transmitter = filled(0)
        transmitter.faults = [web.Response(text=" " * 400_000)]
        async with transmitter.serving() as session:
            with pytest.raises(PollFault):
                await poller(transmitter, session, lambda _: None, events_max=1).poll_once()

    asyncio.run(scenario())


def test_refused_tokens_carry_no_value() -> None:
    for code in ("signature", "binding"):
        assert str(RefusedToken(code)) == f"token refused: {code}"


def test_the_tool_makes_keys_and_receives_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public, state = tmp_path / "private.jwk", tmp_path / "public.jwks", tmp_path / "state.json"
    new = ["keys", "new", "--kid", "bank-1", "--private", str(private), "--public", str(public)]
    assert issuer_cli.main(new) == 0
    assert os.stat(private).st_mode & 0o777 == 0o600
    assert "d" not in json.loads(public.read_text())["keys"][0]
    assert issuer_cli.main(new) == 2
    assert "never overwritten" in capsys.readouterr().err

    network = Network(private_jwk=json.loads(private.read_text()))
    transmitter = Transmitter(network)
    for seq in (2, 1):
        transmitter.put(f"jti-share-{seq}", network.share(f"share-{seq}", seq=seq))
    transmitter.put("jti-bad", b"a.b.c")
    monkeypatch.setenv(issuer_cli.TOKEN_ENV, TOKEN)

    async def scenario() -> int:
        async with transmitter.serving():
            arguments = ["receive", "--transmitter", transmitter.url, "--recipient-id", BANK, "--iss", ISS]
            arguments += ["--private", str(private), "--state", str(state), "--once", "--json"]
            return await asyncio.to_thread(issuer_cli.main, arguments)

    assert asyncio.run(scenario()) == 0
    output = capsys.readouterr().out
    result = json.loads(output)
    assert result["shares"] == {"risk-score": 2}
    assert (result["refused"], result["next_seq"]) == ({"malformed": 1}, 3)
    assert "canary" not in output + state.read_text()
    assert sorted(transmitter.acknowledged) == ["jti-share-1", "jti-share-2"]


@pytest.mark.parametrize("alg", [[], ["--alg", "ECDH-ES+A256KW"]])
def test_the_tool_makes_keys_of_the_curve_that_is_asked_for(tmp_path: Path, alg: list[str]) -> None:
    files = [tmp_path / "private.jwk", tmp_path / "public.jwks"]
    new = ["keys", "new", "--kid", "bank-1", "--private", str(files[0]), "--public", str(files[1]), *alg]
    assert issuer_cli.main([*new, "--curve", "X25519"]) == 0
    private, (public,) = json.loads(files[0].read_text()), json.loads(files[1].read_text())["keys"]
    assert {name: public[name] for name in public if name != "x"} == {
        "kty": "OKP", "crv": "X25519", "kid": "bank-1", "alg": "ECDH-ES+A256KW", "use": "enc",
    }  # fmt: skip
    assert private == {**public, "d": private["d"]}
    network = Network(private_jwk=private)
    assert isinstance(network.receiver.open(network.share()), Share)


def test_a_curve_for_an_rsa_key_is_refused_and_makes_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--private", str(tmp_path / "private.jwk"), "--public", str(tmp_path / "public.jwks")]
    asked = ["keys", "new", "--kid", "k", "--alg", "RSA-OAEP-256", "--curve", "X25519", *files]
    assert issuer_cli.main(asked) == 2
    assert "--curve is for ECDH-ES+A256KW" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_tool_says_when_nobody_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = tmp_path / "private.jwk", tmp_path / "public.jwks"
    issuer_cli.main(["keys", "new", "--kid", "k", "--private", str(private), "--public", str(public)])
    arguments = ["receive", "--transmitter", "http://127.0.0.1:1", "--recipient-id", BANK, "--once"]
    arguments += ["--private", str(private)]
    monkeypatch.delenv(issuer_cli.TOKEN_ENV, raising=False)
    assert issuer_cli.main(arguments) == 2
    monkeypatch.setenv(issuer_cli.TOKEN_ENV, "t")
    assert issuer_cli.main(arguments) == 3
    assert "polling failed" in capsys.readouterr().err
