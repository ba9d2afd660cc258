"""Sealing to recipients."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe as other_jwe
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy, UnsafeSeededEntropy
from gateway.runtime.native import engines
from gateway.sealing import base64url, jwe, jwk
from gateway.sealing.jwe import CONTENT_KEY_LIFE_MS, Sealer
from gateway.sealing.keys import BadKey, KeyUnavailable, KeyWrap, RecipientKey, StaticRecipientKeys
from issuernetwork._jose import JweOpener, open_key
from issuernetwork.issuer_cli import new_key
from tests.unit.sealing.twins import both_twins

BOTH = ["ECDH-ES+A256KW", "RSA-OAEP-256"]
X25519 = "ECDH-ES+A256KW over X25519"
ALL = [*BOTH, X25519]
_KEYS = {**{alg: new_key("kid-1", alg) for alg in BOTH}, X25519: new_key("kid-1", BOTH[0], "X25519")}
_LOADERS = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


def sealer(
    alg: str = BOTH[0],
    *,
    native: Any = engines,
    clock: SimClock | None = None,
    entropy: UnsafeSeededEntropy | None = None,
) -> Sealer:
    keys = jwk.recipient_keys("bank", json.dumps({"keys": [_KEYS[alg][1]]}))
    return Sealer(entropy or SystemEntropy(), clock or SimClock(), StaticRecipientKeys(keys), native=native)


def parts(token: bytes) -> list[bytes]:
    return token.split(b".")


@both_twins
@pytest.mark.parametrize("alg", ALL)
@pytest.mark.parametrize("fresh", [False, True])
def test_joserfc_and_the_sdk_open_what_is_sealed(native: Any, alg: str, fresh: bool) -> None:
    seal = sealer(alg, native=native)
    opener = JweOpener({"kid-1": open_key(_KEYS[alg][0])})
    private = _KEYS[alg][0]
    other_key = _LOADERS[private["kty"]].import_key(private)
    for size in (0, 1, 15, 16, 17, 400, 9000):
        plaintext = bytes(size)
        held = seal.held("bank", fresh=fresh)
        kid, (token, digest) = held.recipient_key.kid, held.seal_hashed(plaintext)
        assert kid == "kid-1"
        assert digest == sha256(token).digest()
        assert opener.open(token) == plaintext
        other = other_jwe.decrypt_compact(token, other_key, algorithms=[private["alg"], "A256GCM"])
        assert other.plaintext == plaintext


@given(st.binary(max_size=200))
def test_base64url_is_the_inverse_of_itself_and_has_one_text_for_each_value(data: bytes) -> None:
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    assert b"=" not in text
    for other in (text + b"=", text + b"A=", b"+" + text, text + b"\n"):
        with pytest.raises(ValueError, match="base64url"):
            base64url.decode(other)


def test_loose_bits_at_the_end_are_refused() -> None:
    assert base64url.decode(b"AA") == b"\x00"
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(b"AB")


@both_twins
def test_no_nonce_repeats_under_a_content_key(native: Any) -> None:
    seal = sealer(native=native)
    tokens = [parts(seal.seal("bank", b"same")[1]) for _ in range(3000)]
    assert len({token[1] for token in tokens}) == 1
    assert len({token[2] for token in tokens}) == 3000
    assert len({token[3] for token in tokens}) == 3000


@both_twins
def test_a_nonce_counter_goes_over_its_end(native: Any) -> None:
    class Ones(UnsafeSeededEntropy):
        def bytes(self, n: int) -> bytes:
            return b"\xff" * n if n == 12 else super().bytes(n)

    seal = sealer(native=native, entropy=Ones(1))
    opener = JweOpener({"kid-1": open_key(_KEYS[BOTH[0]][0])})
    nonces = set()
    for _ in range(3):
        token = seal.seal("bank", b"x")[1]
        nonces.add(parts(token)[2])
        assert opener.open(token) == b"x"
    assert len(nonces) == 3


@both_twins
def test_a_content_key_ends_after_its_life(native: Any) -> None:
    clock = SimClock()
    seal = sealer(native=native, clock=clock)
    first = parts(seal.seal("bank", b"x")[1])[1]
    clock.advance_ms(CONTENT_KEY_LIFE_MS - 1)
    assert parts(seal.seal("bank", b"x")[1])[1] == first
    clock.advance_ms(1)
    assert parts(seal.seal("bank", b"x")[1])[1] != first


@both_twins
def test_a_content_key_ends_after_its_messages(native: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwe, "MESSAGES_PER_CONTENT_KEY", 5)
    seal = sealer(native=native)
    wrapped = [parts(seal.seal("bank", b"x")[1])[1] for _ in range(10)]
    assert len(set(wrapped[:5])) == len(set(wrapped[5:])) == 1
    assert wrapped[4] != wrapped[5]


@both_twins
def test_a_content_key_serves_no_longer_than_its_life_its_messages_and_its_recipients_key(
    native: Any,
) -> None:
    ends_ms = 1_700_000_100_000
    document = json.dumps({"keys": [{**_KEYS[BOTH[0]][1], "exp": ends_ms // 1000}]})
    keys, clock = StaticRecipientKeys(jwk.recipient_keys("bank", document)), SimClock()
    seal = Sealer(SystemEntropy(), clock, keys, native=native)
    held = seal.held("bank")
    assert seal.serves(held, ends_ms - 1)
    with pytest.raises(KeyUnavailable):
        seal.serves(held, ends_ms)
    another = Sealer(SystemEntropy(), clock, StaticRecipientKeys(jwk.recipient_keys("bank", document)))
    assert not another.serves(held, ends_ms - 1)
    held.messages_left = 1
    assert seal.serves(held, ends_ms - 1)
    held.messages_left = 0
    assert not seal.serves(held, ends_ms - 1)
    held.messages_left = 1
    clock.advance_ms(CONTENT_KEY_LIFE_MS - 1)
    assert seal.serves(held, ends_ms - 1)
    clock.advance_ms(1)
    assert not seal.serves(held, ends_ms - 1)


@both_twins
def test_fresh_makes_a_content_key_a_message_and_leaves_the_cached_one(native: Any) -> None:
    seal = sealer(native=native)
    cached = parts(seal.seal("bank", b"x")[1])[1]
    fresh = {parts(seal.seal("bank", b"x", fresh=True)[1])[1] for _ in range(3)}
    assert len(fresh) == 3
    assert cached not in fresh
    assert parts(seal.seal("bank", b"x")[1])[1] == cached


def test_a_replaced_recipient_key_is_used_at_once() -> None:
    class Rotating:
        def __init__(self) -> None:
            documents = [_KEYS[BOTH[0]][1], {**new_key("kid-2")[1]}]
            self.keys = [jwk.recipient_keys("bank", json.dumps({"keys": [one]}))[0] for one in documents]

        def current(self, recipient_id: str, *, now_ms: int) -> object:
            return self.keys[0]

    keys = Rotating()
    seal = Sealer(SystemEntropy(), SimClock(), keys)  # type: ignore[arg-type]
    assert seal.seal("bank", b"x")[0] == "kid-1"
    keys.keys.pop(0)
    kid, token = seal.seal("bank", b"x")
    assert kid == "kid-2"
    assert json.loads(base64url.decode(parts(token)[0]))["kid"] == "kid-2"


def test_a_recipient_without_a_key_gets_nothing_and_nobody_elses_key() -> None:
    with pytest.raises(KeyUnavailable) as caught:
        sealer().seal("other-bank", b"x")
    assert caught.value.recipient_id == "other-bank"
    assert caught.value.code == "key_unavailable"


@pytest.mark.parametrize("behind", [(), ("kid-2",), ("kid-2", "kid-3")])
def test_an_expired_key_is_unavailable_and_none_behind_it_takes_its_place(behind: tuple[str, ...]) -> None:
    first, others = new_key("kid-1")[1], [new_key(kid)[1] for kid in behind]
    document = json.dumps({"keys": [{**first, "exp": 1_700_000_100}, *others]})
    clock = SimClock(wall_ms=1_700_000_099_999)
    sealer = Sealer(SystemEntropy(), clock, StaticRecipientKeys(jwk.recipient_keys("bank", document)))
    assert sealer.seal("bank", b"x")[0] == "kid-1"
    clock.advance_ms(1)
    with pytest.raises(KeyUnavailable):
        sealer.seal("bank", b"x")


@both_twins
@pytest.mark.parametrize("alg", [BOTH[0], X25519])
def test_a_seed_repeats_an_ecdh_token_byte_for_byte(native: Any, alg: str) -> None:
    first, again = (sealer(alg, native=native, entropy=UnsafeSeededEntropy(7)) for _ in range(2))
    assert first.seal("bank", b"x") == again.seal("bank", b"x")


@both_twins
def test_nothing_secret_shows_in_a_repr(native: Any) -> None:
    seal = sealer(native=native)
    seal.seal("bank", b"canary")
    content = next(iter(seal._cached.values()))
    shown = repr(seal) + repr(content) + str(content)
    assert "canary" not in shown
    assert "ContentKey(****)" in shown
    assert "nonce" not in shown


GOOD = _KEYS[BOTH[0]][1]
RSA = _KEYS[BOTH[1]][1]
OKP = _KEYS[X25519][1]


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"keys": 1}',
        '{"keys": [1]}',
        "[" * 100_000,
        json.dumps({"keys": [GOOD] * 33}),
        json.dumps({"keys": [GOOD, GOOD]}),
        json.dumps({"keys": [_KEYS[BOTH[0]][0]]}),
        json.dumps({"keys": [{**GOOD, "alg": "ECDH-ES"}]}),
        json.dumps({"keys": [{**GOOD, "alg": "RSA-OAEP-256"}]}),
        json.dumps({"keys": [{**GOOD, "crv": "P-384"}]}),
        json.dumps({"keys": [{**GOOD, "x": "AQ"}]}),
        json.dumps({"keys": [{**GOOD, "x": "***"}]}),
        json.dumps({"keys": [{**GOOD, "kid": ""}]}),
        json.dumps({"keys": [{**GOOD, "exp": "soon"}]}),
        json.dumps({"keys": [{**RSA, "n": "AQAB"}]}),
        json.dumps({"keys": [{**RSA, "e": "Ag"}]}),
        json.dumps({"keys": [_KEYS[X25519][0]]}),
        json.dumps({"keys": [{**GOOD, "kty": "OKP"}]}),
        json.dumps({"keys": [{**OKP, "kty": "EC"}]}),
        json.dumps({"keys": [{**OKP, "crv": "Ed25519"}]}),
        json.dumps({"keys": [{**OKP, "crv": "X448"}]}),
        json.dumps({"keys": [{**OKP, "alg": "RSA-OAEP-256"}]}),
        json.dumps({"keys": [{**OKP, "x": OKP["x"][:-2]}]}),
        json.dumps({"keys": [{name: value for name, value in OKP.items() if name != "x"}]}),
    ],
)
def test_a_jwks_that_cannot_be_used_is_refused_without_a_value(document: str) -> None:
    with pytest.raises(BadKey) as caught:
        jwk.recipient_keys("bank", document)
    assert GOOD["x"] not in caught.value.public
    assert OKP["x"] not in caught.value.public


def test_keys_for_signatures_in_a_recipients_set_are_passed_over() -> None:
    document = json.dumps({"keys": [{"use": "sig", "kty": "OKP"}, GOOD]})
    assert [key.kid for key in jwk.recipient_keys("bank", document)] == ["kid-1"]


# The points whose multiple by eight is zero: u = 0, 1, two of order eight, p - 1, p, p + 1 (RFC 7748 6.1).
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]


@pytest.mark.parametrize("point", LOW_ORDER)
@pytest.mark.parametrize("high_bit", [0, 0x80])
def test_a_recipient_key_of_low_order_is_refused_and_gets_nothing(point: str, high_bit: int) -> None:
    octets = bytes.fromhex(point)
    octets = octets[:31] + bytes([octets[31] | high_bit])
    document = json.dumps({"keys": [{**OKP, "x": base64url.encode(octets).decode()}]})
    with pytest.raises(BadKey, match="X25519"):
        jwk.recipient_keys("bank", document)
    past_the_check = RecipientKey(
        recipient_id="bank",
        kid="kid-1",
        alg=KeyWrap.ECDH_ES_A256KW,
        public_key=X25519PublicKey.from_public_bytes(octets),
    )
    with pytest.raises(KeyUnavailable):
        Sealer(SystemEntropy(), SimClock(), StaticRecipientKeys((past_the_check,))).seal("bank", b"x")


def test_a_key_of_another_type_than_its_alg_gets_nothing() -> None:
    for kind, alg in ((BOTH[1], KeyWrap.ECDH_ES_A256KW), (X25519, KeyWrap.RSA_OAEP_256)):
        (key,) = jwk.recipient_keys("bank", json.dumps({"keys": [_KEYS[kind][1]]}))
        keys = StaticRecipientKeys((replace(key, alg=alg),))
        with pytest.raises(KeyUnavailable):
            Sealer(SystemEntropy(), SimClock(), keys).seal("bank", b"x")
