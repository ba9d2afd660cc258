"""The issuer's side of enrolment: it opens and signs a challenge of its own network, and nothing else."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing import jwk
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import StaticRecipientKeys
from issuernetwork._jose import json_object, verify_jws, verify_keys
from issuernetwork.enrolment import Enroller, Keys, public_set
from issuernetwork.issuer_cli import new_key, new_signing_key
from issuernetwork.tokens import AskFault, sign_key

ISS, BANK, NUMBER = "https://issuernetwork.test", "northgate-bank", 7
SEALING, SEALING_PUBLIC = new_key("b-enc")
SIGNING, SIGNING_PUBLIC = new_signing_key("b-sig")
CHALLENGE = {
    "typ": "ein-enrol-challenge", "iss": ISS, "recipient_id": BANK, "submission_id": NUMBER, "nonce": "n-1"
}  # fmt: skip


def sealed(text: object, public: dict[str, str] = SEALING_PUBLIC) -> str:
    (key,) = jwk.recipient_keys(BANK, json.dumps({"keys": [public]}))
    sealer = Sealer(SystemEntropy(), SystemClock(), StaticRecipientKeys((key,)))
    return sealer.seal(BANK, json.dumps(text).encode(), fresh=True)[1].decode()


class Network:
    """Answers a submission with what a test says, and keeps the proofs."""

    def __init__(self, challenge: str, **changes: Any) -> None:
        told = {"submission_id": NUMBER, "thumbprints": ["t-1", "t-2"], "challenge": challenge}
        self.told = {**told, **changes}
        self.proofs: list[str] = []
        self.tokens: set[str] = set()

    async def submit(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers.get("Authorization", ""))
        return web.json_response(self.told, status=201)

    async def prove(self, request: web.Request) -> web.Response:
        self.proofs = (await request.json())["proofs"]
        return web.json_response({"stage": "proven"})


def enrol(network: Network, **options: Any) -> dict[str, Any]:
    keys = Keys(public=public_set([SEALING, SIGNING]), sealing=SEALING, signing=(sign_key(SIGNING),))

    async def main() -> dict[str, Any]:
        app = web.Application()
        app.router.add_post("/enrol/submissions", network.submit)
        app.router.add_post("/enrol/submissions/{number}/proof", network.prove)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with aiohttp.ClientSession() as session:
                enroller = Enroller(session, base, recipient_id=BANK, iss=ISS)
                return await enroller.enrol(keys, token="invitation", **options)
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def test_each_key_signs_the_nonce_with_what_it_is_about() -> None:
    network = Network(sealed(CHALLENGE))
    assert enrol(network) == {"stage": "proven"}
    (proof,) = network.proofs
    header, payload = verify_jws(proof.encode(), verify_keys({"keys": [SIGNING_PUBLIC]}))
    claims = json_object(payload)
    assert header == {"alg": "ES256", "kid": "b-sig", "typ": "ein-enrol+jwt"}
    assert claims.pop("iat") > 0
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": BANK, "aud": ISS, "submission_id": NUMBER, "nonce": "n-1", "thumbprints": ["t-1", "t-2"]
    }  # fmt: skip
    assert network.tokens == {"Bearer invitation"}


def test_where_keys_are_changed_one_in_force_signs_too() -> None:
    network = Network(sealed(CHALLENGE))
    before, public = new_signing_key("a-sig")
    enrol(network, under=sign_key(before))
    assert len(network.proofs) == 2
    verify_jws(network.proofs[1].encode(), verify_keys({"keys": [public]}))


STRANGE: dict[str, Callable[[], Network]] = {
    "another's secret": lambda: Network(sealed({"card": "somebody's"})),
    "a challenge of another network": lambda: Network(sealed({**CHALLENGE, "iss": "https://other.test"})),
    "a challenge to another recipient": lambda: Network(sealed({**CHALLENGE, "recipient_id": "x"})),
    "a challenge of another submission": lambda: Network(sealed({**CHALLENGE, "submission_id": 8})),
    "a challenge with more in it": lambda: Network(sealed({**CHALLENGE, "more": 1})),
    "a challenge without a nonce": lambda: Network(sealed({**CHALLENGE, "nonce": 1})),
    "a challenge to another key": lambda: Network(sealed(CHALLENGE, new_key("b-enc")[1])),
    "no challenge": lambda: Network("x"),
    "no object": lambda: Network(sealed([1])),
    "a number that is a path": lambda: Network(
        sealed({**CHALLENGE, "submission_id": "7/../8"}), submission_id="7/../8"
    ),
}


@pytest.mark.parametrize("what", STRANGE)
def test_nothing_but_a_challenge_of_ones_own_is_opened_and_signed(what: str) -> None:
    network = STRANGE[what]()
    with pytest.raises(AskFault, match="challenge"):
        enrol(network)
    assert network.proofs == []


def test_private_members_never_leave() -> None:
    text = json.dumps(public_set([SEALING, SIGNING, new_key("r", "RSA-OAEP-256")[0]]))
    assert '"d"' not in text
    assert '"qi"' not in text
    assert SEALING["d"] not in text
