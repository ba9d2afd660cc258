"""A million release decisions of policies drawn by chance: the table and the documents say the same."""

import time
from collections import Counter
from random import Random
from typing import Any

from tests.property import release_reference as reference
from tests.property.release_cases import bounds_of, differences, policy_of, query_of, snapshot_of
from tests.property.release_mutants import COMPILER, RULES
from tests.property.test_release_mutants import SEEDS, caught

PAYMENTS = 200
POLICIES = {False: 250, True: 5_000}
"""5,000 policies of 200 payments are a million."""


def _mutants() -> dict[str, Any]:
    cases = [
        (seed, documents, snapshot_of(documents)) for seed in SEEDS for documents in [policy_of(Random(seed))]
    ]
    mutants = COMPILER + RULES
    survived = [one for one in mutants if caught(one, cases) is None]
    assert not survived, f"survived: {survived}"
    return {"mutants": len(mutants), "caught": len(mutants), "of_the_compiler": len(COMPILER)}


def run(full: bool) -> dict[str, Any]:
    first_seed = time.time_ns() // 1_000_000 * 100_000
    reached: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + POLICIES[full]):
        source = Random(seed)
        documents = policy_of(source)
        found = next(differences(documents, snapshot_of(documents), source, PAYMENTS), None)
        assert found is None, f"seed {seed}: {found}"
        # What the cases are about, from one payment of each policy.
        query = query_of(source, bounds_of(documents))
        decided = reference.decide(documents, "bank-a", "one", query)
        reached[decided if isinstance(decided, str) else "released"] += 1
    return {
        "first_seed": first_seed,
        "policies": POLICIES[full],
        "payments": POLICIES[full] * PAYMENTS,
        "answers_of_one_payment_a_policy": dict(reached.most_common()),
        **_mutants(),
    }
