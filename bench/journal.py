"""Durable appends against a bare write and fdatasync of the same bytes."""

import os
import tempfile
import time
from pathlib import Path

from bench.result import Run, alternate
from gateway.backends.embedded.journal import FILLED_BYTES, FileJournalWriter
from gateway.records.journal import EVALUATIONS
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk

RECORD_BYTES = 2_000
GROUP = 32
BATCHES = 200


def journal_append(runs: int) -> str:
    """Records a second in groups of 32, each group durable before the next."""
    payloads = [os.urandom(RECORD_BYTES) for _ in range(GROUP)]
    with tempfile.TemporaryDirectory(prefix="ein-bench-") as folder:
        writer = FileJournalWriter(
            RealDisk(), SystemClock(), Path(folder) / "journal", (EVALUATIONS,),
            filled={EVALUATIONS: FILLED_BYTES},
        )  # fmt: skip
        bare = os.open(Path(folder) / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        block = b"".join(payloads)

        def append(_: int) -> None:
            writer.append(EVALUATIONS, payloads)

        def write(_: int) -> None:
            os.write(bare, block)
            os.fdatasync(bare)

        def timed(step: object) -> Run:
            latencies = []
            began = time.perf_counter()
            for number in range(BATCHES):
                start = time.perf_counter()
                step(number)  # type: ignore[operator]
                latencies.append((time.perf_counter() - start) * 1000)
            return Run(BATCHES * GROUP, time.perf_counter() - began, latencies)

        def ours(_: int) -> Run:
            # The gateway has a thread for it.
            writer.prepare(EVALUATIONS)
            return timed(append)

        line = alternate(
            "journal_append",
            "bare write and fdatasync of the same bytes",
            ours,
            lambda run: timed(write),
            runs=runs,
        )
        os.close(bare)
        writer.close()
        return line
