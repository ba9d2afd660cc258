"""Append-only lists as JSON lines. Each line is handed to the kernel at once: it survives SIGKILL."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class LineList:
    """A list that one process writes and others read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_tail(path)
        self._file = path.open("ab", buffering=0)

    def add(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


def _cut_torn_tail(path: Path) -> None:
    # A process killed in mid-line leaves half of one: the next line must not join it.
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            with path.open("r+b") as file:
                file.truncate(whole)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of the list; nothing where there is none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield json.loads(raw)
