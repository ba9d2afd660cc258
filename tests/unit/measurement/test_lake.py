"""The lake: nothing lost or doubled by a crash at any point, readers undisturbed."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.backends.embedded import lake, lake_merge
from gateway.backends.embedded.lake import (
    COMPACT_AT_FILES,
    READER_GRACE_MS,
    RETENTION_MS,
    DuckLake,
    LakeMissing,
    Manifest,
)
from gateway.measurement.flatten import RecordUnreadable
from gateway.measurement.ports import Source
from gateway.measurement.report import NO_LIMIT_MS, build_report
from gateway.measurement.tail import records_behind
from gateway.records import journal
from gateway.runtime.disk import RealDisk
from tests.unit.measurement.lake_records import Lab, decision, evaluation, outcome

PARAMS = {"as_of_ms": NO_LIMIT_MS}


def _payments(lab: Lab) -> int:
    return sum(row.treatment.payments for row in build_report(lab.lake).estimates)


def _fill(lab: Lab, count: int, *, first: int = 0) -> None:
    lab.journals.add(
        journal.EVALUATIONS, *(evaluation(f"p{index}", decision()) for index in range(first, first + count))
    )


def test_a_restart_goes_on_where_the_last_round_ended(tmp_path: Path) -> None:
    lab = Lab(tmp_path, max_records=2)
    _fill(lab, 5)
    assert lab.tail.step().full
    lab.close()
    lab.open()
    lab.catch_up()
    assert _payments(lab) == 5
    assert lab.writer.offsets() == {Source("gateway", journal.EVALUATIONS): 4}
    lab.lake.refresh()
    (row,) = lab.lake.run("decision_counts", PARAMS)
    assert row["decisions"] == 5
    lab.close()


def test_a_crash_between_file_and_manifest_leaves_an_orphan_that_the_next_start_removes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(lab, 3)

    def crash(*args: object, **kwargs: object) -> None:
        raise OSError("planted")

    with monkeypatch.context() as planted:
        planted.setattr(lab.manifest, "commit", crash)
        with pytest.raises(OSError, match="planted"):
            lab.tail.step()
    assert len(lab.files()) == 1
    lab.close()
    lab.open()
    assert lab.writer.orphans_removed == 1
    assert lab.files() == []
    lab.catch_up()
    assert _payments(lab) == 3


def test_after_a_failed_round_the_same_process_takes_it_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(lab, 3)
    with monkeypatch.context() as planted:
        planted.setattr(lab.writer, "append", lambda batch: (_ for _ in ()).throw(OSError("planted")))
        with pytest.raises(OSError, match="planted"):
            lab.tail.step()
    lab.catch_up()
    assert _payments(lab) == 3


def test_merging_small_files_changes_no_result_and_disturbs_no_reader(lab: Lab) -> None:
    for index in range(COMPACT_AT_FILES):
        _fill(lab, 1, first=index)
        lab.journals.add(journal.OUTCOMES, outcome(f"p{index}", approved=True))
        lab.tail.step()
    before = build_report(lab.lake)
    assert lab.writer.compact() == 2 * COMPACT_AT_FILES
    # This reader still holds the manifest of before the merge.
    assert lab.lake.run("decision_counts", PARAMS)[0]["decisions"] == COMPACT_AT_FILES
    assert lab.writer.expire() == 0
    assert build_report(lab.lake) == before
    lab.clock.advance_ms(READER_GRACE_MS + 1)
    assert lab.writer.expire() == 2 * COMPACT_AT_FILES
    assert len(lab.files()) == 2
    assert build_report(lab.lake) == before


def _open_handles() -> int:
    return len(os.listdir("/dev/fd"))


def _grow(lab: Lab, files: int, *, first: int) -> None:
    """As `ein measure` runs: small rounds, with merging and expiry in between."""
    for index in range(first, first + files):
        _fill(lab, 10, first=10 * index)
        lab.tail.step()
        lab.clock.advance_ms(READER_GRACE_MS // 4)
        if index % 4 == 3:
            lab.writer.compact()
            lab.writer.expire()


def test_what_the_writer_keeps_does_not_grow_with_the_files_it_has_written(lab: Lab) -> None:
    _grow(lab, 4 * COMPACT_AT_FILES, first=0)
    files, handles, arrow_bytes = len(lab.files()), _open_handles(), pa.total_allocated_bytes()
    _grow(lab, 12 * COMPACT_AT_FILES, first=4 * COMPACT_AT_FILES)
    assert len(lab.files()) <= files + COMPACT_AT_FILES
    assert _open_handles() == handles
    assert pa.total_allocated_bytes() == arrow_bytes
    assert _payments(lab) == 160 * COMPACT_AT_FILES


def test_a_merge_holds_one_chunk_and_one_open_file_however_much_it_merges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lake_merge, "MERGE_CHUNK_ROWS", 100)
    schema = pa.schema([pa.field("position", pa.int64(), nullable=False)])
    paths = [str(tmp_path / f"{index}.parquet") for index in range(30)]
    for index, path in enumerate(paths):
        rows = [1_000 * index + row for row in range(90 if index % 2 else 250)]
        pq.write_table(pa.table({"position": rows}, schema=schema), path)
    real, most = pq.ParquetWriter.write_table, [0, 0, 0]

    def watched(writer: pq.ParquetWriter, chunk: pa.Table, row_group_size: int) -> None:
        now = (chunk.num_rows, _open_handles(), pa.total_allocated_bytes())
        most[:] = map(max, most, now)
        real(writer, chunk, row_group_size)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", watched)
    handles, arrow_bytes = _open_handles(), pa.total_allocated_bytes()
    target = str(tmp_path / "merged.parquet")
    lake_merge.merge_files(RealDisk(), sources=paths, target=target, schema=schema)
    assert most[0] <= 100
    # The merged file, and one that is merged.
    assert most[1] <= handles + 2
    assert most[2] - arrow_bytes < 256 * 1024
    merged = pq.read_table(target).column("position").to_pylist()
    assert merged == sorted(merged)
    assert len(merged) == 15 * 250 + 15 * 90


def test_a_merge_that_the_disk_fails_leaves_the_lake_as_it_was(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(COMPACT_AT_FILES):
        _fill(lab, 1, first=index)
        lab.tail.step()
    before = lab.files()

    def fail(stream: object, data: object) -> int:
        raise OSError(errno.ENOSPC, "planted")

    with monkeypatch.context() as planted:
        planted.setattr(lake_merge._DiskStream, "write", fail)
        with pytest.raises(OSError, match="planted"):
            lab.writer.compact()
    assert lab.files() == before
    assert lab.writer.compact() == COMPACT_AT_FILES
    assert _payments(lab) == COMPACT_AT_FILES


def test_a_large_file_is_not_rewritten_for_a_few_rows_more(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake, "MERGE_SIZES", (4, 100))
    for index in range(COMPACT_AT_FILES):
        _fill(lab, 1, first=index)
        lab.tail.step()
    lab.writer.compact()
    (large,) = lab.manifest.files("decisions")
    for index in range(COMPACT_AT_FILES):
        _fill(lab, 1, first=COMPACT_AT_FILES + index)
        lab.tail.step()
    assert lab.writer.compact() == COMPACT_AT_FILES
    assert large in lab.manifest.files("decisions")
    assert _payments(lab) == 2 * COMPACT_AT_FILES


def test_rows_leave_the_lake_when_retention_ends_whatever_time_they_carry(lab: Lab) -> None:
    for name in ("old", "new"):
        _fill(lab, 1, first=0 if name == "old" else 1)
        lab.tail.step()
        lab.clock.advance_ms(RETENTION_MS if name == "old" else 1)
    assert _payments(lab) == 2
    assert lab.writer.expire() == 0
    assert _payments(lab) == 1
    lab.clock.advance_ms(READER_GRACE_MS + 1)
    assert lab.writer.expire() == 1
    assert len(lab.files()) == 1


def test_the_records_not_yet_in_the_lake_are_known(lab: Lab) -> None:
    _fill(lab, 2)
    source = Source("gateway", journal.EVALUATIONS)
    assert records_behind(lab.journals.readers, lab.writer.offsets())[source] == 2
    lab.catch_up()
    assert sum(records_behind(lab.journals.readers, lab.writer.offsets()).values()) == 0


def test_nothing_sealed_and_no_reference_of_a_card_reaches_the_lake(lab: Lab) -> None:
    record = evaluation("p1", decision())
    record.match.last4 = "LAST4-CANARY"
    record.match.retrieval_reference_number = "RRN-CANARY"
    record.decisions[0].sealed = b"SEALED-CANARY"
    record.decisions[0].card_token = "TOKEN-CANARY"
    record.answer = b"ANSWER-CANARY"
    lab.journals.add(journal.EVALUATIONS, record)
    lab.catch_up()
    lab.lake.refresh()
    everything = str(lab.lake._database.execute("select * from decisions").fetchall())
    assert "e-p1-1" in everything
    assert "CANARY" not in everything


def test_a_record_that_does_not_parse_stops_the_round_and_is_named_by_its_place_alone(lab: Lab) -> None:
    _fill(lab, 1)
    lab.journals.topics[journal.EVALUATIONS].append(b"\xff\xff4111111111111111")
    with pytest.raises(RecordUnreadable) as refused:
        lab.tail.step()
    assert "record 1" in refused.value.public
    assert "4111" not in str(refused.value)
    assert lab.files() == []


def test_a_materialized_partition_is_replaced_whole(lab: Lab) -> None:
    _fill(lab, 3)
    lab.catch_up()
    lab.lake.refresh()
    for _ in range(2):
        written = lab.lake.materialize("decision_counts", PARAMS, table="daily_decisions", partition="day-1")
        assert written == 1
    assert len(lab.manifest.partition_files("daily_decisions", "day-1")) == 1


def test_a_lake_that_was_never_made_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(LakeMissing, match="ein measure"):
        Manifest(tmp_path / "measure.sqlite3", create=False)


def test_a_reader_cannot_write(lab: Lab) -> None:
    reading = DuckLake(directory=lab.folder / "lake", manifest=lab.manifest)
    reading.refresh()
    with pytest.raises(LakeMissing):
        reading.materialize("decision_counts", PARAMS, table="daily_decisions", partition="day-1")
    reading.close()
