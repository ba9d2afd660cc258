"""Which model assesses payments: loaded beside the one that serves, shadow-scored, then swapped in.

On a thread of its own. A file that cannot be taken leaves what serves as it is, and the points where nothing
did; that is told in metrics, in the log and in `run/gateway.score.json`, which `ein status` reads.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from enrichment.scoring import points
from enrichment.scoring.drift import SHIFTED
from enrichment.scoring.features import FEATURES
from enrichment.scoring.manifest import Manifest, ModelRefused, write_manifest
from gateway.backends.lightgbm.model import (
    Model,
    ModelFiles,
    open_model,
    read_model,
    try_model,
)
from gateway.backends.lightgbm.scorer import ModelScorer
from gateway.runtime.tasks import Stop
from gateway.server.gateway.drift_watch import DriftWatch
from gateway.server.gateway.model_compare import ROW, Comparison, scores_of
from gateway.server.gateway.score_metrics import ScoreMetrics
from gateway.server.settings import Settings
from gateway.server.state import StateDir

LOOK_EVERY_S: Final = 1.0
"""A look is two stats a model."""

SAMPLE_EVERY_S: Final = 10.0
"""What was seen since is counted: some 6,000 payments a minute, whatever the load."""

SLICE_ROWS: Final = 32
"""Counted at a time, in 0.3 ms: the hot loop waits no longer for the interpreter."""

SLICE_PAUSE_S: Final = 0.02

SHIPPED: Final = Path(__file__).resolve().parents[2] / "backends" / "lightgbm" / "models"
MANIFEST: Final = "manifest.json"

AGAIN: Final = "model_trial"
"""The one refusal that is not the files' fault: looked at again, though they stay as they are."""

_Mark = tuple[Any, ...]
_log = structlog.get_logger("score")


@dataclass(slots=True)
class _Named:
    """A model that the settings name, as far as it is known."""

    path: Path
    file: str = ""
    """Of the model, as the manifest last named it: a model that comes after its manifest is seen too."""
    mark: _Mark | None = None
    code: str = ""
    beside: Model | None = None
    """A copy for this thread: one for the hot loop would be asked by two."""


@dataclass(slots=True)
class _Next:
    """A model that is to serve, once it has been seen to judge as the one that does."""

    loaded: Model
    beside: Model
    seen: Comparison = field(default_factory=Comparison)


class ModelWatch:
    """Follows the models that the settings name. `look` and `sample` are called by one thread."""

    def __init__(
        self, settings: Settings, scorer: ModelScorer, metrics: ScoreMetrics, state: StateDir | None = None
    ) -> None:
        folder, chosen = settings.source.parent, settings.score
        self._scorer, self._metrics = scorer, metrics
        self._library = None if chosen.library is None else folder / chosen.library
        self._board = None if state is None else board_path(state)
        self._model = _Named(manifest_path(settings) or folder)
        self._shadow = None if chosen.shadow is None else _Named(folder / chosen.shadow)
        self._next: _Next | None = None
        self._rows_first, self._agreement_least = chosen.shadow_rows, chosen.shadow_agreement
        self._recent: list[bytes] = []
        self._drift: DriftWatch | None = None
        self._agreement: dict[str, Any] = {}

    def follow(self, stop: Stop) -> None:
        """On a thread of its own."""
        passed_s = 0.0
        while not stop.wait(LOOK_EVERY_S):
            self.look()
            passed_s += LOOK_EVERY_S
            if passed_s >= SAMPLE_EVERY_S:
                passed_s = 0.0
                self.sample(lambda: stop.wait(SLICE_PAUSE_S))
        if self._board is not None:
            self._board.unlink(missing_ok=True)

    def look(self) -> None:
        """Takes what has changed, and tells."""
        model, shadow = self._model, self._shadow
        changed = False
        if (mark := _mark(model)) != model.mark:
            changed, model.mark = True, mark
            self._take()
        if shadow is not None and (mark := _mark(shadow)) != shadow.mark:
            changed, shadow.mark = True, mark
            self._take_shadow(shadow)
        scorer = self._scorer
        self._metrics.assessed(scorer.by_model, scorer.by_points)
        if changed:
            self._tell()

    def _take(self) -> None:
        """Loads beside what serves, and begins to compare with it on what was seen last."""
        model, self._next = self._model, None
        try:
            files = self._tried(model)
            loaded = open_model(files, self._library)
            beside = open_model(files, self._library, keeps_lock=False)
            found = _Next(loaded, beside)
            serving = model.beside or beside
            for packed in self._recent:
                found.seen.add(serving, scores_of(serving, packed), beside, packed)
        except Exception as fault:
            self._refuse(fault)
            return
        model.code = ""
        # As text: rows of features have NaN in them, which is like nothing.
        if model.beside is None or write_manifest(model.beside.manifest) != write_manifest(beside.manifest):
            self._next = found
            self._go_on()

    def _compare(self, serving: Model, raws: Sequence[float], packed: bytes) -> None:
        """The next model on these rows. Its faults are its own."""
        found = self._next
        if found is None:
            return
        try:
            found.seen.add(serving, raws, found.beside, packed)
        except Exception as fault:
            self._next = None
            self._refuse(fault)

    def _go_on(self) -> None:
        """Swaps the next model in, once enough was seen: the hot loop looks at the reference once a batch."""
        found, model = self._next, self._model
        if found is None or (model.beside is not None and found.seen.rows < self._rows_first):
            return
        self._next = None
        if model.beside is not None and not found.seen.agrees(self._agreement_least):
            why = f"judges {found.seen.alike} of {found.seen.rows} payments as the one that serves"
            self._refuse(ModelRefused("model_disagrees", f"{found.loaded.model_id}: {why}"))
            return
        compared = {} if model.beside is None else found.seen.told()
        model.beside = found.beside
        self._drift = DriftWatch(found.beside.manifest)
        self._scorer.serving = found.loaded
        _log.info("score_model", model_id=found.loaded.model_id, **compared)

    def _refuse(self, fault: Exception) -> None:
        serving = self._scorer.serving
        _refused(self._model, fault, serving=points.MODEL_ID if serving is None else serving.model_id)

    def _tried(self, named: _Named) -> ModelFiles:
        def seen(manifest: Manifest) -> None:
            # The manifest's mark is of before it was read: what changes meanwhile is seen by the next look.
            named.file = manifest.file
            named.mark = (None if named.mark is None else named.mark[0], _mark(named)[1])

        files = read_model(named.path, seen)
        try_model(files, self._library)
        return files

    def _take_shadow(self, shadow: _Named) -> None:
        shadow.beside, shadow.code, self._agreement = None, "", {}
        try:
            shadow.beside = open_model(self._tried(shadow), self._library, keeps_lock=False)
        except Exception as fault:
            _refused(shadow, fault, serving="")
        else:
            _log.info("score_shadow", model_id=shadow.beside.model_id)

    def sample(self, pause: Callable[[], object] = lambda: None) -> None:
        """Counts what was seen since: drift of score and features, and what the shadow would have said."""
        taken = self._scorer.take_sample()
        serving, drift = self._model.beside, self._drift
        if not taken or serving is None or drift is None:
            return
        self._recent = taken
        shadow, compared = None if self._shadow is None else self._shadow.beside, Comparison()
        try:
            for packed in _sliced(taken):
                raws = scores_of(serving, packed)
                drift.count(list(ROW.iter_unpack(packed)), raws)
                self._metrics.normalised("serving", [serving.normalised(raw) for raw in raws])
                if shadow is not None:
                    others = compared.add(serving, raws, shadow, packed)
                    self._metrics.normalised("shadow", [shadow.normalised(raw) for raw in others])
                self._compare(serving, raws, packed)
                pause()
        except Exception as fault:
            _log.error("score_sample_failed", fault=type(fault).__name__)
            return
        self._metrics.drift(drift.found())
        if shadow is not None:
            self._agreement = compared.told()
            self._metrics.agreement.set(self._agreement["agreement"])
            self._metrics.difference.set(self._agreement["difference"])
        self._go_on()
        self._tell()

    def told(self) -> dict[str, Any]:
        """What stands: who assesses, what could not be taken, how far payments have moved."""
        serving, model, shadow = self._scorer.serving, self._model, self._shadow
        first: dict[str, Any] = {"model": points.MODEL_ID if serving is None else serving.model_id}
        if model.code:
            first["refused"] = model.code
        if self._drift is not None and self._drift.rows:
            found = self._drift.found()
            worst = max(FEATURES, key=lambda name: found[name])
            first |= {
                "psi": round(found["score"], 3), "feature": worst, "feature_psi": round(found[worst], 3),
                "sampled": self._drift.rows,
            }  # fmt: skip
            if max(found.values()) > SHIFTED:
                first["shifted"] = sum(psi > SHIFTED for psi in found.values())
        said = {"serving": first}
        if (found_next := self._next) is not None:
            said["next"] = {
                "model": found_next.loaded.model_id, "rows_first": self._rows_first, **found_next.seen.told()
            }  # fmt: skip
        if shadow is not None:
            said["shadow"] = {
                "model": "none" if shadow.beside is None else shadow.beside.model_id,
                **({"refused": shadow.code} if shadow.code else {}),
                **self._agreement,
            }
        return said

    def _tell(self) -> None:
        shadow = self._shadow
        self._metrics.serving.set(self._scorer.serving is not None)
        self._metrics.waiting.set(self._next is not None)
        self._metrics.refused.set(bool(self._model.code) + bool(shadow is not None and shadow.code))
        if self._board is None:
            return
        temporary = self._board.with_suffix(".new")
        with suppress(OSError):
            temporary.write_text(json.dumps({"pid": os.getpid(), **self.told()}))
            temporary.rename(self._board)


def manifest_path(settings: Settings) -> Path | None:
    """The manifest of the model that is to serve; None where it is the points."""
    chosen = settings.score.model
    if chosen == "points":
        return None
    if isinstance(chosen, str):
        return SHIPPED / chosen / MANIFEST
    return settings.source.parent / chosen


class Scoring(NamedTuple):
    """What scores, and who watches over it."""

    scorer: ModelScorer
    watch: ModelWatch


def make_scoring(
    settings: Settings, metrics: ScoreMetrics, on_fault: Callable[[str, BaseException], None]
) -> Scoring | None:
    """Scorer and watch, looked at once; None where the points are all that is asked for."""
    if manifest_path(settings) is None:
        return None
    scorer = ModelScorer(on_fault)
    watch = ModelWatch(settings, scorer, metrics, settings.state)
    watch.look()
    return Scoring(scorer, watch)


def _refused(named: _Named, fault: Exception, *, serving: str) -> None:
    """Whatever goes wrong with a model is told, and keeps no gateway from starting or serving."""
    named.code = fault.code if isinstance(fault, ModelRefused) else "model_fault"
    if named.code == AGAIN:
        named.mark = None
    _log.error(
        "score_model_refused",
        code=named.code,
        public=fault.public if isinstance(fault, ModelRefused) else type(fault).__name__,
        **({"serving": serving} if serving else {"shadow": True}),
    )


def _mark(named: _Named) -> _Mark:
    """Of the manifest, and of the file that it names."""
    marks: list[Any] = []
    for one in (named.path, named.path.parent / named.file):
        try:
            status = one.stat()
        except OSError:
            marks.append(None)
        else:
            marks.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(marks)


def _sliced(packed: Sequence[bytes]) -> list[bytes]:
    """The rows anew, SLICE_ROWS at a time."""
    whole, size = b"".join(packed), SLICE_ROWS * ROW.size
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def board_path(state: StateDir) -> Path:
    return state.run / "gateway.score.json"


def read_score(state: StateDir) -> dict[str, Any] | None:
    """What the gateway last told of its models; None where it has none."""
    try:
        found: dict[str, Any] = json.loads(board_path(state).read_text())
    except (OSError, ValueError):
        return None
    return found
