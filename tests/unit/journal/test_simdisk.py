"""The simulated disk loses what a real one may lose, and nothing else."""

from contextlib import suppress

import pytest

from gateway.runtime.simdisk import SECTOR_BYTES, Faults, PowerCut, SimDisk

SEEDS = range(60)


def content(disk: SimDisk, path: str) -> bytes | None:
    try:
        return disk.read_at(path, 0, 1 << 20)
    except FileNotFoundError:
        return None


def made(seed: int, faults: Faults | None = None) -> SimDisk:
    """A disk with a durable, empty file /d/f."""
    disk = SimDisk(seed, faults)
    disk.make_dirs("/d")
    disk.open_append("/d/f").sync()
    disk.sync_dir("/")
    disk.sync_dir("/d")
    return disk


def test_what_was_synced_survives_every_cut() -> None:
    for seed in SEEDS:
        disk = made(seed)
        file = disk.open_append("/d/f")
        file.write(b"a" * 1300)
        file.sync()
        file.write(b"b" * 5000)
        found = content(disk.power_cut(), "/d/f")
        assert found is not None
        assert found[:1300] == b"a" * 1300


def test_what_was_not_synced_is_kept_lost_torn_and_reordered() -> None:
    kinds = set()
    for seed in SEEDS:
        disk = made(seed)
        disk.open_append("/d/f").write(b"x" * SECTOR_BYTES * 4)
        found = content(disk.power_cut(), "/d/f")
        assert found is not None
        sectors = [
            found[at : at + SECTOR_BYTES] == b"x" * SECTOR_BYTES for at in range(0, 2048, SECTOR_BYTES)
        ]
        kinds.add("kept" if all(sectors) else "lost" if not any(found) else "part")
        if sectors != sorted(sectors, reverse=True):
            kinds.add("reordered")
    assert kinds == {"kept", "lost", "part", "reordered"}


def test_a_sync_after_a_failed_one_succeeds_and_proves_nothing() -> None:
    lost = 0
    for seed in SEEDS:
        disk = made(seed)
        file = disk.open_append("/d/f")
        file.write(b"x" * 3000)
        disk.faults.sync = 1.0
        with pytest.raises(OSError, match="sync"):
            file.sync()
        disk.faults.sync = 0.0
        file.sync()
        assert content(disk, "/d/f") == b"x" * 3000, "the page cache shows it still"
        lost += content(disk.power_cut(), "/d/f") != b"x" * 3000
    assert lost > 10


def test_a_new_entry_may_be_lost_until_its_directory_is_synced() -> None:
    found = set()
    for seed in SEEDS:
        disk = made(seed)
        file = disk.open_append("/d/new")
        file.write(b"x")
        file.sync()
        found.add(content(disk.power_cut(), "/d/new"))
        disk.sync_dir("/d")
        assert content(disk.power_cut(), "/d/new") == b"x"
    assert found == {None, b"x"}


def test_an_unlinked_file_may_come_back_until_its_directory_is_synced() -> None:
    found = set()
    for seed in SEEDS:
        disk = made(seed)
        disk.unlink("/d/f")
        found.add(content(disk.power_cut(), "/d/f"))
        disk.sync_dir("/d")
        assert content(disk.power_cut(), "/d/f") is None
    assert found == {None, b""}


def test_a_replace_is_the_old_content_or_the_new_at_any_cut() -> None:
    found = set()
    for seed in SEEDS:
        for operations in range(7):
            disk = made(seed)
            disk.replace("/d/g", b"old" * 500)
            disk.cut_after(operations)
            with suppress(PowerCut):
                disk.replace("/d/g", b"new" * 700)
            found.add(content(disk.power_cut(), "/d/g"))
    assert found == {b"old" * 500, b"new" * 700}


def test_a_published_value_may_be_any_that_was_published() -> None:
    found = set()
    for seed in SEEDS:
        disk = made(seed)
        for value in range(5):
            disk.publish("/d/f", b"%d" % value)
        assert content(disk, "/d/f") == b"4"
        found.add(content(disk.power_cut(), "/d/f"))
    assert found >= {b"", b"0", b"4"}


def test_a_failed_write_leaves_a_part() -> None:
    sizes = set()
    for seed in SEEDS:
        disk = made(seed, None)
        disk.faults.write = 1.0
        with pytest.raises(OSError, match="write"):
            disk.open_append("/d/f").write(b"x" * 100)
        sizes.add(disk.size("/d/f"))
    assert len(sizes) > 10
    assert max(sizes) < 100


def test_after_the_cut_the_machine_is_gone() -> None:
    disk = made(1)
    disk.cut_after(0)
    with pytest.raises(PowerCut):
        disk.open_append("/d/f")
    with pytest.raises(PowerCut):
        disk.list("/d")
    assert content(disk.power_cut(), "/d/f") == b""
