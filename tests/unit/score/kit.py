"""Models for tests: the one that ships, and copies of it that something is wrong with."""

import json
import shutil
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from enrichment.scoring.manifest import ModelRefused
from gateway.backends.lightgbm.library import find_library, load_library
from gateway.server.gateway.models import MANIFEST, SHIPPED

SIMULATED = SHIPPED / "simulated"
MODEL = "model.txt"


@lru_cache(maxsize=1)
def _absent() -> str:
    try:
        load_library(find_library(), keeps_lock=True)
    except ModelRefused as refused:
        return refused.public
    return ""


needs_library = pytest.mark.skipif(bool(_absent()), reason=f"no library to score with: {_absent()}")


def copied(folder: Path) -> Path:
    """A copy of the model that ships; the path of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MANIFEST, MODEL):
        shutil.copy(SIMULATED / name, folder / name)
    return folder / MANIFEST


def changed(manifest: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The same with another manifest, replaced as a deployment would: by a rename."""
    document = json.loads(manifest.read_text())
    change(document)
    fresh = manifest.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    fresh.rename(manifest)
    return manifest


def with_model(manifest: Path, model: bytes) -> Path:
    """The same with another model file, and a manifest that names its hash."""
    (manifest.parent / MODEL).write_bytes(model)
    return changed(manifest, lambda document: document.update(sha256=sha256(model).hexdigest()))
