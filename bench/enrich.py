"""Enrich through the socket against a bare grpc.aio echo: one core for the server, the other for the load.

The load is the demo's: the sample policy as it is shipped, issuers and merchants in the demo's proportions.
So about 45% of payments are shared (each once, sealed to its issuer's recipient); the rest is held out, in
shadow, without consent, or of an issuer that is not enrolled. Everything is evaluated, scored, counted in
velocity and made durable before it is answered.
"""

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
from bench.result import Run, Scale, alternate
from issuernetwork.v1 import common_pb2, enrichment_pb2
from simulator.cards import iin_of_share
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.kit.payments import payment

BATCH_ITEMS = 32
MERCHANTS = 200
"""As in the demo: 5% of them share at the basic tier only, 5% have opted out."""

CARDS = 20_000
PROBED = 512
IN_FLIGHT = 32
CONNECTIONS = 4
REFERENCE = "bare grpc.aio echo of the same messages, unary, one core"
UNARY = "/issuernetwork.v1.EnrichmentService/EnrichAuthorization"
BATCH = "/issuernetwork.v1.EnrichmentService/BatchEnrichAuthorizations"
_SERVER_CORE, _LOAD_CORE = "0", 1


def pinned() -> list[str]:
    """Prefix that pins a server to one core, where there are two and `taskset` is there."""
    if (os.cpu_count() or 1) < 2 or shutil.which("taskset") is None:
        return []
    os.sched_setaffinity(0, {_LOAD_CORE})
    return ["taskset", "-c", _SERVER_CORE]


@contextmanager
def reference(kind: str, answer: bytes) -> Iterator[str]:
    """The echo server in a process of its own; its address."""
    command = [*pinned(), sys.executable, "-m", "bench.echo", kind, answer.hex()]
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
        installation = Installation(Path(folder), front=front)
        process = Process(installation, prefix=prefix)
        try:
            yield installation, process
        finally:
            process.stop()


def _requests(run: int, count: int) -> list[bytes]:
    """Payloads that no earlier run has sent; cards repeat, as they do."""
    return [_request(run, number).SerializeToString() for number in range(count)]


def _request(run: int, number: int) -> enrichment_pb2.EnrichAuthorizationRequest:
    card = number * 7 % CARDS
    return payment(
        number,
        iin=iin_of_share(card * _GOLDEN % 1),  # spread evenly, and the same for the same card
        card=card,
        merchant_id=f"m-{number * 13 % MERCHANTS:04d}",
        prefix=f"b{run}",
    )


_GOLDEN = 0.6180339887498949


def _shared_part(process: Process, headers: list[tuple[str, str]]) -> tuple[float, bytes]:
    """Shared decisions a payment, and an answer of middle size, of some hundred payments of the load."""
    payloads = _batches(_requests(-2, PROBED))
    shared = 0
    answers: list[bytes] = []
    for payload in payloads:
        _, answer = load(process.address, BATCH, [payload], headers=headers, connections=1)
        for item in enrichment_pb2.BatchEnrichAuthorizationsResponse.FromString(answer[5:]).items:
            answers.append(item.response.SerializeToString())
            shared += sum(one.status == common_pb2.SHARE_STATUS_SHARED for one in item.response.decisions)
    if len(answers) != PROBED or not 0.35 < shared / PROBED < 0.55:
        raise AssertionError(f"the load is not the one described: {shared} shared of {len(answers)}")
    return shared / PROBED, sorted(answers, key=len)[PROBED // 2]


def enrich(name: str, front: str, scale: Scale, *, batch: bool = False) -> str:
    """One benchmark of the enrich surface."""
    with served(front) as (installation, process):
        headers = [*installation.metadata("payments"), ("grpc-timeout", "10S")]
        shared, answer = _shared_part(process, headers)

        def ours(run: int) -> Run:
            count = scale.batch_calls * BATCH_ITEMS if batch else scale.calls
            payloads = _requests(run, scale.warm_up if run < 0 else count)
            items = len(payloads)
            if batch:
                payloads = _batches(payloads)
            found, _ = load(
                process.address, BATCH if batch else UNARY, payloads,
                headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
            )  # fmt: skip
            if found.failed:
                raise AssertionError(f"{found.failed} of {found.calls} calls failed")
            return Run(items, found.seconds, found.latencies_ms, found.cpu_seconds / found.seconds)

        with reference("enrich", answer) as address:

            def theirs(run: int) -> Run:
                payloads = _requests(run, scale.warm_up if run < 0 else scale.calls)
                found, _ = load(
                    address, echo.PATH, payloads,
                    headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
                )  # fmt: skip
                return Run(found.calls, found.seconds, found.latencies_ms)

            described = (
                f"sample policy, issuers and merchants as in the demo, {shared:.0%} shared once, durable"
            )
            return alternate(name, REFERENCE, ours, theirs, runs=scale.runs, load=described)


def _batches(payloads: list[bytes]) -> list[bytes]:
    requests = [enrichment_pb2.EnrichAuthorizationRequest.FromString(payload) for payload in payloads]
    return [
        enrichment_pb2.BatchEnrichAuthorizationsRequest(
            requests=requests[at : at + BATCH_ITEMS]
        ).SerializeToString()
        for at in range(0, len(requests), BATCH_ITEMS)
    ]
