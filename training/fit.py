"""Fits trees and their calibration to rows with labels. The same rows give the same bytes."""

from typing import Any, Final

import lightgbm
import numpy as np

from enrichment.scoring.features import FEATURES, MONOTONE
from enrichment.scoring.manifest import Calibration
from training.figures import Floats

ROUNDS: Final = 80
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "binary",
    # Small trees and few: 2 us a row, 100 KB, and reasons in 0.1 ms. Plain choices, searched for on no data.
    "num_leaves": 12,
    "learning_rate": 0.1,
    "min_data_in_leaf": 40,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "monotone_constraints_method": "intermediate",
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 1,
    "verbosity": -1,
}
BLOCKS: Final = 4
"""Calibration is fitted to scores of trees that had not seen the row: blocks of days, each left out once."""

CALIBRATION_BINS: Final = 48
"""Bins by payments and as many by frauds, before isotonic regression joins what does not rise."""


class Fitted:
    """Trees and calibration."""

    def __init__(self, booster: Any, calibration: Calibration, unseen: Floats) -> None:
        self.booster = booster
        self.calibration = calibration
        self.unseen = unseen
        """Raw scores of the training rows by models that had not seen them."""

    def raw(self, rows: Floats) -> Floats:
        return np.asarray(self.booster.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)

    def probability(self, rows: Floats) -> Floats:
        return calibrated(self.calibration, self.raw(rows))

    def text(self) -> bytes:
        """The model file."""
        text: str = self.booster.model_to_string()
        return text.encode()


def fit(
    rows: Floats, known: Floats, weights: Floats, ripe: Any, *, columns: list[int] | None = None
) -> Fitted:
    """Trees over `rows`, or over some of their columns alone, calibrated on the ripe ones of those rows, by
    trees that had not seen them."""
    unseen = np.empty(len(rows))
    for left_out in np.array_split(np.arange(len(rows)), BLOCKS):
        inside = np.ones(len(rows), dtype=bool)
        inside[left_out] = False
        trees = _trees(rows[inside], known[inside], weights[inside], columns)
        unseen[left_out] = trees.predict(rows[left_out], raw_score=True, num_threads=1)
    return Fitted(
        _trees(rows, known, weights, columns), isotonic(unseen[ripe], known[ripe], weights[ripe]), unseen
    )


def _trees(rows: Floats, known: Floats, weights: Floats, columns: list[int] | None) -> Any:
    used = rows
    if columns is not None:
        used = np.full_like(rows, np.nan)
        used[:, columns] = rows[:, columns]
    data = lightgbm.Dataset(
        used, known, weight=weights, feature_name=list(FEATURES), params={"verbosity": -1}, free_raw_data=True
    )
    return lightgbm.train({**PARAMETERS, "monotone_constraints": list(MONOTONE)}, data, ROUNDS)


def isotonic(raw: Floats, known: Floats, weights: Floats) -> Calibration:
    """Rising steps from raw score to probability: pool adjacent violators over bins of scores.

    A bin's probability is the weight of its known frauds over all its payments: the weights stand for frauds
    that are among those payments already, not reported yet.
    """
    edges = np.unique(
        np.concatenate([_quantiles(raw, CALIBRATION_BINS), _quantiles(raw[known > 0], CALIBRATION_BINS)])
    )
    bins = np.searchsorted(edges, raw, "right")
    mass = np.bincount(bins, minlength=len(edges) + 1)
    bad = np.bincount(bins, weights * known, len(edges) + 1)
    starts = np.concatenate([[raw.min()], edges])
    steps: list[list[float]] = []
    for start, weight, fraud in zip(starts, mass, bad, strict=True):
        if not weight:
            continue
        steps.append([float(start), float(weight), float(fraud)])
        while len(steps) > 1 and steps[-1][2] / steps[-1][1] <= steps[-2][2] / steps[-2][1]:
            _, more, worse = steps.pop()
            steps[-1][1] += more
            steps[-1][2] += worse
    least = tuple(step[0] for step in steps)
    standing = np.searchsorted(np.asarray(least[1:]), raw, "right")
    below = np.cumsum(np.bincount(standing, minlength=len(least))) - np.bincount(
        standing, minlength=len(least)
    )
    return Calibration(
        least,
        tuple(min(1.0, round(step[2] / step[1], 6)) for step in steps),
        tuple(round(float(share), 2) for share in below / len(raw) * 100),
    )


def _quantiles(values: Floats, bins: int) -> Floats:
    if not len(values):
        return np.empty(0)
    return np.asarray(np.quantile(values, np.arange(1, bins) / bins, method="lower"), dtype=np.float64)


def calibrated(calibration: Calibration, raw: Floats) -> Floats:
    """Probability by raw score, as the gateway looks it up."""
    place = np.searchsorted(np.asarray(calibration.least[1:]), raw, "right")
    return np.asarray(calibration.probability, dtype=np.float64)[place]
