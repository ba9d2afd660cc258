"""Opens one model in a process of its own, which may end by it: `model.try_model` hands it over."""

import sys
from pathlib import Path

from enrichment.scoring.manifest import ModelRefused, read_manifest
from gateway.backends.lightgbm.model import TRIED, ModelFiles, open_model


def main() -> int:
    """Prints TRIED, or code and text of the refusal."""
    given = sys.stdin.buffer
    sizes = given.readline().decode().rstrip("\n").split(" ", 2)
    manifest_text, model_text = given.read(int(sizes[0])), given.read(int(sizes[1]))
    try:
        open_model(
            ModelFiles(read_manifest(manifest_text), manifest_text, model_text),
            Path(sizes[2]) if sizes[2] else None,
        )
    except ModelRefused as refused:
        print(refused.code, refused.public, sep="\n")
        return 1
    print(TRIED)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
