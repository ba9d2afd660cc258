"""Pseudonyms: injective, separated by use, the same in each process."""

import base64
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.embedded.keyfiles import HkdfMacKeys
from gateway.sealing.keys import BadKey, MacKey
from gateway.sealing.pseudonyms import Hmac, Pseudonyms, base32, canonical

PAN = "9010010100000007"
names = Pseudonyms(HkdfMacKeys(bytes(32)))
parts = st.lists(st.text(max_size=8), max_size=4)


@given(st.binary(max_size=6), parts, st.binary(max_size=6), parts)
def test_different_parts_have_different_encodings(
    label: bytes, one: list[str], other_label: bytes, other: list[str]
) -> None:
    same = (label, one) == (other_label, other)
    assert (canonical(label, *one) == canonical(other_label, *other)) is same


def test_parts_cannot_be_moved_over_their_border() -> None:
    assert names.share_id("a", "bc", 1, "p") != names.share_id("ab", "c", 1, "p")
    assert names.share_id("a", "b", 11, "p") != names.share_id("a", "b1", 1, "p")
    assert names.unit_key("pan", "1") != names.unit_key("pa", "n1")


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=300))
def test_the_prepared_hmac_is_that_of_rfc_2104(secret: bytes, data: bytes) -> None:
    assert Hmac(secret).digest(data) == hmac.digest(secret, data, "sha256")


@given(st.binary(min_size=16, max_size=16))
def test_base32_is_that_of_rfc_4648_in_lower_case(data: bytes) -> None:
    assert base32(data) == base64.b32encode(data).decode().rstrip("=").lower()


def test_names_are_the_same_in_each_process_and_of_fixed_length() -> None:
    again = Pseudonyms(HkdfMacKeys(bytes(32)))
    for give in (
        lambda one: one.card_token("bank", 1, PAN),
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


def test_the_same_value_has_another_name_for_each_use_recipient_and_epoch() -> None:
    tokens = {names.card_token(bank, epoch, PAN) for bank in ("a", "b") for epoch in (1, 2)}
    tokens |= {base32(names.unit_key("pan", PAN)), base32(names.velocity_key(0, PAN))}
    tokens |= {base32(names.velocity_key(1, PAN)), base32(names.request_digest(PAN.encode()))}
    tokens |= {names.share_id("s", "p", 1, "r"), names.evaluation_id("s", "p", 1, "r")}
    assert len(tokens) == 10


def test_another_master_gives_other_names() -> None:
    other = Pseudonyms(HkdfMacKeys(b"\x01" * 32))
    assert other.share_id("s", "p", 1, "r") != names.share_id("s", "p", 1, "r")
    assert other.card_token("bank", 1, PAN) != names.card_token("bank", 1, PAN)


def test_mac_keys_differ_by_use_and_show_nothing() -> None:
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


PINNED_SHARE_ID = "fadyzlzftiygvm4rcddbv4n4ee"
PINNED_UNIT_KEY = "4c678df9a2e93a873be6d3f5a95710f0"
