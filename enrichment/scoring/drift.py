"""How far what is seen has moved from what a model was trained on: the population stability index.

PSI = sum over bins of (seen - trained) * ln(seen / trained), shares by bin. As read in credit scoring since
Siddiqi (Credit Risk Scorecards, 2006): under 0.1 no change to speak of, over 0.25 a shift to act upon.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import inf, log, nextafter
from typing import Final, NamedTuple

SHIFTED: Final = 0.25
"""PSI from which a distribution counts as shifted."""

LEAST_SHARE: Final = 1e-4
"""Stands for an empty bin, whose logarithm has no bound."""

BINS: Final = 10
"""Deciles of the training rows; one bin more for what is absent."""


class Distribution(NamedTuple):
    """Shares of the training rows between `edges`, lowest first, and at last the share that is absent."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]


def counted(edges: Sequence[float], values: Iterable[float]) -> list[int]:
    """How many values lie below the first edge, from each edge on, and, at last, are NaN."""
    counts = [0] * (len(edges) + 2)
    for value in values:
        counts[bisect_right(edges, value) if value == value else -1] += 1
    return counts


def distribution(values: Sequence[float], bins: int = BINS) -> Distribution:
    """Edges at the quantiles of the values that are there, or at the values themselves where they are few;
    and one behind the highest, so that what was never seen has a bin."""
    present = sorted([value for value in values if value == value])
    distinct = sorted(set(present))
    if len(distinct) > bins:
        distinct = sorted({present[len(present) * at // bins] for at in range(1, bins)})
    edges = (*distinct, nextafter(present[-1], inf)) if present else ()
    total = max(1, len(values))
    return Distribution(edges, tuple([count / total for count in counted(edges, values)]))


def psi(trained: Distribution, counts: Sequence[int]) -> float:
    """PSI of what was counted by `counted(trained.edges, ...)`; 0 where nothing was."""
    total = sum(counts)
    if not total:
        return 0.0
    index = 0.0
    for share, count in zip(trained.shares, counts, strict=True):
        before, now = max(share, LEAST_SHARE), max(count / total, LEAST_SHARE)
        index += (now - before) * log(now / before)
    return index
