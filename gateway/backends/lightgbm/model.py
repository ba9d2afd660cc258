"""One model with its manifest, loaded and checked, ready to serve."""

import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from ctypes import c_double
from functools import partial
from math import isclose, isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple

from enrichment.payment import Assessment
from enrichment.scoring.features import FEATURES
from enrichment.scoring.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_MODEL_BYTES,
    Manifest,
    ModelRefused,
    read_manifest,
)
from enrichment.scoring.points import ASSESSOR, MAX_NORMALISED, SCALE_MAX, SCALE_MIN
from gateway.backends.lightgbm.library import Booster, find_library, load_library

TYPE: Final = "model"
TRIAL: Final = "gateway.backends.lightgbm.trial"
TRIED: Final = "tried"
TRIAL_S: Final = 20.0
"""A process starts and opens a model of 64 MB in a tenth of it."""

ASSESSMENTS_KEPT: Final = 4_096
"""Scores with their reasons, kept so that the same are the same object: steps times sets of reasons."""

PROBE_TOLERANCE: Final = 1e-9
"""Sums of some hundred leaves in another order differ by less; another model or interface by far more."""

_COLUMNS: Final = len(FEATURES)
_ROW_BYTES: Final = 8 * _COLUMNS


class Model:
    """Raw scores of rows, the steps that they stand on, and the assessment of each. For one thread."""

    __slots__ = (
        "_booster",
        "_kept",
        "_normalised",
        "contributions",
        "explained_from",
        "manifest",
        "plain",
        "step_of",
    )

    def __init__(self, manifest: Manifest, booster: Booster) -> None:
        self.manifest = manifest
        self._booster = booster
        self.contributions = booster.contributions
        calibration = manifest.calibration
        # What is below the first step stands on it: bisect over the others gives its number at once.
        self.step_of: Any = partial(bisect_right, calibration.least[1:])
        self._normalised = [min(MAX_NORMALISED, int(one * 1000)) for one in calibration.probability]
        self.plain = [self._made(step, ()) for step in range(len(calibration.probability))]
        self.explained_from = sum(one < manifest.reasons_from for one in self._normalised)
        self._kept: dict[tuple[int, tuple[str, ...]], Assessment] = {}

    @property
    def model_id(self) -> str:
        return self.manifest.model_id

    def raw(self, rows: Any, count: int, *, few: bool = False) -> Sequence[float]:
        """Log-odds of `count` rows in a buffer. Raises ModelRefused, also where one is no number."""
        booster = self._booster
        if few:
            answers: Sequence[float] = [booster.raw_at(rows, at * _ROW_BYTES) for at in range(count)]
        else:
            answers = booster.raw_many(rows, count)
        # A sum is finite where all are: one look for all.
        if not isfinite(sum(answers)):
            raise ModelRefused("model_fault", "model gives no number; train it anew")
        return answers

    def raw_of(self, row: bytes) -> float:
        """Log-odds of a lone row, packed. Raises ModelRefused, also where it is no number."""
        if len(row) != _ROW_BYTES:
            raise ModelRefused("model_features", "a row of another length than the model has")
        found = self._booster.raw_of(row)
        if not isfinite(found):
            raise ModelRefused("model_fault", "model gives no number; train it anew")
        return found

    def normalised(self, raw: float) -> int:
        """0 to 999: a thousand times the calibrated probability."""
        step: int = self.step_of(raw)
        return self._normalised[step]

    def assessment(self, step: int, codes: tuple[str, ...]) -> Assessment:
        """The assessment of a step with these reasons: the same give the same object."""
        if not codes:
            return self.plain[step]
        found = self._kept.get((step, codes))
        if found is None:
            if len(self._kept) >= ASSESSMENTS_KEPT:
                self._kept.clear()
            found = self._kept[step, codes] = self._made(step, codes)
        return found

    def _made(self, step: int, codes: tuple[str, ...]) -> Assessment:
        manifest, normalised = self.manifest, self._normalised[step]
        raw = round(manifest.calibration.probability[step] * SCALE_MAX)
        trusted = "trust" if normalised < manifest.trust_below else "neutral"
        return Assessment(
            ASSESSOR,
            TYPE,
            manifest.model_id,
            raw,
            SCALE_MIN,
            SCALE_MAX,
            True,
            normalised,
            codes,
            manifest.calibration.below[step],
            "distrust" if normalised >= manifest.review_from else trusted,
        )

    def check_probes(self) -> None:
        """Raises ModelRefused unless rows of the training get the scores that they got there."""
        for probe in self.manifest.probes:
            buffer = (c_double * _COLUMNS)(*probe.row)
            answers = [*self.raw(buffer, 1), *self.raw(buffer, 1, few=True)]
            # Contributions and what all rows have add up to the score: their call is checked by that.
            answers.append(sum(self.contributions(probe.row)))
            if not all(isclose(one, probe.raw, rel_tol=1e-6, abs_tol=PROBE_TOLERANCE) for one in answers):
                raise ModelRefused(
                    "model_probe",
                    "model gives other scores here than where it was trained; look at LightGBM's release",
                )


class ModelFiles(NamedTuple):
    """A model as it was read, once: what is tried is what is served."""

    manifest: Manifest
    manifest_text: bytes
    model_text: bytes


def read_model(path: Path, seen: Callable[[Manifest], object] = lambda manifest: None) -> ModelFiles:
    """The model whose manifest is at `path`, hash and features checked. Raises ModelRefused.

    `seen` is given the manifest before its model is looked at.
    """
    text = read_small(path, MAX_MANIFEST_BYTES, "manifest_missing", "manifest of the model")
    manifest = read_manifest(text)
    seen(manifest)
    model = read_small(path.parent / manifest.file, MAX_MODEL_BYTES, "model_missing", "model file")
    manifest.check_model(model)
    return ModelFiles(manifest, text, model)


def try_model(files: ModelFiles, library: Path | None = None) -> None:
    """Opens the model in a process of its own first. Raises ModelRefused.

    The library trusts what it reads: text that is no model may end the process that asks it, and a gateway
    that ends answers no payment.
    """
    sizes = f"{len(files.manifest_text)} {len(files.model_text)} {library or ''}\n".encode()
    try:
        done = subprocess.run(
            [sys.executable, "-m", TRIAL],
            input=sizes + files.manifest_text + files.model_text,
            capture_output=True,
            timeout=TRIAL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise ModelRefused(
            "model_trial", "model could not be tried in a process of its own; try again"
        ) from None
    told = done.stdout.decode(errors="replace").split("\n", 1)
    if len(told) == 2 and told[0] == TRIED:
        return
    if len(told) == 2 and done.returncode == 1:
        raise ModelRefused(told[0], told[1].strip())
    raise ModelRefused("model_malformed", "model ends the process that opens it; train or copy it anew")


def open_model(files: ModelFiles, library: Path | None = None, *, keeps_lock: bool = True) -> Model:
    """Opens what was read, and asks it what it was asked where it was trained. Raises ModelRefused."""
    loaded = load_library(library or find_library(), keeps_lock=keeps_lock)
    model = Model(files.manifest, Booster(loaded, files.model_text, _COLUMNS))
    model.check_probes()
    return model


def read_small(path: Path, most_bytes: int, code: str, what: str) -> bytes:
    """A file of at most so many bytes. Raises ModelRefused(`code`)."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError:
        raise ModelRefused(code, f"{what} cannot be read; look at its path, owner and mode") from None
    if len(data) > most_bytes:
        raise ModelRefused("manifest_malformed", f"{what} is larger than {most_bytes} bytes")
    return data
