"""Small registries in JSON files for their owner's eyes: written whole and durable."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.backends.embedded.private_files import replace_private


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The whole registry at once, mode 0600."""
    replace_private(path, json.dumps(list(rows), indent=1).encode())
