"""Finds planted personal data anywhere in an installation: as it is, in base64, in hex, and as SHA-256."""

import base64
import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as parquet

MIN_LENGTH = 8
"""Shorter values turn up by chance in random bytes."""


def _base64_cores(value: bytes) -> Iterator[bytes]:
    """What is sure to stand in base64 text that holds `value`, for each of the three alignments."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + value)
        # The first and last quantum also depend on the neighbours: leave them out.
        core = encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
        for form in {core, core.replace(b"+", b"-").replace(b"/", b"_")}:
            if len(form) >= MIN_LENGTH:
                yield form


def forms(value: str) -> dict[str, set[bytes]]:
    """Every form that counts as a leak of `value`, by name."""
    raw = value.encode()
    digest = hashlib.sha256(raw).digest()
    return {
        "plain": {raw},
        "base64": set(_base64_cores(raw)),
        "hex": {raw.hex().encode(), raw.hex().upper().encode()},
        "sha256": {digest, digest.hex().encode(), digest.hex().upper().encode(), *_base64_cores(digest)},
    }


@dataclass(frozen=True, slots=True)
class Leak:
    """Where a canary turned up. Names it, never shows its surroundings."""

    canary: str
    form: str
    sink: str


def scan_bytes(sink: str, content: bytes, canaries: Mapping[str, str]) -> list[Leak]:
    """All canaries that stand in `content`."""
    return [
        Leak(name, form, sink)
        for name, value in canaries.items()
        for form, patterns in forms(value).items()
        if any(pattern in content for pattern in patterns)
    ]


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The file as it is, and what it holds once decompressed."""
    raw = path.read_bytes()
    yield path.name, raw
    if path.suffix == ".parquet":
        for batch in parquet.ParquetFile(path).iter_batches():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                cells = (cell.as_py() for cell in column)
                joined = b"\n".join(c if isinstance(c, bytes) else str(c).encode() for c in cells)
                yield f"{path.name}:{name}", joined
    elif raw[:2] == b"\x1f\x8b":
        yield f"{path.name}:gunzip", gzip.decompress(raw)


def scan_tree(root: Path, canaries: Mapping[str, str]) -> list[Leak]:
    """All canaries in the files below `root`, and in their names."""
    found: list[Leak] = []
    for path in sorted(root.rglob("*")):
        found += scan_bytes(f"name:{path.relative_to(root)}", path.name.encode(), canaries)
        if path.is_file():
            for sink, content in contents(path):
                found += scan_bytes(f"{path.relative_to(root).parent}/{sink}", content, canaries)
    return found
