"""The engines in Rust (native/), where they are built. Without them everything runs on the Python twins."""

import os
from importlib import import_module
from typing import Any, Final

VERSION: Final = "0.26.0"
"""What this code was written with: other engines could mean something else, and are left alone."""

OFF: Final = "EIN_NATIVE"
"""Environment variable: `0` keeps to the twins in Python."""


def _load() -> Any:
    if os.environ.get(OFF) == "0":
        return None
    try:
        found: Any = import_module("ein_native")
    except ImportError:
        return None
    return found if found.VERSION == VERSION else None


engines: Any = _load()
"""The module `ein_native`, or None."""

FAULTS: Final[tuple[type[BaseException], ...]] = (
    (Exception,) if engines is None else (Exception, engines.PanicException)
)
"""What may go wrong with one item. A panic of an engine is no `Exception` by itself."""
