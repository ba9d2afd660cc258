"""Look-up through the socket against a bare grpc.aio echo of the same messages."""

import os
import tempfile
import time
from pathlib import Path

from bench.cores import pinned
from bench.enrich import CONNECTIONS, IN_FLIGHT, REFERENCE, reference
from bench.http2 import load
from bench.result import Run, Scale, alternate
from issuernetwork.v1 import common_pb2, enrichment_pb2, feed_pb2
from tests.kit.installation import Installation
from tests.kit.payments import payment

ISSUER = "northgate-bank"
PAYMENTS = 1_500
"""About 700 of them are shared; the look-ups go over those again and again, each with a record of its own."""

READY_S = 20.0
_ENRICH = "/issuernetwork.v1.EnrichmentService/EnrichAuthorization"
_LOOKUP = "/issuernetwork.v1.FeedService/Lookup"
_FEEDS_CORE = 0


def _headers(installation: Installation, principal_id: str) -> list[tuple[str, str]]:
    return [*installation.metadata(principal_id), ("grpc-timeout", "10S")]


def _pin(pid: int) -> None:
    """Puts every thread of the feeds on the core that the reference runs on."""
    if not pinned():
        return
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {_FEEDS_CORE})


def _questions(installation: Installation) -> list[bytes]:
    """Look-ups for the references of many payments, made and shared beforehand."""
    now_ms = time.time_ns() // 1_000_000
    requests = [payment(number, now_ms=now_ms) for number in range(1, PAYMENTS + 1)]
    done, _ = load(
        installation.address("gateway", "grpc"), _ENRICH, [r.SerializeToString() for r in requests],
        headers=_headers(installation, "payments"), in_flight=IN_FLIGHT, connections=CONNECTIONS,
    )  # fmt: skip
    if done.failed:
        raise AssertionError(f"{done.failed} payments got no answer")
    return [_question(request) for request in requests]


def _question(request: enrichment_pb2.EnrichAuthorizationRequest) -> bytes:
    return feed_pb2.LookupRequest(
        match=common_pb2.MatchReferences(
            acquiring_institution_id=request.acquirer.acquiring_institution_id,
            retrieval_reference_number=request.acquirer.retrieval_reference_number,
            attempted_at_ms=request.initiated_at_ms,
        )
    ).SerializeToString()


def _found(installation: Installation, question: bytes) -> bytes:
    """The answer to one look-up, without its five bytes of framing."""
    _, answer = load(
        installation.address("feeds", "grpc"), _LOOKUP, [question],
        headers=_headers(installation, ISSUER), in_flight=1, connections=1,
    )  # fmt: skip
    return answer[5:]


def _shared(installation: Installation, questions: list[bytes]) -> tuple[list[bytes], bytes]:
    """The look-ups that find a share, once fan-out has come to the last of them, and an answer."""
    deadline = time.monotonic() + READY_S
    while True:
        answers = {question: _found(installation, question) for question in questions[-64:]}
        if any(feed_pb2.LookupResponse.FromString(answer).shares for answer in answers.values()):
            break
        if time.monotonic() > deadline:
            raise AssertionError("nothing can be looked up")
    found = [
        (question, answer)
        for question in questions
        if feed_pb2.LookupResponse.FromString(answer := _found(installation, question)).shares
    ]
    return [question for question, _ in found], found[0][1]


def lookup(scale: Scale) -> str:
    """One benchmark: each look-up finds a share, and has its own durable record before the answer."""
    with (
        tempfile.TemporaryDirectory(prefix="ein-bench-") as folder,
        Installation(Path(folder), processes=("gateway", "feeds")) as installation,
    ):
        questions, answer = _shared(installation, _questions(installation))
        _pin(installation.supervisor.children["feeds"].pid)
        headers = _headers(installation, ISSUER)

        def ours(run: int) -> Run:
            count = scale.warm_up if run < 0 else scale.calls
            payloads = [questions[number % len(questions)] for number in range(count)]
            found, _ = load(
                installation.address("feeds", "grpc"), _LOOKUP, payloads,
                headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
            )  # fmt: skip
            # Starved of its core for half a second, a worker loses its lease and says so to all in flight.
            if found.failed > max(IN_FLIGHT, found.calls // 100):
                raise AssertionError(f"{found.failed} of {found.calls} look-ups failed")
            return Run(found.calls, found.seconds, found.latencies_ms, found.cpu_seconds / found.seconds)

        with reference("lookup", answer) as address:

            def theirs(run: int) -> Run:
                count = scale.warm_up if run < 0 else scale.calls
                payloads = [questions[number % len(questions)] for number in range(count)]
                found, _ = load(
                    address, "/bench.Echo/Echo", payloads,
                    headers=headers, in_flight=IN_FLIGHT, connections=CONNECTIONS,
                )  # fmt: skip
                return Run(found.calls, found.seconds, found.latencies_ms)

            return alternate(
                "lookup", REFERENCE, ours, theirs,
                runs=scale.runs, load="each look-up finds one share and is recorded before the answer",
            )  # fmt: skip
