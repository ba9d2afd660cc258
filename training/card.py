"""The model's card: what it is for, what it learnt from, and how well it does, by segment."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from enrichment.scoring.features import FEATURES, MONOTONE
from enrichment.scoring.manifest import Manifest
from training.figures import Floats, auc, ece

if TYPE_CHECKING:
    from training.train import Trained

_CHANNELS = {1: "ecom", 2: "app", 3: "moto", 4: "pos"}
_JUDGED = (("model", "this model"), ("amount_only", "amount alone"), ("constant", "the same for all"))
_TIERS = ((0, 5), (5, 50), (50, 500), (500, 2000), (2000, float("inf")))


def model_card(trained: "Trained", manifest: Manifest) -> str:
    """Markdown. Figures are of payments after the cut, which the model has not seen."""
    truth = trained.judged.fraud
    probability = trained.fitted.probability(trained.judged.rows)
    trained_on, review = manifest.trained_on, manifest.review_from
    lines = [
        f"# Model card: {manifest.model_id}",
        "Probability that a payment is fraud, from what is known before its authorization.",
        "`score_norm` is a thousand times the probability, at most 999. Meant to help issuers",
        "decide on authorizations, and for nothing else.",
        "",
        "## Learnt from",
        f"{trained_on['source']}: {trained_on['payments']:,} payments from {trained_on['from']} to the",
        f"cut at {trained_on['cut']}, of which {trained_on['known_fraud']:,} had been reported as fraud",
        "by then. What was reported later counts as not known; known frauds are weighted for the",
        "reports that were still to come. Gradient boosted trees (LightGBM",
        f"{trained_on['lightgbm']}); isotonic calibration on blocks of days that the trees had not seen.",
        *([manifest.trained_on["note"]] if manifest.trained_on.get("note") else []),
        "",
        f"## Judged by {len(truth):,} payments after the cut, {int(truth.sum()):,} of them fraud",
        "| | AUC | calibration error | Brier |",
        "|---|---|---|---|",
        *(
            f"| {words} | {_figure(trained.figures[name]['auc'])} | {_percent(trained.figures[name]['ece'])} "
            f"| {trained.figures[name]['brier']:.4f} |"
            for name, words in _JUDGED
        ),
        "",
        f"| segment | payments | fraud | AUC | calibration error | mean score | frauds from {review} |",
        "|---|---|---|---|---|---|---|",
        *(_row(name, chosen, probability, truth, review / 1000) for name, chosen in segments(trained.judged)),
        "",
        "Calibration error: 20 bins of as many payments each.",
        "",
        "Risk may only rise with: " + _named(1) + ".",
        "",
        "Risk may only fall with: " + _named(-1) + ".",
        "",
        "## Limits",
        "- Figures are about this data. Train on payments of your own before you rely on a score.",
        "- Of a person nothing is a feature but the history that the merchant states: no name,",
        "  address, age or origin.",
        "- A shift of what is seen (PSI in `ein status`) over 0.25 says: train the model anew.",
    ]
    return "\n".join(lines) + "\n"


def segments(table: Any) -> Iterator[tuple[str, Any]]:
    """Name and mask of each segment that has payments."""
    channel = table.rows[:, FEATURES.index("channel")]
    amount = table.rows[:, FEATURES.index("amount_dollars")]
    for number, name in _CHANNELS.items():
        if np.any(channel == number):
            yield f"channel {name}", channel == number
    for low, high in _TIERS:
        chosen = (amount >= low) & (amount < high)
        if np.any(chosen):
            yield (
                f"amount {low:,} dollars or more" if high == float("inf") else f"amount {low:,} to {high:,}",
                chosen,
            )
    kinds = np.asarray(table.segments)
    good = table.fraud == 0
    bad_kinds = sorted(set(kinds[~good]) - set(kinds[good]))
    for kind in bad_kinds:
        yield f"fraud of kind {kind}, beside all good", good | (kinds == kind)


def _row(name: str, chosen: Any, probability: Floats, truth: Floats, review_from: float) -> str:
    of, real = probability[chosen], truth[chosen]
    bad = real.sum()
    caught = _percent(float((of[real > 0] >= review_from).mean())) if bad else ""
    return (
        f"| {name} | {len(real):,} | {int(bad):,} | {_figure(auc(of, real))} | {_percent(ece(of, real))} "
        f"| {of.mean() * 1000:.0f} | {caught} |"
    )


def _figure(value: float) -> str:
    return f"{value:.3f}" if value == value else ""


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _named(direction: int) -> str:
    return ", ".join(f"`{name}`" for name, way in zip(FEATURES, MONOTONE, strict=True) if way == direction)
