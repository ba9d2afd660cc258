"""Retention's own figures in `ein status`: what is kept, how old, how large, and when its job ran last."""

import json
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner

from gateway.backends.embedded.journal import KEEP_MS, FileJournalWriter
from gateway.backends.embedded.lake import RETENTION_MS, Manifest
from gateway.feeds.delivery import KEEP_SEALED_MS
from gateway.feeds.fanout import FanOut
from gateway.records.journal import EVALUATIONS, GATEWAY_TOPICS
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.cli.status import status_command
from gateway.server.install import write_settings
from gateway.server.retention import GATEWAY_JOURNAL, KEEP_ROWS_MS, noted, retention_figures
from gateway.server.settings import load_settings
from gateway.server.state import StateDir
from tests.unit.feeds.records import (
    BASE_MS,
    FakeSigner,
    FakeSwitches,
    decision,
    entries,
    evaluation,
    quick_store,
)

DAY_MS = 24 * 3_600_000


def test_a_kind_without_anything_kept_says_so(tmp_path: Path) -> None:
    figures = retention_figures(StateDir(tmp_path), RealDisk())
    assert set(figures) == {
        "evaluations", "outcomes", "deliveries", "receipts", "labels",
        "signed_tokens", "matching_rows", "measurement",
    }  # fmt: skip
    for one in figures.values():
        assert (one["oldest_at_ms"], one["bytes"], one["last_run_at_ms"], one["last_removed"]) == (
            None, 0, None, None,
        )  # fmt: skip


def test_what_is_kept_is_told_with_its_age_and_size(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.make()
    before_ms = SystemClock().wall_ms()
    with closing(
        FileJournalWriter(RealDisk(), SystemClock(), state.gateway_journal, GATEWAY_TOPICS)
    ) as writer:
        writer.append(EVALUATIONS, [b"x" * 1000])
        assert noted(state, GATEWAY_JOURNAL, SystemClock(), writer.retain)() == 0
    store = quick_store(state.feeds_db)
    with closing(store), closing(store.reader()) as reader:
        signer = FakeSigner()
        fan_out = FanOut(store=store, reader=reader, signer_of=lambda _: signer, iss="https://us")
        batch = entries([evaluation(1, decision("a"))])
        store.commit_fan_out(fan_out.plan(EVALUATIONS, batch, FakeSwitches(), now_ms=BASE_MS).change)
        figures = retention_figures(state, RealDisk())
    assert (figures["signed_tokens"]["oldest_at_ms"], figures["matching_rows"]["oldest_at_ms"]) == (
        BASE_MS,
        BASE_MS,
    )
    assert 0 < figures["signed_tokens"]["bytes"] < figures["matching_rows"]["bytes"]
    journal = figures["evaluations"]
    assert journal["bytes"] > 1000
    assert before_ms <= (journal["oldest_at_ms"] or 0) <= (journal["last_run_at_ms"] or 0)
    assert journal["last_removed"] == 0
    assert figures["outcomes"]["oldest_at_ms"] is None, "a segment without a record"
    assert figures["labels"]["last_run_at_ms"] is None, "another process's job"
    (state.lake / "shares-0000000001.parquet").write_bytes(b"rows")
    manifest = Manifest(state.measure_db, create=True)
    manifest.commit(added=[("shares-0000000001.parquet", "shares", "", 1, 12_345)])
    manifest.close()
    lake = retention_figures(state, RealDisk())["measurement"]
    assert (lake["oldest_at_ms"], lake["bytes"]) == (12_345, 4)


def test_each_kind_is_kept_as_long_as_its_job_keeps_it(tmp_path: Path) -> None:
    keep = {kind: one["keep_ms"] for kind, one in retention_figures(StateDir(tmp_path), RealDisk()).items()}
    assert keep["evaluations"] == KEEP_MS == 8 * DAY_MS
    assert keep["signed_tokens"] == KEEP_SEALED_MS
    assert keep["matching_rows"] == KEEP_ROWS_MS == 400 * DAY_MS
    assert keep["measurement"] == RETENTION_MS


def test_status_prints_the_figures_as_text_and_as_json(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    load_settings(config).state.make()
    text = CliRunner().invoke(status_command, ["--config", str(config)]).output
    assert "retention\n" in text
    assert "  signed_tokens    8 days, nothing kept, 0 bytes, no run yet" in text
    machine = json.loads(CliRunner().invoke(status_command, ["--config", str(config), "--json"]).output)
    assert machine["retention"]["measurement"]["keep_ms"] == RETENTION_MS
