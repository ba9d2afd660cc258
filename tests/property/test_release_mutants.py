"""The property sees a mistake in the compiler or the rules: every mutant of them is caught."""

from random import Random

import pytest

from gateway.programs.model import PolicySnapshot
from tests.property.release_cases import Document, differences, policy_of, snapshot_of
from tests.property.release_mutants import COMPILER, RULES, Mutant, loaded

SEEDS = range(200)
PAYMENTS = 100
UNCHANGED = Mutant("release", "# What `Release(...)` does", "# What `Release(...)`  does")

Case = tuple[int, dict[str, Document], PolicySnapshot]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """The policies are made once: only the table differs from mutant to mutant."""
    made = [(seed, policy_of(Random(seed))) for seed in SEEDS]
    return [(seed, documents, snapshot_of(documents)) for seed, documents in made]


def caught(mutant: Mutant, cases: list[Case]) -> str | None:
    """What gives a mutant away, in the first policy that does."""
    with loaded(mutant) as module:
        for seed, documents, snapshot in cases:
            try:
                found = next(differences(documents, snapshot, Random(seed), PAYMENTS, module), None)
            except AssertionError as fault:
                found = str(fault)
            if found is not None:
                return found
    return None


def test_every_mutant_is_caught_by_the_property(cases: list[Case]) -> None:
    mutants = COMPILER + RULES
    survived = [one for one in mutants if caught(one, cases) is None]
    assert not survived, f"{len(survived)} of {len(mutants)} survived: {survived}"


def test_there_are_twenty_mutants_of_the_compiler_and_no_two_are_alike() -> None:
    assert len(COMPILER) >= 20
    assert len({*COMPILER, *RULES}) == len(COMPILER) + len(RULES)


def test_what_changes_nothing_survives(cases: list[Case]) -> None:
    assert caught(UNCHANGED, cases) is None
