"""Metrics of the score. Labels are closed lists: who assessed, and the features of the row."""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from enrichment.scoring.features import FEATURES

_NORMALISED = (5, 10, 20, 50, 100, 200, 500, 800, 950)


class ScoreMetrics:
    """Set by the thread that watches the models, never by the hot loop."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.serving = Gauge(
            "ein_score_model_serving", "1 where a model assesses payments.", registry=registry
        )
        self.refused = Gauge(
            "ein_score_model_refused", "Models named in the settings that cannot be taken.", registry=registry
        )
        self.waiting = Gauge(
            "ein_score_model_waiting", "1 while a model scores beside the one it replaces.", registry=registry
        )
        by = Counter("ein_score_assessed", "Payments assessed, by whom.", ["by"], registry=registry)
        self._model, self._points = by.labels("model"), by.labels("points")
        self._seen = (0, 0)
        self._normalised = Histogram(
            "ein_score_normalised",
            "Scores of sampled payments.",
            ["model"],
            buckets=_NORMALISED,
            registry=registry,
        )
        self._of = {name: self._normalised.labels(name) for name in ("serving", "shadow")}
        drift = Gauge("ein_score_drift", "PSI against the training rows.", ["of"], registry=registry)
        self._drift = {name: drift.labels(name) for name in ("score", *FEATURES)}
        self.agreement = Gauge(
            "ein_score_shadow_agreement", "Share of sampled payments judged alike.", registry=registry
        )
        self.difference = Gauge(
            "ein_score_shadow_difference",
            "Mean difference of scores, shadow less serving.",
            registry=registry,
        )

    def assessed(self, model: int, points: int) -> None:
        """Totals of the process so far."""
        self._model.inc(model - self._seen[0])
        self._points.inc(points - self._seen[1])
        self._seen = model, points

    def normalised(self, model: str, scores: Sequence[int]) -> None:
        """Scores of a sample; `model`: serving or shadow."""
        observe = self._of[model].observe
        for score in scores:
            observe(score)

    def drift(self, found: Mapping[str, float]) -> None:
        for name, psi in found.items():
            self._drift[name].set(psi)
