"""What the journal's writer and readers do when the disk fails, in cases of their own."""

import errno
from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.backends.embedded.journal import KEEP_MS, FileJournalReader, FileJournalWriter
from gateway.backends.embedded.journal_format import (
    MAX_RECORD_BYTES,
    scan_tail,
    segment_name,
    unpack_segment_header,
)
from gateway.records.journal import (
    FIRST,
    JournalCorrupt,
    JournalUnavailable,
    JournalUndetermined,
)
from gateway.runtime.clock import SimClock
from gateway.runtime.simdisk import Faults, SimDisk

DIRECTORY = "/journal"
TOPIC = "evaluations"


def open_writer(
    disk: SimDisk,
    clock: SimClock | None = None,
    *,
    wake: Callable[[], None] | None = None,
    segment_bytes: int = 1 << 20,
) -> FileJournalWriter:
    clock = clock or SimClock()
    return FileJournalWriter(disk, clock, DIRECTORY, [TOPIC], wake=wake, segment_bytes=segment_bytes)


def read(disk: SimDisk, after: int = FIRST) -> list[bytes]:
    return [entry.payload for entry in FileJournalReader(disk, DIRECTORY).read(TOPIC, after, 10_000)]


def segments(disk: SimDisk) -> list[str]:
    return [name for name in disk.list(f"{DIRECTORY}/{TOPIC}") if name.endswith(".journal")]


def path_of(base: int) -> str:
    return f"{DIRECTORY}/{TOPIC}/{segment_name(base)}"


def test_an_append_is_one_write_and_one_sync() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    operations, syncs = disk.operations, disk.syncs
    writer.append(TOPIC, [b"x" * 1000] * 32)
    assert disk.syncs == syncs + 1
    assert disk.operations == operations + 3, "write, sync, publish"


def test_a_failed_sync_is_undetermined_and_no_reader_sees_the_batch() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    writer.append(TOPIC, [b"before"])
    disk.faults.sync = 1.0
    with pytest.raises(JournalUndetermined):
        writer.append(TOPIC, [b"lost", b"lost too"])
    assert read(disk) == [b"before"]
    disk.faults.sync = 0.0
    assert writer.append(TOPIC, [b"after"]) == [1]
    assert read(disk) == [b"before", b"after"]
    assert len(segments(disk)) == 2, "nothing is appended to a file whose sync has failed"
    for _ in range(20):
        after_cut = disk.power_cut()
        open_writer(after_cut)
        assert read(after_cut) == [b"before", b"after"]


def test_while_syncs_go_on_failing_the_writer_refuses_and_then_recovers() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    disk.faults.sync = 1.0
    with pytest.raises(JournalUndetermined):
        writer.append(TOPIC, [b"a"])
    for _ in range(3):
        with pytest.raises(JournalUnavailable):
            writer.append(TOPIC, [b"b"])
    disk.faults.sync = 0.0
    assert writer.append(TOPIC, [b"c"]) == [0]
    assert read(disk) == [b"c"]


def test_a_short_write_leaves_nothing_and_the_next_append_takes_its_place() -> None:
    for seed in range(10):
        disk = SimDisk(seed)
        writer = open_writer(disk)
        writer.append(TOPIC, [b"before"])
        disk.faults.write = 1.0
        with pytest.raises(JournalUnavailable):
            writer.append(TOPIC, [b"x" * 600] * 4)
        disk.faults.write = 0.0
        found = disk.power_cut()
        assert writer.append(TOPIC, [b"after"]) == [1]
        assert read(disk) == [b"before", b"after"]
        assert len(segments(disk)) == 1
        open_writer(found)
        assert read(found) == [b"before"]


def test_a_short_write_that_cannot_be_cut_back_rolls() -> None:
    disk = SimDisk(3)
    writer = open_writer(disk)
    disk.faults = Faults(write=1.0, truncate=1.0)
    with pytest.raises(JournalUnavailable):
        writer.append(TOPIC, [b"x" * 600] * 4)
    disk.faults = Faults()
    assert writer.append(TOPIC, [b"after"]) == [0]
    assert read(disk) == [b"after"]


def test_a_full_disk_refuses_a_new_segment_and_records_nothing() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk, segment_bytes=500)
    writer.append(TOPIC, [b"x" * 400])
    disk.faults.open = 1.0
    with pytest.raises(JournalUnavailable):
        writer.append(TOPIC, [b"y" * 400])
    with pytest.raises(JournalUnavailable):
        # It would still fit into the old segment, whose successor may exist by now.
        writer.append(TOPIC, [b"y"])
    disk.faults.open = 0.0
    assert writer.append(TOPIC, [b"z"]) == [1]
    assert read(disk, 0) == [b"z"]


def test_what_could_not_be_published_is_seen_with_the_next_append() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    disk.faults.publish = 1.0
    assert writer.append(TOPIC, [b"a"]) == [0]
    assert (read(disk), writer.unpublished) == ([], 1)
    disk.faults.publish = 0.0
    writer.append(TOPIC, [b"b"])
    assert read(disk) == [b"a", b"b"]


def test_damage_to_an_acknowledged_record_is_never_truncated_away() -> None:
    for damaged in range(3):
        disk = SimDisk(1)
        writer = open_writer(disk)
        for at in range(3):
            writer.append(TOPIC, [b"record %d" % at])
        writer.close()
        disk.damage(path_of(0), 28 + damaged * (36 + 8) + 40)
        with pytest.raises(JournalCorrupt):
            open_writer(disk)
        with pytest.raises(JournalCorrupt):
            read(disk)
        if damaged < 2:
            # A later frame knows it even where the commit file is gone.
            disk.unlink(f"{DIRECTORY}/{TOPIC}/commit")
            with pytest.raises(JournalCorrupt):
                open_writer(disk)


def test_a_torn_tail_is_dropped() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    writer.append(TOPIC, [b"kept"])
    writer.close()
    disk.open_append(path_of(0)).write(b"\xe1NF\xd7 and then the power went")
    writer = open_writer(disk)
    assert writer.append(TOPIC, [b"next"]) == [1]
    assert read(disk) == [b"kept", b"next"]


def test_a_journal_whose_segments_are_gone_is_corrupt_and_not_empty() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    writer.append(TOPIC, [b"a"])
    writer.close()
    disk.unlink(path_of(0))
    with pytest.raises(JournalCorrupt):
        open_writer(disk)
    with pytest.raises(JournalCorrupt):
        read(disk)


def test_a_segment_missing_between_others_is_corrupt() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk, segment_bytes=500)
    for at in range(4):
        writer.append(TOPIC, [b"%d" % at * 400])
    reader = FileJournalReader(disk, DIRECTORY)
    assert len(reader.read(TOPIC, FIRST, 1)) == 1
    disk.unlink(path_of(1))
    for fresh_or_not in (reader, FileJournalReader(disk, DIRECTORY)):
        with pytest.raises(JournalCorrupt):
            fresh_or_not.read(TOPIC, 0, 9)


def test_a_segment_missing_under_a_reader_is_corrupt_unless_it_was_the_oldest() -> None:
    for missing, kept in ((0, [2, 3, 4, 5, 6, 7]), (2, None)):
        disk = SimDisk(1)
        writer = open_writer(disk, segment_bytes=500)
        for _ in range(4):
            writer.append(TOPIC, [b"x" * 200] * 2)
        reader = FileJournalReader(disk, DIRECTORY, chunk_bytes=250)
        assert len(reader.read(TOPIC, FIRST, missing + 1)) == missing + 1
        disk.unlink(path_of(missing))
        if kept is None:
            with pytest.raises(JournalCorrupt):
                reader.read(TOPIC, missing, 9)
        else:
            assert [entry.position for entry in reader.read(TOPIC, missing, 9)] == kept


def test_one_read_has_no_gap_when_retention_comes_between() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk, segment_bytes=500)
    for _ in range(4):
        writer.append(TOPIC, [b"x" * 200] * 2)
    reader = FileJournalReader(disk, DIRECTORY)
    assert len(reader.read(TOPIC, FIRST, 1)) == 1
    disk.unlink(path_of(0))
    disk.unlink(path_of(2))
    assert [entry.position for entry in reader.read(TOPIC, 0, 9)] == [1], "it had this one in memory"
    assert [entry.position for entry in reader.read(TOPIC, 1, 9)] == [4, 5, 6, 7]


def test_the_remains_of_a_failed_write_carry_another_attempt() -> None:
    writes: list[bytes] = []

    class Recording(SimDisk):
        def _write(self, path: str, inode: object, offset: int, data: bytes) -> None:
            writes.append(data)
            super()._write(path, inode, offset, data)  # type: ignore[arg-type]

    disk = Recording(1)
    writer = open_writer(disk)
    disk.faults.write = 1.0
    with pytest.raises(JournalUnavailable):
        writer.append(TOPIC, [b"a", b"b"])
    disk.faults.write = 0.0
    writer.append(TOPIC, [b"c", b"d"])
    header, failed, following = writes[0], writes[-2], writes[-1]
    half = len(failed) // 2
    mixed = header + failed[:half] + following[half:]
    assert scan_tail(mixed, unpack_segment_header(header)).records == []


def test_a_second_writer_of_a_directory_is_refused() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    with pytest.raises(JournalUnavailable):
        open_writer(disk)
    writer.close()
    open_writer(disk)


def test_a_record_beyond_the_limit_is_refused_and_the_rest_goes_on() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    with pytest.raises(JournalUnavailable):
        writer.append(TOPIC, [b"a", bytes(MAX_RECORD_BYTES + 1)])
    assert writer.append(TOPIC, [b"b"]) == [0]


def test_readers_are_woken_after_each_durable_append_and_never_for_a_failed_one() -> None:
    disk = SimDisk(1)
    seen: list[list[bytes]] = []
    writer = open_writer(disk, wake=lambda: seen.append(read(disk)))
    seen.clear()
    writer.append(TOPIC, [b"a"])
    disk.faults.write = 1.0
    with pytest.raises(JournalUnavailable):
        writer.append(TOPIC, [b"b"])
    assert seen == [[b"a"]]


def test_a_wake_that_fails_does_not_spoil_a_durable_append() -> None:
    def wake() -> None:
        raise OSError(errno.ENOBUFS, "no room")

    assert open_writer(SimDisk(1), wake=wake).append(TOPIC, [b"a"]) == [0]


def test_retention_removes_whole_old_segments_and_never_the_active_one() -> None:
    disk, clock = SimDisk(1), SimClock()
    writer = open_writer(disk, clock, segment_bytes=500)
    reader = FileJournalReader(disk, DIRECTORY, chunk_bytes=100)
    for at in range(6):
        writer.append(TOPIC, [b"%d" % at * 400])
        clock.advance_ms(24 * 3_600_000)
    assert len(reader.read(TOPIC, FIRST, 1)) == 1
    assert writer.retain() == 0
    clock.advance_ms(KEEP_MS - 4 * 24 * 3_600_000)
    # Day 10: what was written on days 0 and 1 is older than 8 days and goes.
    assert writer.retain() == 2
    assert [entry.position for entry in reader.read(TOPIC, 0, 9)] == [2, 3, 4, 5]
    assert [entry.position for entry in FileJournalReader(disk, DIRECTORY).read(TOPIC, FIRST, 9)] == [
        2,
        3,
        4,
        5,
    ]
    clock.advance_ms(100 * KEEP_MS)
    assert writer.retain() == 4
    assert len(segments(disk)) == 1
    assert (reader.end(TOPIC), reader.read(TOPIC, FIRST, 9)) == (5, [])
    assert writer.append(TOPIC, [b"new"]) == [6]
    assert reader.read(TOPIC, FIRST, 9)[0].position == 6


def test_a_failing_disk_and_a_cut_during_retention_leave_no_hole() -> None:
    for seed in range(40):
        disk, clock = SimDisk(seed), SimClock()
        writer = open_writer(disk, clock, segment_bytes=500)
        for _ in range(5):
            writer.append(TOPIC, [b"x" * 400])
        clock.advance_ms(2 * KEEP_MS)
        disk.faults.sync_dir = 0.6
        for _ in range(4):
            with suppress(JournalUnavailable):
                writer.retain()
        disk = disk.power_cut()
        open_writer(disk)
        kept = FileJournalReader(disk, DIRECTORY).read(TOPIC, FIRST, 9)
        assert [entry.position for entry in kept] == list(range(5))[5 - len(kept) :]


def test_a_reader_that_has_met_an_empty_segment_reads_the_one_that_replaces_it() -> None:
    disk, clock = SimDisk(1), SimClock()
    writer = open_writer(disk, clock)
    writer.append(TOPIC, [b"old"])
    clock.advance_ms(KEEP_MS)
    writer.retain()
    clock.advance_ms(KEEP_MS)
    writer.retain()
    reader = FileJournalReader(disk, DIRECTORY)
    assert reader.read(TOPIC, FIRST, 9) == []
    writer.close()
    clock.advance_ms(1)
    open_writer(disk, clock).append(TOPIC, [b"new"])
    assert [entry.payload for entry in reader.read(TOPIC, FIRST, 9)] == [b"new"]
    assert [entry.payload for entry in reader.read(TOPIC, 0, 9)] == [b"new"]


def test_a_quiet_topic_ages_too() -> None:
    disk, clock = SimDisk(1), SimClock()
    writer = open_writer(disk, clock)
    writer.append(TOPIC, [b"old"])
    clock.advance_ms(KEEP_MS)
    assert writer.retain() == 0, (
        "the record's segment is closed now, and the age of the record is not certain"
    )
    clock.advance_ms(KEEP_MS)
    assert writer.retain() == 1
    assert read(disk) == []
    assert writer.append(TOPIC, [b"new"]) == [1]


def test_a_record_goes_an_hour_after_its_retention_at_the_latest() -> None:
    disk, clock = SimDisk(1), SimClock()
    writer = open_writer(disk, clock)
    writer.append(TOPIC, [b"old"])
    for _ in range(8 * 24 + 1):
        clock.advance_ms(3_600_000)
        writer.retain()
    assert read(disk) == []
