"""The sequence against published numbers, and its promise against simulated looks."""

import math

import numpy as np
import pytest

from gateway.measurement.confidence import (
    ALPHA,
    TUNED_AT_CARDS,
    Z_95,
    best_rho,
    normal_mixture_bound,
    sequence_factor,
)
from gateway.measurement.ratios import card_sums, relative_difference
from gateway.measurement.uplift import BURN_IN_CARDS


def test_best_rho_is_the_published_value() -> None:
    assert best_rho(100, 0.05) == pytest.approx(12.60056, abs=5e-6)


def test_the_two_sided_normal_mixture_bound_is_the_published_value() -> None:
    bound = normal_mixture_bound(100, rho=best_rho(100, 0.05), alpha=0.05)
    assert bound == pytest.approx(30.35209, abs=5e-6)


@pytest.mark.parametrize("cards", [1_000, 6_461, 250_000])
def test_the_factor_is_the_formula_of_the_paper(cards: int) -> None:
    log_term = -2 * math.log(ALPHA)
    r = (log_term + math.log(log_term + 1)) / TUNED_AT_CARDS
    x = cards * r
    expected = math.sqrt(2 * (x + 1) / x * math.log(math.sqrt(x + 1) / ALPHA))
    assert sequence_factor(cards) == pytest.approx(expected, rel=1e-12)


def test_the_relative_interval_of_the_reference_case_is_the_published_one() -> None:
    holdout = card_sums([(1, 1)] * 1396 + [(1, 0)] * (3000 - 1396))
    treatment = card_sums([(1, 1)] * 2422 + [(1, 0)] * (3461 - 2422))
    found = relative_difference(treatment, holdout)
    half_width = sequence_factor(3000 + 3461) * found.standard_error
    # The reference divides variances by n, we by n - 1: that shows in the fifth decimal.
    assert found.standard_error == pytest.approx(0.03386, abs=1e-5)
    assert found.value - half_width == pytest.approx(0.40098, abs=2.5e-5)
    assert found.value + half_width == pytest.approx(0.60675, abs=2.5e-5)


@pytest.mark.parametrize("cards", [2 * BURN_IN_CARDS, 2_000, 5_000, 10_000, 50_000, 190_000])
def test_past_burn_in_the_sequence_is_at_most_1_75_times_a_fixed_interval(cards: int) -> None:
    assert sequence_factor(cards) / Z_95 <= 1.75


def _false_positives(*, treated: float, runs: int, seed: int) -> tuple[float, float]:
    """Share of A/A runs in which the sequence, and in which plain z, is ever significant."""
    generator = np.random.default_rng(seed)
    cards, looks = 20_000, np.arange(1, 101) * 200
    sequence_hits = z_hits = 0
    for _ in range(runs):
        payments = 1 + generator.poisson(0.8, cards)
        approved = generator.binomial(payments, generator.beta(17, 3, cards))
        arm = generator.random(cards) < treated
        sums = {}
        for side in (True, False):
            n, y = np.where(arm == side, payments, 0), np.where(arm == side, approved, 0)
            columns = (arm == side, n, y, n * n, y * y, n * y)
            sums[side] = [np.cumsum(column)[looks - 1].astype(float) for column in columns]
        variance, rates = 0.0, []
        for side in (True, False):
            k, n, y, nn, yy, ny = sums[side]
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = y / n
                variance = variance + (yy - 2 * rate * ny + rate * rate * nn) * k / (k - 1) / (n * n)
            rates.append(rate)
        past = np.minimum(sums[True][0], sums[False][0]) >= BURN_IN_CARDS
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.abs(rates[0] - rates[1]) / np.sqrt(variance)
        factors = np.array([sequence_factor(int(look)) for look in looks])
        sequence_hits += bool(np.any(past & (z > factors)))
        # Plain z knows no burn-in: whoever peeks with it does so from the first look on.
        z_hits += bool(np.any(z > Z_95))
    return sequence_hits / runs, z_hits / runs


@pytest.mark.parametrize("treated", [0.5, 0.95])
def test_at_a_hundred_looks_at_nothing_the_sequence_errs_in_at_most_5_percent_and_plain_z_far_more(
    treated: float,
) -> None:
    sequence, z = _false_positives(treated=treated, runs=200, seed=20261121)
    assert sequence <= 0.05
    assert z >= 0.25
