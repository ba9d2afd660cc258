"""Rates whose payments come in cards: ratios of card sums, with cards as clusters.

Payments of one card resemble each other. Errors counted by payment call 20% of null differences significant
where errors counted by card call 5%: so every statistic starts from sums over cards.
"""

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class CardSums:
    """Sufficient statistics of one arm. Integers; a card has n payments of which y were approved."""

    cards: int = 0
    n: int = 0
    y: int = 0
    nn: int = 0
    yy: int = 0
    ny: int = 0

    def __add__(self, other: "CardSums") -> "CardSums":
        return CardSums(
            cards=self.cards + other.cards,
            n=self.n + other.n,
            y=self.y + other.y,
            nn=self.nn + other.nn,
            yy=self.yy + other.yy,
            ny=self.ny + other.ny,
        )

    @property
    def rate(self) -> float:
        """Approved payments over payments. Undefined without payments."""
        return self.y / self.n

    @property
    def rate_variance(self) -> float:
        """Variance of `rate` by the delta method over cards. Exact integers until the last division."""
        squares = self.n * self.n * self.yy - 2 * self.n * self.y * self.ny + self.y * self.y * self.nn
        return float(Fraction(squares * self.cards, (self.cards - 1) * self.n**4))


def card_sums(cards: list[tuple[int, int]]) -> CardSums:
    """Sums over cards given as (payments, approved)."""
    return CardSums(
        cards=len(cards),
        n=sum(n for n, _ in cards),
        y=sum(y for _, y in cards),
        nn=sum(n * n for n, _ in cards),
        yy=sum(y * y for _, y in cards),
        ny=sum(n * y for n, y in cards),
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference with its standard error."""

    value: float
    standard_error: float


def difference(treatment: CardSums, holdout: CardSums) -> Difference:
    """Rate of treatment less rate of holdout. Needs two cards and a payment in each arm."""
    return Difference(
        value=treatment.rate - holdout.rate,
        standard_error=math.sqrt(treatment.rate_variance + holdout.rate_variance),
    )


def relative_difference(treatment: CardSums, holdout: CardSums) -> Difference:
    """The difference as a share of the holdout's rate, which must not be 0. Delta method."""
    base = holdout.rate
    ratio = treatment.rate / base
    variance = (treatment.rate_variance + ratio * ratio * holdout.rate_variance) / (base * base)
    return Difference(value=ratio - 1.0, standard_error=math.sqrt(variance))
