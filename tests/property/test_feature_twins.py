"""Rows for the model: the engine makes those of what it has read as its twin does, bit for bit."""

import struct
from math import nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.payment import Facts, Payment
from enrichment.reader import native_reader, read_by_twin
from enrichment.scoring import features
from enrichment.scoring.features import FEATURES, make_pack, pack_by_twin
from gateway.runtime.native import engines
from tests.bad_input import good_request
from tests.property.test_reader_twins import spoil
from tests.unit.enrichment.requests import NOW_MS, full_request, least_request

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

READ = native_reader(engines).read
PACK = make_pack(engines)
ROW_BYTES = 8 * len(FEATURES)

COUNTS = st.tuples(*[st.integers(0, 70_000)] * 8)
VELOCITIES = st.one_of(st.none(), st.tuples(*[st.one_of(st.none(), COUNTS)] * 5))
NUMBERS = st.one_of(
    st.none(),
    st.integers(-1000, 2**40),
    st.floats(),
    st.booleans(),
    st.sampled_from([0, 0.0, -0.0, nan, 2**60]),
)
WORDS = st.sampled_from(
    [None, "", "US", "GB", "none", "vpn", "disposable", "free", "likely", "possible", "x"]
)
FOUND = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("ip_country", "ip_anonymised", "email_domain_type", "card_testing"), WORDS),
            **dict.fromkeys(
                (
                    "email_digits_percent", "device_on_card_age_days", "amount_to_card_mean",
                    "amount_to_merchant_mean", "mcc_risk", "merchant_fraud_rate_bp",
                    "merchant_dispute_rate_bp",
                ),
                NUMBERS,
            ),
            **dict.fromkeys(("phone_fits_billing", "authentication_fits"), st.one_of(st.booleans(), NUMBERS)),
            "of_a_third_party": st.just([1]),
        },
    ),
)  # fmt: skip
ASKED = st.tuples(VELOCITIES, FOUND, st.sampled_from([None, True, False]))


def read(request: Any) -> Payment | None:
    found: Payment | None = READ(request.SerializeToString(), NOW_MS)
    return found


def spoiled(data: st.DataObject) -> Payment | None:
    request = data.draw(st.sampled_from([full_request, least_request, good_request]))()
    spoil(request, data)
    return read(request)


@given(st.lists(ASKED, max_size=3))
@settings(max_examples=200, deadline=None)
def test_rows_are_the_same_whichever_twin_has_counted_and_looked(drawn: list[Any]) -> None:
    payment = read(full_request())
    by_engine, by_twin = [], []
    for velocity, found, match in drawn:
        counted = None if velocity is None else engines.Counted(velocity)
        by_engine.append((payment, Facts(counted, (), engines.Findings(found)), match))
        by_twin.append((payment, Facts(velocity, (), found), match))
    rows = pack_by_twin(by_twin)  # type: ignore[arg-type]
    assert PACK(by_twin) == PACK(by_engine) == pack_by_twin(by_engine) == rows  # type: ignore[arg-type]


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_rows_of_what_was_read_are_the_twins_bit_for_bit(data: st.DataObject) -> None:
    asked: list[Any] = []
    for velocity, found, match in data.draw(st.lists(ASKED, max_size=3)):
        payment = spoiled(data)
        if payment is not None:
            asked.append((payment, Facts(velocity, (), found), match))
    assert PACK(asked) == pack_by_twin(asked)


def test_what_the_engine_has_not_read_is_the_twins_row() -> None:
    request = full_request()
    by_engine, by_twin = read(request), read_by_twin(request.SerializeToString(), NOW_MS)
    facts = Facts(None, (), {"mcc_risk": 3})
    assert PACK([(by_engine, facts, None)]) == PACK([(by_twin, facts, None)])  # type: ignore[list-item]


@pytest.mark.parametrize("found", [{"ip_country": 5}, {"card_testing": ["likely"]}, {"ip_anonymised": 0}])
def test_what_is_unusual_is_left_to_the_twin_and_its_neighbours_are_not_touched(
    found: dict[str, Any],
) -> None:
    usual, odd = read(full_request()), read(full_request())
    assert usual is not None
    assert odd is not None
    asked: Any = [(usual, Facts(), True), (odd, Facts(None, (), found), None), (usual, Facts(), False)]
    if found == {"card_testing": ["likely"]}:
        for pack in (PACK, pack_by_twin):
            with pytest.raises(TypeError):  # a list is no key: both say so
                pack(asked)
        return
    assert PACK(asked) == pack_by_twin(asked)


@pytest.mark.parametrize("value", ["many", [3], {}])
def test_what_is_no_number_is_a_fault_of_both(value: Any) -> None:
    asked: Any = [(read(full_request()), Facts(None, (), {"mcc_risk": value}), None)]
    for pack in (PACK, pack_by_twin):
        with pytest.raises((TypeError, struct.error)):
            pack(asked)


@pytest.mark.parametrize("make", [full_request, least_request, good_request])
def test_a_good_request_does_not_need_the_twin(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "row", lambda *asked: 1 / 0)
    payment = READ(make().SerializeToString(), NOW_MS + 10**12)
    counts = (1, 2, 3, 4, 1, 1, 2, 2)
    velocity = (counts, None, counts, None, counts)
    found = {"mcc_risk": 2}
    for facts in (Facts(velocity, (), found), Facts(engines.Counted(velocity), (), engines.Findings(found))):
        asked: Any = [(payment, facts, True)]
        assert len(make_pack(engines)(asked)) == ROW_BYTES


def test_none_asked_no_rows() -> None:
    assert PACK([]) == pack_by_twin([]) == b""
