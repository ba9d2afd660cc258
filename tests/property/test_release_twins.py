"""The engine of a release and its twin give the same answers: the same objects, not only equal ones."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from gateway.programs.release import When
from gateway.programs.table import ProgramEntry, Query, Release, compile_table
from gateway.records.reasons import Reason, Withhold
from gateway.runtime.native import engines
from tests.property.release_cases import SEEDS, as_query, bounds_of, policy_of, query_of, snapshot_of

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)


class Text(str):
    """A text of another type."""


UNUSUAL: dict[str, list[Any]] = {
    "region": [Text("US"), None],
    "merchant_id": [Text("m1"), "", "\ud800", None],
    "platform_id": [Text("p1"), "\ud800", None],
    "channel": [True, 1.0, None, 2**70],
    "mcc": [Text("5411"), "\ud800", None],
    "amount_minor": [True, 1.5, -1, 2**63, 2**70],
    "merchant_country": [Text("US"), None],
    "available_mask": [True, (1 << 64) - 1, (1 << 64) + 6, (1 << 128) - 1, (1 << 128) + 6, -1],
    "below_quality_mask": [False, (1 << 64) - 1, 1 << 64, 1 << 127, (1 << 128) - 1, 1 << 128, -1, -3],
    "now_ms": [True, 1.5, 1.77e12, -(2**63), 2**63, 2**70],
    "subject_objected": [0, 1, None, "yes"],
}


def entries_and_bounds(source: Random) -> tuple[list[ProgramEntry], list[int]]:
    documents = policy_of(source)
    table = compile_table(snapshot_of(documents))
    entries = [entry for issuer in table.issuers.values() for entry in issuer.programs + issuer.after]
    return entries, bounds_of(documents)


def some_query(source: Random, bounds: list[int]) -> Query:
    plain = query_of(source, bounds)
    query: Query = as_query({**plain, "below_quality": frozenset()} if source.random() < 0.5 else plain)
    if source.random() < 0.3:
        name = source.choice(list(UNUSUAL))
        query = query._replace(**{name: source.choice(UNUSUAL[name])})
    return query


def assert_same(answer: Any, twin: Any) -> None:
    assert type(answer) is type(twin)
    if isinstance(twin, Withhold):
        assert answer is twin
    else:
        assert answer == twin
        assert type(answer.mask) is int
        assert answer.refusals is twin.refusals
        assert answer.consent_id is twin.consent_id


@given(SEEDS)
@settings(max_examples=80, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_engine_answers_what_its_twin_answers_or_leaves_it(seed: int) -> None:
    source = Random(seed)
    entries, bounds = entries_and_bounds(source)
    for query in (some_query(source, bounds) for _ in range(60)):
        for entry in entries:
            assert_same(entry.release(query), entry.release_by_twin(query))
            found = entry.engine.release(query) if entry.engine is not None else None
            if found is not None:
                assert_same(found, entry.release_by_twin(query))


def test_the_engine_itself_gives_every_answer_and_leaves_none_to_the_twin() -> None:
    answers: Counter[Any] = Counter()
    left = asked = 0
    for seed in range(60):
        source = Random(seed)
        entries, bounds = entries_and_bounds(source)
        for entry in entries:
            if entry.engine is None:
                continue
            for query in (as_query(query_of(source, bounds)) for _ in range(40)):
                found = entry.engine.release(query)
                asked, left = asked + 1, left + (found is None)
                answers[found.reason if isinstance(found, Withhold) else type(found)] += 1
    assert left == 0
    assert asked > 1000
    assert answers.keys() == {
        *(Release, Reason.OUTSIDE_VALIDITY, Reason.ATTESTATION_EXPIRED, Reason.REGION_UNKNOWN),
        *(Reason.REGION_NOT_COVERED, Reason.MERCHANT_OPTED_OUT, Reason.MERCHANT_CONSENT_MISSING),
        *(Reason.SUBJECT_OBJECTED, Reason.CONDITION_NOT_MET, Reason.BELOW_QUALITY),
    }


def an_entry() -> tuple[ProgramEntry, Query]:
    """An entry with an engine, and a query it releases for."""
    for seed in range(100):
        source = Random(seed)
        entries, bounds = entries_and_bounds(source)
        for entry in entries:
            for plain in (query_of(source, bounds) for _ in range(40)):
                query: Query = as_query({**plain, "below_quality": frozenset()})
                if entry.engine is not None and isinstance(entry.release(query), Release):
                    return entry, query
    raise AssertionError("no policy released anything")


def test_a_changed_copy_of_an_entry_answers_by_what_was_changed() -> None:
    entry, query = an_entry()
    killed = Withhold(Reason.KILLED)
    assert replace(entry, standing_refusal=killed).release(query) is killed
    late = replace(entry, valid_until_ms=query.now_ms).release(query)
    assert late == Withhold(Reason.OUTSIDE_VALIDITY)
    elsewhere = replace(entry, when=When(merchant_countries=frozenset(["ZZ"])))
    assert elsewhere.release(query) == Withhold(Reason.CONDITION_NOT_MET)


def test_what_is_no_query_is_left_to_the_twin_with_its_answer_or_its_error() -> None:
    entry, query = an_entry()
    plain: Any = tuple(query)
    assert entry.quick_release(plain) is None
    assert entry.release(plain) == entry.release_by_twin(query)
    short: Any = tuple.__new__(Query, plain[:5])
    with pytest.raises(ValueError, match="not enough values"):
        entry.release(short)
    conditional = replace(entry, when=When(channels=frozenset([1])))
    assert conditional.quick_release(query._replace(channel=[])) is None  # type: ignore[arg-type]
    unhashable: Any = query._replace(merchant_id=[])
    with pytest.raises(TypeError, match="unhashable"):
        entry.release(unhashable)


def test_all_entries_of_a_table_walk_the_same_consents() -> None:
    entries = [entry for entry in entries_and_bounds(Random(1))[0] if entry.engine is not None]
    assert len(entries) > 1
    assert len({id(entry.consents) for entry in entries}) == 1
