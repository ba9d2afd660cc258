"""Reads the pages: tables, blocks, links."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

# Examples of the feed stand in its page under these names.
_EXAMPLE = r"<!-- (?:example|code): {name} -->\n```[a-z]*\n(.*?)```"


def rows(text: str) -> list[list[str]]:
    """Cells of all table rows, heads and rules included."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def first_names(text: str) -> set[str]:
    """What stands in backquotes in the first cell of the table rows."""
    return {name for row in rows(text) for name in re.findall(r"`([^`]+)`", row[0])}


def section(text: str, title: str) -> str:
    """The part under the heading `## title`."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"no section {title}"
    return found[1]


def block(text: str, name: str) -> str:
    """The fenced block behind the marker of that name."""
    found = re.search(_EXAMPLE.format(name=re.escape(name)), text, re.S)
    assert found, f"no block {name}"
    return found[1]


def example(name: str) -> Any:
    """A JSON example of docs/reference/feed.md."""
    return json.loads(block((REFERENCE / "feed.md").read_text(), name))
