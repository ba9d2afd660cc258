"""Asymptotic confidence sequences: intervals that hold at every look, however often one looks.

Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences" (2021), in the two-sided normal mixture form of Howard, Ramdas, McAuliffe, Sekhon (2021).
"""

import math

ALPHA = 0.05
"""Two-sided error over all looks together: 95% sequences, as dashboards and guardrails use them."""

TUNED_AT_CARDS = 5_000
"""N*: number of cards (both arms) at which the sequence is tightest. Fixed ahead, never fitted to the data.

GrowthBook's default. Against a fixed 95% interval the sequence is 1.55 times as wide at N*, and at most 1.75
times from 900 to 190,000 cards: every estimate past burn-in (two arms of 500) starts inside that.
"""

Z_95 = 1.959963984540054
"""Two-sided 95% point of the normal distribution: what a fixed interval would use."""

Z_80 = 0.8416212335729143
"""One-sided 80% point of the normal distribution: the usual power of a test."""


def best_rho(variance_opt: float, alpha: float) -> float:
    """Mixture parameter whose two-sided bound is tightest at `variance_opt` (unit: variance)."""
    log_term = -2.0 * math.log(alpha)
    return variance_opt / (log_term + math.log1p(log_term))


def normal_mixture_bound(variance: float, *, rho: float, alpha: float) -> float:
    """Two-sided bound on a sum of `variance` intrinsic time that holds at all times with chance 1 - alpha."""
    return math.sqrt((variance + rho) * (math.log((variance + rho) / rho) - 2.0 * math.log(alpha)))


def sequence_factor(cards: int, *, tuned_at: int = TUNED_AT_CARDS, alpha: float = ALPHA) -> float:
    """Half-width of the sequence in standard errors, at `cards` independent units seen so far."""
    rho = best_rho(tuned_at, alpha)
    return normal_mixture_bound(cards, rho=rho, alpha=alpha) / math.sqrt(cards)


def cards_for_effect(effect: float, *, rate: float, payments_a_card: float = 1.0) -> int:
    """Cards in both arms, half and half, that show an absolute `effect` on `rate` with 80% power.

    For independent payments; payments of one card that resemble each other ask for more.
    """
    variance = 2 * 2 * rate * (1.0 - rate) / payments_a_card
    low, high = 2, 1 << 40
    while low < high:
        cards = (low + high) // 2
        shown = effect >= (sequence_factor(cards) + Z_80) * math.sqrt(variance / cards)
        low, high = (low, cards) if shown else (cards + 1, high)
    return low
