"""Enrich through the socket against a bare grpc.aio echo: one core for the server, the other for the load.

Everything is on (`tests/kit/everything.py`): each provider has what it looks things up in, the second
program is in force and nobody held out, and every payment is a full request about a card of the issuer that
takes both: so nineteen of twenty payments are shared twice, each sealed to the issuer; the rest is of
merchants that have opted out. Everything is evaluated, scored, counted in velocity and made durable before
it is answered. An echo of the same messages in node stands beside.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import echo
from bench.cores import pinned
from bench.http2 import load
from bench.http2_streams import load_streams
from bench.result import Run, Scale, alternate
from issuernetwork.v1 import common_pb2, enrichment_pb2
from tests.kit.everything import MERCHANTS, everything
from tests.kit.gateway_process import GATEWAY, Process
from tests.kit.installation import ROOT, Installation
from tests.kit.payments import NORTHGATE, payment

BATCH_ITEMS = 32
STREAMS = 4
STREAM_IN_FLIGHT = 128
"""32 on each: streams are for those who have many payments under way, and may have 256 on each."""

CARDS = 20_000
PROBED = 512
WARMING = {"device"}
"""Providers that have no answer to all payments yet: for its first seven days it knows no age of a device."""

IN_FLIGHT = 32
CONNECTIONS = 4
REFERENCE = "bare grpc.aio echo of the same messages, unary, one core"
UNARY = "/issuernetwork.v1.EnrichmentService/EnrichAuthorization"
BATCH = "/issuernetwork.v1.EnrichmentService/BatchEnrichAuthorizations"
STREAM = "/issuernetwork.v1.EnrichmentService/StreamEnrichAuthorizations"
NODE = "bare node grpc-js echo"
TOGETHER = 8
"""Items of a message where a stream's messages hold several."""


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


def node_is_missing() -> str:
    """Why the echo in node cannot run; empty where it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (ROOT / "node_modules" / "@grpc" / "grpc-js").is_dir():
        return "node_modules is absent: run npm install"
    return ""


@contextmanager
def node_reference(answer: bytes) -> Iterator[str]:
    """The echo server in node; its address, empty where it cannot run."""
    if node_is_missing():
        yield ""
        return
    command = [*pinned(), "node", str(ROOT / "bench" / "echo.cjs"), answer.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@contextmanager
def served(front: str, *, code: str = GATEWAY) -> Iterator[tuple[Installation, Process]]:
    """A gateway on disk, durable, pinned to the reference's core. `code` is what its process runs."""
    prefix = pinned()
    with tempfile.TemporaryDirectory(prefix="ein-bench-") as folder:
        installation = everything(Path(folder), front=front)
        process = Process(installation, prefix=prefix, code=code)
        try:
            yield installation, process
        finally:
            process.stop()


def make_requests(run: int, count: int) -> list[bytes]:
    """Payloads that no earlier run has sent; cards repeat, as they do."""
    return [_request(run, number).SerializeToString() for number in range(count)]


def _request(run: int, number: int) -> enrichment_pb2.EnrichAuthorizationRequest:
    return payment(
        number,
        iin=NORTHGATE,
        card=number * 7 % CARDS,
        merchant_id=f"m-{number * 13 % MERCHANTS:04d}",
        prefix=f"b{run}",
    )


def shared_part(process: Process, headers: list[tuple[str, str]]) -> tuple[float, bytes]:
    """Shared decisions a payment, and an answer of middle size, of some hundred payments of the load."""
    payloads = _batches(make_requests(-2, PROBED))
    shared, lacking = 0, set[str]()
    answers: list[bytes] = []
    for payload in payloads:
        _, answer = load(process.address, BATCH, [payload], headers=headers, connections=1)
        for item in enrichment_pb2.BatchEnrichAuthorizationsResponse.FromString(answer[5:]).items:
            answers.append(item.response.SerializeToString())
            lacking |= {one.provider for one in item.response.omissions}
            shared += sum(one.status == common_pb2.SHARE_STATUS_SHARED for one in item.response.decisions)
    if len(answers) != PROBED or not 1.8 < shared / PROBED < 2.0 or lacking != WARMING:
        raise AssertionError(
            f"the load is not the one described: {shared} shared of {len(answers)}, without {sorted(lacking)}"
        )
    return shared / PROBED, sorted(answers, key=len)[PROBED // 2]


def enrich(name: str, front: str, scale: Scale, *, way: str = "unary") -> str:
    """One benchmark of the enrich surface. `way`: `unary`, `batch` or `stream`."""
    with served(front) as (installation, process):
        headers = [*installation.metadata("payments"), ("grpc-timeout", "10S")]
        shared, answer = shared_part(process, headers)

        def ours(run: int) -> Run:
            count = scale.batch_calls * BATCH_ITEMS if way == "batch" else scale.calls
            return loaded(
                way, process.address, make_requests(run, scale.warm_up if run < 0 else count), headers
            )

        def several(run: int) -> Run:
            payloads = make_requests(run + SEVERAL, scale.warm_up if run < 0 else scale.calls)
            return loaded("stream", process.address, payloads, headers, together=TOGETHER)

        with reference("enrich", answer) as address, node_reference(answer) as node:

            def echoed(at: str, run: int) -> Run:
                payloads = make_requests(run, scale.warm_up if run < 0 else scale.calls)
                found, _ = load(
                    at, echo.PATH, payloads, headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS
                )
                return Run(found.calls, found.seconds, found.latencies_ms)

            beside = {NODE: partial(echoed, node)} if node else {}
            if way == "stream":
                beside[f"{TOGETHER} items in a message"] = several
            described = (
                f"{shared:.2f} shares a payment, sealed, of two programs; all providers; durable; {HOW[way]}"
                + (f"; no {NODE}: {node_is_missing()}" if not node else "")
            )
            return alternate(
                name, REFERENCE, ours, partial(echoed, address),
                runs=scale.runs, load=described, beside=beside,
            )  # fmt: skip


HOW = {
    "unary": f"{IN_FLIGHT} calls in flight",
    "batch": f"{IN_FLIGHT} calls of {BATCH_ITEMS} in flight",
    "stream": f"{STREAMS} streams, one item a message, {STREAM_IN_FLIGHT} in flight",
}

SEVERAL = 1_000_000
"""Runs of what stands beside have names of their own: a repeated request is no evaluation."""


def loaded(
    way: str, address: str, payloads: list[bytes], headers: list[tuple[str, str]], *, together: int = 1
) -> Run:
    """One run of `way`."""
    items = len(payloads)
    if way == "stream":
        found = load_streams(
            address, STREAM, payloads,
            headers=headers, in_flight=STREAM_IN_FLIGHT, streams=STREAMS, together=together,
        )  # fmt: skip
    else:
        found, _ = load(
            address, BATCH if way == "batch" else UNARY, _batches(payloads) if way == "batch" else payloads,
            headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
        )  # fmt: skip
    if found.failed:
        raise AssertionError(f"{found.failed} of {found.calls} calls failed")
    return Run(items, found.seconds, found.latencies_ms, found.cpu_seconds / found.seconds)


def _batches(payloads: list[bytes]) -> list[bytes]:
    requests = [enrichment_pb2.EnrichAuthorizationRequest.FromString(payload) for payload in payloads]
    return [
        enrichment_pb2.BatchEnrichAuthorizationsRequest(
            requests=requests[at : at + BATCH_ITEMS]
        ).SerializeToString()
        for at in range(0, len(requests), BATCH_ITEMS)
    ]
