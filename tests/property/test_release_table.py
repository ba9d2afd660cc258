"""The compiled table says what the documents say, for every policy and every payment."""

from random import Random

from hypothesis import Phase, given, settings

from gateway.programs.table import compile_table
from gateway.records.reasons import Reason
from tests.property import release_reference as reference
from tests.property.release_cases import (
    ISSUERS,
    PROGRAMS,
    SEEDS,
    bounds_of,
    differences,
    policy_of,
    query_of,
    snapshot_of,
)

POLICIES, PAYMENTS = 1_000, 200


# What is drawn from a seed does not shrink.
@given(SEEDS)
@settings(max_examples=POLICIES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_table_decides_as_the_documents_say(seed: int) -> None:
    source = Random(seed)
    documents = policy_of(source)
    assert next(differences(documents, snapshot_of(documents), source, PAYMENTS), None) is None


# Decided before the table is asked, or after it.
ELSEWHERE = {
    *(Reason.UNKNOWN_ISSUER, Reason.SHADOW, Reason.HOLDOUT, Reason.RAMP, Reason.KEY_UNAVAILABLE),
    *(Reason.POLICY_STALE, Reason.OVER_DEADLINE, Reason.OVERLOADED, Reason.JOURNAL_UNAVAILABLE),
    Reason.DUPLICATE_REQUEST,
}
OF_FIELDS = {
    *(Reason.PURPOSE_MISMATCH, Reason.NOT_ENROLLED, Reason.REGION_NOT_COVERED),
    *(Reason.MERCHANT_CONSENT_MISSING, Reason.BELOW_QUALITY),
}


def test_the_generated_cases_reach_every_answer_of_programs_and_of_fields() -> None:
    programs: set[str] = set()
    fields: set[str] = set()
    for seed in range(60):
        source = Random(seed)
        documents = policy_of(source)
        bounds = bounds_of(documents)
        for query in (query_of(source, bounds) for _ in range(60)):
            decided = reference.decide(documents, source.choice(ISSUERS), source.choice(PROGRAMS), query)
            if isinstance(decided, str):
                programs.add(decided)
            else:
                programs.add("released")
                fields |= {*decided[1].values()}
    assert programs == {"released", *(reason.name.lower() for reason in set(Reason) - ELSEWHERE)}
    assert fields == {reason.name.lower() for reason in OF_FIELDS}


def test_the_generated_payments_stand_at_every_kind_of_edge() -> None:
    source = Random(5)
    documents = policy_of(source)
    bounds = bounds_of(documents)
    moments = {query_of(source, bounds)["now_ms"] for _ in range(1_000)}
    assert moments >= {bound + shift for bound in bounds for shift in (-1, 0, 1)}
    assert len(bounds) > 3


@given(SEEDS)
@settings(max_examples=30, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_the_narrowest_iin_range_names_the_issuer(seed: int) -> None:
    source = Random(seed)
    documents = policy_of(source)
    table = compile_table(snapshot_of(documents))
    iins = [source.randint(90_100_000, 90_100_400) for _ in range(20)]
    for iin in [*iins, 0, 90_099_999, 90_100_299, 90_100_300, 99_999_999]:
        found = table.issuer_of(f"{iin:08d}")
        assert (found.issuer_id if found else None) == reference.issuer_of(documents, f"{iin:08d}")
    for iin6 in ("901001", "901002", "901003"):
        owners = {reference.issuer_of(documents, f"{iin6}{last:02d}") for last in range(100)}
        found = table.issuer_of(iin6)
        assert (found.issuer_id if found else None) == (owners.pop() if len(owners) == 1 else None)
