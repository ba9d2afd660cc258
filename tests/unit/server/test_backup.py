"""Backup and restore: what is copied, what is refused, and that a refusal leaves nothing behind."""

import gzip
import hashlib
import io
import json
import os
import socket
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.backends.embedded import journal_format
from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.lake import Manifest
from gateway.feeds.ports import FanOutChange
from gateway.records.errors import GatewayError
from gateway.records.journal import EVALUATIONS, FEEDS_TOPICS, GATEWAY_TOPICS, JournalCorrupt
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.backup.archive import MAX_MANIFEST_BYTES
from gateway.server.backup.backup import BackedUp, back_up
from gateway.server.backup.layout import FORMAT, NEVER, PARTS, BackupRefused, RestoreRefused, is_kept
from gateway.server.backup.restore import CLOCK_MARGIN_MS, PLACES_PER_S, restore_state
from gateway.server.install import write_settings
from gateway.server.settings import Settings, load_settings
from gateway.server.state import StateDir
from tests.kit.installation import Installation

NOW_MS = 1_790_000_000_000
SECRET = b"sealed-canary-4111111111111111"


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    """An installation with records in its journals, a database of the feeds, and a lake of one file."""
    folder = tmp_path / "first"
    folder.mkdir()
    installation = Installation(folder)
    state = installation.state
    write(state, 30)
    with closing(SqliteDeliveryStore(state.feeds_db)) as store:
        store.commit_fan_out(FanOutChange(topic=EVALUATIONS, partition=0, position=9, at_ms=NOW_MS))
    (state.lake / "shares-0000000001.parquet").write_bytes(b"rows")
    manifest = Manifest(state.measure_db, create=True)
    manifest.commit(added=[("shares-0000000001.parquet", "shares", "", 1, NOW_MS)])
    manifest.close()
    state.velocity_snapshot.write_bytes(b"counts")
    state.provider_memory.write_bytes(b"memory")
    (state.leases / "gateway-1").write_bytes(b"lease")
    return installation


def write(state: StateDir, records: int) -> None:
    for root, topics in ((state.gateway_journal, GATEWAY_TOPICS), (state.feeds_journal, FEEDS_TOPICS)):
        with closing(FileJournalWriter(RealDisk(), SystemClock(), root, topics, segment_bytes=512)) as writer:
            for number in range(records):
                for topic in topics:
                    writer.append(topic, [SECRET + b"%d" % number])


def backed_up(installation: Installation, target: Path, *, with_passphrase: bool = False) -> BackedUp:
    return back_up(
        installation.state, target, RealDisk(), now_ms=NOW_MS, with_passphrase=with_passphrase
    )  # fmt: skip


def fresh(folder: Path) -> Settings:
    folder.mkdir()
    return load_settings(write_settings(folder))


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_what_is_restored_is_what_was_backed_up(installed: Installation, tmp_path: Path) -> None:
    done = backed_up(installed, tmp_path / "b")
    settings = fresh(tmp_path / "second")
    restored = restore_state(settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)
    assert restored.manifest == done.manifest
    before, after = files(installed.state.root), files(settings.state.root)
    same = {"identities.json", "keys/own.json", "gateway/velocity.snapshot", "gateway/providers.memory"}
    same |= {name for name in before if name.startswith("keys/recipients/") or name.endswith(".parquet")}
    assert len(same) > 6
    assert {name: after.get(name) for name in same} == {name: before[name] for name in same}
    for root in (settings.state.gateway_journal, settings.state.feeds_journal):
        source = installed.state.root / root.relative_to(settings.state.root)
        for topic in sorted(path.name for path in source.iterdir() if path.is_dir()):
            ours = FileJournalReader(RealDisk(), root).read(topic, -1, 1000)
            assert ours == FileJournalReader(RealDisk(), source).read(topic, -1, 1000)
            assert len(ours) == 30
    assert not any(settings.state.leases.iterdir())
    assert not any(name.startswith(".restore") for name in after)


def test_a_restored_journal_goes_on_where_the_copy_ends(installed: Installation, tmp_path: Path) -> None:
    backed_up(installed, tmp_path / "b")
    settings = fresh(tmp_path / "second")
    restore_state(settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)
    write(settings.state, 1)
    reader = FileJournalReader(RealDisk(), settings.state.gateway_journal)
    assert [entry.position for entry in reader.read(EVALUATIONS, -1, 1000)] == list(range(31))


def test_what_is_written_after_the_commit_mark_is_not_copied(installed: Installation, tmp_path: Path) -> None:
    folder = installed.state.gateway_journal / EVALUATIONS
    active = max(folder.glob("*.journal"))
    whole = active.read_bytes()
    active.write_bytes(whole + b"half a batch")
    backed_up(installed, tmp_path / "b")
    with tarfile.open(tmp_path / "b") as tar:
        copied = tar.extractfile(f"gateway/journal/{EVALUATIONS}/{active.name}")
        assert copied is not None
        assert copied.read() == whole


def test_only_the_owner_reads_the_archive_and_the_passphrase_is_in_it_on_demand_alone(
    installed: Installation, tmp_path: Path
) -> None:
    for name, wanted in (("without", False), ("with", True)):
        done = backed_up(installed, tmp_path / name, with_passphrase=wanted)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert done.has_passphrase is wanted
        with tarfile.open(tmp_path / name) as tar:
            assert ("keys/passphrase" in tar.getnames()) is wanted
            assert {(one.uname, one.uid, one.mode) for one in tar.getmembers()} == {("", 0, 0o600)}


def test_every_path_of_the_state_directory_is_kept_or_left_out_on_purpose() -> None:
    """Who adds one decides: a row in PARTS, in the order of effects before causes, or in NEVER."""
    state = StateDir(Path("/s"))
    names = [
        name for name, value in vars(StateDir).items() if isinstance(value, property) and name != "restored"
    ]
    kept = {part.path for part in PARTS} | {"measure/lake"}
    paths = {name: str(getattr(state, name).relative_to("/s")) for name in names}
    assert {name: path for name, path in paths.items() if path not in kept | NEVER} == {}


def test_readers_are_copied_before_what_they_read_and_switches_last() -> None:
    order = [part.path for part in PARTS]
    for reader in ("measure/measure.sqlite3", "feeds/feeds.sqlite3", "gateway/velocity.snapshot"):
        assert order.index(reader) < min(order.index("feeds/journal"), order.index("gateway/journal"))
    assert order.index("feeds/journal") < order.index("gateway/journal")
    assert order[-1] == "policy.sqlite3"


def test_a_reader_ahead_of_its_journal_is_no_consistent_backup(
    installed: Installation, tmp_path: Path
) -> None:
    with closing(SqliteDeliveryStore(installed.state.feeds_db)) as store:
        store.commit_fan_out(FanOutChange(topic=EVALUATIONS, partition=0, position=30, at_ms=NOW_MS))
    with pytest.raises(BackupRefused, match="ahead of the journal `evaluations`"):
        backed_up(installed, tmp_path / "b")
    assert not list(tmp_path.glob("*b*"))


def test_a_damaged_record_is_found_before_there_is_an_archive(
    installed: Installation, tmp_path: Path
) -> None:
    segment = min((installed.state.gateway_journal / EVALUATIONS).glob("*.journal"))
    raw = bytearray(segment.read_bytes())
    raw[journal_format.SEGMENT_HEADER_BYTES + journal_format.FRAME_HEADER_BYTES] ^= 1
    segment.write_bytes(raw)
    with pytest.raises(JournalCorrupt):
        backed_up(installed, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not (installed.state.run / "backup").exists()


def test_a_file_that_is_there_is_not_overwritten(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("the only other backup")
    with pytest.raises(BackupRefused, match="overwrites nothing"):
        backed_up(installed, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "the only other backup"


def test_a_retired_file_of_the_lake_may_be_gone_and_a_live_one_may_not(
    installed: Installation, tmp_path: Path
) -> None:
    manifest = Manifest(installed.state.measure_db, create=False)
    manifest.commit(added=[("shares-0000000002.parquet", "shares", "", 1, NOW_MS)])
    manifest.commit(retired=["shares-0000000002.parquet"], retired_at_ms=NOW_MS)
    done = backed_up(installed, tmp_path / "b")
    assert "measure/lake/shares-0000000001.parquet" in done.manifest.files
    manifest.commit(added=[("shares-0000000003.parquet", "shares", "", 1, NOW_MS)])
    manifest.close()
    with pytest.raises(BackupRefused, match="lake"):
        backed_up(installed, tmp_path / "c")


def test_streams_go_on_behind_all_that_may_have_been_given_since(
    installed: Installation, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(installed.state.feeds_db)) as raw:
        raw.execute("insert into streams values ('stream-a', 'a', 101)")
        raw.commit()
    backed_up(installed, tmp_path / "b")
    settings = fresh(tmp_path / "second")
    restored = restore_state(settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS + 60_000)
    skipped = (60_000 + CLOCK_MARGIN_MS) // 1000 * PLACES_PER_S
    assert restored.first_free_seq == 101 + skipped
    # Once more, from a backup of what was restored: behind those too.
    again = back_up(settings.state, tmp_path / "c", RealDisk(), now_ms=NOW_MS + 60_000, with_passphrase=False)
    assert not again.unknown
    third = restore_state(fresh(tmp_path / "third"), tmp_path / "c", RealDisk(), now_ms=NOW_MS)
    assert third.first_free_seq == 101 + skipped + CLOCK_MARGIN_MS // 1000 * PLACES_PER_S
    assert settings.state.restored_at_ms() == NOW_MS + 60_000


# What is no backup.


def pack(target: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(target, "w:gz") as tar:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return target


def manifest_of(contents: dict[str, bytes], **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    rows = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
    }
    document = {"format": FORMAT, "began_at_ms": NOW_MS, "files": rows, **changes}
    return tarfile.TarInfo("manifest.json"), json.dumps(document).encode()


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "../../etc/passwd"
    return member


ONE = {"identities.json": b"[]"}
PLAIN = (tarfile.TarInfo("identities.json"), b"[]")

BROKEN: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "no manifest": ([PLAIN], "does not begin with a manifest"),
    "a manifest that is no JSON": ([(tarfile.TarInfo("manifest.json"), b"{")], "manifest cannot be read"),
    "another format": ([manifest_of(ONE, format=2), PLAIN], "not of format 1"),
    "a time that is none": ([manifest_of(ONE, began_at_ms="now"), PLAIN], "manifest cannot be read"),
    "another content": ([manifest_of(ONE), (PLAIN[0], b"{}")], "not what the manifest says"),
    "another size": ([manifest_of(ONE), (PLAIN[0], b"[ ]")], "of the size"),
    "a file that is missing": ([manifest_of(ONE)], "lacks 1 files"),
    "a file too many": ([manifest_of({}), PLAIN], "does not name"),
    "a file twice": ([manifest_of(ONE), PLAIN, PLAIN], "a file twice"),
    "a way out": ([manifest_of({"../out": b""}), (tarfile.TarInfo("../out"), b"")], "not part of a state"),
    "an absolute path": ([manifest_of({"/tmp/out": b""})], "not part of a state"),
    "a way out behind a folder": ([manifest_of({"keys/../../out": b""})], "not part of a state"),
    "a lease": ([manifest_of({"leases/gateway-1": b""})], "not part of a state"),
    **{
        what: ([manifest_of({"operators.json": b""}), (link("operators.json", kind), b"")], "no plain file")
        for what, kind in (
            ("a symbolic link", tarfile.SYMTYPE), ("a hard link", tarfile.LNKTYPE),
            ("a device", tarfile.CHRTYPE), ("a folder", tarfile.DIRTYPE),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_an_archive_that_is_not_whole_is_refused_and_nothing_is_left(tmp_path: Path, case: str) -> None:
    members, said = BROKEN[case]
    settings = fresh(tmp_path / "x")
    outside = set(tmp_path.iterdir())
    with pytest.raises(RestoreRefused, match=said):
        restore_state(settings, pack(tmp_path / "b", members), RealDisk(), now_ms=NOW_MS)
    assert not settings.state.root.exists()
    assert set(tmp_path.iterdir()) - outside == {tmp_path / "b"}


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 3 // 4]


def turn_a_bit_of_a_record(raw: bytes) -> bytes:
    return gzip.compress(gzip.decompress(raw).replace(SECRET, SECRET[:-1] + b"0", 1))


def turn_a_bit_of_the_check_sum(raw: bytes) -> bytes:
    return raw[:-8] + bytes([raw[-8] ^ 1]) + raw[-7:]


def add_behind(raw: bytes) -> bytes:
    return raw + gzip.compress(bytes(100_000))


@pytest.mark.parametrize(
    "damage",
    [
        cut, turn_a_bit_of_a_record, turn_a_bit_of_the_check_sum, add_behind,
        lambda raw: b"", lambda raw: b"no archive" * 100,
    ],
)  # fmt: skip
def test_a_damaged_archive_is_refused_and_nothing_is_left(
    installed: Installation, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    backed_up(installed, tmp_path / "b")
    (tmp_path / "b").write_bytes(damage((tmp_path / "b").read_bytes()))
    settings = fresh(tmp_path / "x")
    settings.state.root.mkdir()
    with pytest.raises(RestoreRefused) as refused:
        restore_state(settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)
    assert "canary" not in str(refused.value)
    assert list(settings.state.root.iterdir()) == []


def test_a_manifest_beyond_its_limit_is_not_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("manifest.json")
    member.size = MAX_MANIFEST_BYTES + 1
    (tmp_path / "b").write_bytes(gzip.compress(member.tobuf() + bytes(1024)))
    with pytest.raises(RestoreRefused, match="manifest is over"):
        restore_state(fresh(tmp_path / "x"), tmp_path / "b", RealDisk(), now_ms=NOW_MS)


def test_a_directory_in_use_is_refused_and_left_as_it_is(installed: Installation, tmp_path: Path) -> None:
    backed_up(installed, tmp_path / "b")
    before = files(installed.state.root)
    with pytest.raises(RestoreRefused, match="not empty"):
        restore_state(installed.settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)
    assert files(installed.state.root) == before
    settings = fresh(tmp_path / "x")
    (settings.state.root / ".restore").mkdir(parents=True)
    with pytest.raises(RestoreRefused, match="cut off here"):
        restore_state(settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)


def test_processes_that_run_are_refused(installed: Installation, tmp_path: Path) -> None:
    backed_up(installed, tmp_path / "b")
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        installed.state.write_ready("feeds", {"metrics": address})
        with pytest.raises(RestoreRefused, match="feeds runs on this state directory"):
            restore_state(installed.settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)
        settings = fresh(tmp_path / "x")
        feeds = settings.feeds.model_copy(update={"metrics": address})
        with pytest.raises(RestoreRefused, match="something listens there"):
            restore_state(
                settings.model_copy(update={"feeds": feeds}), tmp_path / "b", RealDisk(), now_ms=NOW_MS
            )
    assert not settings.state.root.exists()


def test_a_disk_that_fails_half_way_leaves_an_empty_directory(
    installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up(installed, tmp_path / "b")
    settings = fresh(tmp_path / "x")
    settings.state.root.mkdir()
    rename = Path.rename
    moved: list[str] = []

    def failing(self: Path, target: Any) -> Path:
        moved.append(self.name)
        if self.name == "keys":
            raise OSError(28, "no space")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(RestoreRefused, match="ENOSPC"):
        restore_state(settings, tmp_path / "b", RealDisk(), now_ms=NOW_MS)
    assert moved[-1] == "keys", "without keys half of a restore starts nothing"
    assert len(moved) > 3
    assert list(settings.state.root.iterdir()) == []


def test_no_name_of_a_restore_leaves_the_directory() -> None:
    for name in ("keys/passphrase", "gateway/journal/evaluations/commit", "gateway/journal/labels.3/commit"):
        assert is_kept(name)
    for name in (
        "", ".", "..", "keys", "keys/", "/policy.sqlite3", "policy.sqlite3\n", "run/gateway.json", "logs/x",
        "keys/recipients/../x.jwks.json", "feeds/journal/../commit", "measure/lake/../../x.parquet",
    ):  # fmt: skip
        assert not is_kept(name), name


def test_two_backups_at_once_are_refused(installed: Installation, tmp_path: Path) -> None:
    with (
        closing(RealDisk().lock(str(installed.state.run / "backup.lock"))),
        pytest.raises(BackupRefused, match="under way"),
    ):
        backed_up(installed, tmp_path / "b")


def test_a_disk_without_room_leaves_no_archive(
    installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "fsync", full)
    before = set(tmp_path.iterdir())
    with pytest.raises(GatewayError, match="ENOSPC"):
        backed_up(installed, tmp_path / "b")
    assert set(tmp_path.iterdir()) == before
