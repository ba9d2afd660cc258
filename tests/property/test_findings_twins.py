"""What the engine finds for our providers is to Python the dict of values that its twin makes."""

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichment.payment import Facts
from enrichment.providers.amounts import Amounts
from enrichment.providers.merchant import Merchant
from enrichment.reader import native_reader
from enrichment.scoring.features import found as row_of
from enrichment.scoring.features import make_pack
from enrichment.signals import PROVIDED
from gateway.runtime.native import engines
from gateway.sharing.fetch import Budgeted
from tests.kit.payments import payment
from tests.property.test_looks_twins import Another, Asks
from tests.unit.enrichment.requests import NOW_MS as MADE_MS
from tests.unit.enrichment.requests import full_request
from tests.unit.sharing.kit import NOW_MS, Kit

if not hasattr(engines, "Findings"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

NAMES = st.sampled_from(sorted(PROVIDED)) | st.text(max_size=5)
FOUND = st.dictionaries(NAMES, st.integers() | st.text(max_size=5) | st.booleans())
FEW = st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 1))


def facts_of(*providers: Any, **options: Any) -> list[Any]:
    kit = Kit(providers=[Budgeted(one, 2_000_000) for one in providers])
    kit.scorer = Asks()
    kit.gateway = kit.make_gateway()
    kit.renew()
    options = {"card": 1, "now_ms": NOW_MS, **options}
    for run in range(4):
        kit.results(*[payment(at, prefix=str(run), **options) for at in range(2)])
    assert not kit.faults
    return [facts for _, facts in kit.scorer.facts]


@given(FOUND, NAMES)
def test_it_has_the_names_and_values_of_the_dict_in_its_order(found: Any, other: str) -> None:
    findings = engines.Findings(found)
    assert len(findings) == len(found)
    assert bool(findings) is bool(found)
    assert list(findings) == list(findings.keys()) == list(found)
    assert list(findings.values()) == list(found.values())
    assert list(findings.items()) == list(found.items())
    assert dict(findings) == {**findings} == found
    for name in (*found, other, None, 7):
        assert findings.get(name) == found.get(name)
        assert findings.get(name, "else") == found.get(name, "else")
        assert (name in findings) is (name in found)
    for name, value in found.items():
        assert findings[name] is value
    if other not in found:
        with pytest.raises(KeyError):
            findings[other]


@given(FEW, FEW | st.sampled_from([None, 0, [], ()]))
def test_it_compares_as_the_dict_does_with_dicts_its_like_and_others(found: Any, other: Any) -> None:
    findings = engines.Findings(found)
    others = [other, engines.Findings(other)] if isinstance(other, dict) else [other]
    for way in (operator.eq, operator.ne):
        for one in others:
            assert way(findings, one) is way(one, findings) is way(found, other)
    assert (Facts(None, (), findings) == Facts(None, (), other)) is (found == other)


def test_it_is_no_key_and_takes_no_values() -> None:
    findings = engines.Findings({"mcc_risk": 1})
    with pytest.raises(TypeError):
        hash(findings)
    with pytest.raises(TypeError):
        findings["mcc_risk"] = 2


@given(FOUND, st.sampled_from(["", "US"]))
def test_the_twin_makes_the_same_row_of_it(found: Any, home: str) -> None:
    of_dict = row_of(Facts(None, (), found), home)
    assert repr(row_of(Facts(None, (), engines.Findings(found)), home)) == repr(of_dict)


def test_what_is_not_known_has_no_name_in_it() -> None:
    assert not engines.Findings({"mcc_risk": None})


def test_of_ours_alone_no_dict_is_made_and_with_others_it_has_both() -> None:
    first, *_, last = facts_of(Merchant(), Amounts())
    assert type(first.found) is type(last.found) is engines.Findings
    assert set(first.found) < set(last.found)  # what Amounts knows of a first payment is nothing
    assert last.mask == sum(PROVIDED.get(name, 0) for name in last.found)
    (*_, joined) = facts_of(Merchant(), Another(), Amounts())
    assert type(joined.found) is dict
    assert joined.found.items() >= dict(last.found).items()
    assert joined.mask == sum(PROVIDED.get(name, 0) for name in joined.found)
    assert "a_hint" in joined.found


def test_of_two_that_know_one_name_the_later_counts_where_it_knows_something() -> None:
    one, other = Merchant(rates_named=True), Merchant(rates_named=True)
    one.use({("shop-1", "m-1"): (12, 5)})
    other.use({("shop-1", "m-1"): (34, None)})
    rows = set()
    for pair in ((one, other), (other, one)):
        facts = facts_of(*pair, merchant_id="m-1")[0]
        assert type(facts.found) is engines.Findings
        rows.add((facts.found["merchant_fraud_rate_bp"], facts.found["merchant_dispute_rate_bp"]))
        pack = make_pack(engines)
        read = native_reader(engines).read(full_request().SerializeToString(), MADE_MS)
        of_dict = facts._replace(found=dict(facts.found))
        assert pack([(read, facts, None)]) == pack([(read, of_dict, None)])
    assert rows == {(34, 5), (12, 5)}


def test_a_repr_shows_no_value() -> None:
    findings = engines.Findings({"ip_country": "ZZ"})
    assert repr(findings) == str(findings) == "Findings(****)"
    assert "ZZ" not in repr(Facts(None, (), findings))
