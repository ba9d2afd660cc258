"""The token endpoint without HTTP: who gets a token, and what every other answer says."""

import base64
import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from gateway.backends.embedded.seen_ids import SqliteSeenIds, begin_seen_ids
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.inbound import InboundVerifier
from gateway.server.certificates import PeerCertificate
from gateway.server.clients import Client, Clients, read_clients, without_client, write_clients
from gateway.server.identity import Authenticator, Principal
from gateway.server.oauth.access_tokens import LIFE_S, TOKEN_TYPE, AccessTokens, make_access_token
from gateway.server.oauth.assertions import ASSERTION, SEEN_A_CLIENT_MAX
from gateway.server.oauth.token_endpoint import NOT_A_CLIENT, Asked, TokenEndpoint, TokenRefused
from gateway.server.secret_words import make_secret
from gateway.server.state import StateDir
from issuernetwork._jose import decode_base64url
from tests.kit.clients import Key, add_client, basic_form
from tests.kit.seen_ids import MemorySeenIds

ISS = "https://issuernetwork.test"
CERTIFICATE = PeerCertificate(("urn:ein:caller:shop",), "thumb-1")
OTHERS = PeerCertificate(("urn:ein:issuer:bank",), "thumb-2")


@dataclass(frozen=True)
class In:
    """So many seconds from the moment of the test."""

    seconds: int


def now_s() -> int:
    return SystemClock().wall_ms() // 1000


def at_now(members: dict[str, Any]) -> dict[str, Any]:
    return {name: now_s() + one.seconds if isinstance(one, In) else one for name, one in members.items()}


class Rig:
    """An endpoint with three clients: by key, by secret, by certificate; and who reads the tokens."""

    def __init__(self, folder: Path) -> None:
        self.state = StateDir(folder)
        self.state.make()
        self.own, self.key = Key("sig-1"), Key("shop-1")
        self.secret, digest = make_secret(SystemEntropy())
        for client in (
            Client(client_id="by-key", principal_id="shop", role="caller", keys=self.key.public),
            Client(client_id="by-secret", principal_id="bank", role="issuer", secret_sha256=digest),
            Client(client_id="by-cert", principal_id="shop", role="caller", uri=CERTIFICATE.uris[0]),
        ):
            add_client(self.state, client)
        self.clients, self.seen = Clients(self.state.clients), MemorySeenIds()
        self.endpoint = TokenEndpoint(
            issuer=ISS, clients=self.clients, signer=lambda: self.own.signer, clock=SystemClock(),
            entropy=SystemEntropy(), seen=self.seen,
        )  # fmt: skip
        self.jwks = self.own.jwks
        tokens = AccessTokens(issuer=ISS, jwks=lambda: self.jwks, clock=SystemClock())
        self.known = Authenticator(self.state, tokens=tokens)

    def ask(self, form: Any, **shown: Any) -> dict[str, Any]:
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return self.endpoint.answer(Asked(body, **shown))

    def refused(self, form: Any, **shown: Any) -> TokenRefused:
        with pytest.raises(TokenRefused) as told:
            self.ask(form, **shown)
        return told.value

    def who(self, token: str, certificate: PeerCertificate | None = None) -> Principal | None:
        return self.known.principal(f"Bearer {token}", certificate)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def claims_of(token: str, part: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decode_base64url(token.split(".")[part].encode()))
    return found


def test_a_client_with_a_key_gets_a_token_that_says_who_it_is(rig: Rig) -> None:
    answer = rig.ask(rig.key.form("by-key", ISS))
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", LIFE_S)
    token = answer["access_token"]
    assert claims_of(token, 0) == {"alg": "ES256", "kid": "sig-1", "typ": "at+jwt"}
    claims = claims_of(token)
    # RFC 9068 2.2: all that an access token needs.
    assert set(claims) == {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISS, ISS, "by-key")
    assert claims["exp"] - claims["iat"] == LIFE_S
    assert rig.who(token) == Principal("shop", "caller")


@pytest.mark.parametrize("way", ["basic", "post"])
def test_a_secret_gets_a_token_by_header_and_by_form(rig: Rig, way: str) -> None:
    if way == "basic":
        answer = rig.ask(basic_form(), authorization=basic("by-secret", rig.secret))
    else:
        answer = rig.ask({**basic_form(), "client_id": "by-secret", "client_secret": rig.secret})
    assert rig.who(answer["access_token"]) == Principal("bank", "issuer")


def test_a_certificate_gets_a_token_that_is_of_no_use_without_it(rig: Rig) -> None:
    answer = rig.ask({**basic_form(), "client_id": "by-cert"}, certificate=CERTIFICATE)
    token = answer["access_token"]
    assert claims_of(token)["cnf"] == {"x5t#S256": "thumb-1"}
    assert rig.who(token, CERTIFICATE) == Principal("shop", "caller")
    assert rig.who(token) is None
    assert rig.who(token, OTHERS) is None


def test_a_certificate_alone_says_who_calls_and_helps_no_bad_header(rig: Rig) -> None:
    assert rig.known.principal(None, CERTIFICATE) == Principal("shop", "caller")
    assert rig.known.principal(None, OTHERS) is None
    assert rig.known.principal("Bearer nobody's", CERTIFICATE) is None
    assert rig.known.principal("Basic eDp5", CERTIFICATE) is None
    both = PeerCertificate((*CERTIFICATE.uris, "urn:ein:x"), "thumb-3")
    assert rig.known.principal(None, both) == Principal("shop", "caller")
    add_client(rig.state, Client(client_id="x", principal_id="x", role="issuer", uri="urn:ein:x"))
    rig.known.refresh()
    assert rig.known.principal(None, both) is None, "two clients in one certificate are nobody"


def test_a_client_that_is_bound_gets_a_token_with_its_certificate_alone(rig: Rig) -> None:
    bound = Client(
        client_id="bound",
        principal_id="shop-2",
        role="caller",
        keys=rig.key.public,
        uri="urn:ein:b",
        bound=True,
    )
    add_client(rig.state, bound)
    rig.clients.refresh()
    rig.known.refresh()
    assert rig.refused(rig.key.form("bound", ISS)).code == "invalid_client"
    assert rig.refused(rig.key.form("bound", ISS), certificate=OTHERS).code == "invalid_client"
    mine = PeerCertificate(("urn:ein:b",), "thumb-b")
    token = rig.ask(rig.key.form("bound", ISS), certificate=mine)["access_token"]
    assert rig.who(token, mine) == Principal("shop-2", "caller")
    unbound = make_access_token(rig.own.signer, issuer=ISS, client_id="bound", jti="j", now_ms=now_s() * 1000)
    assert rig.who(unbound, mine) is None


def test_a_client_that_is_removed_is_nobody_whatever_its_token_says(rig: Rig) -> None:
    token = rig.ask(rig.key.form("by-key", ISS))["access_token"]
    assert rig.who(token) is not None
    write_clients(rig.state.clients, without_client(read_clients(rig.state.clients), "by-key"))
    rig.known.refresh()
    rig.clients.refresh()
    assert rig.who(token) is None
    assert rig.refused(rig.key.form("by-key", ISS)).code == "invalid_client"


def test_an_assertion_is_good_once(rig: Rig) -> None:
    form = rig.key.form("by-key", ISS)
    rig.ask(form)
    assert rig.refused(form).code == "invalid_client"


def test_an_assertion_that_was_used_before_a_restart_is_refused_after_it(rig: Rig) -> None:
    begin_seen_ids(rig.state.seen_ids)
    form = rig.key.form("by-key", ISS)
    for first in (True, False):
        with closing(SqliteSeenIds(rig.state.seen_ids, began_ms=now_s() * 1000)) as seen:
            rig.endpoint._assertions = InboundVerifier(ASSERTION, audience=ISS, seen=seen)
            assert rig.ask(form) if first else rig.refused(form).code == "invalid_client"
            assert rig.ask(rig.key.form("by-key", ISS)), "and another is taken at once"


def test_an_assertion_of_before_the_ids_are_remembered_is_refused(rig: Rig) -> None:
    rig.seen.began_ms = now_s() * 1000
    assert rig.refused(rig.key.form("by-key", ISS, now_s=now_s() - 30)).code == "invalid_client"
    assert rig.ask(rig.key.form("by-key", ISS, now_s=now_s() + 60))


@pytest.mark.parametrize(
    "claims", [{"nbf": In(0)}, {"typ": "client-authentication+jwt"}, {"scope": "x"}, {"exp": In(300)}]
)
def test_an_assertion_may_be_as_general_libraries_make_it(rig: Rig, claims: dict[str, Any]) -> None:
    assert rig.ask(rig.key.form("by-key", ISS, **at_now(claims)))


BAD_ASSERTIONS: dict[str, dict[str, Any]] = {
    "for another server": {"aud": "https://other.test"},
    "for several": {"aud": [ISS, "https://other.test"]},
    "for the endpoint, which is not our name": {"aud": f"{ISS}/oauth/token"},
    "of another issuer": {"iss": "by-secret"},
    "without an end": {"exp": None},
    "that lives too long": {"exp": In(3600)},
    "that has run out": {"now_s": In(-3600)},
    "of tomorrow": {"now_s": In(86400)},
    "with a time that is none": {"iat": "now"},
    "with a time that is a truth": {"iat": True},
    "without an id": {"jti": None},
    "with an id without end": {"jti": "x" * 1000},
    "of another type": {"typ": "secevent+jwt"},
    "of the type of an access token": {"typ": "at+jwt"},
}


@pytest.mark.parametrize("what", BAD_ASSERTIONS)
def test_an_assertion_is_refused_and_nothing_says_why(rig: Rig, what: str) -> None:
    refused = rig.refused(rig.key.form("by-key", ISS, **at_now(BAD_ASSERTIONS[what])))
    assert (refused.code, refused.status, refused.public) == ("invalid_client", 401, NOT_A_CLIENT)


def test_every_client_that_is_none_reads_alike(rig: Rig) -> None:
    stranger = Key("shop-1")
    told = {
        (refused.code, refused.status, refused.public)
        for refused in (
            rig.refused(rig.key.form("nobody", ISS)),
            rig.refused(stranger.form("by-key", ISS)),
            rig.refused(rig.key.form("by-secret", ISS)),
            rig.refused(basic_form(), authorization=basic("by-secret", "guess")),
            rig.refused(basic_form(), authorization=basic("by-key", "")),
            rig.refused(basic_form(), authorization=basic("nobody", rig.secret)),
            rig.refused(basic_form(), authorization="Bearer x"),
            rig.refused({**basic_form(), "client_id": "by-cert"}),
            rig.refused({**basic_form(), "client_id": "by-cert"}, certificate=OTHERS),
            rig.refused({**basic_form(), "client_id": "nobody"}, certificate=CERTIFICATE),
            rig.refused(basic_form()),
        )
    }
    assert told == {("invalid_client", 401, NOT_A_CLIENT)}


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"\xff\xfe", "invalid_request"),
        (b"&".join(b"a%d=1" % number for number in range(40)), "invalid_request"),
        (b"x" * 20_000, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": "all"}, "invalid_scope"),
    ],
)
def test_a_form_that_is_none_of_ours_is_refused_by_its_code(rig: Rig, form: Any, code: str) -> None:
    refused = rig.refused(form, authorization=basic("by-secret", rig.secret))
    assert (refused.code, refused.status) == (code, 400)


def test_two_proofs_at_once_are_none(rig: Rig) -> None:
    form = {**rig.key.form("by-key", ISS), "client_id": "by-key", "client_secret": rig.secret}
    assert rig.refused(form).code == "invalid_request"
    named = {**rig.key.form("by-key", ISS), "client_id": "by-secret"}
    assert rig.refused(named).code == "invalid_request"


BAD_TOKENS: dict[str, dict[str, Any]] = {
    "for another installation": {"iss": "https://other.test"},
    "for other ears": {"aud": "https://other.test"},
    "that has run out": {"iat": In(-2000), "exp": In(-1400)},
    "that lives too long": {"exp": In(7200)},
    "of tomorrow": {"iat": In(86400), "exp": In(86460)},
    "of a client that is not its subject": {"sub": "by-secret"},
    "with a binding of another kind": {"cnf": {"jkt": "x"}},
    "with a binding to nothing": {"cnf": {"x5t#S256": ""}},
    "with a binding that is no object": {"cnf": "x"},
    "of nobody": {"client_id": None},
}


@pytest.mark.parametrize("what", BAD_TOKENS)
def test_a_token_that_we_signed_and_that_is_not_good_says_nobody(rig: Rig, what: str) -> None:
    claims = {
        "iss": ISS,
        "aud": ISS,
        "sub": "by-key",
        "client_id": "by-key",
        "exp": In(60),
        "jti": "j",
        "iat": In(0),
    }
    good = rig.own.assertion("by-key", ISS, typ=TOKEN_TYPE, **at_now(claims))
    assert rig.who(good) == Principal("shop", "caller")
    assert (
        rig.who(rig.own.assertion("by-key", ISS, typ=TOKEN_TYPE, **at_now({**claims, **BAD_TOKENS[what]})))
        is None
    )


def test_a_token_of_another_type_key_or_algorithm_says_nobody(rig: Rig) -> None:
    claims = {"iss": ISS, "client_id": "by-key", "exp": In(60)}
    assert rig.who(rig.own.assertion("by-key", ISS, typ="secevent+jwt", **at_now(claims))) is None
    assert rig.who(rig.own.assertion("by-key", ISS, typ="JWT", **at_now(claims))) is None
    assert rig.who(Key("sig-1").assertion("by-key", ISS, typ=TOKEN_TYPE, **at_now(claims))) is None
    good = rig.own.assertion("by-key", ISS, typ=TOKEN_TYPE, **at_now(claims))
    assert rig.who(good) is not None
    head, body, _ = good.split(".")
    assert rig.who(f"{head}.{body}.") is None
    assert rig.who(good + "A") is None
    rig.jwks = {"keys": []}
    assert rig.who(rig.own.assertion("by-key", ISS, typ=TOKEN_TYPE, **at_now(claims))) is None


def test_one_client_cannot_fill_the_memory_of_assertions_for_others(rig: Rig) -> None:
    for number in range(SEEN_A_CLIENT_MAX):
        rig.seen.take("assertion/by-key", str(number), until_ms=1 << 60, now_ms=0, most=SEEN_A_CLIENT_MAX)
    assert rig.refused(rig.key.form("by-key", ISS)).code == "invalid_client"
    add_client(rig.state, Client(client_id="quiet", principal_id="shop", role="caller", keys=rig.key.public))
    rig.clients.refresh()
    assert rig.ask(rig.key.form("quiet", ISS))


def test_the_metadata_names_what_the_endpoint_takes(rig: Rig) -> None:
    told = rig.endpoint.metadata()
    assert told["issuer"] == ISS
    assert told["token_endpoint"] == f"{ISS}/oauth/token"
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
