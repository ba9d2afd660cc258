"""A token says who acts, for a while, at one installation, and nothing in it can say otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import base64url, jwk
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import BadKey, SignatureAlgorithm, SigningKey
from gateway.sealing.operator_token import (
    LIFE_S_MAX,
    SKEW_S_MAX,
    TOKEN_TYPE,
    OperatorTokenRefused,
    key_named,
    make_token,
    operator_public_jwk,
    thumbprint,
    verify_token,
)
from gateway.sealing.signer import LocalSigner

AUDIENCE = "https://issuernetwork.test"
NOW_MS = 1_790_000_000_000


def key(seed: int) -> tuple[LocalSigner, dict[str, str]]:
    private = p256_private_key(UnsafeSeededEntropy(seed))
    public = operator_public_jwk(jwk.public_jwk(SigningKey("", SignatureAlgorithm.ES256, private)))
    return LocalSigner(SigningKey(thumbprint(public), SignatureAlgorithm.ES256, private)), public


SIGNER, PUBLIC = key(1)
TOKEN = make_token(SIGNER, audience=AUDIENCE, jti="one", now_ms=NOW_MS)


def verify(token: str, *, now_ms: int = NOW_MS, audience: str = AUDIENCE) -> None:
    verify_token(token, PUBLIC, audience=audience, now_ms=now_ms)


def signed(header: dict[str, Any], claims: Any, signer: LocalSigner = SIGNER) -> str:
    parts = [base64url.encode(json.dumps(one).encode()) for one in (header, claims)]
    signing_input = b".".join(parts)
    return (signing_input + b"." + base64url.encode(signer.sign(signing_input))).decode()


def test_a_token_names_its_key_and_another_library_verifies_it() -> None:
    verify(TOKEN)
    assert key_named(TOKEN) == thumbprint(PUBLIC)
    found = jws.deserialize_compact(TOKEN.encode(), ECKey.import_key(dict(PUBLIC)), algorithms=["ES256"])
    assert json.loads(found.payload)["sub"] == thumbprint(PUBLIC)
    assert found.headers()["typ"] == TOKEN_TYPE


def test_the_thumbprint_is_that_of_another_library() -> None:
    assert thumbprint(PUBLIC) == ECKey.import_key(dict(PUBLIC)).thumbprint()


@pytest.mark.parametrize(
    ("late_ms", "good"),
    [
        (0, True),
        ((LIFE_S_MAX - 1) * 1000, True),
        (LIFE_S_MAX * 1000, False),
        (-SKEW_S_MAX * 1000, True),
        (-(SKEW_S_MAX + 1) * 1000, False),
    ],
)
def test_it_holds_for_ten_minutes_and_a_minute_of_skew(late_ms: int, good: bool) -> None:
    if good:
        verify(TOKEN, now_ms=NOW_MS + late_ms)
    else:
        with pytest.raises(OperatorTokenRefused):
            verify(TOKEN, now_ms=NOW_MS + late_ms)


HEADER = {"alg": "ES256", "kid": SIGNER.kid, "typ": TOKEN_TYPE}
CLAIMS = {"sub": SIGNER.kid, "aud": AUDIENCE, "iat": NOW_MS // 1000, "exp": NOW_MS // 1000 + 60, "jti": "x"}

REFUSED: dict[str, str] = {
    "another audience": signed(HEADER, {**CLAIMS, "aud": "https://other.test"}),
    "a list of audiences": signed(HEADER, {**CLAIMS, "aud": [AUDIENCE]}),
    "another subject": signed(HEADER, {**CLAIMS, "sub": "somebody"}),
    "a longer life": signed(HEADER, {**CLAIMS, "exp": NOW_MS // 1000 + LIFE_S_MAX + 1}),
    "no end": signed(HEADER, {name: value for name, value in CLAIMS.items() if name != "exp"}),
    "an end that is true": signed(HEADER, {**CLAIMS, "exp": True}),
    "an end with a fraction": signed(HEADER, {**CLAIMS, "exp": NOW_MS / 1000 + 60.5}),
    "no id": signed(HEADER, {name: value for name, value in CLAIMS.items() if name != "jti"}),
    "claims that are a list": signed(HEADER, [CLAIMS]),
    "no algorithm": signed({**HEADER, "alg": "none"}, CLAIMS),
    "an HMAC": signed({**HEADER, "alg": "HS256"}, CLAIMS),
    "another type": signed({**HEADER, "typ": "secevent+jwt"}, CLAIMS),
    "a key of its own": signed({**HEADER, "jwk": PUBLIC}, CLAIMS),
    "an address of a key": signed({**HEADER, "jku": "https://other.test"}, CLAIMS),
    "crit": signed({**HEADER, "crit": ["exp"]}, CLAIMS),
    "b64 off": signed({**HEADER, "b64": False, "crit": ["b64"]}, CLAIMS),
    "another key's signature": signed(HEADER, CLAIMS, key(2)[0]),
    "no signature": TOKEN.rpartition(".")[0] + ".",
    "two parts": TOKEN.rpartition(".")[0],
    "four parts": TOKEN + ".x",
    "padding": TOKEN + "==",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_such_a_token_is_refused_without_a_value_in_the_text(name: str) -> None:
    with pytest.raises(OperatorTokenRefused) as refused:
        verify(REFUSED[name])
    assert "other.test" not in refused.value.public
    assert "somebody" not in refused.value.public


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("Aa0-_.=é"))
def test_a_changed_letter_is_refused(at: int, letter: str) -> None:
    changed = TOKEN[:at] + letter + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(OperatorTokenRefused):
            verify(changed)


@given(st.text(max_size=60))
def test_text_names_no_key_or_one_that_is_text(text: str) -> None:
    try:
        assert isinstance(key_named(text), str)
    except OperatorTokenRefused:
        return


def test_a_private_key_and_a_key_of_another_kind_are_not_registered() -> None:
    with pytest.raises(BadKey, match="private"):
        operator_public_jwk({**PUBLIC, "d": "AA"})
    for bad in ({}, [], {**PUBLIC, "crv": "P-384"}, {**PUBLIC, "x": PUBLIC["y"]}, {**PUBLIC, "kty": "RSA"}):
        with pytest.raises(BadKey):
            operator_public_jwk(bad)
