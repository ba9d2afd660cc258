"""Clients of the token endpoint: keys of their own, assertions, certificates of a development CA."""

from collections.abc import Mapping
from typing import Any

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing import jwk
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signed_json import signed_json
from gateway.sealing.signer import LocalSigner
from gateway.server.clients import (
    Client,
    changing_clients,
    public_signing_keys,
    read_clients,
    with_client,
    write_clients,
)
from gateway.server.oauth.token_endpoint import ASSERTION_TYPE
from gateway.server.secret_words import make_secret
from gateway.server.state import StateDir


class Key:
    """A private key of a client, and what it makes with it."""

    def __init__(self, kid: str) -> None:
        self._key = SigningKey(
            kid=kid, alg=SignatureAlgorithm.ES256, private_key=p256_private_key(SystemEntropy())
        )
        self.jwks: dict[str, Any] = {"keys": [jwk.public_jwk(self._key)]}
        self.public = public_signing_keys(self.jwks)
        self.signer = LocalSigner(self._key)

    @property
    def private(self) -> dict[str, str]:
        """The whole key, for a file."""
        return {**jwk.private_jwk(self._key), "use": "sig"}

    def assertion(
        self, client_id: str, audience: str, /, *, typ: str = "JWT", now_s: int | None = None, **claims: Any
    ) -> str:
        issued_s = SystemClock().wall_ms() // 1000 if now_s is None else now_s
        made = {
            "iss": client_id, "sub": client_id, "aud": audience, "iat": issued_s, "exp": issued_s + 60,
            "jti": SystemEntropy().bytes(8).hex(), **claims,
        }  # fmt: skip
        return signed_json(
            self.signer, typ, {name: one for name, one in made.items() if one is not None}
        ).decode()

    def form(self, client_id: str, audience: str, **claims: Any) -> dict[str, str]:
        """What the client posts."""
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(client_id, audience, **claims),
        }


def add_client(state: StateDir, client: Client) -> None:
    with changing_clients(state.clients):
        write_clients(state.clients, with_client(read_clients(state.clients), client))


def add_secret(state: StateDir, client_id: str, role: Any, principal_id: str) -> str:
    """The secret of a client that is registered with one."""
    secret, digest = make_secret(SystemEntropy())
    add_client(state, Client(client_id=client_id, principal_id=principal_id, role=role, secret_sha256=digest))
    return secret


def basic_form() -> Mapping[str, str]:
    return {"grant_type": "client_credentials"}
