"""What was known at the cut, and no more: labels that had been reported, weighted for those still to come.

A fraud is reported weeks after its payment, so that the last weeks before a cut hold more fraud than is
known. Each known fraud of age a therefore counts 1 / F(a), where F is the share of frauds that are reported
within a. F itself is estimated from what was known at the cut alone, by the product limit for delays that are
seen only where they fit in (right truncation; Lagakos, Barraj and De Gruttola, Biometrika 1988).
"""

from typing import Any, Final

import numpy as np

from training.figures import Floats

LEAST_REPORTED: Final = 0.2
"""Payments so young that fewer of their frauds are reported calibrate nothing: most fraud among them is not
known. One early report stands for at most five frauds."""

Longs = np.ndarray[Any, np.dtype[np.int64]]

NOT_REPORTED: Final = np.iinfo(np.int64).max


def known_at(cut_ms: int, reported_at_ms: Longs) -> Floats:
    """1 where fraud had been reported before the cut; all else was not known, and is 0."""
    return (reported_at_ms < cut_ms).astype(np.float64)


def reported_within(delays: Floats, ages: Floats, at: Floats) -> Floats:
    """F at each of `at`, from the delays of known frauds and how old each of them was at the cut."""
    if not len(delays):
        return np.ones(len(at))
    ordered, by_age = np.sort(delays), np.sort(ages)
    distinct, counts = np.unique(ordered, return_counts=True)
    # At risk in reversed time: reported by then, and old enough for it to have been seen.
    at_risk = np.searchsorted(ordered, distinct, "right") - np.searchsorted(by_age, distinct, "left")
    kept = 1.0 - counts / np.maximum(at_risk, counts)
    kept[0] = 1.0  # below the shortest delay nothing is known: F stays what it is there
    # F just above a delay: the product over all longer ones.
    above = np.append(np.cumprod(kept[::-1])[::-1][1:], 1.0)
    place = np.searchsorted(distinct, at, "right") - 1
    return np.asarray(above[np.maximum(place, 0)], dtype=np.float64)


def weights(cut_ms: int, at_ms: Longs, reported_at_ms: Longs) -> tuple[Floats, Any]:
    """Of payments before the cut: the weight of each, 1 and 1 / F(age) for known frauds; which calibrate."""
    known = reported_at_ms < cut_ms
    ages = (cut_ms - at_ms).astype(np.float64)
    delays = (reported_at_ms[known] - at_ms[known]).astype(np.float64)
    share = reported_within(delays, ages[known], ages)
    made = np.where(known, 1.0 / np.maximum(share, LEAST_REPORTED), 1.0)
    return np.asarray(made, dtype=np.float64), share >= LEAST_REPORTED
