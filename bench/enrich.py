"""Enrich through the socket against a bare grpc.aio echo: one core for the server, the other for the load."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import echo
from bench.http2 import load
from bench.result import Run, alternate
from gateway.server.install import read_policy
from issuernetwork.v1 import enrichment_pb2
from tests.e2e.gateway_kit import HARBOR, SAMPLE_POLICY, Installation, Process, make_installation, payment

CALLS = 6_000
"""Of one run: most of a second of the reference, so that five runs of each take under 15 s."""

BATCH_CALLS = 400
BATCH_ITEMS = 32
IN_FLIGHT = 32
CONNECTIONS = 4
WARM_UP = 2_000
REFERENCE = "bare grpc.aio echo, unary, same message sizes, one core"
_SERVER_CORE, _LOAD_CORE = "0", 1


def pinned() -> list[str]:
    """Prefix that pins a server to one core, where there are two and `taskset` is there."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return []
    os.sched_setaffinity(0, {_LOAD_CORE})
    return ["taskset", "-c", _SERVER_CORE]


def bench_policy() -> dict[str, str]:
    """The sample policy with both programs active at harbor-federal, 5% held out: most is sealed twice."""
    files = read_policy(SAMPLE_POLICY)
    northgate = files["enrolments/northgate-bank-risk-score.yaml"]
    files["enrolments/harbor-federal-risk-score.yaml"] = northgate.replace("northgate-bank", "harbor-federal")
    for name in ("risk-score", "enhanced-data"):
        text = files[f"enrolments/harbor-federal-{name}.yaml"]
        kept = [line for line in text.splitlines() if not line.startswith(("ramp", "holdout", "state"))]
        files[f"enrolments/harbor-federal-{name}.yaml"] = "\n".join(
            [*kept, "state: active", "ramp_percent: 100", "holdout_percent: 5", ""]
        )
    return files


@contextmanager
def reference(answer_bytes: int) -> Iterator[str]:
    """The echo server in a process of its own; its address."""
    command = [*pinned(), sys.executable, "-m", "bench.echo", str(answer_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@contextmanager
def served(front: str) -> Iterator[tuple[Installation, Process]]:
    """A gateway on disk, durable, pinned to the reference's core."""
    prefix = pinned()
    with tempfile.TemporaryDirectory(prefix="ein-bench-") as folder:
        installation = make_installation(Path(folder), front=front, policy=bench_policy())
        process = Process(installation, prefix=prefix)
        try:
            yield installation, process
        finally:
            process.stop()


def _requests(run: int, count: int) -> list[bytes]:
    """Payloads that no earlier run has sent; cards repeat, as they do."""
    return [
        payment(number, iin=HARBOR, card=number * 7 % 20_000, prefix=f"b{run}").SerializeToString()
        for number in range(count)
    ]


def enrich(name: str, front: str, *, batch: bool = False) -> str:
    """One benchmark of the enrich surface."""
    with served(front) as (installation, process):
        headers = [("authorization", f"Bearer {installation.caller_token}"), ("grpc-timeout", "10S")]
        service = "/issuernetwork.v1.EnrichmentService/"
        path = service + ("BatchEnrichAuthorizations" if batch else "EnrichAuthorization")
        probe, answer = load(
            process.address,
            service + "EnrichAuthorization",
            _requests(-2, 64),
            headers=headers,
            connections=1,
        )
        decided = enrichment_pb2.EnrichAuthorizationResponse.FromString(answer[5:]).decisions
        if probe.failed or len(decided) != 2:
            raise AssertionError("the benchmark does not do the whole work: two programs are expected")

        def ours(run: int) -> Run:
            count = BATCH_CALLS * BATCH_ITEMS if batch else CALLS
            payloads = _requests(run, WARM_UP if run < 0 else count)
            items = len(payloads)
            if batch:
                payloads = _batches(payloads)
            found, _ = load(
                process.address, path, payloads,
                headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
            )  # fmt: skip
            if found.failed:
                raise AssertionError(f"{found.failed} of {found.calls} calls failed")
            return Run(items, found.seconds, found.latencies_ms, found.cpu_seconds / found.seconds)

        with reference(len(answer) - 5) as address:

            def theirs(run: int) -> Run:
                payloads = _requests(run, WARM_UP if run < 0 else CALLS)
                found, _ = load(
                    address, echo.PATH, payloads,
                    headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
                )  # fmt: skip
                return Run(found.calls, found.seconds, found.latencies_ms)

            return alternate(name, REFERENCE, ours, theirs)


def _batches(payloads: list[bytes]) -> list[bytes]:
    requests = [enrichment_pb2.EnrichAuthorizationRequest.FromString(payload) for payload in payloads]
    return [
        enrichment_pb2.BatchEnrichAuthorizationsRequest(
            requests=requests[at : at + BATCH_ITEMS]
        ).SerializeToString()
        for at in range(0, len(requests), BATCH_ITEMS)
    ]
