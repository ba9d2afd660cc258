"""SoftHSM2, a PKCS #11 module in software from Debian's packages, with tokens in a folder of a test's own."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
"""Where Debian, Fedora and its own build put it."""

PIN = "4711-0815"


def module() -> Path | None:
    """None where it is not installed."""
    found = [Path(place) for place in PLACES if Path(place).exists()]
    return found[0] if found and shutil.which("softhsm2-util") else None


def why_not() -> str:
    """Why tests with it are skipped; empty where they run."""
    if module() is None:
        return "SoftHSM2 is not installed: scripts/install-softhsm"
    return "" if importlib.util.find_spec("pkcs11") else "the extra hsm is not installed"


needs_softhsm = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it is there")


class SoftHsm:
    """Tokens in `folder`. What runs with `environment` finds them there."""

    def __init__(self, folder: Path) -> None:
        self.tokens = folder / "tokens"
        self.tokens.mkdir(parents=True)
        config = folder / "softhsm2.conf"
        # Faults are told by return values; on standard error they would only be noise.
        config.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.environment: Mapping[str, str] = {"SOFTHSM2_CONF": str(config)}
        found = module()
        assert found is not None, why_not()
        self.module = found

    def make_token(self, label: str, pin: str = PIN) -> Path:
        """A new token; the folder that it is kept in."""
        before = set(self.tokens.iterdir())
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", pin, "--pin", pin],
            env={**os.environ, **self.environment}, check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        [made] = set(self.tokens.iterdir()) - before
        return made
