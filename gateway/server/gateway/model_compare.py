"""How alike two models judge the same rows of features."""

from collections.abc import Sequence
from ctypes import c_double
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from enrichment.scoring.features import FEATURES
from gateway.backends.lightgbm.model import Model

ROW: Final = Struct(f"={len(FEATURES)}d")


def scores_of(model: Model, packed: bytes) -> Sequence[float]:
    """Raw scores of packed rows."""
    count = len(packed) // ROW.size
    return model.raw((c_double * (count * len(FEATURES))).from_buffer_copy(packed), count)


@dataclass(slots=True)
class Comparison:
    """Of a model that serves and another, over what was added."""

    rows: int = 0
    alike: int = 0
    """Rows that both or neither would look at."""
    difference: int = 0
    """Sum of the other's normalised scores less those of the one that serves."""

    def add(self, serving: Model, raws: Sequence[float], other: Model, packed: bytes) -> Sequence[float]:
        """Rows that the one that serves gave these raw scores. Returns the other's."""
        ours, theirs = serving.manifest.review_from, other.manifest.review_from
        others = scores_of(other, packed)
        for before, after in zip(raws, others, strict=True):
            first, second = serving.normalised(before), other.normalised(after)
            self.alike += (first >= ours) == (second >= theirs)
            self.difference += second - first
            self.rows += 1
        return others

    def agrees(self, least: float) -> bool:
        """Whether this share of the rows, or more, is judged alike."""
        return self.alike >= least * self.rows

    def told(self) -> dict[str, Any]:
        """Empty where there is nothing to compare."""
        if not self.rows:
            return {}
        return {
            "agreement": round(self.alike / self.rows, 4),
            "difference": round(self.difference / self.rows, 2),
            "rows": self.rows,
        }
