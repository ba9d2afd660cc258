"""What a score is worth: ranking (AUC) and truthfulness (calibration), in numpy alone."""

from typing import Any, Final

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

ECE_BINS: Final = 20
"""Bins of as many payments each: fraud is rare, so that bins of equal width would put nearly all into one."""


def auc(scores: Floats, truth: Floats) -> float:
    """Share of pairs of a fraud and a good payment in which the fraud scores higher; ties count half."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    _, first, counts = np.unique(ranked, return_index=True, return_counts=True)
    ranks = np.empty(len(scores))
    ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
    bad = float(truth.sum())
    good = len(truth) - bad
    if not bad or not good:
        return float("nan")
    return float((ranks[truth > 0].sum() - bad * (bad + 1) / 2) / (bad * good))


def ece(probability: Floats, truth: Floats, bins: int = ECE_BINS) -> float:
    """Expected calibration error: |mean probability - share of fraud| by bin of equal size, averaged."""
    # A seeded order among ties: sorted by time, a constant would have its bins be weeks.
    shuffled = np.random.default_rng(1).permutation(len(truth))
    order = shuffled[np.argsort(probability[shuffled], kind="stable")]
    parts = np.array_split(order, bins)
    gaps = [abs(probability[part].mean() - truth[part].mean()) * len(part) for part in parts if len(part)]
    return float(sum(gaps) / len(truth))


def brier(probability: Floats, truth: Floats) -> float:
    """Mean squared error of the probability."""
    return float(np.mean((probability - truth) ** 2))


def figures(probability: Floats, truth: Floats) -> dict[str, float]:
    """The three, rounded to what such counts can tell."""
    return {
        "auc": round(auc(probability, truth), 4),
        "ece": round(ece(probability, truth), 5),
        "brier": round(brier(probability, truth), 5),
    }
