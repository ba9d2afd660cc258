"""Estimates: what they hold, and when they say that they cannot."""

import numpy as np
import pytest

from gateway.measurement.ratios import CardSums, card_sums, difference
from gateway.measurement.uplift import BURN_IN_CARDS, estimate_uplift


def _arm(generator: np.random.Generator, cards: int, *, effect: float) -> CardSums:
    payments = 1 + generator.poisson(0.8, cards)
    approved = generator.binomial(payments, np.clip(generator.beta(17, 3, cards) + effect, 0, 1))
    return card_sums(list(zip(payments.tolist(), approved.tolist(), strict=True)))


def test_below_burn_in_there_is_no_interval_and_the_smaller_arm_says_how_far_it_is() -> None:
    small, large = card_sums([(1, 1), (1, 0)] * 60), card_sums([(1, 1), (1, 0)] * 400)
    found = estimate_uplift(large, small)
    assert found.absolute is None
    assert found.relative is None
    assert found.no_interval_reason == f"too few cards (120 of {BURN_IN_CARDS})"


def test_at_burn_in_there_is_an_interval() -> None:
    arm = card_sums([(1, 1), (1, 0)] * (BURN_IN_CARDS // 2))
    assert estimate_uplift(arm, arm).absolute is not None


def test_an_arm_that_has_hardly_a_decline_has_no_interval() -> None:
    always, mostly = card_sums([(1, 1)] * 600), card_sums([(1, 1), (1, 0)] * 300)
    found = estimate_uplift(always, mostly)
    assert found.absolute is None
    assert found.no_interval_reason == "too few approvals or declines (0 of 10)"


def test_an_empty_arm_has_no_estimate_at_all() -> None:
    found = estimate_uplift(CardSums(), card_sums([(1, 1)] * 600))
    assert found.difference is None
    assert found.no_interval_reason == "too few cards (0 of 500)"


def test_the_standard_error_counts_cards_and_not_payments() -> None:
    # Ten payments a card, all alike: ten times the payments know no more than the cards.
    once = card_sums([(1, 1)] * 400 + [(1, 0)] * 200)
    ten_times = card_sums([(10, 10)] * 400 + [(10, 0)] * 200)
    assert difference(ten_times, ten_times).standard_error == pytest.approx(
        difference(once, once).standard_error, rel=1e-12
    )


def test_the_interval_holds_the_true_effect_in_at_least_95_percent_of_runs() -> None:
    generator = np.random.default_rng(7)
    runs, held = 300, 0
    for _ in range(runs):
        found = estimate_uplift(_arm(generator, 800, effect=0.05), _arm(generator, 800, effect=0.0))
        assert found.absolute is not None
        # Cards that pay more often are no different here; clipping at 1 takes a little of the effect.
        held += found.absolute.lower <= 0.0478 <= found.absolute.upper
    assert held / runs >= 0.95
