"""Counts sampled rows into the bins of a model's training rows."""

from collections.abc import Mapping, Sequence
from typing import Final

from enrichment.scoring.drift import counted, psi
from enrichment.scoring.features import FEATURES
from enrichment.scoring.manifest import Manifest

GENERATION_ROWS: Final = 8_192
"""Two generations are looked at, the present one and the one before: shares within half a percent."""

Counts = dict[str, list[int]]


class DriftWatch:
    """PSI of the score and of each feature over the last rows. For one thread."""

    def __init__(self, manifest: Manifest) -> None:
        self._spread = manifest.drift
        self._before = self._empty()
        self._now = self._empty()
        self._now_rows = self._before_rows = 0

    @property
    def rows(self) -> int:
        """Rows that are looked at."""
        return self._now_rows + self._before_rows

    def _empty(self) -> Counts:
        return {name: [0] * len(spread.shares) for name, spread in self._spread.items()}

    def count(self, rows: Sequence[Sequence[float]], raws: Sequence[float]) -> None:
        """Takes rows and their raw scores in."""
        self._add("score", raws)
        for name, column in zip(FEATURES, zip(*rows, strict=True), strict=True):
            self._add(name, column)
        self._now_rows += len(rows)
        if self._now_rows >= GENERATION_ROWS:
            self._before, self._before_rows = self._now, self._now_rows
            self._now, self._now_rows = self._empty(), 0

    def _add(self, name: str, values: Sequence[float]) -> None:
        counts = self._now[name]
        for at, count in enumerate(counted(self._spread[name].edges, values)):
            counts[at] += count

    def found(self) -> Mapping[str, float]:
        """PSI by name, "score" among them."""
        return {
            name: psi(spread, [sum(pair) for pair in zip(self._before[name], self._now[name], strict=True)])
            for name, spread in self._spread.items()
        }
