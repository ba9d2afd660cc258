"""Models as files: what is taken, what is refused and by which code, and that no refused one is served."""

import subprocess
import sys
from collections.abc import Callable
from ctypes import c_double
from pathlib import Path
from typing import Any

import pytest

from enrichment.scoring.features import FEATURES, MONOTONE
from enrichment.scoring.manifest import ModelRefused, read_manifest, write_manifest
from gateway.backends.lightgbm import library
from gateway.backends.lightgbm.model import Model, open_model, read_model, try_model
from tests.unit.score.kit import MODEL, SIMULATED, changed, copied, needs_library, with_model

MANIFEST = SIMULATED / "manifest.json"


def load_model(path: Path, named: Path | None = None) -> Model:
    files = read_model(path)
    try_model(files, named)
    return open_model(files, named)


def refused(path: Path) -> str:
    with pytest.raises(ModelRefused) as told:
        load_model(path)
    assert str(path.parent) not in told.value.public, "no path of the machine in a text"
    return told.value.code


@needs_library
def test_the_model_that_ships_gives_the_scores_of_its_training() -> None:
    model = load_model(MANIFEST)
    assert model.manifest.features == FEATURES
    assert len({probe.raw for probe in model.manifest.probes}) == len(model.manifest.probes)


@needs_library
def test_many_rows_in_one_call_get_the_scores_that_each_gets_alone() -> None:
    model = load_model(MANIFEST)
    probes = model.manifest.probes
    buffer = (c_double * (len(FEATURES) * len(probes)))(*[value for one in probes for value in one.row])
    many = list(model.raw(buffer, len(probes)))
    assert many == list(model.raw(buffer, len(probes), few=True))
    assert many == pytest.approx([one.raw for one in probes])


@needs_library
def test_contributions_add_up_to_the_score() -> None:
    model = load_model(MANIFEST)
    for probe in model.manifest.probes:
        added = list(model.contributions(probe.row))
        assert len(added) == len(FEATURES) + 1
        assert sum(added) == pytest.approx(probe.raw)


@needs_library
@pytest.mark.parametrize("feature", [name for name, way in zip(FEATURES, MONOTONE, strict=True) if way])
def test_risk_goes_one_way_only_with_what_knowledge_says_it_does(feature: str) -> None:
    model, at = open_model(read_model(MANIFEST)), FEATURES.index(feature)
    values = (0, 1, 2, 3, 5, 8, 13, 30, 90, 400, 900, 5_000)
    for probe in model.manifest.probes:
        rows = [[*probe.row[:at], float(value), *probe.row[at + 1 :]] for value in values]
        buffer = (c_double * (len(FEATURES) * len(rows)))(*[value for row in rows for value in row])
        raws = [MONOTONE[at] * raw for raw in model.raw(buffer, len(rows))]
        assert raws == sorted(raws), feature


def test_a_manifest_reads_back_as_it_was_written() -> None:
    manifest = read_manifest(MANIFEST.read_bytes())
    assert write_manifest(read_manifest(write_manifest(manifest).encode())) == write_manifest(manifest)


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another format": (lambda one: one.update(format=2), "manifest_malformed"),
    "no calibration": (lambda one: one.pop("calibration"), "manifest_malformed"),
    "a member more": (lambda one: one.update(more=1), "manifest_malformed"),
    "a calibration that falls": (
        lambda one: one["calibration"]["probability"].reverse(), "manifest_malformed"),
    "a probability over 1": (
        lambda one: one["calibration"]["probability"].__setitem__(-1, 1.5), "manifest_malformed"),
    "shares that fall": (lambda one: one["calibration"]["below"].reverse(), "manifest_malformed"),
    "trust above distrust": (lambda one: one.update(trust_below=999), "manifest_malformed"),
    "a number that is none": (
        lambda one: one["calibration"]["least"].__setitem__(0, float("nan")), "manifest_malformed"),
    "a file elsewhere": (lambda one: one.update(file="../model.txt"), "manifest_malformed"),
    "no probes": (lambda one: one.update(probes=[]), "manifest_malformed"),
    "features of another version": (lambda one: one.update(features_version=0), "model_features"),
    "features in another order": (lambda one: one["features"].reverse(), "model_features"),
    "another hash": (lambda one: one.update(sha256="0" * 64), "model_hash"),
    "a file that is not there": (lambda one: one.update(file="other.txt"), "model_missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_manifest_that_is_not_whole_is_refused(tmp_path: Path, name: str) -> None:
    change, code = BROKEN[name]
    assert refused(changed(copied(tmp_path), change)) == code


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path)
    for text in (b"", b"\xff\xfe", b"[]", b"null", b"{" * 2000, b'{"format": 1}'):
        path.write_bytes(text)
        assert refused(path) == "manifest_malformed"
    path.unlink()
    assert refused(path) == "manifest_missing"


def test_one_changed_byte_of_a_model_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path)
    model = bytearray((tmp_path / MODEL).read_bytes())
    model[len(model) // 2] ^= 1
    (tmp_path / MODEL).write_bytes(model)
    assert refused(path) == "model_hash"


@needs_library
@pytest.mark.parametrize("broken", [b"", b"not a model", b"\0" * 4096], ids=["nothing", "text", "zeros"])
def test_what_is_no_model_is_refused_though_its_hash_is_right(tmp_path: Path, broken: bytes) -> None:
    assert refused(with_model(copied(tmp_path), broken)) == "model_malformed"


@needs_library
def test_a_model_that_gives_other_scores_than_its_training_is_refused(tmp_path: Path) -> None:
    path = copied(tmp_path)
    model = (tmp_path / MODEL).read_bytes()
    head, mark, rest = model.partition(b"leaf_value=")
    first, gap, others = rest.partition(b" ")
    # Of the same length: the file says where its trees begin.
    other = b"1.".ljust(len(first), b"3")
    assert refused(with_model(path, head + mark + other + gap + others)) == "model_probe"


def test_a_library_that_is_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelRefused) as told:
        load_model(MANIFEST, Path("/nowhere/lib_lightgbm.so"))
    assert told.value.code == "library_missing"
    with pytest.raises(ModelRefused) as told:
        load_model(MANIFEST, Path("libc.so.6"))
    assert told.value.code == "library_abi"
    monkeypatch.setattr(library, "RELEASES", ("99.",))
    with pytest.raises(ModelRefused) as told:
        library.find_library()
    assert told.value.code in ("library_release", "library_missing")


@needs_library
def test_serving_imports_nothing_of_the_package() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from gateway.backends.lightgbm.model import open_model, read_model\n"
        f"open_model(read_model(Path({str(MANIFEST)!r})))\n"
        "print(sorted({'lightgbm', 'numpy', 'scipy', 'narwhals', 'training'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
