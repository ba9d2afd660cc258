"""Tokens that others send: each check refuses by its name, and nothing else is taken."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from gateway.sealing import base64url, inbound
from gateway.sealing.inbound import (
    AGE_S_MAX,
    ID_CHARACTERS_MAX,
    MENDS,
    NESTING_MAX,
    SKEW_S_MAX,
    TOKEN_BYTES_MAX,
    InboundVerifier,
    Kind,
    Party,
    SeenIds,
    TokenRefused,
)
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signed_json import signed_json
from gateway.sealing.signer import LocalSigner
from issuernetwork._jose import verify_keys
from tests.kit.jwks import public_jwks
from tests.kit.seen_ids import MemorySeenIds
from tests.unit.receiver.network import signing_key

TYP, AUDIENCE, BANK = "ein-receipts+jwt", "https://network.example", "northgate-bank"
NOW_S = 1_790_000_000
KIND = Kind(name="receipts", types=frozenset((TYP,)), ids_max=3)
LIFE_S = 120
BY_LIFE = Kind(
    name="assertion", types=frozenset((None, "JWT")), life_s_max=LIFE_S, subject=True, bytes_max=1024
)
"""What general libraries make, each rule of a kind at once."""


def keys(*algorithms: SignatureAlgorithm) -> tuple[SigningKey, ...]:
    return tuple(signing_key(alg, f"bank-{alg}") for alg in algorithms or tuple(SignatureAlgorithm))


def party(*signing: SigningKey) -> Party:
    return Party(BANK, verify_keys(public_jwks(signing or keys())))


def verifier(seen: SeenIds | None = None, kind: Kind = KIND) -> InboundVerifier:
    return InboundVerifier(kind, audience=AUDIENCE, seen=seen or MemorySeenIds())


def claims(**changed: Any) -> dict[str, Any]:
    return {"iss": BANK, "aud": AUDIENCE, "iat": NOW_S, "jti": "jti-canary", "receipts": [{}], **changed}


def part(value: Any) -> bytes:
    return base64url.encode(value if isinstance(value, bytes) else json.dumps(value).encode())


def signed(header: Any, payload: Any, key: SigningKey | None = None) -> bytes:
    """Any header and claims, with a signature that holds."""
    signing_input = part(header) + b"." + part(payload)
    signature = LocalSigner(key or keys()[0]).sign(signing_input)
    return signing_input + b"." + base64url.encode(signature)


def header(**changed: Any) -> dict[str, Any]:
    return {"alg": "ES256", "kid": "bank-ES256", "typ": TYP, **changed}


def refusal(token: bytes, *, now_s: int = NOW_S, by: InboundVerifier | None = None) -> str:
    with pytest.raises(TokenRefused) as caught:
        (by or verifier()).verify(token, party(), now_ms=now_s * 1000)
    refused = caught.value
    assert "canary" not in refused.public
    assert refused.public == f"token: {refused.check}: {MENDS[refused.check]}"
    assert refused.code == "unauthenticated"
    return refused.check


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_a_token_is_taken_with_each_algorithm_by_a_key_that_is_registered_for_it(
    alg: SignatureAlgorithm,
) -> None:
    token = signed_json(LocalSigner(signing_key(alg, f"bank-{alg}")), TYP, claims())
    taken = verifier().verify(token, party(), now_ms=NOW_S * 1000)
    assert (taken.claims, taken.kid, taken.sha256) == (claims(), f"bank-{alg}", sha256(token).digest())
    assert "canary" not in repr(taken)


def without(member: str) -> bytes:
    return signed(header(), {name: value for name, value in claims().items() if name != member})


def deep(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels - 1):
        found = [found]
    return found


GOOD = signed(header(), claims())
CASES: list[tuple[str, Callable[[], bytes]]] = [
    ("size", lambda: GOOD + b"A" * TOKEN_BYTES_MAX),
    ("form", lambda: GOOD.rpartition(b".")[0]),
    ("form", lambda: GOOD + b".AAAA"),
    ("form", lambda: b"!" + GOOD[1:]),
    ("form", lambda: GOOD + b"="),
    ("form", lambda: signed(b'{"alg":"ES256","alg":"none","kid":"bank-ES256","typ":"x"}', claims())),
    ("form", lambda: signed([header()], claims())),
    ("form", lambda: signed(header(), b'{"iat":NaN}')),
    ("form", lambda: signed(header(), [claims()])),
    ("form", lambda: signed(header(), b"\xff\xfe")),
    ("zip", lambda: signed(header(zip="DEF"), claims())),
    *((("embedded_key", lambda name=name: signed(header(**{name: "x"}), claims())))  # type: ignore[misc]
      for name in ("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256")),
    ("crit", lambda: signed(header(crit=["exp"]), claims())),
    ("crit", lambda: signed(header(crit=[]), claims())),
    ("header", lambda: signed(header(b64=False), claims())),
    ("header", lambda: signed(header(cty="JWT"), claims())),
    ("header", lambda: signed({"alg": "ES256", "typ": TYP}, claims())),
    ("header", lambda: signed(header(kid=["bank-ES256"]), claims())),
    ("header", lambda: signed(header(alg=None), claims())),
    ("key", lambda: signed(header(kid="bank-other"), claims())),
    ("key", lambda: signed(header(kid=""), claims())),
    ("algorithm", lambda: signed(header(alg="none"), claims())),
    ("algorithm", lambda: signed(header(alg="HS256"), claims())),
    ("algorithm", lambda: signed(header(alg="es256"), claims())),
    ("algorithm", lambda: signed(header(alg="PS256", kid="bank-RS256"), claims(), keys()[2])),
    ("signature", lambda: signed(header(), claims(), signing_key(SignatureAlgorithm.RS256))),
    ("signature", lambda: GOOD.rpartition(b".")[0] + b"."),
    ("signature", lambda: signed(header(kid="bank-RS256", alg="RS256"), claims())),
    ("typ", lambda: signed(header(typ="secevent+jwt"), claims())),
    ("typ", lambda: signed(header(typ=f"application/{TYP}"), claims())),
    ("nesting", lambda: signed(header(), GOOD)),
    ("nesting", lambda: signed(header(), b"a.b.c.d.e")),
    ("nesting", lambda: signed(header(), claims(receipts=deep(NESTING_MAX)))),
    ("nesting", lambda: signed(header(), b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}")),
    ("iss", lambda: signed(header(), claims(iss="other-bank"))),
    ("iss", lambda: without("iss")),
    ("aud", lambda: signed(header(), claims(aud="https://other.example"))),
    ("aud", lambda: signed(header(), claims(aud=[AUDIENCE]))),
    ("aud", lambda: without("aud")),
    ("iat", lambda: signed(header(), claims(iat=NOW_S - AGE_S_MAX - 1))),
    ("iat", lambda: signed(header(), claims(iat=NOW_S + SKEW_S_MAX + 1))),
    ("iat", lambda: signed(header(), claims(iat=True))),
    ("iat", lambda: signed(header(), claims(iat=float(NOW_S)))),
    ("iat", lambda: without("iat")),
    ("nbf", lambda: signed(header(), claims(nbf=NOW_S + SKEW_S_MAX + 1))),
    ("nbf", lambda: signed(header(), claims(nbf="now"))),
    ("exp", lambda: signed(header(), claims(exp=NOW_S))),
    ("exp", lambda: signed(header(), claims(iat=NOW_S - 100, exp=NOW_S - SKEW_S_MAX))),
    ("exp", lambda: signed(header(), claims(exp="later"))),
    ("exp", lambda: signed(header(), claims(iat=NOW_S + 5, exp=NOW_S + 4))),
    ("jti", lambda: without("jti")),
    ("jti", lambda: signed(header(), claims(jti=""))),
    ("jti", lambda: signed(header(), claims(jti=7))),
    ("jti", lambda: signed(header(), claims(jti="canary" * ID_CHARACTERS_MAX))),
    ("jti", lambda: signed(header(), claims(jti="canary\n"))),
]  # fmt: skip


@pytest.mark.parametrize(("check", "make"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_a_token_that_fails_one_check_is_refused_by_its_name(check: str, make: Callable[[], bytes]) -> None:
    assert refusal(make()) == check


def test_every_check_has_a_case() -> None:
    of_kinds = {check for check, _, _ in KIND_CASES}
    # What stands in the claims beyond that is read by whom the kind is for.
    assert {check for check, _ in CASES} | of_kinds | {"replay", "busy", "claims"} == set(MENDS)


def untyped(**changed: Any) -> dict[str, Any]:
    return {"alg": "ES256", "kid": "bank-ES256", **changed}


def assertion(**changed: Any) -> dict[str, Any]:
    made = {
        "iss": BANK,
        "sub": BANK,
        "aud": AUDIENCE,
        "iat": NOW_S,
        "exp": NOW_S + LIFE_S,
        "jti": "jti-canary",
    }
    return {name: value for name, value in {**made, **changed}.items() if value is not None}


KIND_CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("sub", untyped(), assertion(sub=None)),
    ("sub", untyped(), assertion(sub="other-bank")),
    ("exp", untyped(), assertion(exp=None)),
    ("exp", untyped(), assertion(exp=NOW_S + LIFE_S + 1)),
    ("typ", untyped(typ="jwt"), assertion()),
    ("typ", untyped(typ=TYP), assertion()),
    ("header", untyped(typ=None), assertion()),
    ("header", untyped(cty="JWT"), assertion()),
    ("size", untyped(), assertion(more="x" * 1024)),
]


@pytest.mark.parametrize(("check", "head", "body"), KIND_CASES)
def test_a_kind_has_rules_of_its_own(check: str, head: dict[str, Any], body: dict[str, Any]) -> None:
    assert refusal(signed(head, body), by=verifier(kind=BY_LIFE)) == check


@pytest.mark.parametrize("head", [untyped(), untyped(typ="JWT")])
def test_what_general_libraries_make_is_taken_where_the_kind_says_so_and_nowhere_else(head: Any) -> None:
    made = assertion(nbf=NOW_S, scope="all")
    assert verifier(kind=BY_LIFE).verify(signed(head, made), party(), now_ms=NOW_S * 1000).claims == made
    assert refusal(signed(head, made)) in ("header", "typ")


def test_an_id_of_one_kind_is_none_of_another() -> None:
    seen = MemorySeenIds()
    verifier(seen).verify(GOOD, party(), now_ms=NOW_S * 1000)
    assert verifier(seen, BY_LIFE).verify(signed(untyped(), assertion()), party(), now_ms=NOW_S * 1000)


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": NOW_S - AGE_S_MAX},
        {"iat": NOW_S + SKEW_S_MAX},
        {"nbf": NOW_S + SKEW_S_MAX},
        {"exp": NOW_S + 1},
        {"iat": NOW_S - 100, "exp": NOW_S - SKEW_S_MAX + 1},
        {"receipts": deep(NESTING_MAX - 1)},
    ],
)
def test_the_bounds_themselves_are_taken(changed: dict[str, Any]) -> None:
    assert verifier().verify(signed(header(), claims(**changed)), party(), now_ms=NOW_S * 1000)


def test_a_token_is_taken_once_whatever_its_signature_and_another_partys_id_is_another() -> None:
    by = verifier()
    by.verify(GOOD, party(), now_ms=NOW_S * 1000)
    assert refusal(GOOD, by=by) == "replay"
    # ES256 has a new signature each time: the id counts, not the bytes.
    assert refusal(signed(header(), claims()), by=by) == "replay"
    other = Party("other-bank", party().keys)
    assert by.verify(signed(header(), claims(iss="other-bank")), other, now_ms=NOW_S * 1000)


def test_an_id_is_remembered_for_as_long_as_its_token_could_come_again() -> None:
    by = verifier()
    late = signed(header(), claims(iat=NOW_S + SKEW_S_MAX))
    by.verify(late, party(), now_ms=NOW_S * 1000)
    for after_s in (1, AGE_S_MAX, AGE_S_MAX + SKEW_S_MAX):
        assert refusal(late, now_s=NOW_S + after_s, by=by) == "replay"
    assert refusal(late, now_s=NOW_S + AGE_S_MAX + SKEW_S_MAX + 1, by=by) == "iat"


def test_who_verified_a_token_and_waited_does_not_take_it_again_after_others_forgot() -> None:
    by = verifier()
    by.verify(GOOD, party(), now_ms=NOW_S * 1000)
    # Another process, for which the token has run out: what is due to be forgotten it forgets.
    over_s = NOW_S + AGE_S_MAX + 1
    by.verify(signed(header(), claims(iat=over_s, jti="of-another")), party(), now_ms=over_s * 1000)
    assert refusal(GOOD, now_s=NOW_S + AGE_S_MAX, by=by) == "replay"


def test_a_token_that_was_refused_does_not_use_its_id_up() -> None:
    by = verifier()
    refusal(signed(header(), claims(aud="x")), by=by)
    refusal(GOOD[:-4] + b"AAAA", by=by)
    assert by.verify(GOOD, party(), now_ms=NOW_S * 1000)


def test_what_was_signed_before_the_ids_are_remembered_is_not_taken() -> None:
    by = verifier(MemorySeenIds(NOW_S * 1000))
    assert refusal(GOOD, by=by) == "iat"
    later = signed(header(), claims(iat=NOW_S + SKEW_S_MAX))
    assert by.verify(later, party(), now_ms=NOW_S * 1000)


def test_one_party_cannot_have_more_ids_remembered_than_its_limit_and_costs_others_nothing() -> None:
    by = verifier()
    for number in range(KIND.ids_max):
        by.verify(signed(header(), claims(jti=f"jti-{number}")), party(), now_ms=NOW_S * 1000)
    assert refusal(GOOD, by=by) == "busy"
    other = Party("other-bank", party().keys)
    assert by.verify(signed(header(), claims(iss="other-bank")), other, now_ms=NOW_S * 1000)
    # When they have run out there is room again.
    later_s = NOW_S + AGE_S_MAX + 1 + SKEW_S_MAX
    assert by.verify(signed(header(), claims(iat=later_s)), party(), now_ms=later_s * 1000)


def test_a_repr_shows_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    by = verifier()
    by.verify(GOOD, party(), now_ms=NOW_S * 1000)
    assert "canary" not in repr(by)
    assert inbound.IDS_REMEMBERED_MAX * 200 < 4 << 20, "a party's ids fit a few megabytes"
