"""Back from an archive into an empty state directory: all of it or nothing."""

import errno
import json
import shutil
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.restores import RestoreNote, SqliteRestores
from gateway.records.errors import GatewayError
from gateway.runtime.disk import Disk
from gateway.server.backup.archive import Manifest, open_archive, sync_dir
from gateway.server.backup.copying import check_copy
from gateway.server.backup.layout import RestoreRefused
from gateway.server.operators import os_user
from gateway.server.settings import Settings
from gateway.server.state import StateDir

STAGING_NAME: Final = ".restore"
"""Below the state directory, so that renaming works where that is a file system of its own."""

LAST_NAME: Final = "keys"
"""Put in place last: without keys no process that shares starts, should a crash leave half of it."""

NOT_OURS: Final = frozenset(("lost+found",))
"""What mkfs leaves in a file system of its own."""

PLACES_PER_S: Final = 10_000
"""Places of a stream cannot have been given faster: over three times what one machine was measured at."""

CLOCK_MARGIN_MS: Final = 3_600_000
"""The machine that is gone and this one may tell the time so far apart."""

CONNECT_TIMEOUT_S: Final = 1.0
"""Looking whether something listens, on this machine."""

FREE_SHARE: Final = 1.05
"""Of the archive's bytes that have to be free: file systems round up to whole blocks."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place. Streams go on at `first_free_seq`."""

    manifest: Manifest
    first_free_seq: int


def restore_state(settings: Settings, archive: Path, disk: Disk, *, now_ms: int) -> Restored:
    """Checks everything, then puts it in place. Raises RestoreRefused, JournalCorrupt, OSError."""
    state = settings.state
    refuse_running(settings)
    _refuse_used(state.root)
    made = not state.root.exists()
    state.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = StateDir(state.root / STAGING_NAME)
    moved: list[Path] = []
    try:
        staged.root.mkdir(mode=0o700)
        with open_archive(archive) as reading:
            _refuse_full(state.root, reading.manifest)
            reading.extract(staged.root)
        try:
            check_copy(staged, disk)
        except GatewayError as cause:
            raise RestoreRefused(f"the archive is not consistent: {cause.public}") from cause
        first_free_seq = skip_places(staged, reading.manifest, now_ms=now_ms)
        _note(staged, reading.manifest, now_ms, first_free_seq)
        note = {"restored_at_ms": now_ms, "began_at_ms": reading.manifest.began_at_ms}
        disk.replace(str(staged.restored), json.dumps(note).encode())
        _put_in_place(staged.root, state.root, moved)
    except OSError as fault:
        _undo(state.root, moved, made=made)
        name = errno.errorcode.get(fault.errno or 0, "")
        raise RestoreRefused(f"{state.root}: cannot be written ({name}); check space and rights") from fault
    except BaseException:
        _undo(state.root, moved, made=made)
        raise
    state.make()
    sync_dir(state.root)
    return Restored(reading.manifest, first_free_seq)


def refuse_running(settings: Settings) -> None:
    """Raises RestoreRefused where something listens at an address of the settings."""
    for address in (
        settings.gateway.listen, settings.gateway.metrics,
        settings.feeds.listen_grpc, settings.feeds.listen_http, settings.feeds.metrics,
        settings.measure.listen_grpc, settings.measure.metrics,
    ):  # fmt: skip
        if _listens(address):
            raise RestoreRefused(f"{address}: something listens there; stop gateway, feeds and measure first")
    for path in settings.state.run.glob("*.json"):
        found = settings.state.read_ready(path.stem)
        if found is not None and _listens(found.get("metrics", "")):
            raise RestoreRefused(f"{path.stem} runs on this state directory: stop it first")


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not port or int(port) == 0:
        return False
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _refuse_used(root: Path) -> None:
    if not root.exists():
        return
    names = {path.name for path in root.iterdir()} - NOT_OURS
    if STAGING_NAME in names:
        raise RestoreRefused(
            f"{root}: an earlier restore was cut off here; remove what is in it and try again"
        )
    if names:
        raise RestoreRefused(
            f"{root}: not empty; a restore overwrites nothing, move what is there away first"
        )


def _refuse_full(root: Path, manifest: Manifest) -> None:
    if shutil.disk_usage(root).free < manifest.size_bytes * FREE_SHARE:
        raise RestoreRefused(
            f"{root}: the disk has less than the {manifest.size_bytes} bytes of the archive free"
        )


def skip_places(staged: StateDir, manifest: Manifest, *, now_ms: int) -> int:
    """Moves every stream behind all places that may have been given since the backup; the first free one.

    A receiver takes a place that it has passed for a repeat and acknowledges it unseen: what would be shared
    under such a place would be lost without a word.
    """
    gone_ms = max(0, now_ms - manifest.began_at_ms) + CLOCK_MARGIN_MS
    # Also where the feeds had not run yet: they may have since.
    with closing(SqliteDeliveryStore(staged.feeds_db)) as store:
        return store.skip_places(gone_ms * PLACES_PER_S // 1000)


def _note(staged: StateDir, manifest: Manifest, now_ms: int, first_free_seq: int) -> None:
    """An act that the ledger takes up: the installation goes on from an earlier state."""
    with closing(SqliteRestores(str(staged.policy_db))) as restores:
        restores.add(
            RestoreNote(
                actor=os_user(), at_ms=now_ms, began_at_ms=manifest.began_at_ms, files=len(manifest.files),
                size_bytes=manifest.size_bytes, first_free_seq=first_free_seq,
            )
        )  # fmt: skip


def _put_in_place(staged: Path, root: Path, moved: list[Path]) -> None:
    for source in sorted(staged.iterdir(), key=lambda path: (path.name == LAST_NAME, path.name)):
        target = root / source.name
        moved.append(target)
        source.rename(target)
    staged.rmdir()


def _undo(root: Path, moved: list[Path], *, made: bool) -> None:
    """Removes what this restore wrote, and nothing else: the directory was empty before."""
    for path in [*moved, root / STAGING_NAME]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if made:
        with suppress(OSError):
            root.rmdir()
