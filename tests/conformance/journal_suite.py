"""What every backend of the journal ports must do: it derives from `JournalSuite` and gives a `place`."""

from collections.abc import Sequence
from typing import Protocol

import pytest

from gateway.records.journal import (
    FIRST,
    Entry,
    JournalReader,
    JournalUnavailable,
    JournalWriter,
)

TOPICS = ("evaluations", "outcomes")


class Place(Protocol):
    """One journal directory (or what stands for it) of a backend."""

    def writer(self) -> JournalWriter:
        """Opens the one writer of `TOPICS`."""
        ...

    def reader(self) -> JournalReader:
        """A reader that knows nothing yet."""
        ...


def read_all(reader: JournalReader, topic: str, *, step: int = 100, after: int = FIRST) -> list[Entry]:
    found: list[Entry] = []
    while entries := reader.read(topic, after, step):
        found += entries
        after = entries[-1].position
    return found


def payloads(count: int, *, size: int = 40, start: int = 0) -> list[bytes]:
    return [(b"%d." % at).ljust(size, b"x") for at in range(start, start + count)]


def entries_of(records: Sequence[bytes], *, first: int = 0) -> list[Entry]:
    return [Entry(first + at, payload) for at, payload in enumerate(records)]


class JournalSuite:
    @pytest.fixture
    def place(self) -> Place:
        raise NotImplementedError

    def test_a_reader_of_a_journal_that_is_not_there_yet_finds_nothing(self, place: Place) -> None:
        reader = place.reader()
        assert reader.end("evaluations") == FIRST
        assert reader.read("evaluations", FIRST, 10) == []
        writer = place.writer()
        assert reader.read("evaluations", FIRST, 10) == []
        writer.append("evaluations", [b"a"])
        assert reader.read("evaluations", FIRST, 10) == [Entry(0, b"a")]
        writer.close()

    def test_positions_rise_by_one_within_a_topic(self, place: Place) -> None:
        writer = place.writer()
        assert writer.append("evaluations", payloads(3)) == [0, 1, 2]
        assert writer.append("outcomes", payloads(1)) == [0]
        assert writer.append("evaluations", payloads(2)) == [3, 4]
        writer.close()

    def test_what_is_read_is_what_was_appended_in_order(self, place: Place) -> None:
        writer, reader = place.writer(), place.reader()
        records = [*payloads(50), b"", bytes(range(256)) * 40, b"\xe1NF\xd7", *payloads(30)]
        for at in range(0, len(records), 7):
            writer.append("evaluations", records[at : at + 7])
        assert reader.end("evaluations") == len(records) - 1
        assert read_all(reader, "evaluations") == entries_of(records)
        assert read_all(reader, "evaluations", step=1) == entries_of(records)
        writer.close()

    def test_reading_begins_behind_any_position_and_keeps_to_its_limit(self, place: Place) -> None:
        writer, reader = place.writer(), place.reader()
        expected = entries_of(payloads(40))
        for at in range(0, 40, 4):
            writer.append("evaluations", payloads(4, start=at))
        for after in (*range(-1, 41), 5, -1, 39, 20):
            for limit in (0, 1, 5, 100):
                assert reader.read("evaluations", after, limit) == expected[after + 1 :][:limit]
        writer.close()

    def test_an_append_is_seen_by_readers_at_once(self, place: Place) -> None:
        writer, reader = place.writer(), place.reader()
        for at in range(20):
            writer.append("outcomes", payloads(2, start=2 * at))
            assert reader.end("outcomes") == 2 * at + 1
            assert [entry.position for entry in reader.read("outcomes", 2 * at - 1, 9)] == [
                2 * at,
                2 * at + 1,
            ]
        writer.close()

    def test_consumers_that_share_a_reader_do_not_disturb_each_other(self, place: Place) -> None:
        writer, reader = place.writer(), place.reader()
        writer.append("evaluations", payloads(60))
        expected = entries_of(payloads(60))
        after = dict.fromkeys(range(12), FIRST)
        for _ in range(10):
            for consumer in after:
                step = 1 + consumer % 5
                found = reader.read("evaluations", after[consumer], step)
                assert found == expected[after[consumer] + 1 :][:step]
                after[consumer] = found[-1].position if found else after[consumer]
        writer.close()

    def test_a_writer_that_is_opened_again_goes_on(self, place: Place) -> None:
        reader = place.reader()
        for life in range(4):
            writer = place.writer()
            assert writer.append("evaluations", payloads(3, start=3 * life)) == [
                3 * life + at for at in range(3)
            ]
            writer.close()
            assert read_all(reader, "evaluations") == entries_of(payloads(3 * life + 3))
        assert read_all(place.reader(), "evaluations") == entries_of(payloads(12))

    def test_partitions_of_a_topic_are_apart(self, place: Place) -> None:
        writer, reader = place.writer(), place.reader()
        assert writer.append("evaluations", [b"zero"]) == [0]
        assert writer.append("evaluations", [b"one", b"two"], partition=3) == [0, 1]
        assert reader.read("evaluations", FIRST, 9) == [Entry(0, b"zero")]
        assert reader.read("evaluations", FIRST, 9, partition=3) == [Entry(0, b"one"), Entry(1, b"two")]
        assert reader.end("evaluations", partition=1) == FIRST
        writer.close()

    def test_an_empty_batch_records_nothing(self, place: Place) -> None:
        writer = place.writer()
        assert writer.append("evaluations", []) == []
        assert place.reader().end("evaluations") == FIRST
        writer.close()

    def test_a_closed_writer_refuses(self, place: Place) -> None:
        writer = place.writer()
        writer.append("evaluations", [b"a"])
        writer.close()
        with pytest.raises(JournalUnavailable):
            writer.append("evaluations", [b"b"])
        assert read_all(place.reader(), "evaluations") == [Entry(0, b"a")]

    def test_a_topic_that_is_not_the_journals_is_refused(self, place: Place) -> None:
        writer = place.writer()
        with pytest.raises(JournalUnavailable):
            writer.append("labels", [b"a"])
        writer.close()
