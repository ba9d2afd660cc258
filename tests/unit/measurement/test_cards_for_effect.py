"""How much traffic an effect takes before the sequence shows it."""

import math
from pathlib import Path
from random import Random

import pytest

from gateway.measurement.confidence import Z_80, cards_for_effect, sequence_factor


@pytest.mark.parametrize("effect", [0.003, 0.01, 0.05])
def test_one_card_fewer_would_not_show_the_effect(effect: float) -> None:
    cards = cards_for_effect(effect, rate=0.85)

    def needed(n: int) -> float:
        return (sequence_factor(n) + Z_80) * math.sqrt(4 * 0.85 * 0.15 / n)

    assert needed(cards) <= effect < needed(cards - 1)


def test_the_readme_says_what_one_point_takes() -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text()
    thousands = round(cards_for_effect(0.01, rate=0.85), -3)
    assert f"about {thousands:,} payments" in readme


def test_about_four_in_five_experiments_of_that_size_exclude_zero() -> None:
    effect, rate, seed = 0.05, 0.85, 11
    cards = cards_for_effect(effect, rate=rate)
    random, shown, runs = Random(seed), 0, 400
    for _ in range(runs):
        half = cards // 2
        treated = sum(random.random() < rate + effect / 2 for _ in range(half)) / half
        held = sum(random.random() < rate - effect / 2 for _ in range(half)) / half
        error = math.sqrt((treated * (1 - treated) + held * (1 - held)) / half)
        shown += treated - held > sequence_factor(cards) * error
    assert 0.74 <= shown / runs <= 0.88, f"seed {seed}: {shown} of {runs}"
