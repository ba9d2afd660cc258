"""What providers remember, over a restart: one file, replaced whole. Keyed hashes and numbers alone."""

import json
import os
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from enrichment.providers.kept import Kept, Remembering
from gateway.records.errors import GatewayError

MEMORY_INTERVAL_S: Final = 600.0
"""After a crash so much is forgotten: what was first seen then looks new once more."""

MEMORY_BYTES_MAX: Final = 64 << 20
"""At the limits of all memories it has 13 MB: 16 bytes a key."""

_AT_ONCE: Final = 4_096  # numbers, some 100 µs

_MAGIC: Final = b"EINPRV1" + (b"<" if sys.byteorder == "little" else b">")
_HEADER: Final = struct.Struct("=8sI")  # magic, bytes of the table of contents
_CRC: Final = struct.Struct("=I")


class MemoryUnusable(GatewayError):
    """The file is not what was written, or is of another machine: memory begins anew."""

    code = "provider_memory_unusable"


def write_memory(path: Path, providers: Iterable[Remembering]) -> None:
    """Replaces the file by what they remember now. Raises OSError.

    On any thread: the hot loop waits for each copy, 5 ms where a memory is at its limit.
    """
    contents: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for one in providers:
        sizes = []
        for kept in one.kept:
            since_day, *generations = kept.copies()
            sizes.append([since_day, *map(len, generations)])
            for numbers in generations:
                pieces += [_packed("Q", numbers), _packed("q", numbers.values())]
        state = list(map(int, one.state()))
        contents.append({"name": one.name, "version": one.version, "state": state, "kept": sizes})
    table = json.dumps(contents).encode()
    new = path.with_suffix(".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        crc = 0
        for piece in chain([_HEADER.pack(_MAGIC, len(table)), table], pieces):
            crc = zlib.crc32(piece, crc)
            file.write(piece)
        file.write(_CRC.pack(crc))
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def _packed(kind: str, numbers: Iterable[int]) -> bytes:
    packed, rest = array(kind), iter(numbers)
    # In slices: in between, the hot loop has the interpreter.
    while some := list(islice(rest, _AT_ONCE)):
        packed.fromlist(some)
    return packed.tobytes()


def read_memory(path: Path, providers: Iterable[Remembering]) -> None:
    """Puts back what each remembered, where it is still of its version. Raises MemoryUnusable, and then
    nothing is put back; where there is no file they begin anew."""
    try:
        if path.stat().st_size > MEMORY_BYTES_MAX:
            raise MemoryUnusable(f"{path.name}: larger than {MEMORY_BYTES_MAX} bytes")
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError:
        raise MemoryUnusable(f"{path.name}: cannot be read; memory begins anew") from None
    try:
        sections = _sections(raw)
    except (ValueError, KeyError, TypeError, struct.error):
        raise MemoryUnusable(f"{path.name}: not what was written; memory begins anew") from None
    for one in providers:
        found = sections.get((one.name, one.version))
        if found is None or len(found[1]) != len(one.kept):
            continue
        one.restore(found[0])
        for kept, generations in zip(one.kept, found[1], strict=True):
            kept.take(*generations)


_Generations = tuple[int, dict[int, int], dict[int, int]]


def _sections(raw: bytes) -> dict[tuple[str, str], tuple[Sequence[int], list[_Generations]]]:
    magic, length = _HEADER.unpack_from(raw)
    if magic != _MAGIC or _CRC.unpack(raw[-_CRC.size :])[0] != zlib.crc32(raw[: -_CRC.size]):
        raise ValueError("another file, or a torn one")
    at = _HEADER.size + length
    sections = {}
    for section in json.loads(raw[_HEADER.size : at]):
        kept: list[_Generations] = []
        for since_day, *sizes in section["kept"]:
            generations = []
            for size in sizes:
                keys, numbers = array("Q"), array("q")
                for column in (keys, numbers):
                    column.frombytes(raw[at : at + 8 * size])
                    at += 8 * size
                generations.append(dict(zip(keys, numbers, strict=True)))
            old, young = generations
            kept.append((since_day, old, young))
        sections[section["name"], section["version"]] = section["state"], kept
    return sections


def remembering(providers: Iterable[Any]) -> list[Remembering]:
    """Those that have a memory."""
    return [one for one in providers if all(isinstance(kept, Kept) for kept in getattr(one, "kept", [None]))]
