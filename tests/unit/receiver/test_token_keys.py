"""A recipient's token keys: taken when all of it agrees, kept, and good for tokens of its own cards."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.sealing import base64url
from gateway.sealing.keys import MacKey, SignatureAlgorithm
from gateway.sealing.signed_json import signed_json
from gateway.sealing.token_key import TOKEN_KEY_TYPE, signed_token_key
from gateway.sealing.token_spans import EpochSpan
from issuernetwork._jose import BadKey, RefusedToken
from issuernetwork.contact import BadContact, normal_email, normal_phone
from issuernetwork.receiver import Share
from issuernetwork.token_keys import NoTokenKey, TokenKey, TokenKeys
from tests.unit.receiver.network import BANK, ISS, NOW_MS, WRAPS, Network, signing_key
from tests.vectors.golden_keys import unsafe_recipient_jwks

GOLDEN = Path(__file__).parents[2] / "vectors" / "golden"
PAN, OTHER = "9010010100000007", "9010010100000015"
DAY_MS = 24 * 3_600_000
SPANS = (
    EpochSpan(1, 0, NOW_MS + 7 * DAY_MS),
    EpochSpan(2, NOW_MS, NOW_MS + 30 * DAY_MS),
    EpochSpan(3, NOW_MS + 20 * DAY_MS, 0),
)


def secret(epoch: int) -> MacKey:
    return MacKey(bytes([epoch]) * 32)


def signed(network: Network, span: EpochSpan, **changed: Any) -> bytes:
    members: dict[str, Any] = {
        "iss": ISS, "recipient_id": BANK, "issued_at_ms": NOW_MS, "span": span, "key": secret(span.epoch),
    }  # fmt: skip
    return signed_token_key(network.signer, network.sealer.held(BANK, fresh=True), **{**members, **changed})


def keys_for(network: Network, **changed: Any) -> TokenKeys:
    members: dict[str, Any] = {
        "recipient_id": BANK, "private_keys": [network.private], "jwks": lambda: network.jwks, "iss": ISS,
    }  # fmt: skip
    return TokenKeys(**{**members, **changed})


def taken(network: Network, *spans: EpochSpan) -> TokenKeys:
    keys = keys_for(network)
    for span in spans or SPANS:
        keys.take(signed(network, span))
    return keys


def share(epoch: int, *, previous: int = 0, pan: str = PAN) -> Share:
    def token(of: int) -> str:
        return TokenKey(of, 0, 0, 0, secret(of).secret).card_token(pan) if of else ""

    match: dict[str, Any] = {"keys": ["k"]}
    if previous:
        match |= {"previous_card_token": token(previous), "previous_token_epoch": previous}
    network = Network()
    found = network.receiver.open(
        network.share(sealed=network.sealed(card_token=token(epoch), token_epoch=epoch, match=match))
    )
    assert isinstance(found, Share)
    return found


@pytest.mark.parametrize(("alg", "curve"), WRAPS)
def test_a_key_that_the_network_handed_out_is_opened_whatever_it_was_sealed_to(alg: str, curve: str) -> None:
    network = Network(alg=alg, curve=curve)
    one = keys_for(network).take(signed(network, SPANS[0]).decode())
    assert (one.epoch, one.from_ms, one.until_ms, one.secret) == (1, 0, NOW_MS + 7 * DAY_MS, b"\x01" * 32)


@pytest.mark.parametrize("alg", list(SignatureAlgorithm))
def test_it_is_signed_as_the_stream_is_and_no_other_signature_is_taken(alg: SignatureAlgorithm) -> None:
    network = Network(signing=signing_key(alg))
    token = signed(network, SPANS[0])
    assert keys_for(network, algorithms=[str(alg)]).take(token).epoch == 1
    others = [str(one) for one in SignatureAlgorithm if one is not alg]
    with pytest.raises(RefusedToken) as refused:
        keys_for(network, algorithms=others).take(token)
    assert refused.value.code == "unknown_key"


def edited(network: Network, **changed: Any) -> bytes:
    """Signed anew over claims that are not as they should be; a value of None takes the member out."""
    claims = json.loads(base64url.decode(signed(network, SPANS[0]).split(b".")[1]))
    typ = changed.pop("typ", TOKEN_KEY_TYPE)
    claims |= changed
    return signed_json(
        network.signer, typ, {name: value for name, value in claims.items() if value is not None}
    )


def resealed(network: Network, **changed: Any) -> str:
    """The key's JWE over another document."""
    jwk = {"kty": "oct", "alg": "HS256", "kid": f"{BANK}.1", "k": base64url.encode(b"\x01" * 32).decode()}
    return network.sealer.seal(BANK, json.dumps({**jwk, **changed}).encode())[1].decode()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str]] = {
    "of another type": ({"typ": "secevent+jwt"}, None, "type"),
    "of another network": ({"iss": "https://other.example"}, None, "issuer"),
    "for another recipient": ({"aud": "other-bank"}, None, "audience"),
    "for several": ({"aud": [BANK]}, None, "audience"),
    "of no epoch": ({"epoch": 0}, None, "claims"),
    "without an epoch": ({"epoch": None}, None, "claims"),
    "of an epoch that is no number": ({"epoch": True}, None, "claims"),
    "ending before it begins": ({"from_ms": 9, "until_ms": 8}, None, "claims"),
    "beginning before all time": ({"from_ms": -1}, None, "claims"),
    "without a key": ({"key": None}, None, "claims"),
    "with a key in clear": ({"key": {"kty": "oct"}}, None, "claims"),
    "with a key that is no token": ({"key": "x"}, None, "malformed"),
    "of another epoch inside": ({}, {"kid": f"{BANK}.2"}, "binding"),
    "of another recipient inside": ({}, {"kid": "other-bank.1"}, "binding"),
    "with a key of another kind": ({}, {"kty": "EC"}, "claims"),
    "with a key for something else": ({}, {"alg": "A256GCM"}, "claims"),
    "with a short key": ({}, {"k": "AAAA"}, "claims"),
    "with a key that is no text": ({}, {"k": 7}, "malformed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_off_in_one_thing_is_not_taken(name: str) -> None:
    claims, inner, code = REFUSED[name]
    network = Network()
    if inner is not None:
        claims = {**claims, "key": resealed(network, **inner)}
    keys = keys_for(network)
    with pytest.raises(RefusedToken) as refused:
        keys.take(edited(network, **claims))
    assert refused.value.code == code
    assert keys.epochs == ()


def test_a_changed_byte_and_a_key_for_somebody_else_are_refused_by_a_typed_error_alone() -> None:
    network, stranger = Network(), Network(seed=2)
    token = signed(network, SPANS[0])
    keys = keys_for(network)
    for at in range(0, len(token), 7):
        changed = bytearray(token)
        changed[at] ^= 1
        with pytest.raises(RefusedToken):
            keys.take(bytes(changed))
    with pytest.raises(RefusedToken) as refused:
        keys_for(network, private_keys=[stranger.private]).take(token)
    assert refused.value.code == "decryption"
    with pytest.raises(BadKey):
        keys_for(network, private_keys=[{"kty": "EC"}])


def test_tokens_of_a_time_are_those_of_the_epochs_given_then() -> None:
    keys = taken(Network())
    of = {epoch: keys.key(epoch).card_token(PAN) for epoch in (1, 2, 3)}
    assert len(set(of.values())) == 3
    assert keys.tokens_of(PAN, NOW_MS - 1) == {1: of[1]}
    assert keys.tokens_of(PAN, NOW_MS) == {1: of[1], 2: of[2]}
    assert keys.tokens_of(PAN, NOW_MS + 7 * DAY_MS) == {2: of[2]}
    assert keys.tokens_of(PAN, NOW_MS + 99 * DAY_MS) == {3: of[3]}


def test_a_share_matches_its_card_under_any_key_that_is_at_hand_and_no_other_card() -> None:
    both = taken(Network())
    assert both.matches(share(1), PAN)
    assert both.matches(share(2, previous=1), PAN)
    assert not both.matches(share(2, previous=1), OTHER)
    old = taken(Network(), SPANS[0])
    assert old.matches(share(2, previous=1), PAN), "before the new key is fetched"
    assert not old.matches(share(2, previous=1), OTHER)
    new = taken(Network(), SPANS[1])
    assert new.matches(share(2, previous=1), PAN)
    two, third = taken(Network(), *SPANS[:2]), share(3)
    with pytest.raises(NoTokenKey, match="epoch 3 is not at hand") as missing:
        two.matches(third, PAN)
    assert missing.value.epoch == 3


def test_a_share_without_a_token_matches_no_card() -> None:
    without = replace(share(1), card_token="", token_epoch=0)
    assert not taken(Network()).matches(without, PAN)


def test_a_receiver_is_handed_both_tokens_of_an_overlap_and_refuses_a_half_of_one() -> None:
    found = share(2, previous=1)
    assert (found.token_epoch, found.previous_token_epoch) == (2, 1)
    assert found.card_token != found.previous_card_token != ""
    assert found.card_token not in repr(found)
    assert found.previous_card_token not in repr(found)
    plain = share(1)
    assert (plain.previous_token_epoch, plain.previous_card_token) == (0, "")
    network = Network()
    for match in ({"previous_card_token": 7}, {"previous_card_token": "x", "previous_token_epoch": "1"}):
        with pytest.raises(RefusedToken):
            network.receiver.open(network.share(sealed=network.sealed(match=match)))


def test_a_later_word_on_when_an_epoch_ends_is_kept_and_an_earlier_one_is_not() -> None:
    network = Network()
    keys = keys_for(network)
    open_end, known_end = EpochSpan(1, 0, 0), EpochSpan(1, 0, NOW_MS + 1)
    keys.take(signed(network, open_end))
    keys.take(signed(network, known_end, issued_at_ms=NOW_MS + 1_000))
    assert keys.key(1).until_ms == NOW_MS + 1
    keys.take(signed(network, open_end))
    assert keys.key(1).until_ms == NOW_MS + 1


def test_the_key_of_an_epoch_never_becomes_another() -> None:
    network = Network()
    keys = taken(network)
    with pytest.raises(RefusedToken) as refused:
        keys.take(signed(network, SPANS[0], key=secret(9), issued_at_ms=NOW_MS + 1_000))
    assert refused.value.code == "binding"
    assert keys.key(1).secret == b"\x01" * 32


def test_what_was_kept_comes_back_and_what_is_damaged_or_anothers_does_not() -> None:
    network = Network()
    keys = taken(network)
    state = json.loads(json.dumps(keys.state()))
    again = keys_for(network)
    again.restore(state)
    assert again.state() == keys.state()
    assert again.tokens_of(PAN, NOW_MS) == keys.tokens_of(PAN, NOW_MS)
    for bad in ({}, {"keys": [{}]}, {"keys": 7}, {"keys": [{**state["keys"][0], "k": "AA"}]}):
        with pytest.raises(ValueError, match="no token keys"):
            keys_for(network).restore(bad)
    with pytest.raises(ValueError, match="no token keys"):
        keys_for(network, recipient_id="other-bank").restore(state)


def test_no_key_shows_in_a_text() -> None:
    keys = taken(Network())
    shown = repr(keys) + repr(keys.key(1)) + str(NoTokenKey(1))
    assert "AQEB" not in shown
    assert "\\x01" not in shown
    assert "epochs=[1, 2, 3]" in shown


# --- the vectors that issuers in other languages use


def read(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


@pytest.mark.parametrize("vector", read("token_keys.json")["token_keys"], ids=lambda vector: vector["name"])
def test_a_golden_token_key_opens_to_what_the_file_says_and_makes_its_tokens(vector: dict[str, Any]) -> None:
    document = read("token_keys.json")
    keys = TokenKeys(
        recipient_id=document["aud"], private_keys=unsafe_recipient_jwks(), jwks=lambda: read("jwks.json"),
        iss=document["iss"],
    )  # fmt: skip
    one = keys.take(vector["signed_key"])
    claims = vector["claims"]
    assert (one.epoch, one.from_ms, one.until_ms) == (
        claims["epoch"], claims["from_ms"], claims.get("until_ms", 0),
    )  # fmt: skip
    (kept,) = keys.state()["keys"]
    assert {name: kept[name] for name in vector["jwk"]} == vector["jwk"]
    assert {pan: one.card_token(pan) for pan in vector["card_tokens"]} == vector["card_tokens"]


@pytest.mark.parametrize("kind", ["email", "phone"])
def test_contact_data_comes_to_the_form_and_the_hash_of_the_golden_vectors(kind: str) -> None:
    document = read("contact.json")
    jwk = next(
        one["jwk"] for one in read("token_keys.json")["token_keys"] if one["jwk"]["kid"] == document["kid"]
    )
    key = TokenKey(2, 0, 0, 0, base64url.decode(jwk["k"].encode()))
    normal, hashed = (normal_email, key.email_hash) if kind == "email" else (normal_phone, key.phone_hash)
    for vector in document[f"{kind}s"]:
        assert normal(vector["given"]) == vector["normal"], vector["name"]
        assert normal(vector["normal"]) == vector["normal"], "a form is its own form"
        assert hashed(vector["given"]) == vector[f"{kind}_hash"]
    for given in document[f"refused_{kind}s"]:
        with pytest.raises(BadContact) as refused:
            normal(given)
        assert not given or given not in str(refused.value)


def test_addresses_that_may_be_two_peoples_never_come_to_one_form() -> None:
    forms = [one["normal"] for one in read("contact.json")["emails"]]
    assert {"jane.doe@mail.example", "janedoe@mail.example", "jane.doe+shop@mail.example"} <= set(forms)
