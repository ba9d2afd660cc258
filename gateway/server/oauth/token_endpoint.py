"""What the token endpoint decides, without HTTP: a form in, an answer out (RFC 6749 4.4, 5.1, 5.2)."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.runtime.entropy import Entropy
from gateway.sealing import inbound
from gateway.sealing.keys import Signer
from gateway.server.certificates import PeerCertificate
from gateway.server.clients import Client, Clients, has_secret
from gateway.server.oauth.access_tokens import LIFE_S, make_access_token
from gateway.server.oauth.assertions import ASSERTION, check_assertion
from issuernetwork._jose import decode_base64url, json_object

FORM_BYTES_MAX: Final = 16 * 1024
"""An assertion of 4 KiB, and a few names."""

PARAMETERS_MAX: Final = 16
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUTH_METHODS: Final = (
    "private_key_jwt", "client_secret_basic", "client_secret_post", "tls_client_auth"
)  # fmt: skip
_KNOWN: Final = frozenset(
    ("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type")
)

NOT_A_CLIENT: Final = "no such client, or no proof that it is you"
"""One text for every reason: what is known here is told to nobody who is not."""


class TokenRefused(GatewayError):
    """`code` is one of RFC 6749 5.2."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(public)
        self.code = code

    @property
    def status(self) -> int:
        return 401 if self.code == "invalid_client" else 400


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. `authorization` is the header."""

    form: bytes
    authorization: str | None = None
    certificate: PeerCertificate | None = None


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a client shows. Exactly one of its ways (RFC 6749 2.3)."""

    client_id: str
    method: str
    shown: str = ""


class TokenEndpoint:
    """Issues tokens to registered clients. For one thread, off event loops: an assertion's id is written."""

    def __init__(
        self, *, issuer: str, clients: Clients, signer: Callable[[], Signer], clock: Clock, entropy: Entropy,
        seen: inbound.SeenIds,
    ) -> None:  # fmt: skip
        """`signer`: who signs now."""
        self._issuer = issuer
        self._clients = clients
        self._signer = signer
        self._clock = clock
        self._entropy = entropy
        self._assertions = inbound.InboundVerifier(ASSERTION, audience=issuer, seen=seen)

    def metadata(self) -> dict[str, Any]:
        """RFC 8414 2, RFC 8705 3.3."""
        base = self._issuer.rstrip("/")
        return {
            "issuer": self._issuer,
            "token_endpoint": f"{base}/oauth/token",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
            "tls_client_certificate_bound_access_tokens": True,
        }

    def answer(self, asked: Asked) -> dict[str, Any]:
        """The answer of RFC 6749 5.1. Raises TokenRefused, and what the store of ids raises."""
        form = _parsed(asked.form)
        proof = _proof(form, asked)
        if form.get("grant_type") != "client_credentials":
            code = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            raise TokenRefused(code, "grant_type: client_credentials")
        if "scope" in form:
            raise TokenRefused("invalid_scope", "scope: there is none here: leave it out")
        client = self._proven(proof, asked)
        certificate = asked.certificate
        thumbprint = ""
        if client.bound or proof.method == "tls_client_auth":
            if certificate is None or not self._shows(certificate, client):
                raise TokenRefused("invalid_client", NOT_A_CLIENT)
            thumbprint = certificate.thumbprint
        token = make_access_token(
            self._signer(),
            issuer=self._issuer,
            client_id=client.client_id,
            jti=self._entropy.bytes(16).hex(),
            now_ms=self._clock.wall_ms(),
            thumbprint=thumbprint,
        )
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFE_S}

    def _proven(self, proof: _Proof, asked: Asked) -> Client:
        client = self._clients.get(proof.client_id)
        if client is None or not self._holds(client, proof, asked):
            raise TokenRefused("invalid_client", NOT_A_CLIENT)
        return client

    def _shows(self, certificate: PeerCertificate, client: Client) -> bool:
        found = self._clients.of_certificate(certificate)
        return found is not None and found.client_id == client.client_id

    def _holds(self, client: Client, proof: _Proof, asked: Asked) -> bool:
        if proof.method == "client_secret":
            return has_secret(client, proof.shown)
        if proof.method == "tls_client_auth":
            return asked.certificate is not None and self._shows(asked.certificate, client)
        if not client.keys:
            return False
        try:
            check_assertion(proof.shown, client, self._assertions, now_ms=self._clock.wall_ms())
        except inbound.TokenRefused:
            return False
        return True


def _parsed(form: bytes) -> dict[str, str]:
    """Raises TokenRefused: no parameter may come twice (RFC 6749 3.2)."""
    try:
        if len(form) > FORM_BYTES_MAX:
            raise ValueError
        pairs = parse_qsl(
            form.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(form),
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError:
        raise TokenRefused("invalid_request", "the body is no form of ours: see RFC 6749 4.4.2") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TokenRefused("invalid_request", "a parameter stands twice")
    return {name: value for name, value in found.items() if name in _KNOWN or name == "scope"}


def _proof(form: Mapping[str, str], asked: Asked) -> _Proof:
    ways = []
    if asked.authorization is not None:
        ways.append(_basic(asked.authorization))
    if "client_secret" in form:
        ways.append(_Proof(form.get("client_id", ""), "client_secret", form["client_secret"]))
    if "client_assertion" in form or "client_assertion_type" in form:
        ways.append(_assertion(form))
    if len(ways) > 1:
        raise TokenRefused("invalid_request", "show one proof of who you are, not several")
    if ways:
        way = ways[0]
        # RFC 7521 4.2: where client_id comes too it names the same client.
        if form.get("client_id", way.client_id) != way.client_id:
            raise TokenRefused("invalid_request", "client_id: it is not the one that the proof is of")
        return way
    return _Proof(form.get("client_id", ""), "tls_client_auth")


def _basic(header: str) -> _Proof:
    """RFC 6749 2.3.1: both parts are form-encoded, then put together as in RFC 7617."""
    scheme, _, value = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        text = base64.b64decode(value.strip(), validate=True).decode("ascii")
    except ValueError:
        raise TokenRefused("invalid_client", NOT_A_CLIENT) from None
    client_id, _, secret = text.partition(":")
    return _Proof(unquote_plus(client_id), "client_secret", unquote_plus(secret))


def _assertion(form: Mapping[str, str]) -> _Proof:
    if form.get("client_assertion_type") != ASSERTION_TYPE or not form.get("client_assertion"):
        raise TokenRefused("invalid_request", f"client_assertion_type: {ASSERTION_TYPE}")
    shown = form["client_assertion"]
    try:
        claims = json_object(decode_base64url(shown.split(".")[1].encode("ascii")))
    except (ValueError, IndexError, RecursionError):
        raise TokenRefused("invalid_client", NOT_A_CLIENT) from None
    # Unchecked so far: whose keys to check it with.
    named = claims.get("sub")
    return _Proof(named if isinstance(named, str) else "", "private_key_jwt", shown)


def error_body(refused: TokenRefused) -> bytes:
    """RFC 6749 5.2."""
    return json.dumps({"error": refused.code, "error_description": refused.public}).encode()
