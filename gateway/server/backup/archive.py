"""The archive: one compressed tar, the manifest first, and every file under its size and digest.

Digests tell damage, not malice: who can write the archive can write its manifest.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.server.backup.layout import FORMAT, MANIFEST_NAME, BackupRefused, RestoreRefused, is_kept

CHUNK_BYTES: Final = 1024 * 1024
"""Read and written at a time."""

GZIP_LEVEL: Final = 1
"""What is sealed does not get smaller; the rest does nearly as well at the quickest level."""

MAX_FILES: Final = 500_000
"""Segments of 64 MiB: more than any disk holds."""

MAX_MANIFEST_BYTES: Final = 128 * 1024 * 1024
"""Some 200 bytes a file."""


@dataclass(frozen=True, slots=True)
class FileMark:
    """What a file has to be when it is read back."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds. `began_at_ms`: everything recorded before then is in it."""

    began_at_ms: int
    files: Mapping[str, FileMark]

    @property
    def size_bytes(self) -> int:
        return sum(mark.size_bytes for mark in self.files.values())

    def to_json(self) -> bytes:
        files = {name: {"bytes": one.size_bytes, "sha256": one.sha256} for name, one in self.files.items()}
        return json.dumps({"format": FORMAT, "began_at_ms": self.began_at_ms, "files": files}).encode()


def mark_files(root: Path, began_at_ms: int) -> Manifest:
    """The manifest of all files below `root`, which nobody changes any more."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    if len(paths) > MAX_FILES:
        raise BackupRefused(f"more than {MAX_FILES} files: the state directory is not one of ours")
    files = {path.relative_to(root).as_posix(): _mark(path) for path in paths}
    return Manifest(began_at_ms, files)


def _mark(path: Path) -> FileMark:
    digest, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return FileMark(size_bytes, digest.hexdigest())


def write_archive(target: Path, root: Path, manifest: Manifest) -> None:
    """Makes `target`, readable by its owner alone, whole and durable or not at all."""
    if target.exists():
        raise BackupRefused(f"{target}: exists already; a backup overwrites nothing, name another file")
    # Mode 0600 from the start (mkstemp(3)).
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as raw:
            with gzip.GzipFile("", "wb", GZIP_LEVEL, raw, 0) as packed:
                _write_members(packed, root, manifest)
            raw.flush()
            os.fsync(raw.fileno())
        os.rename(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_dir(target.parent)


def _write_members(packed: gzip.GzipFile, root: Path, manifest: Manifest) -> None:
    with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        text = manifest.to_json()
        tar.addfile(_member(MANIFEST_NAME, len(text), manifest), io.BytesIO(text))
        for name, mark in manifest.files.items():
            with (root / name).open("rb") as file:
                tar.addfile(_member(name, mark.size_bytes, manifest), file)


def _member(name: str, size_bytes: int, manifest: Manifest) -> tarfile.TarInfo:
    # Neither user nor machine: an archive says nothing of who made it.
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, 0o600, manifest.began_at_ms // 1000
    return member


@contextmanager
def open_archive(source: Path) -> Iterator["Reading"]:
    """The archive to read once, from its manifest on. Raises RestoreRefused for anything that is not one."""
    try:
        with (
            source.open("rb") as raw,
            gzip.GzipFile(fileobj=raw, mode="rb") as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            yield Reading(tar, packed)
    except FileNotFoundError:
        raise RestoreRefused(f"{source}: no such file") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError):
        raise RestoreRefused(f"{source}: damaged or cut off, or no backup; take another one") from None


class Reading:
    """An archive open for reading. `manifest` is checked before any file is read."""

    def __init__(self, tar: tarfile.TarFile, packed: gzip.GzipFile) -> None:
        self._tar = tar
        self._packed = packed
        self.manifest = self._read_manifest()

    def extract(self, root: Path) -> None:
        """Writes every file below `root`, an empty folder of ours, durable and as the manifest says."""
        missing = set(self.manifest.files)
        while (member := self._tar.next()) is not None:
            if member.name not in missing:
                raise RestoreRefused("the archive holds a file twice, or one that its manifest does not name")
            missing.remove(member.name)
            self._extract(member, root)
        if missing:
            raise RestoreRefused(f"the archive lacks {len(missing)} files of its manifest; take another one")
        # To its end, where its own check sum is: bits may also have turned where no file is.
        if len(self._packed.read(tarfile.RECORDSIZE + 1)) > tarfile.RECORDSIZE:
            raise RestoreRefused("the archive goes on behind its last file; take another one")
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            sync_dir(folder)

    def _extract(self, member: tarfile.TarInfo, root: Path) -> None:
        mark = self.manifest.files[member.name]
        file = self._tar.extractfile(member) if member.isreg() else None
        if file is None or member.size != mark.size_bytes:
            raise RestoreRefused(f"{member.name}: no plain file of the size that the manifest says")
        path = root / member.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        if digest.hexdigest() != mark.sha256:
            raise RestoreRefused(f"{member.name}: not what the manifest says; take another backup")

    def _read_manifest(self) -> Manifest:
        member = self._tar.next()
        if member is None or member.name != MANIFEST_NAME or not member.isreg():
            raise RestoreRefused(
                "the archive does not begin with a manifest: it is no backup of `ein backup`"
            )
        file = self._tar.extractfile(member) if member.size <= MAX_MANIFEST_BYTES else None
        if file is None:
            raise RestoreRefused(f"the manifest is over {MAX_MANIFEST_BYTES} bytes")
        return read_manifest(file.read())


def read_manifest(text: bytes) -> Manifest:
    """Raises RestoreRefused where it is none, of another format, or names what a restore never writes."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise RestoreRefused(
                f"the archive is not of format {FORMAT}: restore it with the version it is of"
            )
        files = {name: FileMark(one["bytes"], one["sha256"]) for name, one in document["files"].items()}
        manifest = Manifest(document["began_at_ms"], files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RestoreRefused("the manifest cannot be read; take another backup") from None
    whole = type(manifest.began_at_ms) is int and all(
        type(one.size_bytes) is int and one.size_bytes >= 0 and isinstance(one.sha256, str)
        for one in files.values()
    )
    if not whole or len(files) > MAX_FILES:
        raise RestoreRefused("the manifest cannot be read; take another backup")
    if not all(is_kept(name) for name in files):
        raise RestoreRefused("the manifest names a file that is not part of a state directory")
    return manifest


def sync_dir(path: Path) -> None:
    """Makes the entries of a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
