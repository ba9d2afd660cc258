"""A writer process is killed in mid-append; a reader in this one sees whole durable records only."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.records.journal import FIRST
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk

LIVES = 4
RECORDS_A_LIFE = 150
DEADLINE_S = 30

# Appends without end and tells each acknowledged position, so that the parent knows what was promised.
WRITER = """
import sys
from gateway.backends.embedded.journal import FileJournalWriter
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk

writer = FileJournalWriter(RealDisk(), SystemClock(), sys.argv[1], ["evaluations"], segment_bytes=200_000)
position = writer.end("evaluations") + 1
while True:
    batch = [(b"%d." % (position + at)).ljust(700 + at, b"x") for at in range(5)]
    acknowledged = writer.append("evaluations", batch)
    assert acknowledged == list(range(position, position + 5)), acknowledged
    position += 5
    sys.stdout.write(f"{acknowledged[-1]}\\n")
    sys.stdout.flush()
"""


def test_killing_the_writer_loses_no_acknowledged_record_and_shows_no_partial_one(tmp_path: Path) -> None:
    directory = str(tmp_path / "journal")
    reader = FileJournalReader(RealDisk(), directory)
    after, promised = FIRST, FIRST
    for _ in range(LIVES):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, directory],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline, goal = time.monotonic() + DEADLINE_S, after + RECORDS_A_LIFE
        while after < goal:
            assert time.monotonic() < deadline, process.poll()
            after = _read_on(reader, after)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert not err
        # The last line may be torn by the kill.
        lines = out.rpartition("\n")[0].split()
        assert lines
        promised = max(promised, int(lines[-1]))
        after = _read_on(reader, after)
        assert after >= promised

    writer = FileJournalWriter(RealDisk(), SystemClock(), directory, ["evaluations"])
    assert writer.end("evaluations") >= max(promised, after)
    assert _read_on(FileJournalReader(RealDisk(), directory), FIRST) == writer.end("evaluations")
    writer.close()


def _read_on(reader: FileJournalReader, after: int) -> int:
    while entries := reader.read("evaluations", after, 64):
        for entry in entries:
            assert entry.position == after + 1
            assert entry.payload == (b"%d." % entry.position).ljust(700 + entry.position % 5, b"x")
            after = entry.position
    return after
