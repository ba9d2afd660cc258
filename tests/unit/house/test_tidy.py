"""The house rules that a machine can hold (docs/decisions/0002-house-rules.md)."""

import ast
import subprocess
from pathlib import Path

from gateway.runtime import native

ROOT = Path(__file__).resolve().parents[3]
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 420

# A straight line may be long; each exception says why.
LONG_ON_PURPOSE: dict[str, str] = {}


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    generated = ("issuernetwork/v1/", "issuernetwork/storage/")
    return [ROOT / name for name in listed if not name.startswith(generated) and (ROOT / name).exists()]


def test_no_function_grows_beyond_seventy_lines() -> None:
    grown = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{path.relative_to(ROOT)}:{node.name}"
                if lines > MAX_FUNCTION_LINES and name not in LONG_ON_PURPOSE:
                    grown.append(f"{name} has {lines} lines")
    assert not grown, "\n".join(grown)


def test_no_file_grows_beyond_four_hundred_and_twenty_lines() -> None:
    grown = [
        f"{path.relative_to(ROOT)} has {lines} lines"
        for path in sources()
        if (lines := len(path.read_text().splitlines())) > MAX_FILE_LINES
    ]
    assert not grown, "\n".join(grown)


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.name == "__init__.py"
        and "tests" not in path.parts
        and path.parent.name != "v1"
        and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent, silent


def test_no_file_carries_an_address_to_download_from() -> None:
    found = subprocess.run(
        [
            "git",
            "grep",
            "-lIE",
            r"(extra-)?index-url|\"resolved\": *\"http|https?://[^ \"']+\.(whl|tgz|jar|deb)",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    assert [name for name in found if name not in ("scripts/lock", "tests/unit/house/test_tidy.py")] == []


def test_the_engines_and_the_code_that_loads_them_name_one_version() -> None:
    manifest = (ROOT / "native" / "Cargo.toml").read_text()
    assert f'\nversion = "{native.VERSION}"\n' in manifest
