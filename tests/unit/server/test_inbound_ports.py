"""The catalogue of attacks at the other ports that take what others sign: token endpoint, enrolment."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.programs.enrolling import EnrolmentRefused
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing import jwk
from gateway.sealing.inbound import TokenRefused
from gateway.server.clients import Client, Clients, public_signing_keys
from gateway.server.enrolment.submitted import PROOF_TYPE
from gateway.server.oauth import token_endpoint
from gateway.server.oauth.token_endpoint import ASSERTION_TYPE, Asked, TokenEndpoint
from gateway.server.state import StateDir
from tests.kit.clients import Key, add_client
from tests.kit.enrolling import BANK as ENROLLING
from tests.kit.enrolling import ISS, Keys, Rig
from tests.kit.seen_ids import MemorySeenIds
from tests.prove.token_attacks import ES256, Target, attacks, refusal

CLIENT = "shop"


class AssertionPort(Target):
    """Posts what it is given as a client assertion. The endpoint says the same of every refusal."""

    audience, bank = ISS, CLIENT

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.now_s = SystemClock().wall_ms() // 1000
        state = StateDir(folder)
        state.make()
        keys = public_signing_keys(self.jwks)
        add_client(state, Client(client_id=CLIENT, principal_id=CLIENT, role="caller", keys=keys))
        own = Key("sig-own")
        self.endpoint = TokenEndpoint(
            issuer=ISS, clients=Clients(state.clients), signer=lambda: own.signer, clock=SystemClock(),
            entropy=SystemEntropy(), seen=MemorySeenIds(),
        )  # fmt: skip

    def receipt(self, **changed: Any) -> dict[str, Any]:
        made = {
            "iss": CLIENT, "sub": CLIENT, "aud": ISS, "iat": self.now_s, "exp": self.now_s + 60, "jti": "j",
        }  # fmt: skip
        return {**made, **changed}

    def sent(self, header: Any, claims: Any, alg: Any = "ES256") -> bytes:
        return self.signed({"typ": "JWT", **header}, claims, alg)

    def take(self, token: bytes) -> object:
        form = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": token.decode(), "client_id": CLIENT,
        }  # fmt: skip
        try:
            return self.endpoint.answer(Asked(urlencode(form).encode()))
        except token_endpoint.TokenRefused as refused:
            raise TokenRefused("signature") from refused


class ProofPort(Target):
    """Proves a submission with what it is given; of each refusal the submission is as it was before."""

    audience, bank = ISS, ENROLLING

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self.now_s = SystemClock().wall_ms() // 1000
        self.rig, self.asking, keys = rig, rig.asking(), Keys("a")
        public = jwk.public_jwk(self.keys[ES256])
        sealing = next(key for key in keys.jwks["keys"] if key["use"] == "enc")
        self.told = rig.desk.submit(self.asking, {"jwks": {"keys": [sealing, public]}})
        self.claims_of_proof = keys.claims(self.told)

    def receipt(self, **changed: Any) -> dict[str, Any]:
        return {**self.claims_of_proof, "jti": "jti-1", **changed}

    def sent(self, header: Any, claims: Any, alg: Any = "ES256") -> bytes:
        return self.signed({"typ": PROOF_TYPE, **header}, claims, alg)

    def take(self, token: bytes) -> object:
        db = self.rig.enrolments._db
        db.execute("update submissions set stage = 'submitted', tries = 0")
        db.execute("update invitations set used_by = 0")
        try:
            return self.rig.desk.prove(self.asking, self.told["submission_id"], [token.decode()])
        except EnrolmentRefused as refused:
            assert "proofs" in refused.public
            raise TokenRefused("signature") from refused


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def check(port: Target) -> None:
    tried = [attack for attack in attacks(port) if "a receipt" in attack.name]
    assert len(tried) >= 18
    assert [f"{one.kind}, {one.name}" for one in tried if not refusal(one)] == []
    # What refuses everything proves nothing.
    good = port.sent({"alg": "ES256", "kid": "sig-ES256"}, port.receipt(jti=secrets.token_hex(8)))
    assert port.take(good)


def test_no_attack_of_the_catalogue_is_a_clients_assertion(tmp_path: Path) -> None:
    check(AssertionPort(tmp_path))


def test_no_attack_of_the_catalogue_proves_a_submission(rig: Rig) -> None:
    check(ProofPort(rig))
