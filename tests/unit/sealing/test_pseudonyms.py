"""Pseudonyms, from either twin: injective, separated by use, the same in each process."""

import base64
import hmac
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enrichment.contact import email_of
from enrichment.velocity import velocity_values
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.runtime.native import engines
from gateway.sealing.keys import BadKey, MacKey
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.pseudonyms_macs import CardTokens, Hmac, Macs, base32, canonical
from issuernetwork.v1.common_pb2 import UNIT_SOURCE_CARD_REF, UnitSource

PAN = "9010010100000007"
needs_engine = pytest.mark.skipif(
    not hasattr(engines, "Macs"), reason="the engines of native/ are not built here"
)
both_twins = pytest.mark.parametrize(
    "native", [pytest.param(None, id="python"), pytest.param(engines, id="rust", marks=needs_engine)]
)


def named(native: Any, master: bytes = bytes(32)) -> Pseudonyms:
    return Pseudonyms(HkdfMacKeys(master), native=native)


parts = st.lists(st.text(max_size=8), max_size=4)


@given(st.binary(max_size=6), parts, st.binary(max_size=6), parts)
def test_different_parts_have_different_encodings(
    label: bytes, one: list[str], other_label: bytes, other: list[str]
) -> None:
    same = (label, one) == (other_label, other)
    assert (canonical(label, *one) == canonical(other_label, *other)) is same


@both_twins
def test_parts_cannot_be_moved_over_their_border(native: Any) -> None:
    names = named(native)
    assert names.share_id("a", "bc", 1, "p") != names.share_id("ab", "c", 1, "p")
    assert names.share_id("a", "b", 11, "p") != names.share_id("a", "b1", 1, "p")
    assert names.unit_key("pan", "1") != names.unit_key("pa", "n1")


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_the_prepared_hmac_is_that_of_rfc_2104(secret: bytes, data: bytes) -> None:
    assert Hmac(secret).digest(data) == hmac.digest(secret, data, "sha256")


@given(st.binary(min_size=16, max_size=16))
def test_base32_is_that_of_rfc_4648_in_lower_case(data: bytes) -> None:
    assert base32(data) == base64.b32encode(data).decode().rstrip("=").lower()


@both_twins
def test_names_are_the_same_in_each_process_and_of_fixed_length(native: Any) -> None:
    names = named(native)
    again = named(native)
    for give in (
        lambda one: one.card_tokens("bank", 1)(PAN),
        lambda one: one.share_id("s", "p", 1, "risk-score"),
        lambda one: one.evaluation_id("s", "p", 1, "r"),
    ):
        assert give(names) == give(again)
        assert len(give(names)) == 26
    for identifier in (names.share_id("s", "p", 1, "r"), names.evaluation_id("s", "p", 1, "r")):
        assert re.fullmatch("[a-z2-7]{26}", identifier)
    assert len(names.unit_key("pan", PAN)) == len(names.velocity_key(0, PAN)) == 16
    # Pinned: a change of the derivation would break every id that exists.
    assert names.share_id("sender", "payment", 1, "risk-score") == PINNED_SHARE_ID
    assert names.unit_key("pan", PAN).hex() == PINNED_UNIT_KEY


@both_twins
def test_the_same_value_has_another_name_for_each_use_recipient_and_epoch(native: Any) -> None:
    names = named(native)
    tokens = {names.card_tokens(bank, epoch)(PAN) for bank in ("a", "b") for epoch in (1, 2)}
    tokens |= {base32(names.unit_key("pan", PAN)), base32(names.velocity_key(0, PAN))}
    tokens |= {base32(names.velocity_key(1, PAN)), base32(names.request_digest(PAN.encode()))}
    tokens |= {names.share_id("s", "p", 1, "r"), names.evaluation_id("s", "p", 1, "r")}
    assert len(tokens) == 10


@both_twins
def test_another_master_gives_other_names(native: Any) -> None:
    names = named(native)
    other = named(native, b"\x01" * 32)
    assert other.share_id("s", "p", 1, "r") != names.share_id("s", "p", 1, "r")
    assert other.card_tokens("bank", 1)(PAN) != names.card_tokens("bank", 1)(PAN)


@both_twins
def test_mac_keys_differ_by_use_and_show_nothing(native: Any) -> None:
    names = named(native)
    keys = HkdfMacKeys(b"\x07" * 32)
    secrets = {keys.unit().secret, keys.velocity().secret, keys.share().secret}
    secrets |= {keys.token("a", 1).secret, keys.token("a1", 1).secret, keys.token("a", 11).secret}
    assert len(secrets) == 6
    shown = repr(keys) + repr(keys.unit()) + repr(names)
    assert "\\x07" not in shown
    assert keys.unit().secret.hex() not in shown
    assert repr(keys.unit().secret) not in shown


def test_a_short_mac_key_is_refused() -> None:
    with pytest.raises(BadKey, match="32 bytes"):
        MacKey(bytes(31))


@both_twins
def test_pseudonyms_show_nothing_of_what_is_behind_them(native: Any) -> None:
    make_macs, make_tokens = getattr(native, "Macs", Macs), getattr(native, "CardTokens", CardTokens)
    assert repr(make_macs(*[b"secret" * 6] * 3)) == "Macs(****)"
    assert repr(make_tokens(b"secret" * 6)) == "CardTokens(****)"
    with pytest.raises((TypeError, AttributeError)) as fault:
        named(native).names("s", 2, "pan", "4111", "m", 4111, "d", "e", "p", 1, "r")  # type: ignore[arg-type]
    assert "4111" not in str(fault.value)


@needs_engine
def test_the_engine_is_taken_where_it_is_built() -> None:
    assert isinstance(Pseudonyms(HkdfMacKeys(bytes(32))).macs, engines.Macs)


texts = st.text(max_size=40) | st.text("0123456789:", max_size=200)
payments = st.builds(
    SimpleNamespace,
    unit=st.tuples(st.sampled_from([number for number in UnitSource.values() if number]), texts),
    merchant_id=texts,
    ip=texts,
    device_id=texts,
    email=st.text(st.characters(max_codepoint=127), max_size=40),
    payment_intent_id=texts,
    attempt_no=st.integers(0, 2**32 - 1),
    request_id=texts,
)


def names_of(names: Pseudonyms, sender_id: str, payment: Any, kind: str) -> Any:
    return names.names(
        sender_id, *[payment.unit[0], kind, payment.unit[1]], payment.merchant_id, payment.ip,
        payment.device_id, email_of(payment), payment.payment_intent_id, payment.attempt_no,
        payment.request_id,
    )  # fmt: skip


@both_twins
@given(texts, payments, texts)
def test_the_names_of_a_payment_are_those_that_its_values_have_one_by_one(
    native: Any, sender_id: str, payment: Any, kind: str
) -> None:
    names = named(native)
    source, unit = payment.unit
    if source == UNIT_SOURCE_CARD_REF:
        unit = f"{len(sender_id)}:{sender_id}:{unit}"
    values = velocity_values(payment, sender_id=sender_id)
    assert names_of(names, sender_id, payment, kind) == (
        names.unit_key(kind, unit),
        tuple(None if value is None else names.velocity_key(at, value) for at, value in enumerate(values)),
        names.evaluation_id(sender_id, payment.payment_intent_id, payment.attempt_no, payment.request_id),
    )


@needs_engine
@given(
    st.binary(min_size=32, max_size=32), texts, payments, texts, st.binary(max_size=700), st.integers(0, 7)
)
def test_both_twins_give_the_same_names(
    master: bytes, sender_id: str, payment: Any, text: str, data: bytes, kind: int
) -> None:
    intent, attempt = payment.payment_intent_id, payment.attempt_no
    one, other = (
        [
            names.unit_key(text, sender_id),
            names.velocity_key(kind, text),
            names.share_id(sender_id, intent, attempt, text),
            names.evaluation_id(sender_id, intent, attempt, text),
            names.request_digest(data),
            names.card_tokens(sender_id, attempt)(text),
            names_of(names, sender_id, payment, text),
        ]
        for names in (named(None, master), named(engines, master))
    )
    assert one == other


@needs_engine
@example(bytes(64), b"")
@example(bytes(65), b"")
@example(bytes(129), b"")
@given(st.binary(min_size=1, max_size=140), st.binary(max_size=300))
def test_both_twins_take_secrets_of_any_length(secret: bytes, data: bytes) -> None:
    twins = Macs(secret, secret, secret), engines.Macs(secret, secret, secret)
    assert len({twin.request_digest(data) for twin in twins}) == 1
    assert len({twin.unit_key("pan", data.hex()) for twin in twins}) == 1
    tokens = CardTokens(secret), engines.CardTokens(secret)
    assert len({token.card_token(data.hex()) for token in tokens}) == 1


PINNED_SHARE_ID = "fadyzlzftiygvm4rcddbv4n4ee"
PINNED_UNIT_KEY = "4c678df9a2e93a873be6d3f5a95710f0"
