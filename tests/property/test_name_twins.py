"""Names and match keys of a payment are the same, whether the engine has read it or its twin."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.payment import Payment
from enrichment.reader import native_reader, read_by_twin
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.outcomes.matching import match_keys as match_keys_by_twin
from gateway.runtime.native import engines
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sharing.objecting import names_of
from gateway.sharing.share import match_keys
from tests.bad_input import good_request
from tests.property.test_reader_twins import spoil
from tests.unit.enrichment.requests import NOW_MS, full_request, least_request

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

READ = native_reader(engines).read
MAC_KEYS = HkdfMacKeys(b"\x05" * 32)
ENGINE, TWIN = Pseudonyms(MAC_KEYS), Pseudonyms(MAC_KEYS, native=None)
REFERENCES = [one.name for one in full_request().acquirer.DESCRIPTOR.fields if one.type == one.TYPE_STRING]
FORMED = ["", "000123", "412345678901", "0229235959", "MCS8A1B2C3_0229-ABCDEF", " TERM 1 ", "A B"]
PANS = ["9010010100000007", "371449635398431", "4111111111111111"]


@st.composite
def payments(draw: Any) -> tuple[Payment, Payment] | None:
    """One that the engine has read, and the twin's; None of what the engine leaves to it."""
    request: Any = draw(st.sampled_from([full_request, least_request, good_request]))()
    if draw(st.booleans()):
        request.card.Clear()
        name = draw(st.sampled_from(["pan", "network_token", "card_ref"]))
        setattr(request.card, name, draw(st.sampled_from(PANS)))
        if name != "pan":
            request.card.iin, request.card.last4 = "901001", "0007"
        request.card.par = draw(st.sampled_from(["", "", "Q1" + "7" * 27]))
        request.customer.email = draw(st.sampled_from(["", "Jane.Doe@GMX.net", "a@b.co"]))
        request.device.ip = draw(st.sampled_from(["", "1.1.1.1", "2a02:FF40::0:1", "::ffff:1.2.3.4"]))
        for name in draw(st.sets(st.sampled_from(REFERENCES))):
            setattr(request.acquirer, name, draw(st.text("19 +-A", max_size=8) | st.sampled_from(FORMED)))
    else:
        spoil(request, draw(st.data()))
    payload = request.SerializeToString()
    engine, twin = READ(payload, NOW_MS), read_by_twin(payload, NOW_MS)
    return (engine, twin) if isinstance(twin, Payment) and engine is not None else None


@given(payments(), st.sampled_from(["shop-1", "é", ""]))
@settings(max_examples=800, deadline=None)
def test_names_of_a_payment_are_the_same_by_whoever_read_it(
    both: tuple[Payment, Payment] | None, sender_id: str
) -> None:
    if both is not None:
        assert names_of(ENGINE, both[0], sender_id) == names_of(TWIN, both[1], sender_id)


@given(payments())
@settings(max_examples=800, deadline=None)
def test_match_keys_of_a_payment_are_the_same_by_whoever_read_it(
    both: tuple[Payment, Payment] | None,
) -> None:
    if both is not None:
        assert match_keys(both[0]) == match_keys_by_twin(both[1]) == match_keys(both[1])


def test_a_payment_whose_number_is_dropped_has_no_name_of_it() -> None:
    payload = good_request().SerializeToString()
    engine, twin = READ(payload, NOW_MS + 10**12), read_by_twin(payload, NOW_MS + 10**12)
    assert isinstance(twin, Payment)
    before = names_of(ENGINE, engine, "shop-1")
    for one in (engine, twin):
        one.drop_pan()
    assert names_of(ENGINE, engine, "shop-1") == names_of(TWIN, twin, "shop-1") != before
