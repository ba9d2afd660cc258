"""A consistent copy of a state directory beside the processes that write it.

The copy has the same layout, so that whatever reads a state directory reads it too. Files that never change
again are linked, not copied: retention may unlink them meanwhile.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.journal_folder import JournalFolder
from gateway.backends.embedded.journal_format import (
    COMMIT_NAME,
    SEGMENT_HEADER_BYTES,
    Commit,
    corrupt,
    pack_commit,
    unpack_entries,
)
from gateway.backends.embedded.own_file import OWN_KEYS_FILE
from gateway.backends.embedded.passphrase import PASSPHRASE_FILE
from gateway.backends.embedded.recipient_files import RECIPIENTS_DIR
from gateway.records.journal import FEEDS_TOPICS, GATEWAY_TOPICS
from gateway.runtime.disk import Disk
from gateway.server.backup.layout import LAKE_PATH, PARTS, BackupRefused, Kind
from gateway.server.state import StateDir

CHUNK_BYTES: Final = 1024 * 1024
"""Of a segment, read and checked at a time."""

READ_RECORDS: Final = 1_000
"""Records of one read while the copy is checked: some megabytes at the usual record size."""

LAKE_TRIES: Final = 3
"""Merging retires files a minute before it removes them; linking a hundred thousand takes seconds."""

BUSY_TIMEOUT_S: Final = 5.0
"""Nobody locks a database in WAL mode against readers for longer than opening it takes."""


class _Moved(Exception):
    """A file that was named is gone: what named it has changed since."""


def copy_state(state: StateDir, target: StateDir, disk: Disk, *, with_passphrase: bool) -> None:
    """Copies every part in its order to `target`, an empty folder on the same file system.

    Raises BackupRefused, JournalCorrupt, OSError.
    """
    copies: dict[Kind, Callable[[Path, Path], None]] = {
        Kind.FILE: _copy_file,
        Kind.DATABASE: copy_database,
        Kind.LAKE: lambda source, copy: _copy_lake(source, copy, state.root, target.root),
        Kind.JOURNAL: lambda source, copy: copy_journal(disk, source, copy),
        Kind.KEYS: lambda source, copy: _copy_keys(source, copy, with_passphrase=with_passphrase),
    }
    for part in PARTS:
        source, copy = state.root / part.path, target.root / part.path
        if source.exists():
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            copies[part.kind](source, copy)
    check_copy(target, disk)


def _copy_file(source: Path, copy: Path) -> None:
    shutil.copyfile(source, copy)


def copy_database(source: Path, copy: Path) -> None:
    """One moment of a database in WAL mode: writers go on beside it."""
    uri = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as reading,
            closing(sqlite3.connect(copy)) as writing,
        ):
            # The copy is thrown away where anything fails: it needs neither a journal nor syncs of its own.
            writing.execute("pragma synchronous = off")
            writing.execute("pragma journal_mode = off")
            reading.backup(writing)
    except sqlite3.Error:
        raise BackupRefused(
            f"{source.name}: cannot be read; check the state directory's disk and rights"
        ) from None


def _copy_lake(source: Path, copy: Path, root: Path, target: Path) -> None:
    for _ in range(LAKE_TRIES):
        copy.unlink(missing_ok=True)
        shutil.rmtree(target / LAKE_PATH, ignore_errors=True)
        copy_database(source, copy)
        try:
            _link_lake(copy, root / LAKE_PATH, target / LAKE_PATH)
        except _Moved:
            continue
        return
    raise BackupRefused("the lake's files change faster than they can be linked: try again later")


def _link_lake(manifest: Path, source: Path, copy: Path) -> None:
    copy.mkdir(mode=0o700)
    with closing(sqlite3.connect(manifest)) as database:
        gone = []
        for name, retired_at_ms in database.execute("select name, retired_at_ms from files").fetchall():
            try:
                os.link(source / name, copy / name)
            except FileNotFoundError:
                if retired_at_ms is None:
                    raise _Moved from None
                gone.append((name,))
        # What is retired and gone is what the next round of retention would forget.
        database.executemany("delete from files where name = ?", gone)
        database.commit()


def copy_journal(disk: Disk, source: Path, copy: Path) -> None:
    """Every topic of a journal, up to what its commit file says is durable."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        _copy_topic(disk, JournalFolder(disk, str(source), folder.name, 0), copy / folder.name)


def _copy_topic(disk: Disk, folder: JournalFolder, copy: Path) -> None:
    commit = folder.commit()
    if commit is None:
        if folder.bases():
            raise BackupRefused(
                "a journal's commit file cannot be read: start its process once, which mends it"
            )
        return
    copy.mkdir(mode=0o700, parents=True)
    for base in folder.bases():
        # What was opened since the commit was read holds nothing that it covers.
        if base < commit.active_base:
            _link_segment(folder, base, copy)
    _copy_active(folder, commit, copy)
    disk.publish(str(copy / COMMIT_NAME), pack_commit(commit))


def _link_segment(folder: JournalFolder, base: int, copy: Path) -> None:
    source = Path(folder.segment(base))
    try:
        os.link(source, copy / source.name)
    except FileNotFoundError:
        # Retention removes from the oldest on: only where nothing older was linked is it that.
        if any(copy.iterdir()):
            raise BackupRefused("a journal's segment is missing: restore it before making a backup") from None


def _copy_active(folder: JournalFolder, commit: Commit, copy: Path) -> None:
    """Copies the segment that is written to, cut behind the last durable record."""
    disk, source = folder.disk, folder.segment(commit.active_base)
    seed = folder.header(commit.active_base).seed
    offset, position, wanted = SEGMENT_HEADER_BYTES, commit.active_base, CHUNK_BYTES
    with (copy / Path(source).name).open("wb") as target:
        target.write(disk.read_at(source, 0, SEGMENT_HEADER_BYTES))
        while position <= commit.durable:
            data = disk.read_at(source, offset, wanted)
            entries, used, needed = unpack_entries(data, seed=seed, first=position, last=commit.durable)
            if not entries:
                if len(data) < wanted or needed <= wanted:
                    raise corrupt(position)
                wanted = needed
                continue
            target.write(data[:used])
            offset, position, wanted = offset + used, position + len(entries), CHUNK_BYTES


def _copy_keys(source: Path, copy: Path, *, with_passphrase: bool) -> None:
    (copy / RECIPIENTS_DIR).mkdir(mode=0o700, parents=True)
    names = [OWN_KEYS_FILE, *([PASSPHRASE_FILE] if with_passphrase else [])]
    for name in names:
        if (source / name).exists():
            _copy_file(source / name, copy / name)
    for path in sorted((source / RECIPIENTS_DIR).glob("*.jwks.json")):
        _copy_file(path, copy / RECIPIENTS_DIR / path.name)


def check_copy(copy: StateDir, disk: Disk) -> None:
    """Reads every record, and holds each reader's offset against its journal.

    Raises JournalCorrupt; BackupRefused where a reader is ahead, and would skip records for good.
    """
    ends: dict[str, int] = {}
    for root, topics in ((copy.gateway_journal, GATEWAY_TOPICS), (copy.feeds_journal, FEEDS_TOPICS)):
        reader = FileJournalReader(disk, root)
        for topic in topics:
            after = -1
            while entries := reader.read(topic, after, READ_RECORDS):
                after = entries[-1].position
            ends[topic] = reader.end(topic)
    for database in (copy.feeds_db, copy.ledger_db, copy.measure_db):
        for topic, position in _offsets(database):
            # The ledger has offsets of the policy's acts too, which is copied behind it.
            if topic in ends and position > ends[topic]:
                raise BackupRefused(
                    f"{database.name}: is ahead of the journal `{topic}`, whose records it would skip"
                )


def _offsets(database: Path) -> list[tuple[str, int]]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as raw:
        return raw.execute("select topic, position from offsets").fetchall()
