"""What stands beside a model: which file it is, what it is asked, and what its answers mean.

A JSON document, checked whole before the model is looked at. The hash tells damage and mix-ups; who may put
a model there is a matter of the file's owner.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite
from typing import Any, Final

from enrichment.scoring.drift import Distribution
from enrichment.scoring.features import FEATURES, FEATURES_VERSION
from gateway.records.errors import GatewayError

FORMAT: Final = 1
"""Of the document."""

MAX_MANIFEST_BYTES: Final = 256 * 1024
MAX_MODEL_BYTES: Final = 64 * 1024 * 1024
"""A thousand trees of 255 leaves take some 20 MB of text."""

MAX_STEPS: Final = 256
"""Steps of a calibration: so many scores can differ, and are kept written."""

MODEL_ID_CHARACTERS: Final = 32


class ModelRefused(GatewayError):
    """A model that is not served. `code` says why; nothing of its content is told."""

    code = "model_refused"

    def __init__(self, code: str, public: str) -> None:
        super().__init__(public)
        self.code = code


@dataclass(frozen=True, slots=True)
class Calibration:
    """Isotonic: a raw score from `least[n]` on has the fraud probability `probability[n]`; both rise.

    `below[n]`: percent of the training payments that stood on a lower step.
    """

    least: tuple[float, ...]
    probability: tuple[float, ...]
    below: tuple[float, ...]

    def step(self, raw: float) -> int:
        """Which step a raw score stands on: 0 below all."""
        return max(0, bisect_right(self.least, raw) - 1)


@dataclass(frozen=True, slots=True)
class Probe:
    """A row and the raw score that the model gave it where it was trained: asked again at every load."""

    row: tuple[float, ...]
    raw: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """Of one model. `drift`: how score ("score") and features were spread over the training rows."""

    model_id: str
    file: str
    sha256: str
    features_version: int
    features: tuple[str, ...]
    trained_on: Mapping[str, Any]
    calibration: Calibration
    reasons_from: int
    """Normalised score from which reasons are given."""
    review_from: int
    """Normalised score from which a payment counts as risky: recommendation `distrust`."""
    trust_below: int
    """Normalised score below which the recommendation is `trust`; between the two it is `neutral`."""
    drift: Mapping[str, Distribution]
    probes: tuple[Probe, ...]
    figures: Mapping[str, Any]

    def check_model(self, model: bytes) -> None:
        """Raises ModelRefused unless `model` is the file that this is about."""
        if sha256(model).hexdigest() != self.sha256:
            raise ModelRefused("model_hash", "model file is not the one its manifest names; copy both anew")


def write_manifest(manifest: Manifest) -> str:
    """The document, one line a member, NaN as null."""
    document = {"format": FORMAT, **asdict(manifest)}
    document["probes"] = [
        {"row": [value if value == value else None for value in probe.row], "raw": probe.raw}
        for probe in manifest.probes
    ]
    document["drift"] = {name: spread._asdict() for name, spread in manifest.drift.items()}
    members = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(members) + "\n}\n"


def read_manifest(text: bytes) -> Manifest:
    """Checked whole. Raises ModelRefused: `manifest_malformed`, `model_features`."""
    try:
        document = json.loads(text)
        if document.pop("format") != FORMAT:
            raise ValueError
        manifest = _manifest(document)
        _check(manifest)
    except ModelRefused:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ModelRefused(
            "manifest_malformed",
            "manifest of the model is not what the training writes; train or copy it anew",
        ) from None
    if (manifest.features_version, manifest.features) != (FEATURES_VERSION, FEATURES):
        raise ModelRefused(
            "model_features",
            f"model was trained on other features than version {FEATURES_VERSION}; train it anew",
        )
    return manifest


def _manifest(document: dict[str, Any]) -> Manifest:
    return Manifest(
        **{
            **document,
            "features": tuple(document["features"]),
            "calibration": Calibration(
                **{name: _numbers(values) for name, values in document["calibration"].items()}
            ),
            "drift": {
                name: Distribution(_numbers(spread["edges"]), _numbers(spread["shares"]))
                for name, spread in document["drift"].items()
            },
            "probes": tuple(
                Probe(
                    tuple(float("nan") if value is None else float(value) for value in probe["row"]),
                    float(probe["raw"]),
                )
                for probe in document["probes"]
            ),
        }
    )


def _numbers(values: Sequence[Any]) -> tuple[float, ...]:
    found = tuple(float(value) for value in values)
    if not all(map(isfinite, found)):
        raise ValueError
    return found


def _check(manifest: Manifest) -> None:
    """What a reader relies on; ValueError where it does not hold."""
    steps, probability = manifest.calibration.least, manifest.calibration.probability
    below = manifest.calibration.below
    sound = (
        isinstance(manifest.model_id, str)
        and 1 <= len(manifest.model_id) <= MODEL_ID_CHARACTERS
        and manifest.model_id.isascii()
        and manifest.model_id.isprintable()
        and isinstance(manifest.file, str)
        and manifest.file == manifest.file.replace("\\", "/").rpartition("/")[2]
        and manifest.file not in ("", ".", "..")
        and 1 <= len(steps) == len(probability) <= MAX_STEPS
        and list(steps) == sorted(set(steps))
        and list(probability) == sorted(probability)
        and probability[0] >= 0
        and probability[-1] <= 1
        and len(below) == len(steps)
        and list(below) == sorted(below)
        and below[0] >= 0
        and below[-1] <= 100
        and 0 <= int(manifest.reasons_from) <= 1000
        and 0 <= int(manifest.trust_below) <= int(manifest.review_from) <= 1000
        and manifest.probes
        and all(len(probe.row) == len(manifest.features) for probe in manifest.probes)
        and set(manifest.drift) == {"score", *manifest.features}
        and all(len(one.shares) == len(one.edges) + 2 for one in manifest.drift.values())
    )
    if not sound:
        raise ValueError
