"""Bad input on the real surface of both fronts: a typed error or a field issue, never the value."""

import tempfile
from pathlib import Path
from typing import Any

import grpc

from issuernetwork.v1 import enrichment_pb2 as v1
from issuernetwork.v1 import enrichment_pb2_grpc as rpc
from tests.bad_input import CASES, DROPPED, REFUSED, SECRET, Case, good_request
from tests.kit.installation import Installation

RANDOM_MESSAGES = 200


def _check(stub: rpc.EnrichmentServiceStub, metadata: list[tuple[str, str]], case: Case, number: int) -> None:
    request = good_request(number)
    case.spoil(request)
    try:
        response = stub.EnrichAuthorization(request, metadata=metadata, timeout=5)
    except grpc.RpcError as refused:
        assert case.expected == REFUSED, f"{case.name}: refused with {refused.code()}"
        assert refused.code() == grpc.StatusCode.INVALID_ARGUMENT, f"{case.name}: {refused.code()}"
        text = refused.details() or ""
        assert case.field in text, f"{case.name}: the error does not name {case.field}"
        assert SECRET not in text, f"{case.name}: the error carries the value"
        return
    assert case.expected != REFUSED, f"{case.name}: was not refused"
    named = {issue.field for issue in response.field_issues}
    if case.expected == DROPPED:
        assert any(name.startswith(case.field) for name in named), f"{case.name}: {case.field} not in {named}"
    assert SECRET not in str(response).replace(request.request_id, ""), (
        f"{case.name}: the answer carries the value"
    )
    assert all(issue.mend for issue in response.field_issues), f"{case.name}: no remedy"


def _random_bytes(channel: grpc.Channel, metadata: list[tuple[str, str]], seed: int) -> int:
    """Sends bytes that are no message. Each must get a typed error, and the server must go on."""
    import random

    generator = random.Random(seed)
    call = channel.unary_unary(
        "/issuernetwork.v1.EnrichmentService/EnrichAuthorization",
        request_serializer=lambda raw: raw,
        response_deserializer=lambda raw: raw,
    )
    refused = 0
    for _ in range(RANDOM_MESSAGES):
        raw = generator.randbytes(generator.randrange(1, 2_000))
        try:
            call(raw, metadata=metadata, timeout=5)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.code()
            refused += 1
    oversize = good_request(1)
    oversize.merchant.name = "x" * 300_000
    try:
        call(oversize.SerializeToString(), metadata=metadata, timeout=5)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED), (
            error.code()
        )
        refused += 1
    return refused


def _front(front: str, folder: Path) -> dict[str, Any]:
    with Installation(folder, front=front, processes=("gateway",)) as installation:
        channel = grpc.insecure_channel(installation.address("gateway", "grpc"))
        metadata = installation.metadata("payments")
        stub = rpc.EnrichmentServiceStub(channel)
        for number, case in enumerate(CASES, start=1):
            _check(stub, metadata, case, number)
        refused = _random_bytes(channel, metadata, seed=7)
        batch = v1.BatchEnrichAuthorizationsRequest(requests=[good_request(n) for n in range(9001, 9004)])
        batch.requests[1].ClearField("card")
        items = stub.BatchEnrichAuthorizations(batch, metadata=metadata, timeout=5).items
        kinds = [item.WhichOneof("result") for item in items]
        assert kinds == ["response", "error", "response"], kinds
        after = stub.EnrichAuthorization(good_request(10_000), metadata=metadata, timeout=5)
        assert after.evaluation_id, "the payment does not go on"
        channel.close()
        logs = "".join(path.read_text(errors="replace") for path in installation.state.logs.glob("*.log"))
        assert SECRET not in logs, "a log carries a value"
    return {"cases": len(CASES), "random_and_oversize_refused": refused}


def run(full: bool) -> dict[str, Any]:
    measured = {}
    for front in ("native", "grpcio"):
        with tempfile.TemporaryDirectory(prefix="ein-") as folder:
            measured[front] = _front(front, Path(folder))
    return measured
