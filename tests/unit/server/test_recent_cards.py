"""The cards of the last day, from a journal."""

from pathlib import Path

import pytest

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.records.journal import EVALUATIONS, GATEWAY_TOPICS
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import RealDisk
from gateway.server.recent_cards import DAY_MS, RecentCards, recent_cards
from issuernetwork.storage.v1 import journal_pb2

NOW_MS = 1_795_000_000_000
HOUR_MS = 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """5,000 evaluations over two days, one after the other, of 100 cards a day; some of no known issuer."""
    writer = FileJournalWriter(RealDisk(), SimClock(), tmp_path, GATEWAY_TOPICS)
    writer.append(EVALUATIONS, [evaluation(number) for number in range(5_000)])
    writer.close()
    return tmp_path


def evaluation(number: int) -> bytes:
    at_ms = NOW_MS - 2 * DAY_MS + number * 2 * DAY_MS // 5_000
    day = 0 if at_ms < NOW_MS - DAY_MS else 1
    return journal_pb2.Evaluation(
        decided_at_ms=at_ms,
        unit_key=b"unit-%d-%d" % (day, number % 100),
        issuer_id="" if number % 100 == 7 else "bank",
    ).SerializeToString()


def read(folder: Path, **how: int) -> RecentCards:
    return recent_cards(FileJournalReader(RealDisk(), folder), now_ms=NOW_MS, **how)


def test_only_the_last_day_counts_and_each_card_once(folder: Path) -> None:
    found = read(folder)
    assert (found.evaluations, found.sample.cards) == (2_500, 99)
    assert 0 <= found.since_ms - (NOW_MS - DAY_MS) < HOUR_MS


def test_beyond_the_limit_the_newest_are_read_and_it_is_said_since_when(folder: Path) -> None:
    found = read(folder, max_records=50)
    assert (found.evaluations, found.sample.cards) == (50, 50)
    assert found.since_ms == NOW_MS - 50 * 2 * DAY_MS // 5_000


def test_a_journal_without_records_has_no_cards(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.evaluations, found.since_ms, found.sample.cards) == (0, 0, 0)
