"""Models of a running gateway: taken, refused, swapped and shadowed as their files change."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from enrichment.scoring import points
from enrichment.scoring.manifest import ModelRefused
from gateway.server.gateway import models
from gateway.server.gateway.models import make_scoring, read_score
from gateway.server.gateway.score_metrics import ScoreMetrics
from gateway.server.install import write_settings
from gateway.server.settings import Settings, SettingsInvalid, load_settings
from tests.unit.score.kit import MODEL, changed, copied, needs_library, with_model
from tests.unit.score.test_scorer import scored_kit
from tests.unit.sharing.kit import requests

pytestmark = needs_library


def settings_of(folder: Path, **score: Any) -> Settings:
    folder.mkdir(exist_ok=True)
    path = write_settings(folder)
    text = path.read_text().replace("score:\n  model: simulated\n", "")
    path.write_text(text + f"score: {json.dumps(score)}\n")
    settings = load_settings(path)
    settings.state.make()
    return settings


class Watched:
    """A scorer, who watches for it, and a gateway that asks it."""

    def __init__(self, folder: Path, **score: Any) -> None:
        self.settings = settings_of(folder, **score)
        self.registry = CollectorRegistry()
        self.faults: list[str] = []
        made = make_scoring(
            self.settings, ScoreMetrics(self.registry), lambda stage, fault: self.faults.append(stage)
        )
        assert made is not None
        self.scorer, self.watch = made
        self.kit = scored_kit(self.scorer)
        self.asked = 0

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def model_ids(self, count: int = 1) -> set[str]:
        fresh = requests(self.asked + count)[self.asked :]
        self.asked += count
        return {one.assessments[0].model_id for one in self.kit.answers(*fresh)}


def renamed(manifest: Path, model_id: str) -> Path:
    return changed(manifest, lambda document: document.update(model_id=model_id))


def test_points_by_settings_have_no_model_and_no_omission(tmp_path: Path) -> None:
    assert make_scoring(settings_of(tmp_path), ScoreMetrics(CollectorRegistry()), lambda *_: None) is None


def test_the_model_of_the_settings_serves_from_the_start(tmp_path: Path) -> None:
    copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json")
    assert watched.model_ids(3) == {"simulated-1"}
    watched.watch.look()
    assert watched.metric("ein_score_model_serving") == 1
    assert watched.metric("ein_score_assessed_total", by="model") == 3
    told = read_score(watched.settings.state)
    assert told is not None
    assert (told["pid"], told["serving"]["model"]) == (os.getpid(), "simulated-1")


BROKEN = {
    "a changed byte": lambda path: (path.parent / MODEL).write_bytes(
        (path.parent / MODEL).read_bytes().replace(b"leaf_value=", b"leaf_valuE=", 1)
    ),
    "half of it": lambda path: (path.parent / MODEL).write_bytes(
        (path.parent / MODEL).read_bytes()[: (path.parent / MODEL).stat().st_size // 2]
    ),
    "half of it with its hash": lambda path: with_model(
        path, (path.parent / MODEL).read_bytes()[: (path.parent / MODEL).stat().st_size // 2]
    ),
    "nothing with its hash": lambda path: with_model(path, b""),
    "other features": lambda path: changed(path, lambda document: document["features"].reverse()),
    "no model": lambda path: (path.parent / MODEL).unlink(),
    "no manifest": lambda path: path.unlink(),
}
CODES = {
    "a changed byte": "model_hash",
    "half of it": "model_hash",
    "half of it with its hash": "model_malformed",
    "nothing with its hash": "model_malformed",
    "other features": "model_features",
    "no model": "model_missing",
    "no manifest": "manifest_missing",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_cannot_be_taken_at_the_start_leaves_payments_to_the_points(
    tmp_path: Path, name: str
) -> None:
    BROKEN[name](copied(tmp_path / "first"))
    watched = Watched(tmp_path, model="first/manifest.json")
    assert watched.model_ids(2) == {points.MODEL_ID}
    assert watched.metric("ein_score_model_serving") == 0
    assert watched.metric("ein_score_model_refused") == 1
    assert watched.watch.told()["serving"] == {"model": points.MODEL_ID, "refused": CODES[name]}
    renamed(copied(tmp_path / "first"), "mended")
    watched.watch.look()
    assert watched.model_ids() == {"mended"}
    assert watched.metric("ein_score_model_refused") == 0


@pytest.mark.parametrize("name", BROKEN)
def test_a_model_that_cannot_be_taken_leaves_the_one_that_serves(tmp_path: Path, name: str) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json")
    before = watched.scorer.serving
    BROKEN[name](path)
    watched.watch.look()
    assert watched.scorer.serving is before
    assert watched.model_ids() == {"simulated-1"}
    assert watched.watch.told()["serving"]["refused"] == CODES[name]
    assert watched.metric("ein_score_model_refused") == 1


def test_another_model_in_its_place_serves_after_the_next_look(tmp_path: Path) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json", shadow_rows=0)
    assert watched.model_ids() == {"simulated-1"}
    renamed(path, "second")
    assert watched.model_ids() == {"simulated-1"}, "nothing changes by itself"
    watched.watch.look()
    assert watched.model_ids() == {"second"}


def test_a_model_that_replaces_another_scores_beside_it_first(tmp_path: Path) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json", shadow_rows=40)
    watched.model_ids(10)
    watched.watch.sample()
    renamed(path, "second")
    watched.watch.look()
    assert watched.watch.told()["next"] == {
        "model": "second", "rows_first": 40, "agreement": 1.0, "difference": 0.0, "rows": 10,
    }  # fmt: skip
    assert watched.model_ids(29) == {"simulated-1"}
    watched.watch.sample()
    assert watched.watch.told()["next"]["rows"] == 39
    assert watched.model_ids() == {"simulated-1"}
    watched.watch.sample()
    assert watched.model_ids() == {"second"}
    assert "next" not in watched.watch.told()
    renamed(path, "third")
    watched.model_ids(40)
    watched.watch.sample()
    watched.watch.look()
    assert watched.model_ids() == {"third"}, "as many were seen a moment ago"


def test_a_model_that_judges_otherwise_than_is_allowed_does_not_serve(tmp_path: Path) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json", shadow_rows=8, shadow_agreement=0.9)
    whole, before = path.read_bytes(), watched.scorer.serving
    risky = {"least": [-100.0], "probability": [0.999], "below": [0.0]}
    changed(path, lambda document: document.update(model_id="risky", calibration=risky))
    watched.watch.look()
    assert (watched.model_ids(8), watched.metric("ein_score_model_refused")) == ({"simulated-1"}, 0)
    watched.watch.sample()
    told = watched.watch.told()
    assert (told["serving"]["model"], told["serving"]["refused"]) == ("simulated-1", "model_disagrees")
    assert "next" not in told
    assert watched.model_ids(8) == {"simulated-1"}
    watched.watch.sample()
    watched.watch.look()
    assert watched.metric("ein_score_model_refused") == 1, "until its files are others"
    path.write_bytes(whole)
    watched.watch.look()
    assert watched.metric("ein_score_model_refused") == 0
    assert watched.scorer.serving is before, "it serves already"


def test_a_model_that_fails_while_it_waits_is_refused_and_costs_no_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json")
    renamed(path, "second")
    watched.watch.look()
    assert watched.metric("ein_score_model_waiting") == 1
    found = watched.watch._next
    assert found is not None
    real = models.Comparison.add

    def add(seen: Any, serving: Any, raws: Any, other: Any, packed: bytes) -> Any:
        if other is found.beside:
            raise ModelRefused("model_fault", "planted")
        return real(seen, serving, raws, other, packed)

    monkeypatch.setattr(models.Comparison, "add", add)
    watched.model_ids(100)
    watched.watch.sample()
    told = watched.watch.told()
    assert (told["serving"]["refused"], "next" in told) == ("model_fault", False)
    assert told["serving"]["sampled"] == 100, "all of them are counted"
    assert watched.metric("ein_score_model_refused") == 1
    assert watched.metric("ein_score_model_waiting") == 0


@pytest.mark.parametrize(("alike", "rows", "agrees"), [(99_994, 100_000, False), (99_995, 100_000, True)])
def test_a_share_is_not_rounded_before_it_is_judged(alike: int, rows: int, agrees: bool) -> None:
    assert models.Comparison(rows, alike).agrees(0.99995) is agrees


def test_a_share_of_no_rows_is_refused_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="shadow_agreement needs shadow_rows"):
        settings_of(tmp_path, model="simulated", shadow_rows=0, shadow_agreement=0.9)


def test_a_model_that_waits_goes_with_its_files(tmp_path: Path) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json")
    renamed(path, "second")
    watched.watch.look()
    assert watched.watch.told()["next"]["model"] == "second"
    path.unlink()
    watched.watch.look()
    told = watched.watch.told()
    assert (told["serving"]["refused"], "next" in told) == ("manifest_missing", False)
    assert watched.model_ids() == {"simulated-1"}


def test_drift_is_told_by_feature_of_what_was_asked(tmp_path: Path) -> None:
    copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json")
    # All at one hour, of one merchant: that is not what the model has learnt from.
    watched.model_ids(300)
    watched.watch.sample()
    hour, attempts = (watched.metric("ein_score_drift", of=name) for name in ("hour_utc", "attempt_no"))
    assert hour is not None
    assert hour > 0.25
    assert attempts == pytest.approx(0.0, abs=1e-3)
    told = watched.watch.told()["serving"]
    assert (told["sampled"], told["shifted"] > 0) == (300, True)
    assert watched.metric("ein_score_normalised_count", model="serving") == 300


def test_a_shadow_is_compared_and_its_scores_reach_nobody(tmp_path: Path) -> None:
    copied(tmp_path / "first")
    shadow = copied(tmp_path / "next")
    # The same trees, with every payment as risky as the riskiest.
    changed(
        shadow,
        lambda document: document.update(
            model_id="next-1",
            calibration={"least": [-100.0], "probability": [0.999], "below": [0.0]},
        ),
    )
    watched = Watched(tmp_path, model="first/manifest.json", shadow="next/manifest.json")
    fresh = requests(64)
    answers = watched.kit.answers(*fresh)
    alone = Watched(tmp_path / "alone", model="simulated").kit.answers(*fresh)
    assert [one.assessments for one in answers] == [one.assessments for one in alone]
    assert all(b"next-1" not in payload for payload in watched.kit.journal.payloads)
    watched.watch.sample()
    told = watched.watch.told()["shadow"]
    assert (told["model"], told["agreement"], told["rows"]) == ("next-1", 0.0, 64)
    assert watched.metric("ein_score_shadow_agreement") == 0.0
    assert watched.metric("ein_score_normalised_count", model="shadow") == 64


def test_a_shadow_that_cannot_be_taken_touches_nothing_else(tmp_path: Path) -> None:
    copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json", shadow="nowhere/manifest.json")
    assert watched.model_ids(5) == {"simulated-1"}
    watched.watch.sample()
    assert watched.watch.told()["shadow"] == {"model": "none", "refused": "manifest_missing"}
    assert watched.metric("ein_score_model_refused") == 1


def test_what_is_sampled_is_bounded(tmp_path: Path) -> None:
    from gateway.backends.lightgbm.scorer import ROWS_A_CALL, SAMPLE_ROWS

    watched = Watched(tmp_path, model="simulated")
    for _ in range(SAMPLE_ROWS // 64 + 8):
        watched.model_ids(64)
    rows = (
        sum(map(len, watched.scorer.take_sample())) // 8 // len(watched.watch._model.beside.manifest.features)
    )  # type: ignore[union-attr]
    assert SAMPLE_ROWS <= rows <= SAMPLE_ROWS + ROWS_A_CALL


def test_a_model_that_comes_after_its_manifest_is_taken_then(tmp_path: Path) -> None:
    path = copied(tmp_path / "first")
    watched = Watched(tmp_path, model="first/manifest.json", shadow_rows=0)
    model = (path.parent / MODEL).read_bytes()
    changed(path, lambda document: document.update(model_id="second", file="second.bin"))
    watched.watch.look()
    assert watched.watch.told()["serving"] == {"model": "simulated-1", "refused": "model_missing"}
    (path.parent / "second.bin").write_bytes(model[:-100])
    watched.watch.look()
    assert watched.watch.told()["serving"]["refused"] == "model_hash"
    (path.parent / "second.bin").write_bytes(model)
    watched.watch.look()
    assert watched.watch.told()["serving"] == {"model": "second"}


def test_a_trial_that_could_not_run_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(files: Any, library: Any) -> None:
        raise ModelRefused("model_trial", "planted")

    copied(tmp_path / "first")
    with monkeypatch.context() as patched:
        patched.setattr(models, "try_model", unable)
        watched = Watched(tmp_path, model="first/manifest.json")
        assert watched.watch.told()["serving"]["refused"] == "model_trial"
    watched.watch.look()
    assert watched.model_ids() == {"simulated-1"}


def test_whatever_goes_wrong_with_a_model_keeps_no_gateway_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **options: Any) -> None:
        raise MemoryError

    copied(tmp_path / "first")
    monkeypatch.setattr(models, "open_model", broken)
    watched = Watched(tmp_path, model="first/manifest.json", shadow="first/manifest.json")
    assert watched.model_ids() == {points.MODEL_ID}
    told = watched.watch.told()
    assert (told["serving"]["refused"], told["shadow"]["refused"]) == ("model_fault", "model_fault")
