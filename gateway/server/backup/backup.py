"""A backup of a running installation, or of one that is stopped: copy, mark, write, in that order."""

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.runtime.disk import Disk
from gateway.server.backup.archive import Manifest, mark_files, write_archive
from gateway.server.backup.copying import copy_state
from gateway.server.backup.layout import NEVER, PARTS, PASSPHRASE_NAME, BackupRefused, is_kept
from gateway.server.state import StateDir

STAGING_NAME: Final = "backup"
"""Below run/, on the file system of the state directory, so that files can be linked."""

_OWN_TOPS: Final = (
    NEVER
    | {part.path.partition("/")[0] for part in PARTS}
    | {"identities.lock", "operators.lock", "restored.json"}
)


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What went into an archive. `unknown` stood in the state directory and is nothing of ours."""

    manifest: Manifest
    has_passphrase: bool
    unknown: tuple[str, ...]


def back_up(state: StateDir, target: Path, disk: Disk, *, now_ms: int, with_passphrase: bool) -> BackedUp:
    """Writes the archive `target`. Raises BackupRefused, JournalCorrupt, OSError; then there is none."""
    if target.exists():
        raise BackupRefused(f"{target}: exists already; a backup overwrites nothing, name another file")
    if not target.parent.is_dir():
        raise BackupRefused(f"{target.parent}: no such folder; make it first")
    if not state.policy_db.exists():
        raise BackupRefused(f"{state.root}: no policy was ever applied here; check state_dir of the settings")
    state.run.mkdir(mode=0o700, exist_ok=True)
    try:
        lock = disk.lock(str(state.run / "backup.lock"))
    except BlockingIOError:
        raise BackupRefused("another `ein backup` is under way: let it end first") from None
    copy = StateDir(state.run / STAGING_NAME)
    try:
        # What one that was killed left behind.
        shutil.rmtree(copy.root, ignore_errors=True)
        copy.root.mkdir(mode=0o700)
        copy_state(state, copy, disk, with_passphrase=with_passphrase)
        manifest = mark_files(copy.root, now_ms)
        foreign = [name for name in manifest.files if not is_kept(name)]
        if foreign:
            raise BackupRefused(f"{foreign[0]}: no name of ours; move it out of the state directory")
        write_archive(target, copy.root, manifest)
    except OSError as fault:
        name = errno.errorcode.get(fault.errno or 0, "")
        raise BackupRefused(
            f"{target}: not made ({name}); check space and rights, there and in run/"
        ) from fault
    finally:
        shutil.rmtree(copy.root, ignore_errors=True)
        lock.close()
    unknown = sorted({path.name for path in state.root.iterdir()} - _OWN_TOPS)
    return BackedUp(
        manifest,
        PASSPHRASE_NAME in manifest.files,
        tuple(name for name in unknown if not name.endswith(("-wal", "-shm"))),
    )
