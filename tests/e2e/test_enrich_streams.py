"""Streams of a running gateway, behind both fronts: they share, refuse and record what single calls do."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.backends.embedded.journal import FileJournalReader
from gateway.records.journal import EVALUATIONS, FIRST
from gateway.runtime.disk import RealDisk
from gateway.server.identity import revoke_tokens
from issuernetwork.client import PATIENT, PaymentClient
from issuernetwork.storage.v1 import journal_pb2
from issuernetwork.v1 import enrichment_pb2, enrichment_pb2_grpc
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.kit.payments import payment

TIMEOUT_S = 20.0
Message = enrichment_pb2.StreamEnrichAuthorizationsRequest
Item = enrichment_pb2.StreamedAuthorization


class Running:
    """An installation and its gateway."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.process = Process(installation)

    def client(self, **choices: Any) -> PaymentClient:
        preset = replace(PATIENT, **choices)
        return PaymentClient(self.process.address, self.installation.tokens["payments"], preset=preset)

    def recorded(self) -> Counter[str]:
        """How often each request was recorded."""
        reader = FileJournalReader(RealDisk(), self.installation.state.gateway_journal)
        entries = reader.read(EVALUATIONS, FIRST, 1_000_000)
        return Counter(journal_pb2.Evaluation.FromString(entry.payload).request_id for entry in entries)


@pytest.fixture(scope="module", params=["native", "grpcio"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    installation = Installation(tmp_path_factory.mktemp("g"), front=request.param)
    installation.token("leaver", "caller")
    running = Running(installation)
    yield running
    running.process.stop()


def opened(channel: Any, running: Running, principal_id: str = "payments") -> Any:
    stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)
    return stub.StreamEnrichAuthorizations(metadata=running.installation.metadata(principal_id))


def test_a_payment_comes_to_the_same_by_each_way(running: Running) -> None:
    async def work() -> Any:
        found = {}
        for way in ("unary", "batch", "stream"):
            async with running.client(transport=way) as client:
                requests = [payment(number, card=number, prefix=way) for number in range(60)]
                results = await asyncio.gather(*(client.enrich(one) for one in requests))
                found[way] = [
                    [(one.program, one.status, one.public_reason) for one in result.response.decisions]
                    for result in results
                    if result.response is not None
                ]
                assert not client.counters().fallbacks
        return found

    found = asyncio.run(work())
    assert found["unary"] == found["batch"] == found["stream"]
    assert len(found["stream"]) == 60
    assert len({str(one) for one in found["stream"]}) > 1, "some are shared and some are not"


def test_reflection_and_health_know_of_the_stream(running: Running) -> None:
    name = "issuernetwork.v1.EnrichmentService"
    with grpc.insecure_channel(running.process.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
        (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=TIMEOUT_S)
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(one)
            for one in answer.file_descriptor_response.file_descriptor_proto
        ]
        health = health_pb2_grpc.HealthStub(channel)
        found = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_S)
    methods = {
        method.name: (method.client_streaming, method.server_streaming)
        for file in files
        for service in file.service
        for method in service.method
    }
    assert methods["StreamEnrichAuthorizations"] == (True, True)
    assert found.status == health_pb2.HealthCheckResponse.SERVING


def test_a_request_repeated_over_streams_and_single_calls_is_recorded_once(running: Running) -> None:
    asked = payment(1, prefix="again")

    async def work() -> Any:
        async with grpc.aio.insecure_channel(running.process.address) as channel:
            streams = [opened(channel, running) for _ in range(4)]
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)  # type: ignore[no-untyped-call]
            metadata = running.installation.metadata("payments")
            single = [stub.EnrichAuthorization(asked, metadata=metadata) for _ in range(20)]
            for stream in streams:
                await stream.write(Message(items=[Item(request=asked)] * 20))
            answers = [(await one).SerializeToString() for one in single]
            for stream in streams:
                while len(answers) % 20 or len(answers) < 20 * (2 + streams.index(stream)):
                    answers += [item.response.SerializeToString() for item in (await stream.read()).items]
            return answers

    answers = asyncio.run(asyncio.wait_for(work(), TIMEOUT_S))
    assert len(answers) == 100
    assert len(set(answers)) == 1
    assert running.recorded()[asked.request_id] == 1


def test_what_is_wrong_with_an_item_is_told_with_its_fields_and_the_others_are_shared(
    running: Running,
) -> None:
    bad = payment(2, prefix="bad")
    bad.card.pan = "9010010112345670"  # its check digit is wrong

    async def work() -> Any:
        async with grpc.aio.insecure_channel(running.process.address) as channel:
            stream = opened(channel, running)
            good = payment(3, prefix="good")
            await stream.write(Message(items=[Item(request=bad), Item(request=good)]))
            await stream.done_writing()
            return [item async for message in stream for item in message.items]

    by_id = {item.request_id: item for item in asyncio.run(asyncio.wait_for(work(), TIMEOUT_S))}
    error = by_id[bad.request_id].error
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert [issue.field for issue in error.field_issues] == ["card.pan"]
    assert "9010010112345670" not in str(error)
    assert by_id["good-r-3"].response.evaluation_id


def test_an_item_without_time_left_is_not_shared_and_the_next_is(running: Running) -> None:
    async def work() -> Any:
        async with grpc.aio.insecure_channel(running.process.address) as channel:
            stream = opened(channel, running)
            await stream.write(
                Message(
                    items=[
                        Item(request=payment(4, prefix="hasty"), budget_ms=1),
                        Item(request=payment(5, prefix="patient"), budget_ms=10_000),
                    ]
                )
            )
            await stream.done_writing()
            return {item.request_id: item async for message in stream for item in message.items}

    found = asyncio.run(asyncio.wait_for(work(), TIMEOUT_S))
    hasty, patient = found["hasty-r-4"], found["patient-r-5"]
    expired, reason = grpc.StatusCode.DEADLINE_EXCEEDED.value[0], hasty.response.degraded_reason
    # The last where a slow machine holds up the queue in front of it.
    assert hasty.error.code == expired or reason in ("over_deadline", "overloaded")
    assert patient.response.completeness == enrichment_pb2.COMPLETENESS_FULL


def test_streams_dropped_in_the_middle_are_recorded_and_leave_the_gateway_serving(running: Running) -> None:
    async def drop(number: int) -> None:
        async with grpc.aio.insecure_channel(running.process.address) as channel:
            stream = opened(channel, running)
            sent = [Item(request=payment(one, card=one, prefix=f"drop{number}")) for one in range(20)]
            await stream.write(Message(items=sent))
            first = await stream.read()
            assert first.items
            await stream.write(Message(items=[Item(request=payment(99, prefix=f"drop{number}"))]))
            if number % 2:
                stream.cancel()

    async def work() -> Any:
        await asyncio.gather(*(drop(number) for number in range(20)))
        async with running.client(transport="stream") as client:
            return await client.enrich(payment(1, prefix="after-drops"))

    assert asyncio.run(asyncio.wait_for(work(), 3 * TIMEOUT_S)).answered
    recorded = running.recorded()
    assert all(recorded[f"drop{number}-r-{one}"] == 1 for number in range(20) for one in range(20))


def test_a_token_that_is_taken_back_ends_the_stream_that_it_opened(running: Running) -> None:
    async def work() -> Any:
        async with grpc.aio.insecure_channel(running.process.address) as channel:
            stream = opened(channel, running, "leaver")
            await stream.write(Message(items=[Item(request=payment(1, prefix="leaver"))]))
            assert (await stream.read()).items
            revoke_tokens(running.installation.state, principal_id="leaver")
            number = 2
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                while True:
                    await stream.write(Message(items=[Item(request=payment(number, prefix="leaver"))]))
                    if await stream.read() is grpc.aio.EOF:
                        break
                    number += 1
            return await stream.code()

    assert asyncio.run(asyncio.wait_for(work(), TIMEOUT_S)) is grpc.StatusCode.UNAUTHENTICATED


def test_what_is_under_way_on_streams_when_the_gateway_stops_is_answered_or_said_to_be_open(
    running: Running,
) -> None:
    """Last of the module: the gateway is stopped, and started anew for what comes after it."""

    async def work() -> Any:
        async with running.client(transport="stream", stream_pause_ms=0) as client:
            first = await client.enrich(payment(0, prefix="stop"))
            calls = [
                asyncio.ensure_future(client.enrich(payment(one, prefix="stop"))) for one in range(1, 200)
            ]
            await asyncio.sleep(0)
            code = await asyncio.to_thread(running.process.stop)
            return first, await asyncio.gather(*calls), code

    first, results, code = asyncio.run(asyncio.wait_for(work(), 2 * TIMEOUT_S))
    assert code == 0
    assert first.answered
    assert {result.reason for result in results} <= {"", "unavailable", "deadline_exceeded"}
    recorded = running.recorded()
    answered = [result.response.request_id for result in results if result.response is not None]
    evaluated = [
        result.response.request_id for result in results if result.response and result.response.evaluation_id
    ]
    assert set(evaluated) <= set(answered)
    assert all(recorded[request_id] == 1 for request_id in evaluated)
    running.process = Process(running.installation)
