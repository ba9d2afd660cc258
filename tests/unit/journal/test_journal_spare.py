"""Segments filled with zeros ahead of their frames: what they hold, when they are taken, what is left."""

import threading

import pytest

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.journal_format import segment_name
from gateway.backends.embedded.journal_spare import SPARE_NAME, STEP_BYTES
from gateway.records.journal import FIRST, JournalUnavailable
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.simdisk import SimDisk

DIRECTORY = "/journal"
TOPIC = "evaluations"
FIRST_FILL = 1_000
SEGMENT = 10_000
SPARE = f"{DIRECTORY}/{TOPIC}/{SPARE_NAME}"


def open_writer(disk: SimDisk, topics: tuple[str, ...] = (TOPIC,)) -> FileJournalWriter:
    return FileJournalWriter(
        disk, SimClock(), DIRECTORY, topics, segment_bytes=SEGMENT, filled={TOPIC: FIRST_FILL}
    )


def payloads(disk: SimDisk) -> list[bytes]:
    return [entry.payload for entry in FileJournalReader(disk, DIRECTORY).read(TOPIC, FIRST, 1_000)]


def segments(disk: SimDisk, topic: str = TOPIC) -> dict[str, int]:
    folder = f"{DIRECTORY}/{topic}"
    return {name: disk.size(f"{folder}/{name}") for name in disk.list(folder) if name.endswith(".journal")}


def test_a_filled_segment_does_not_grow_while_its_zeros_last() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    (before,) = segments(disk).values()
    writer.append(TOPIC, [b"x" * 100])
    assert segments(disk) == {segment_name(0): before}
    assert payloads(disk) == [b"x" * 100]
    writer.append(TOPIC, [b"y" * FIRST_FILL])
    assert segments(disk)[segment_name(0)] > before, "without a spare it goes on at its end"
    assert payloads(disk) == [b"x" * 100, b"y" * FIRST_FILL]


def test_the_spare_is_taken_once_the_zeros_are_used_up() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    assert writer.prepare(TOPIC)
    assert disk.size(SPARE) == SEGMENT
    writer.append(TOPIC, [b"x" * 900])
    writer.append(TOPIC, [b"y" * 900])
    assert segments(disk)[segment_name(1)] == SEGMENT
    with pytest.raises(FileNotFoundError):
        disk.size(SPARE)
    assert payloads(disk) == [b"x" * 900, b"y" * 900]
    found = disk.power_cut()
    open_writer(found)
    assert payloads(found) == [b"x" * 900, b"y" * 900]


def test_zeros_that_are_left_are_given_back_by_a_roll_and_by_the_end() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    writer.append(TOPIC, [b"x" * 100])
    writer.prepare(TOPIC)
    writer.append(TOPIC, [b"y" * 2_000])
    writer.close()
    sizes = segments(disk)
    assert max(sizes.values()) < 2_200
    assert min(sizes.values()) < 250
    assert payloads(disk) == [b"x" * 100, b"y" * 2_000]


def test_other_topics_are_not_filled() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk, (TOPIC, "outcomes"))
    assert not writer.prepare("outcomes")
    assert segments(disk, "outcomes")[segment_name(0)] < 100


def test_a_disk_without_room_for_a_spare_has_room_for_records() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    disk.faults.write = 1.0
    assert not writer.prepare(TOPIC)
    disk.faults.write = 0.0
    with pytest.raises(FileNotFoundError):
        disk.size(SPARE)
    writer.append(TOPIC, [b"x" * 3_000])
    assert payloads(disk) == [b"x" * 3_000]


def test_a_spare_that_fails_when_it_is_taken_costs_no_record() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    writer.append(TOPIC, [b"w"])
    writer.prepare(TOPIC)
    disk.faults.sync = 1.0
    with pytest.raises(JournalUnavailable):
        writer.append(TOPIC, [b"x" * 2_000])
    disk.faults.sync = 0.0
    writer.append(TOPIC, [b"y" * 2_000])
    assert payloads(disk) == [b"w", b"y" * 2_000]


def test_a_spare_is_given_up_in_the_middle_when_it_is_asked_to() -> None:
    disk = SimDisk(1)
    writer = FileJournalWriter(
        disk, SimClock(), DIRECTORY, (TOPIC,), segment_bytes=4 * STEP_BYTES, filled={TOPIC: FIRST_FILL}
    )
    asked = []
    assert not writer.prepare(TOPIC, lambda: not asked.append(True) and len(asked) == 2)
    assert len(asked) == 2
    with pytest.raises(FileNotFoundError):
        disk.size(SPARE)


def test_recovery_reads_past_no_zeros_and_drops_the_spare() -> None:
    disk = SimDisk(1)
    writer = open_writer(disk)
    writer.append(TOPIC, [b"x" * 100, b"y" * 100])
    writer.prepare(TOPIC)
    disk.crash()
    following = open_writer(disk)
    assert following.end(TOPIC) == 1
    with pytest.raises(FileNotFoundError):
        disk.size(SPARE)
    following.append(TOPIC, [b"z"])
    assert payloads(disk) == [b"x" * 100, b"y" * 100, b"z"]


def test_appends_go_on_while_a_spare_is_made_on_a_real_disk(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = str(tmp_path_factory.mktemp("journal"))
    writer = FileJournalWriter(
        RealDisk(), SimClock(), directory, (TOPIC,), segment_bytes=1 << 20, filled={TOPIC: 4096}
    )
    over = threading.Event()

    def prepare() -> None:
        while not over.is_set():
            writer.prepare(TOPIC)

    thread = threading.Thread(target=prepare)
    thread.start()
    try:
        for number in range(300):
            writer.append(TOPIC, [b"%05d" % number * 4_000])
    finally:
        over.set()
        thread.join()
    writer.close()
    found = FileJournalReader(RealDisk(), directory).read(TOPIC, FIRST, 1_000)
    assert [entry.payload[:5] for entry in found] == [b"%05d" % number for number in range(300)]
